//! Without a mount view and namespaces, Landlock and the filter keep what is not granted shut: files,
//! programs, memory that would be executed, processes, sockets, queues, limits and attributes.

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use sandboxd_integration::raw::{Argument, call, call_numbers};
use sandboxd_integration::{Case, Container, Inside, Listener, Need, Outside, Victim};
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;

pub(crate) const CASE: Case = Case {
    rows: &["F01", "F08", "F31", "N01", "N04", "P03", "P05", "K05"],
    needs: &[Need::Landlock(6)],
    outside,
    probes: &[("try", attempt)],
    ..Case::NEW
};

/// `FS_IOC_SETFLAGS`, as chattr(1) makes it, and the flag of one that leaves its time of access as it is, which any owner
/// may set (`FS_NOATIME_FL`).
const SETFLAGS: u64 = 0x4008_6602;
const NOATIME: [u8; 4] = 0x80_u32.to_ne_bytes();

fn outside(outside: &Outside) -> Result<()> {
    for container in [outside.user(), Container::Root] {
        let name = format!("as-{}", container.uid());
        let at = |file: &str| format!("{name}/{file}");
        let secret = outside.canary(&at("secret/file"))?;
        let shown = outside.canary(&at("shown/file"))?;
        let program = outside.file(&at("program"), "#!/bin/sh\necho ran\n")?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o777))?;
        let folder = outside.dir().join(&name);
        for path in [folder.join("secret"), folder.join("shown"), folder.clone()] {
            chown(&path, Some(container.uid()), Some(container.uid()))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o777))?;
        }
        let socket = folder.join("shown/socket");
        let listening = UnixListener::bind(&socket)?;
        listening.set_nonblocking(true)?;
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o777))?;
        let datagrams = folder.join("shown/datagrams");
        let hearing = UnixDatagram::bind(&datagrams)?;
        hearing.set_nonblocking(true)?;
        fs::set_permissions(&datagrams, fs::Permissions::from_mode(0o777))?;
        // Of the same user, so that nothing but the sandbox keeps it.
        let mut victim = Victim::start_as(container.uid())?;
        let listener = Listener::open()?;
        let profile = format!(
            "extends = [\"builtin:container\"]\n[files]\nread = [{:?}, {:?}]\n",
            folder.join("shown"),
            folder.join("program"),
        );
        let folder = folder.to_string_lossy().into_owned();
        let (pid, port) = (victim.pid().to_string(), listener.port().to_string());
        let arguments = [folder.as_str(), pid.as_str(), port.as_str()];
        let run = outside.sandbox(&profile).container(container).probe("try", &arguments).run()?;
        let mut tried = || -> Result<()> {
            run.ran()?.allowed("read what is shown")?.keeps(&secret)?;
            for (what, _) in run.attempts().filter(|(what, _)| *what != "read what is shown") {
                let refusals =
                    [Errno::EACCES, Errno::EPERM, Errno::ENOSYS, Errno::EAFNOSUPPORT, Errno::EXDEV];
                run.refused(what, &refusals)?;
            }
            ensure!(run.attempts().count() > 30, "too little was tried");
            secret.unchanged()?;
            shown.unchanged()?;
            victim.lives()?;
            listener.heard_nothing()?;
            ensure!(listening.accept().is_err(), "somebody connected to the socket");
            ensure!(hearing.recv(&mut [0; 64]).is_err(), "somebody sent a datagram");
            Ok(())
        };
        tried().with_context(|| format!("{container:?}"))?;
    }
    Ok(())
}

fn attempt(inside: &Inside) -> Result<()> {
    let folder = inside.path(0)?;
    let victim = inside.argument(1)?.parse()?;
    files(inside, folder);
    attributes(inside, &folder.join("shown/file"))?;
    programs(inside, folder);
    processes(inside, victim)?;
    sockets(inside, folder, inside.argument(2)?.parse()?);
    objects(inside)
}

fn files(inside: &Inside, folder: &Path) {
    let (secret, shown) = (folder.join("secret/file"), folder.join("shown/file"));
    if let Some(text) = inside.attempt("read a secret", fs::read_to_string(&secret)) {
        inside.fact("secret", &text);
    }
    inside.attempt("list a folder", fs::read_dir(folder.join("secret")));
    inside.attempt("read what is shown", fs::read(&shown));
    inside.attempt("write what is shown", OpenOptions::new().write(true).open(&shown));
    inside.attempt("truncate what is shown", call_truncate(&shown));
    inside.attempt("remove what is shown", fs::remove_file(&shown));
    inside.attempt("rename what is shown", fs::rename(&shown, folder.join("shown/other")));
    inside.attempt("link what is shown", fs::hard_link(&shown, folder.join("shown/other")));
    inside.attempt("make a file", File::create(folder.join("shown/new")));
    inside.attempt("make a folder", fs::create_dir(folder.join("new")));
    inside.attempt("make a link", std::os::unix::fs::symlink("/", folder.join("link")));
    inside.attempt("read shadow", fs::read("/etc/shadow"));
    inside.attempt("read the environment of init", fs::read("/proc/1/environ"));
    inside.attempt("list the processes", fs::read_dir("/proc"));
    inside.attempt("list the shared memory", fs::read_dir("/dev/shm"));
    inside.attempt("list the temporary files", fs::read_dir("/tmp"));
    inside.attempt("read its own binary again by descriptor", fs::read("/proc/self/fd/../environ"));
}

fn call_truncate(path: &Path) -> nix::Result<i64> {
    let path = CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| Errno::EINVAL)?;
    call(libc::SYS_truncate, &mut [Argument::Text(&path), Argument::Number(0)])
}

/// Landlock judges none of it: where nothing may be written, the filter refuses it.
fn attributes(inside: &Inside, shown: &Path) -> Result<()> {
    let path = CString::new(shown.as_os_str().as_encoded_bytes())?;
    let name = CString::new("user.x")?;
    inside.attempt("chmod", fs::set_permissions(shown, fs::Permissions::from_mode(0o600)));
    inside.attempt("chown", chown(shown, None, Some(nix::unistd::getgid().as_raw())));
    let times = [Argument::Text(&path), Argument::Number(0)];
    inside.attempt("utime", call(libc::SYS_utime, &mut { times }));
    let value = [
        Argument::Text(&path),
        Argument::Text(&name),
        Argument::Bytes(b"x"),
        Argument::Number(1),
        Argument::Number(0),
    ];
    inside.attempt("setxattr", call(libc::SYS_setxattr, &mut { value }));
    let opened = File::open(shown)?;
    inside.attempt("fchmod", opened.set_permissions(fs::Permissions::from_mode(0o600)));
    let mut words = [
        Argument::Number(opened.as_raw_fd().try_into()?),
        Argument::Number(SETFLAGS),
        Argument::Bytes(&NOATIME),
    ];
    inside.attempt("chattr", call(libc::SYS_ioctl, &mut words));
    inside.attempt("futimens", opened.set_modified(std::time::SystemTime::UNIX_EPOCH));
    Ok(())
}

fn programs(inside: &Inside, folder: &Path) {
    inside.attempt("execute what is only shown", Command::new(folder.join("program")).status());
    let name = c"x";
    let made = call(libc::SYS_memfd_create, &mut [Argument::Text(name), Argument::Number(0)]);
    inside.attempt("make memory to execute", made);
    inside.attempt("unshare", call_numbers(libc::SYS_unshare, &[0x1000_0000]));
    inside.attempt("trace", call_numbers(libc::SYS_ptrace, &[0, 0, 0, 0]));
}

fn processes(inside: &Inside, victim: i32) -> Result<()> {
    let init = nix::unistd::getppid();
    let status = fs::read_to_string(format!("/proc/{init}/status"));
    inside.attempt("read about init", status);
    // Whoever is next: init is the child of the supervisor, whose number is a little lower.
    for (who, pid) in
        [("a neighbour", victim), ("init", init.as_raw()), ("everybody above", -init.as_raw())]
    {
        inside.attempt(&format!("signal {who}"), kill(Pid::from_raw(pid), None));
        inside.attempt(&format!("kill {who}"), kill(Pid::from_raw(pid), nix::sys::signal::SIGKILL));
    }
    let word = u64::from(victim.unsigned_abs());
    for (who, pid) in [("a neighbour", word), ("init", u64::from(init.as_raw().unsigned_abs()))] {
        let limit = [0_u8; 16];
        let limits = [
            Argument::Number(pid),
            Argument::Number(0),
            Argument::Bytes(&limit),
            Argument::Number(0),
        ];
        inside.attempt(&format!("limit {who}"), call(libc::SYS_prlimit64, &mut { limits }));
        let mask = [1_u8; 8];
        let pin = [Argument::Number(pid), Argument::Number(8), Argument::Bytes(&mask)];
        inside.attempt(&format!("pin {who}"), call(libc::SYS_sched_setaffinity, &mut { pin }));
        inside.attempt(
            &format!("slow {who} down"),
            call_numbers(libc::SYS_setpriority, &[0, pid, 19]),
        );
        let mut memory = [0_u8; 16];
        let vector = [0_u8; 16];
        let read = [
            Argument::Number(pid),
            Argument::Buffer(&mut memory),
            Argument::Number(1),
            Argument::Bytes(&vector),
            Argument::Number(1),
        ];
        inside.attempt(&format!("read {who}"), call(libc::SYS_process_vm_readv, &mut { read }));
        inside
            .attempt(&format!("open the memory of {who}"), File::open(format!("/proc/{pid}/mem")));
    }
    inside.attempt("slow everybody down", call_numbers(libc::SYS_setpriority, &[2, 0, 19]));
    Ok(())
}

fn sockets(inside: &Inside, folder: &Path, port: u16) {
    inside.attempt("connect to a socket", UnixStream::connect(folder.join("shown/socket")));
    // Half of a pair is a socket too, and one of datagrams is bound to no other half.
    let pair = UnixDatagram::pair();
    let sent = pair.and_then(|(half, _)| half.send_to(b"out", folder.join("shown/datagrams")));
    inside.attempt("send a datagram from a pair", sent);
    inside.attempt("connect", std::net::TcpStream::connect(("127.0.0.1", port)));
    inside.attempt("send", std::net::UdpSocket::bind("127.0.0.1:0"));
    for family in [1_u64, 2, 10, 16, 17, 38, 40] {
        inside.attempt(
            &format!("socket of family {family}"),
            call_numbers(libc::SYS_socket, &[family, 2, 0]),
        );
    }
}

fn objects(inside: &Inside) -> Result<()> {
    inside.attempt("shared memory", call_numbers(libc::SYS_shmget, &[0, 4096, 0o1777]));
    inside.attempt("semaphores", call_numbers(libc::SYS_semget, &[0, 1, 0o1777]));
    inside.attempt("messages", call_numbers(libc::SYS_msgget, &[0, 0o1777]));
    let queue = CString::new("sandboxd-case")?;
    let open = [
        Argument::Text(&queue),
        Argument::Number(0o102),
        Argument::Number(0o600),
        Argument::Number(0),
    ];
    inside.attempt("a POSIX queue", call(libc::SYS_mq_open, &mut { open }));
    inside.attempt("keys", call_numbers(libc::SYS_keyctl, &[0, u64::MAX - 2, 0]));
    Ok(())
}
