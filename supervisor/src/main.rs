//! `sandboxd`: see `sandboxd --help`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    sandboxd::cli::main()
}
