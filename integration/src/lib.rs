//! Every promise, tried by an adversary inside a real sandbox and judged by an observer outside.
//!
//! One program plays every part: it runs the cases ([`runner`]), is each case (`alone`, then the
//! case's `outside`), and is the adversary that the sandbox executes ([`Inside`]).
//!
//! Read in this order: [`case`], [`who`], `options`, `runner`, `alone`, [`outside`], [`sandbox`], [`running`], [`service`],
//! [`notify_socket`], `launch`, [`run`], [`observers`], [`inside`], [`terminal`], [`container`], [`faults`],
//! [`approver`], [`mod@confined`], [`world`], [`hosts`], [`sshd`], [`keeper`], [`logins`], [`models`], [`search`], [`steps`], [`injected`], [`kills`], [`trial`], [`random`], [`raw`], `left`,
//! [`mod@patience`], [`facts`].
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for developers, whose output is what it found"
)]

mod alone;
pub mod approver;
pub mod below;
pub mod case;
pub mod confined;
pub mod container;
pub mod facts;
pub mod faults;
pub mod fetching;
pub mod hosts;
pub mod injected;
pub mod inside;
pub mod keeper;
pub mod kills;
mod launch;
mod left;
pub mod logins;
pub mod models;
pub mod notify_socket;
pub mod observers;
mod options;
pub mod outside;
pub mod patience;
pub mod random;
pub mod raw;
mod records;
pub mod run;
mod runner;
pub mod running;
pub mod sandbox;
pub mod search;
pub mod service;
pub mod sshd;
pub mod steps;
pub mod terminal;
pub mod tools;
pub mod trial;
pub mod who;
pub mod world;

pub use case::{Case, Named, Need};
pub use confined::confined;
pub use container::Container;
pub use faults::Fault;
pub use inside::Inside;
pub use notify_socket::NotifySocket;
pub use observers::{Canary, Listener, Victim};
pub use outside::Outside;
pub use patience::{patience, wait_for};
pub use random::Random;
pub use run::Run;
pub use running::Running;
pub use sandbox::Sandbox;
pub use service::Service;
pub use steps::{Program, Step, Then};
pub use terminal::Terminal;
pub use trial::Trial;
pub use who::By;

use std::process::ExitCode;

/// Plays the part that the command line names.
#[must_use]
pub fn main(cases: &'static [Named]) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["probe", case, name, rest @ ..] => inside::play(cases, case, name, rest),
        ["launch", rest @ ..] => launch::play(rest),
        ["privileged"] => who::play(),
        ["facts"] => facts::play(),
        ["tool", names @ ..] => tools::play(names),
        ["case", name] => alone::play(cases, name),
        options => runner::play(cases, options),
    };
    match outcome {
        Ok(status) => status,
        Err(error) => {
            eprintln!("sandboxd-integration: {error:#}");
            ExitCode::from(2)
        }
    }
}
