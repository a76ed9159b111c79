//! Thousands of refusals by the filter leave no record in the audit log of the host, which holds what
//! the kernel kills.

use anyhow::{Context as _, Result, bail, ensure};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, setsockopt,
    socket, sockopt::RcvBufForce,
};
use sandboxd_integration::{Case, Inside, Outside, Trial, raw};
use std::os::fd::{AsRawFd as _, OwnedFd};

pub(crate) const CASE: Case =
    Case { rows: &["R13"], outside, probes: &[("refuse", refuse)], ..Case::NEW };

/// More than a start has of its own, and less than the buffer of whoever listens holds.
const REFUSALS: usize = 2000;
/// Marks a number of x32, which kills.
const X32_BIT: i64 = 0x4000_0000;
/// `AUDIT_NLGRP_READLOG`, as a mask.
const READERS: u32 = 1;

fn outside(outside: &Outside) -> Result<()> {
    let log = listen()?;
    let run = outside.sandbox("extends = [\"builtin:base\"]\n").probe("refuse", &[]).run()?;
    run.ran()?.refused("clone3", &[Errno::ENOSYS])?.refused("mount", &[Errno::EPERM])?;
    ensure!(run.fact("killed")? == "SIGSYS", "a call of x32: {}", run.fact("killed")?);
    let own = format!(" uid={} ", run.fact("uid")?);
    let records: Vec<String> = read(&log)?.into_iter().filter(|one| one.contains(&own)).collect();
    let killed = records.iter().filter(|one| one.contains(" sig=31 ")).count();
    ensure!(killed == 1, "{killed} records of what was killed, of {}", records.len());
    let refused: Vec<&String> = records.iter().filter(|one| one.contains(" sig=0 ")).collect();
    ensure!(refused.is_empty(), "{} records of refusals, as {:?}", refused.len(), refused.first());
    Ok(())
}

fn refuse(inside: &Inside) -> Result<()> {
    inside.fact("uid", &nix::unistd::getuid().to_string());
    let (mut cloned, mut mounted) = (Ok(0), Ok(0));
    for _ in 0..REFUSALS {
        cloned = raw::call_numbers(libc::SYS_clone3, &[]);
        mounted = raw::call_numbers(libc::SYS_mount, &[]);
    }
    inside.attempt("clone3", cloned);
    inside.attempt("mount", mounted);
    let killed = Trial::of(|| raw::call_numbers(X32_BIT | libc::SYS_getpid, &[]))?;
    inside.fact("killed", &killed.to_string());
    Ok(())
}

/// Whoever reads what the kernel has for the audit log, beside its daemon.
fn listen() -> Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let log = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkAudit)
        .context("this kernel has no audit")?;
    setsockopt(&log, RcvBufForce, &(64 << 20))?;
    bind(log.as_raw_fd(), &NetlinkAddr::new(0, READERS))?;
    Ok(log)
}

fn read(log: &OwnedFd) -> Result<Vec<String>> {
    let mut records = Vec::new();
    let mut record = vec![0; 16 << 10];
    loop {
        match recv(log.as_raw_fd(), &mut record, MsgFlags::empty()) {
            Ok(length) => {
                let text = record.get(..length).context("longer than it may be")?;
                records.push(String::from_utf8_lossy(text).into_owned());
            }
            Err(Errno::EAGAIN) => return Ok(records),
            Err(errno) => bail!("the audit log: {errno}"),
        }
    }
}
