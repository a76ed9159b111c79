//! The cases of `cases/` and the harness that runs them.
#![forbid(unsafe_code)]

use sandboxd_integration::Named;
use std::process::ExitCode;

include!(concat!(env!("OUT_DIR"), "/cases.rs"));

fn main() -> ExitCode {
    sandboxd_integration::main(CASES)
}
