//! The process: arguments, signals, exit codes.

fn main() {}
