//! `crossfade man`: the manual pages, made from the same words as `--help`.

use std::io;
use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_mangen::Man;

use super::{Cli, Failure};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Folder for a page of each command, such as crossfade-run.1; absent: the first page, on standard output
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn man(args: &Arguments) -> Result<(), Failure> {
    match &args.out {
        None => Man::new(Cli::command()).render(&mut io::stdout().lock())?,
        Some(folder) => {
            std::fs::create_dir_all(folder)?;
            // A command that is called by its own name, as `crossfade run`, has a page of that name.
            clap_mangen::generate_to(Cli::command(), folder)?;
        }
    }
    Ok(())
}
