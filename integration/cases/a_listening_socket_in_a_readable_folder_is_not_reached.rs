//! A Unix socket on which a process of the host listens is not reached through a folder that may only
//! be read, from Landlock ABI 9 on; before, nothing in the kernel keeps it from being connected to, which
//! SECURITY.md says.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{Case, Inside, Need, Outside};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;

pub(crate) const CASE: Case = Case {
    rows: &["E2", "E3", "N05"],
    needs: &[Need::Landlock(9)],
    outside,
    probes: &[("reach", reach)],
    ..Case::NEW
};

fn outside(outside: &Outside) -> Result<()> {
    let read = outside.file("read/own", "x")?.with_file_name("");
    let mut heard = Vec::new();
    for folder in [&read] {
        let stream = UnixListener::bind(folder.join("stream"))?;
        let datagram = UnixDatagram::bind(folder.join("datagram"))?;
        stream.set_nonblocking(true)?;
        datagram.set_nonblocking(true)?;
        for name in ["stream", "datagram"] {
            let open = fs::Permissions::from_mode(0o777);
            fs::set_permissions(folder.join(name), open)?;
            std::os::unix::fs::chown(folder.join(name), Some(1000), Some(1000))?;
        }
        heard.push((folder, stream, datagram));
    }
    let read = read.display().to_string();
    let read = read.trim_end_matches('/');
    let profile = format!("extends = [\"builtin:base\"]\n[files]\nread = [{read:?}]\n");
    let words = [read];
    let run = outside.sandbox(&profile).probe("reach", &words).run()?;
    run.ran()?.allowed("own stream")?.allowed("own datagram")?;
    let quiet = |error: io::Error| error.kind() == io::ErrorKind::WouldBlock;
    for (folder, stream, datagram) in &heard {
        let folder = folder.display();
        ensure!(stream.accept().map(drop).is_err_and(quiet), "connected in {folder}");
        let received = datagram.recv(&mut [0; 64]).map(drop);
        ensure!(received.is_err_and(quiet), "a datagram came in {folder}");
    }
    for (attempt, errno) in run.attempts().filter(|(what, _)| !what.starts_with("own")) {
        ensure!(errno != 0, "{attempt}: was let through");
    }
    Ok(())
}

fn reach(inside: &Inside) -> Result<()> {
    {
        let at = 0;
        let folder = inside.path(at)?;
        inside.attempt("connect", UnixStream::connect(folder.join("stream")));
        let socket = UnixDatagram::unbound()?;
        inside.attempt("send", socket.send_to(b"x", folder.join("datagram")));
        inside.attempt("connect to send", socket.connect(folder.join("datagram")));
        let link = format!("/tmp/link{at}");
        std::os::unix::fs::symlink(folder.join("stream"), &link)?;
        inside.attempt("by a link", UnixStream::connect(&link));
    }
    let own = Path::new("/tmp/own");
    let listener = UnixListener::bind(own).context("own")?;
    inside.attempt("own stream", UnixStream::connect(own).and_then(|_| listener.accept()));
    let receiver = UnixDatagram::bind("/tmp/own-datagram")?;
    let sent = UnixDatagram::unbound()?.send_to(b"x", "/tmp/own-datagram");
    inside.attempt("own datagram", sent.and_then(|_| receiver.recv(&mut [0; 4])));
    Ok(())
}
