//! System V and POSIX shared memory, semaphores and queues are each sandbox's own: neither the host's
//! nor another's are found, by key or by number, and the host finds none of theirs.

use anyhow::{Result, ensure};
use nix::errno::Errno;
use sandboxd_integration::raw::{self, Argument};
use sandboxd_integration::{By, Case, Inside, Outside};
use std::ffi::CString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

pub(crate) const CASE: Case = Case {
    rows: &["B18", "F29", "X09"],
    outside,
    probes: &[("make", make), ("seek", seek)],
    by: By::Anybody,
    ..Case::NEW
};

/// `IPC_CREAT | 0666`.
const CREATE: u64 = 0o1666;
/// A base with calls of this kind.
const PROFILE: &str = "extends = [\"builtin:base\"]\n[syscalls]\nbase = \"network-server\"\n[limits]\nwall_time = \"1m\"\n";

fn outside(outside: &Outside) -> Result<()> {
    let key = u64::from(std::process::id()) | 0x5a00_0000;
    let kept = Host::make(key)?;
    let argument = key.to_string();
    let mut first = outside.sandbox(PROFILE).probe("make", &[&argument, "wait"]).start()?;
    first.says("made everything")?;
    // The other sandbox sees neither the host's objects nor the first one's, and makes its own.
    let numbers: Vec<String> = kept.numbers.iter().map(ToString::to_string).collect();
    let arguments: Vec<&str> =
        std::iter::once(argument.as_str()).chain(numbers.iter().map(String::as_str)).collect();
    let second = outside.sandbox(PROFILE).probe("seek", &arguments).run()?;
    ensure!(first.lives()?, "the first ended");
    let here = fs::read_to_string("/proc/sysvipc/shm")?;
    first.signal(nix::sys::signal::Signal::SIGTERM)?;
    let first = first.wait()?;
    second.ran()?.all_refused()?;
    second.refused("msg by number", &[Errno::EINVAL])?;
    for attempt in ["shm by key", "sem by key", "msg by key"] {
        second.refused(attempt, &[Errno::ENOENT])?;
    }
    for list in ["shm", "sem", "msg"] {
        ensure!(second.fact(list)? == "0", "{} objects of others in {list}", second.fact(list)?);
    }
    ensure!(second.fact("/dev/shm")?.is_empty(), "{} in /dev/shm", second.fact("/dev/shm")?);
    for attempt in ["shm", "sem", "msg"] {
        first.allowed(attempt)?;
    }
    // One of this key: the host's own.
    let found = here.lines().filter(|line| {
        line.split_whitespace().next().and_then(|word| word.parse::<i64>().ok())
            == i64::try_from(key).ok()
    });
    ensure!(found.count() == 1, "the host sees the sandbox's segment: {here}");
    let namespace = |run: &sandboxd_integration::Run| {
        run.receipt.as_ref().and_then(|told| told.pointer("/outside/namespaces/ipc")?.as_u64())
    };
    let (one, other) = (namespace(&first), namespace(&second));
    ensure!(one.is_some() && one != other, "IPC namespaces {one:?} and {other:?}");
    drop(kept);
    Ok(())
}

/// Objects of the host, open to everybody, removed with this value.
struct Host {
    numbers: Vec<i64>,
    file: String,
}

impl Host {
    fn make(key: u64) -> Result<Self> {
        let numbers = vec![
            raw::call_numbers(libc::SYS_shmget, &[key, 4096, CREATE])?,
            raw::call_numbers(libc::SYS_semget, &[key, 1, CREATE])?,
            raw::call_numbers(libc::SYS_msgget, &[key, CREATE])?,
        ];
        let file = format!("/dev/shm/sandboxd-case-{key}");
        fs::write(&file, "of the host")?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666))?;
        Ok(Self { numbers, file })
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let calls = [libc::SYS_shmctl, libc::SYS_semctl, libc::SYS_msgctl];
        for (number, call) in self.numbers.iter().zip(calls) {
            // IPC_RMID is 0; semctl takes the number of a semaphore before it. What stays does no
            // harm but to take a little room.
            raw::call_numbers(call, &[number.cast_unsigned(), 0, 0]).ok();
        }
        fs::remove_file(&self.file).ok();
    }
}

fn make(inside: &Inside) -> Result<()> {
    let key: u64 = inside.argument(0)?.parse()?;
    let call = raw::call_numbers;
    inside.attempt("shm", call(libc::SYS_shmget, &[key, 4096, CREATE]));
    inside.attempt("sem", call(libc::SYS_semget, &[key, 1, CREATE]));
    inside.attempt("msg", call(libc::SYS_msgget, &[key, CREATE]));
    fs::write("/dev/shm/of-the-first", "x")?;
    inside.fact("state", "made everything");
    std::thread::sleep(std::time::Duration::from_secs(60));
    Ok(())
}

fn seek(inside: &Inside) -> Result<()> {
    let key: u64 = inside.argument(0)?.parse()?;
    let call = raw::call_numbers;
    for list in ["shm", "sem", "msg"] {
        let text = fs::read_to_string(format!("/proc/sysvipc/{list}")).or_else(|error| {
            if error.kind() == std::io::ErrorKind::NotFound {
                Ok(String::new())
            } else {
                Err(error)
            }
        })?;
        inside.fact(list, &text.lines().skip(1).count().to_string());
    }
    inside.attempt("shm by key", call(libc::SYS_shmget, &[key, 0, 0]));
    inside.attempt("sem by key", call(libc::SYS_semget, &[key, 0, 0]));
    inside.attempt("msg by key", call(libc::SYS_msgget, &[key, 0]));
    let number = |at: usize| -> Result<u64> { Ok(inside.argument(at)?.parse()?) };
    inside.attempt("shm by number", call(libc::SYS_shmat, &[number(1)?, 0, 0]));
    // GETVAL; and a message that is taken without waiting.
    inside.attempt("sem by number", call(libc::SYS_semctl, &[number(2)?, 0, 12]));
    let nowait = u64::from(libc::IPC_NOWAIT.cast_unsigned());
    let mut room = [0_u8; 64];
    let taken = raw::call(
        libc::SYS_msgrcv,
        &mut [
            Argument::Number(number(3)?),
            Argument::Buffer(&mut room),
            Argument::Number(32),
            Argument::Number(0),
            Argument::Number(nowait),
        ],
    );
    inside.attempt("msg by number", taken);
    let names: Vec<_> = fs::read_dir("/dev/shm")?
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect();
    inside.fact("/dev/shm", &names.join(" "));
    let flags = u64::from(libc::O_RDONLY.cast_unsigned());
    let name = CString::new("of-the-first")?;
    inside.attempt(
        "queue",
        raw::call(libc::SYS_mq_open, &mut [Argument::Text(&name), Argument::Number(flags)]),
    );
    Ok(())
}
