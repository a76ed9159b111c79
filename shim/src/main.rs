//! The shim: everything that happens between clone and execve.
//!
//! It decides nothing, starts no thread, reads nothing but its plan and says nothing but one report.
//! Begin with [`enter`].
#![no_std]
#![no_main]
#![deny(unsafe_code)]

extern crate alloc;

mod enter;
mod failure;
mod init;
mod report;
mod stages;

use sandboxd_plan::Stage;

sandboxd_start::program!(run, panicked);

/// The exit status for people who run the shim by hand; the supervisor trusts the report alone.
fn run() -> i32 {
    let failure = match enter::enter() {
        Ok(never) => match never {},
        Err(failure) => failure,
    };
    report::failed(&failure);
    200 + i32::try_from(failure.stage.position()).unwrap_or_default()
}

/// A panic is a defect of ours. It ends the run like any failure: nothing has been executed.
fn panicked() {
    report::failed(&failure::At(Stage::Session).because(sandboxd_plan::Call::ReadPlan, "panic"));
}
