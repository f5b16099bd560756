//! The process: arguments in, exit code out.

use std::process::ExitCode;

use clap::Parser;
use crossfade::cli::{Cli, run};

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    run(Cli::parse())
}
