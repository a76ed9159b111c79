//! Become the command.
//!
//! Kernel: execveat(2).
//! Here because: last. Every descriptor but 0, 1, 2 and the command's sockets closes with it, and the
//! report socket's end of file tells the supervisor that it happened.

use super::self_test::Tested;
use super::sockets;
use super::split::PINNED;
use crate::failure::At;
use crate::report;
use alloc::ffi::CString;
use alloc::format;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::ffi::CStr;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::getpid;
use sandboxd_kernel::exec::{Program, exec as execute};
use sandboxd_kernel::fds;
use sandboxd_plan::{Call, Exec, Failure, JailPath, Stage, Text};

const AT: At = At(Stage::Exec);

/// Arguments and environment.
type Words<'a> = (&'a [&'a CStr], &'a [&'a CStr]);

pub(crate) fn exec(_: Tested, plan: &Exec) -> Result<Infallible, Failure> {
    rustix::process::chdir(plan.cwd.as_str()).map_err(AT.errno(Call::Chdir, &plan.cwd))?;
    let argv = texts(&plan.argv)?;
    let mut env = texts(&plan.env)?;
    if !plan.sockets.is_empty() {
        // Whoever inherits the variables from the command is not meant, sd_listen_fds(3).
        let own = format!("LISTEN_PID={}", getpid().as_raw_nonzero());
        env.push(CString::new(own).map_err(|_| AT.because(Call::Execve, "LISTEN_PID"))?);
    }
    let argv: Vec<&CStr> = argv.iter().map(CString::as_c_str).collect();
    let env: Vec<&CStr> = env.iter().map(CString::as_c_str).collect();
    report::wait_for_go()?;
    if plan.sockets.is_empty() {
        return first_of(plan, PINNED, (&argv, &env));
    }
    sockets::laid(plan, |pinned| first_of(plan, pinned, (&argv, &env)))
}

/// Executes the first candidate that is there.
fn first_of(plan: &Exec, pinned: i32, words: Words<'_>) -> Result<Infallible, Failure> {
    let mut refused = AT.errno(Call::Execve, name(plan))(Errno::NOENT);
    for candidate in &plan.candidates {
        let errno = match plan.pinned {
            None => execute(Program::Path(&c_path(candidate)?), words.0, words.1),
            Some(_) => execute_pinned(candidate, pinned, words)?,
        };
        match errno {
            // Not here: the next directory of PATH, as execvp(3) does.
            Errno::NOENT | Errno::NOTDIR => {}
            Errno::ACCESS => refused = AT.errno(Call::Execve, candidate)(errno),
            errno => return Err(AT.errno(Call::Execve, candidate)(errno)),
        }
    }
    Err(refused)
}

/// Executes a candidate only where it is the very file whose digest the supervisor checked.
fn execute_pinned(candidate: &JailPath, pinned: i32, words: Words<'_>) -> Result<Errno, Failure> {
    let checked = fds::inherited(pinned).map_err(AT.errno(Call::Fcntl, candidate))?;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(CWD, candidate.as_str(), flags, Mode::empty()) {
        Ok(file) => file,
        Err(errno) => return Ok(errno),
    };
    let here = rustix::fs::fstat(&file).map_err(AT.errno(Call::Stat, candidate))?;
    let there = rustix::fs::fstat(checked).map_err(AT.errno(Call::Stat, candidate))?;
    if (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino) {
        return Err(AT.because(Call::Stat, format!("{candidate}: not the file that was digested")));
    }
    Ok(execute(Program::File(rustix::fd::AsFd::as_fd(&file)), words.0, words.1))
}

fn name(plan: &Exec) -> alloc::string::String {
    plan.argv.first().map_or_else(Default::default, |name| format!("{name}"))
}

fn c_path(path: &JailPath) -> Result<CString, Failure> {
    CString::new(path.as_str()).map_err(|_| AT.because(Call::Execve, path))
}

fn texts(list: &[Text]) -> Result<Vec<CString>, Failure> {
    list.iter()
        .map(|text| CString::new(text.as_bytes()).map_err(|_| AT.because(Call::Execve, text)))
        .collect()
}
