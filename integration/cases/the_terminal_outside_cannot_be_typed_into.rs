//! A command that is run at the caller's terminal does not get that terminal: it types nothing into it,
//! does not become its session or its foreground, and changes no line discipline, whether it has a
//! terminal of its own or a pipe with what is typed.
//!
//! Layers: a terminal or a pipe of its own; seccomp for the requests; a session of its own.

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::openpty;
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use sandboxd_integration::raw::{self, Argument};
use sandboxd_integration::{Case, Inside, Outside, Running, Terminal};
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

pub(crate) const CASE: Case = Case {
    rows: &["T01", "T02", "K13", "K15", "E10", "E11"],
    outside,
    probes: &[("type", type_into), ("ask", ask)],
    ..Case::NEW
};

/// asm-generic/ioctls.h: requests that reach into the terminal outside.
const REQUESTS: &[(&str, u64)] =
    &[("TIOCSTI", 0x5412), ("TIOCLINUX", 0x541c), ("TIOCCONS", 0x541d), ("TIOCSETD", 0x5423)];

/// linux/sockios.h, linux/fs.h, linux/if_tun.h: others that are refused, whatever the descriptor.
const OTHERS: &[(&str, u64)] = &[
    ("SIOCGSKNS", 0x894c),
    ("FS_IOC_ENABLE_VERITY", 0x4080_6685),
    ("TUNSETIFF", 0x4004_54ca),
    ("TUNSETPERSIST", 0x4004_54cb),
];

/// Bits that the kernel does not look at.
const JUNK: u64 = 0x1_0000_0000;

/// `TIOCSCTTY`, `TIOCSPGRP`, `TIOCNOTTY`.
const TIOCSCTTY: u64 = 0x540e;
const TIOCSPGRP: u64 = 0x5410;

fn outside(outside: &Outside) -> Result<()> {
    let terminal = Terminal::new()?;
    let slave = terminal.other_side()?;
    let mut plain = tcgetattr(&slave)?;
    cfmakeraw(&mut plain);
    tcsetattr(&slave, SetArg::TCSANOW, &plain)?;
    ensure!(seen_by_this_observer(&slave)?, "what is typed would not be seen");
    let profile = "extends = [\"builtin:base\"]\n";
    let sandbox = outside.sandbox(profile).terminal(&terminal, &[0]);
    let mut running = sandbox.probe("type", &[]).start()?;
    running.says("tried")?;
    unharmed(&terminal, &slave, &running)?;
    // The word at which the probe ends, which is what it reads if nobody typed before.
    terminal.types("!")?;
    let run = running.wait()?;
    run.ran()?;
    for (name, _) in REQUESTS {
        for number in [0, 1, 2] {
            run.refused(&format!("{name} {number}"), &[Errno::EPERM])?;
            run.refused(&format!("{name} {number} with junk"), &[Errno::EPERM])?;
        }
    }
    for (name, _) in OTHERS {
        run.refused(name, &[Errno::EPERM])?;
        run.refused(&format!("{name} with junk"), &[Errno::EPERM])?;
    }
    run.refused("/dev/tty", &[Errno::ENXIO])?;
    for attempt in ["take", "steal", "take in a session", "steal in a session"] {
        run.refused(attempt, &[Errno::EPERM, Errno::ENOTTY])?;
    }
    run.refused("foreground", &[Errno::ENOTTY, Errno::EPERM])?;
    run.refused("/dev/tty in a session", &[Errno::ENXIO])?;
    run.refused("type in a session", &[Errno::EPERM])?;
    ensure!(run.fact("read")? == "!", "the probe read {:?}", run.fact("read")?);

    // At a terminal of its own. What the probe tells is shown there.
    let terminal = Terminal::new()?;
    let slave = terminal.other_side()?;
    let sandbox = outside.sandbox(profile).terminal(&terminal, &[0, 1, 2]);
    let running = sandbox.probe("type", &[]).start()?;
    let told = terminal.shows("tried")?;
    unharmed(&terminal, &slave, &running)?;
    for (name, _) in REQUESTS {
        for what in ["0", "1", "2", "0 with junk", "1 with junk", "2 with junk"] {
            let line = format!("{{\"what\":\"{name} {what}\",\"errno\":1}}");
            ensure!(told.contains(&line), "{line} expected: {told}");
        }
    }
    terminal.types("!\n")?;
    terminal.shows("{\"name\":\"read\",\"value\":\"!\"}")?;
    running.wait()?.exited(0)?;

    // The usability guard: programs ask terminals all the time, and make their own.
    let run = outside.sandbox(profile).probe("ask", &[]).run()?;
    run.ran()?.allowed("own terminal")?.allowed("size")?.allowed("raw")?;
    run.refused("own TIOCSTI", &[Errno::EPERM])?;
    Ok(())
}

/// The terminal outside is what it was: nothing typed, its session's, its line discipline.
fn unharmed(terminal: &Terminal, slave: &OwnedFd, running: &Running<'_>) -> Result<()> {
    ensure!(!waits(slave)?, "something was typed into the terminal outside");
    let session = terminal.session()?;
    ensure!(session == running.pid(), "the terminal has become that of session {session}");
    let discipline = line_discipline(slave)?;
    ensure!(discipline == 0, "the line discipline became {discipline}");
    Ok(())
}

/// Types a byte as root may, looks whether it is seen, and takes it away.
fn seen_by_this_observer(slave: &OwnedFd) -> Result<bool> {
    sti(slave.as_raw_fd()).context("TIOCSTI as root")?;
    let seen = waits(slave)?;
    let mut byte = [0];
    File::from(slave.try_clone()?).read_exact(&mut byte)?;
    Ok(seen && !waits(slave)?)
}

fn waits(slave: &OwnedFd) -> Result<bool> {
    let mut ready = [PollFd::new(slave.as_fd(), PollFlags::POLLIN)];
    Ok(poll(&mut ready, PollTimeout::ZERO)? > 0)
}

fn line_discipline(slave: &OwnedFd) -> Result<u32> {
    const TIOCGETD: u64 = 0x5424;
    let mut found = [0; 4];
    let terminal = Argument::Number(number(slave.as_raw_fd()));
    let mut words = [terminal, Argument::Number(TIOCGETD), Argument::Buffer(&mut found)];
    raw::call(libc::SYS_ioctl, &mut words)?;
    Ok(u32::from_ne_bytes(found))
}

fn number(descriptor: i32) -> u64 {
    u64::from(descriptor.cast_unsigned())
}

fn ioctl(descriptor: i32, request: u64, bytes: &[u8]) -> nix::Result<i64> {
    let terminal = Argument::Number(number(descriptor));
    let mut words = [terminal, Argument::Number(request), Argument::Bytes(bytes)];
    raw::call(libc::SYS_ioctl, &mut words)
}

fn sti(descriptor: i32) -> nix::Result<i64> {
    ioctl(descriptor, 0x5412, b"x")
}

fn type_into(inside: &Inside) -> Result<()> {
    for (name, request) in REQUESTS {
        for descriptor in [0, 1, 2] {
            // For TIOCLINUX 3 pastes; for TIOCSETD it is a number of a line discipline.
            let byte: &[u8] = if *name == "TIOCSTI" { b"x" } else { &[3, 0, 0, 0] };
            let what = format!("{name} {descriptor}");
            inside.attempt(&what, ioctl(descriptor, *request, byte));
            let junk = ioctl(descriptor, request | JUNK, byte);
            inside.attempt(&format!("{what} with junk"), junk);
        }
    }
    for (name, request) in OTHERS {
        inside.attempt(name, raw::call_numbers(libc::SYS_ioctl, &[0, *request, 0]));
        let junk = raw::call_numbers(libc::SYS_ioctl, &[0, request | JUNK, 0]);
        inside.attempt(&format!("{name} with junk"), junk);
    }
    let both = || File::options().read(true).write(true).open("/dev/tty");
    let own = std::process::id().to_ne_bytes();
    inside.attempt("/dev/tty", both());
    inside.attempt("take", raw::call_numbers(libc::SYS_ioctl, &[0, TIOCSCTTY, 0]));
    inside.attempt("steal", raw::call_numbers(libc::SYS_ioctl, &[0, TIOCSCTTY, 1]));
    inside.attempt("foreground", ioctl(0, TIOCSPGRP, &own));
    // The same as the leader of a session, which may have a terminal.
    let child = raw::fork(|| {
        if let Err(error) = nix::unistd::setsid() {
            inside.fact("setsid", &error.to_string());
            return 1;
        }
        // Opening the terminal anew would do, if it were nobody's.
        drop(File::options().read(true).write(true).open("/proc/self/fd/0"));
        inside.attempt("/dev/tty in a session", both());
        let take = raw::call_numbers(libc::SYS_ioctl, &[0, TIOCSCTTY, 0]);
        inside.attempt("take in a session", take);
        let steal = raw::call_numbers(libc::SYS_ioctl, &[0, TIOCSCTTY, 1]);
        inside.attempt("steal in a session", steal);
        inside.attempt("type in a session", sti(0));
        0
    })?;
    nix::sys::wait::waitpid(child, None)?;
    inside.fact("state", "tried");
    let mut byte = [0];
    std::io::stdin().read_exact(&mut byte)?;
    inside.fact("read", &String::from_utf8_lossy(&byte));
    Ok(())
}

fn ask(inside: &Inside) -> Result<()> {
    const TIOCGWINSZ: u64 = 0x5413;
    if let Some(pty) = inside.attempt("own terminal", openpty(None, None)) {
        let mut size = [0; 8];
        let terminal = Argument::Number(number(pty.slave.as_raw_fd()));
        let mut words = [terminal, Argument::Number(TIOCGWINSZ), Argument::Buffer(&mut size)];
        inside.attempt("size", raw::call(libc::SYS_ioctl, &mut words));
        let mut settings = tcgetattr(&pty.slave)?;
        cfmakeraw(&mut settings);
        inside.attempt("raw", tcsetattr(&pty.slave, SetArg::TCSANOW, &settings));
        inside.attempt("own TIOCSTI", sti(pty.slave.as_raw_fd()));
    }
    Ok(())
}
