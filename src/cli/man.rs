//! `crossfade man`: the manual pages, made from the same words as `--help`.

use std::io;
use std::path::{Path, PathBuf};

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
        Some(folder) => write(folder).map_err(|source| Unwritten { folder: folder.clone(), source })?,
    }
    Ok(())
}

/// Why there are no pages, and where they should have been.
#[derive(Debug, thiserror::Error)]
#[error("failed to write manual pages to {}", folder.display())]
struct Unwritten {
    folder: PathBuf,
    source: io::Error,
}

/// A page for each command, named like `crossfade-run.1`.
fn write(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(Cli::command(), folder)
}
