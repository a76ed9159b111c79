//! No Unix socket of the host can be spoken to, by stream or datagram: not abstract ones, and none of
//! those in `/run`, `/var/run`, `/tmp` and beside the workspace.
//!
//! Paths: M alone hides them (Landlock has no rule for connecting before ABI 9). Abstract names: N,
//! and L from ABI 6.

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use sandboxd_integration::{Case, Inside, Outside};
use std::fs;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};

pub(crate) const CASE: Case =
    Case { rows: &["N04", "N05", "E1", "E3"], outside, probes: &[("speak", speak)], ..Case::NEW };

/// Where services listen, on one host or another.
const SERVICES: &[&str] = &[
    "/run/docker.sock",
    "/var/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/dbus/system_bus_socket",
    "/run/systemd/notify",
    "/run/systemd/private",
    "/run/systemd/journal/socket",
    "/run/systemd/journal/dev-log",
    "/run/systemd/resolve/io.systemd.Resolve",
    "/run/nscd/socket",
    "/run/sandboxd",
    "/run/user/0/bus",
    "/run/user/1000/bus",
    "/run/user/1000/gnupg/S.gpg-agent",
    "/tmp/.X11-unix/X0",
    "/dev/log",
];

/// Listeners of this case, removed with it.
struct Ears {
    streams: Vec<(String, UnixListener)>,
    datagrams: Vec<(String, UnixDatagram)>,
    paths: Vec<PathBuf>,
}

impl Ears {
    fn path(&mut self, folder: &Path) -> Result<()> {
        let name = format!("sandboxd-case-{}", std::process::id());
        let (stream, datagram) =
            (folder.join(format!("{name}.sock")), folder.join(format!("{name}.dgram")));
        self.streams.push((show(&stream), UnixListener::bind(&stream)?));
        self.paths.push(stream.clone());
        self.datagrams.push((show(&datagram), UnixDatagram::bind(&datagram)?));
        self.paths.push(datagram.clone());
        for path in [stream, datagram] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o777))?;
        }
        Ok(())
    }

    fn heard_nothing(&self) -> Result<()> {
        let silent = |error: Option<&io::Error>| {
            error.is_some_and(|error| error.kind() == io::ErrorKind::WouldBlock)
        };
        for (name, listener) in &self.streams {
            listener.set_nonblocking(true)?;
            let heard = listener.accept();
            ensure!(silent(heard.as_ref().err()), "somebody connected to {name}");
        }
        for (name, socket) in &self.datagrams {
            socket.set_nonblocking(true)?;
            let heard = socket.recv(&mut [0; 8]);
            ensure!(silent(heard.as_ref().err()), "something came to {name}");
        }
        Ok(())
    }
}

impl Drop for Ears {
    fn drop(&mut self) {
        for path in &self.paths {
            // One that stays has the number of this process in its name and nobody listening.
            fs::remove_file(path).ok();
        }
    }
}

fn show(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let mut ears = Ears { streams: Vec::new(), datagrams: Vec::new(), paths: Vec::new() };
    for folder in [outside.dir(), Path::new("/run"), Path::new("/tmp"), Path::new("/var/tmp")] {
        ears.path(folder).with_context(|| show(folder))?;
    }
    let name = format!("sandboxd-case-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name)?;
    ears.streams.push((format!("@{name}"), UnixListener::bind_addr(&address)?));
    let gram = format!("{name}-dgram");
    let address = SocketAddr::from_abstract_name(&gram)?;
    ears.datagrams.push((format!("@{gram}"), UnixDatagram::bind_addr(&address)?));

    let names: Vec<&str> = ears.streams.iter().map(|(name, _)| name.as_str()).collect();
    let grams: Vec<&str> = ears.datagrams.iter().map(|(name, _)| name.as_str()).collect();
    let places: Vec<&str> = names.iter().chain(&grams).chain(SERVICES).copied().collect();
    let profile = format!("extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\n");
    let run = outside.sandbox(&profile).probe("speak", &places).run()?;
    run.ran()?;
    for (attempt, errno) in run.attempts().filter(|(attempt, _)| *attempt != "own") {
        let answers =
            [Errno::ENOENT, Errno::ECONNREFUSED, Errno::EPERM, Errno::EACCES, Errno::ENOTDIR];
        ensure!(
            answers.contains(&Errno::from_raw(errno)),
            "{attempt}: {:?}",
            Errno::from_raw(errno)
        );
    }
    // A program's own sockets work, so that the above is no matter of sockets not working at all.
    run.allowed("own")?;
    ensure!(run.fact("sockets")?.is_empty(), "sockets are shown: {}", run.fact("sockets")?);
    ears.heard_nothing()
}

fn speak(inside: &Inside) -> Result<()> {
    let own = "/tmp/own";
    let listener = UnixListener::bind(own)?;
    inside.attempt("own", UnixStream::connect(own).and_then(|_| listener.accept()));
    fs::remove_file(own)?;
    for place in inside.arguments() {
        let address = match place.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(place)?,
        };
        inside.attempt(&format!("stream {place}"), UnixStream::connect_addr(&address));
        let datagram = UnixDatagram::unbound()?;
        inside.attempt(&format!("datagram {place}"), datagram.send_to_addr(b"x", &address));
        inside.attempt(&format!("connect {place}"), datagram.connect_addr(&address));
    }
    let mut found = Vec::new();
    for folder in ["/", "/run", "/var/run", "/tmp", "/var/tmp", "/dev"] {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_socket()) {
                found.push(show(&entry.path()));
            }
        }
    }
    inside.fact("sockets", &found.join(" "));
    Ok(())
}
