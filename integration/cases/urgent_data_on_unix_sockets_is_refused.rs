//! Out-of-band data on Unix sockets, the means of a kernel exploit of 2025, is neither sent nor
//! received; ordinary data is.

use anyhow::{Result, ensure};
use nix::errno::Errno;
use sandboxd_integration::raw::{self, Argument};
use sandboxd_integration::{By, Case, Inside, Outside};
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;

pub(crate) const CASE: Case = Case {
    rows: &["K12", "K15"],
    outside,
    probes: &[("send", send)],
    by: By::Anybody,
    ..Case::NEW
};

fn outside(outside: &Outside) -> Result<()> {
    let run = outside.sandbox("extends = [\"builtin:base\"]\n").probe("send", &[]).run()?;
    run.ran()?.allowed("write")?.allowed("plain sendto")?;
    for how in ["", " with junk", " with other flags"] {
        for call in ["sendto", "sendmsg", "sendmmsg", "recvfrom", "recvmsg", "recvmmsg"] {
            run.refused(&format!("{call}{how}"), &[Errno::EOPNOTSUPP])?;
        }
    }
    ensure!(run.fact("arrived")? == "xy", "arrived: {:?}", run.fact("arrived")?);
    Ok(())
}

fn send(inside: &Inside) -> Result<()> {
    const MSG_OOB: u64 = 1;
    const MSG_DONTWAIT: u64 = 0x40;
    let (mut near, mut far) = UnixStream::pair()?;
    inside.attempt("write", near.write_all(b"x"));
    let (one, other) = (number(&near), number(&far));
    let sendto = |flags| {
        let (data, length) = (Argument::Bytes(b"y"), Argument::Number(1));
        let mut words = [Argument::Number(one), data, length, Argument::Number(flags)];
        raw::call(libc::SYS_sendto, &mut words)
    };
    inside.attempt("plain sendto", sendto(0));
    for (how, flags) in [
        ("", MSG_OOB),
        (" with junk", MSG_OOB | 0xffff_ffff_0000_0000),
        (" with other flags", MSG_OOB | MSG_DONTWAIT),
    ] {
        let attempt = |call: &str, number: i64, words: &[u64]| {
            inside.attempt(&format!("{call}{how}"), raw::call_numbers(number, words));
        };
        inside.attempt(&format!("sendto{how}"), sendto(flags));
        attempt("sendmsg", libc::SYS_sendmsg, &[one, 0, flags]);
        attempt("sendmmsg", libc::SYS_sendmmsg, &[one, 0, 1, flags]);
        attempt("recvfrom", libc::SYS_recvfrom, &[other, 0, 0, flags, 0, 0]);
        attempt("recvmsg", libc::SYS_recvmsg, &[other, 0, flags]);
        attempt("recvmmsg", libc::SYS_recvmmsg, &[other, 0, 1, flags, 0]);
    }
    drop(near);
    let mut arrived = String::new();
    far.read_to_string(&mut arrived)?;
    inside.fact("arrived", &arrived);
    Ok(())
}

fn number(socket: &UnixStream) -> u64 {
    u64::from(socket.as_raw_fd().cast_unsigned())
}
