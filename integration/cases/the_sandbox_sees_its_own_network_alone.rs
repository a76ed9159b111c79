//! The network that a sandbox sees is its own: a loopback and nothing else, no route, no
//! configuration to be changed, and no way into the host's.

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use sandboxd_integration::raw::{self, Argument};
use sandboxd_integration::{Case, Inside, Outside};
use std::fs::{self, File};
use std::os::fd::AsRawFd as _;

pub(crate) const CASE: Case = Case {
    rows: &["N07", "N08", "N09", "E31", "E32"],
    outside,
    probes: &[("look", look)],
    ..Case::NEW
};

fn outside(outside: &Outside) -> Result<()> {
    // A namespace that was bound to a file, as ip-netns(8) does; given to the sandbox to be read.
    let bound = outside.file("ws/net", "")?;
    let none: Option<&str> = None;
    nix::mount::mount(Some("/proc/self/ns/net"), &bound, none, nix::mount::MsFlags::MS_BIND, none)?;
    let profile = format!("extends = [\"builtin:base\"]\n[files]\nread = [{bound:?}]\n");
    let run = outside.sandbox(&profile).probe("look", &[bound.to_str().unwrap_or_default()]).run();
    nix::mount::umount(&bound)?;
    let run = run?;
    let host = fs::read_link("/proc/self/ns/net")?;
    if run.exit() == Some(0) {
        run.ran()?;
        judge(&run, &host.to_string_lossy())?;
    } else {
        // That the product does not show such a file at all is as good.
        run.not_started()?;
        ensure!(run.stderr.contains(&*bound.to_string_lossy()), "not for it: {}", run.stderr);
    }
    let run = outside.sandbox("extends = [\"builtin:base\"]\n").probe("look", &["/none"]).run()?;
    judge(&run, &host.to_string_lossy())?;
    let inode = run
        .receipt
        .as_ref()
        .and_then(|receipt| receipt.pointer("/outside/namespaces/net")?.as_u64())
        .context("the receipt names no network namespace")?;
    ensure!(run.fact("own")? == format!("net:[{inode}]"), "the receipt says {inode}");
    ensure!(!host.to_string_lossy().contains(&inode.to_string()), "it is the host's namespace");
    Ok(())
}

fn judge(run: &sandboxd_integration::Run, host: &str) -> Result<()> {
    run.ran()?.all_refused()?;
    ensure!(run.fact("own")? != host, "it is in the host's network namespace");
    ensure!(run.fact("interfaces")? == "lo", "interfaces: {}", run.fact("interfaces")?);
    for table in ["/proc/net/route", "/proc/net/arp", "/proc/net/tcp", "/proc/net/udp"] {
        ensure!(run.fact(table)? == "0", "{table} has {} entries", run.fact(table)?);
    }
    // Of what the host listens on nothing is told.
    ensure!(!run.fact("sockets")?.contains('/'), "a socket of the host: {}", run.fact("sockets")?);
    for way in ["own namespace", "init's namespace"] {
        run.refused(way, &[Errno::EPERM, Errno::ENOSYS, Errno::EACCES, Errno::ENOENT])?;
    }
    Ok(())
}

fn look(inside: &Inside) -> Result<()> {
    inside.fact("own", &fs::read_link("/proc/self/ns/net")?.to_string_lossy());
    let interfaces = fs::read_to_string("/proc/net/dev")?;
    let names: Vec<_> = interfaces
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name.trim())
        .collect();
    inside.fact("interfaces", &names.join(" "));
    for table in ["/proc/net/route", "/proc/net/arp", "/proc/net/tcp", "/proc/net/udp"] {
        let text = fs::read_to_string(table)?;
        inside.fact(table, &text.lines().skip(1).count().to_string());
    }
    inside.fact("sockets", &fs::read_to_string("/proc/net/unix")?.replace("socket/", ""));
    enter(inside, "own namespace", "/proc/self/ns/net");
    enter(inside, "init's namespace", "/proc/1/ns/net");
    enter(inside, "bound namespace", inside.argument(0)?);
    change(inside);
    Ok(())
}

fn enter(inside: &Inside, what: &str, path: &str) {
    let entered = File::open(path).and_then(|file| {
        let number = u64::from(file.as_raw_fd().cast_unsigned());
        raw::call_numbers(libc::SYS_setns, &[number, 0]).map_err(std::io::Error::from)
    });
    inside.attempt(what, entered);
}

/// Asks by netlink for an interface, an address and a route, and by ioctl for the loopback to go down.
fn change(inside: &Inside) {
    const NEW_LINK: u16 = 16;
    const NEW_ADDRESS: u16 = 20;
    const NEW_ROUTE: u16 = 24;
    for (what, kind, protocol) in [
        ("new interface", NEW_LINK, 0),
        ("new address", NEW_ADDRESS, 0),
        ("new route", NEW_ROUTE, 0),
        // A batch for nftables, and a question for every socket.
        ("filter rule", 16, 12),
        ("list of sockets", 20, 4),
    ] {
        inside.attempt(what, ask(kind, protocol));
    }
    for (what, family, number) in
        [("loopback down", 2, 0x8914), ("loopback down by unix", 1, 0x8914)]
    {
        let mut request =
            *b"lo\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        let down = raw::call_numbers(libc::SYS_socket, &[family, 2, 0]).and_then(|socket| {
            raw::call(
                libc::SYS_ioctl,
                &mut [
                    Argument::Number(socket.cast_unsigned()),
                    Argument::Number(number),
                    Argument::Buffer(&mut request),
                ],
            )
        });
        inside.attempt(what, down);
    }
}

/// One netlink request, and the kernel's answer to it.
fn ask(kind: u16, protocol: u64) -> nix::Result<i64> {
    /// `NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL`.
    const FLAGS: u16 = 0x605;
    let socket = raw::call_numbers(libc::SYS_socket, &[16, 3, protocol])?.cast_unsigned();
    let mut message = 48_u32.to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend(FLAGS.to_ne_bytes());
    message.resize(48, 0);
    let length = u64::try_from(message.len()).unwrap_or_default();
    raw::call(
        libc::SYS_sendto,
        &mut [
            Argument::Number(socket),
            Argument::Bytes(&message),
            Argument::Number(length),
            Argument::Number(0),
        ],
    )?;
    let mut answer = [0_u8; 4096];
    let room = u64::try_from(answer.len()).unwrap_or_default();
    raw::call(
        libc::SYS_recvfrom,
        &mut [
            Argument::Number(socket),
            Argument::Buffer(&mut answer),
            Argument::Number(room),
            Argument::Number(0x40),
        ],
    )?;
    let errno = answer.get(16..20).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
    match errno.map(i32::from_ne_bytes) {
        Some(errno) if errno < 0 => Err(Errno::from_raw(-errno)),
        _ => Ok(0),
    }
}
