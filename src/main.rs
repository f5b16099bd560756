//! The process: arguments, signals, exit codes.

use std::io::{BufReader, BufWriter};
use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() != Some("simulate") {
        return ExitCode::SUCCESS;
    }
    let input = BufReader::with_capacity(1 << 16, std::io::stdin().lock());
    let output = BufWriter::new(std::io::stdout().lock());
    match crossfade::cli::simulate::run(input, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("simulate: {error}");
            ExitCode::from(2)
        }
    }
}
