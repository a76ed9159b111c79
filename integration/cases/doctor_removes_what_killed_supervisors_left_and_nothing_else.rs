//! `sandboxd doctor` names what killed supervisors left, and `sandboxd doctor --clean` removes it: also a
//! frozen cgroup with somebody in it, and the sockets where somebody outside was waited for, which the next start
//! removes as well. It touches no sandbox that lives and nothing that is not ours, and says what stays.

use anyhow::{Context as _, Result, ensure};
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitStatus, waitpid};
use sandboxd_integration::{Case, Inside, Outside, Run, patience, raw};
use serde_json::Value;
use std::fs;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

pub(crate) const CASE: Case =
    Case { rows: &["P09", "X01"], seconds: 120, outside, probes: &[("live", live)], ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    outside.leases_may_stay_busy();
    let living = start(outside, "living")?;
    ensure!(sockets("living-")?.len() == 3, "it has no control sockets: {:?}", sockets("")?);
    let mut stranger = sleeper(None)?;
    // Killed, and what is then found in its cgroup is frozen.
    let groups = killed(outside, "dead")?;
    let mut frozen = sleeper(None)?;
    for group in &groups {
        fs::write(group.join("cgroup.procs"), frozen.id().to_string())?;
        let freeze = group.join("cgroup.freeze");
        if freeze.exists() {
            fs::write(freeze, "1")?;
        }
    }
    let strange = not_ours(&groups, stranger.id())?;
    let mut left = [sockets("dead-")?, learnt(outside)?].concat();
    ensure!(left.len() == 4, "it left no control sockets: {:?}", sockets("")?);
    // Of one that was killed before it listened.
    left.push(Path::new(SOCKETS).join(".dead-7.0a0b0c0d"));
    drop(left.last().map(UnixListener::bind).transpose()?);

    // To look is to touch nothing.
    let seen = doctor(outside, &["--json"])?;
    let seen: Value = serde_json::from_str(&seen.stdout)?;
    let named = names(&seen, "left_behind");
    ensure!(named.iter().any(|name| name.starts_with("dead-")), "{seen}");
    for socket in &left {
        ensure!(named.iter().any(|name| Path::new(name) == socket), "{socket:?}: {seen}");
    }
    let all = || groups.iter().chain(&left);
    ensure!(all().all(|path| path.exists()), "to look removed something");

    let cleaned = doctor(outside, &["--clean", "--json"])?;
    let told: Value = serde_json::from_str(&cleaned.stdout)?;
    let removed = names(&told, "removed");
    ensure!(removed.iter().any(|name| name.starts_with("dead-")), "no cgroup in {told}");
    ensure!(removed.iter().any(|name| name.starts_with("uid ")), "no lease in {told}");
    ensure!(!removed.iter().any(|name| name.contains("living-")), "{told}");
    ensure!(told.get("living").and_then(Value::as_u64) >= Some(1), "{told}");
    let still: Vec<_> = all().filter(|path| path.exists()).collect();
    ensure!(still.is_empty(), "still there: {still:?}");
    ensure!(sockets("living-")?.len() == 3, "a living one's sockets: {:?}", sockets("")?);
    let lock = outside.audit().with_file_name("limits").join(".living.lock");
    ensure!(lock.exists(), "the lock of a living one's limits is gone");
    ensure!(!frozen.wait()?.success(), "what was in the cgroup was not ended");
    ensure!(stranger.try_wait()?.is_none(), "a process of others was ended");
    stranger.kill()?;
    stranger.wait()?;
    for folder in strange {
        fs::remove_dir(&folder).with_context(|| format!("not ours: {}", folder.display()))?;
    }

    others(outside, &groups)?;
    living.signal(Signal::SIGUSR1)?;
    living.wait()?.ran().map(drop)
}

fn others(outside: &Outside, groups: &[PathBuf]) -> Result<()> {
    what_one_frozen_start_keeps_locked_goes(outside, groups)?;
    what_a_learn_elsewhere_writes_stays(outside)?;
    a_uid_that_somebody_has_stays(outside)?;
    the_next_start_removes_sockets(outside)?;
    what_is_half_written_goes_once_nobody_writes_it(outside)
}

/// The folder of a `learn` that was killed: no process has such a number, pid_max(5).
fn learnt(outside: &Outside) -> Result<Vec<PathBuf>> {
    let folder = outside.dir().join("tmp/sandboxd-learn-4194305-0a0b");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("record"), "")?;
    Ok(vec![folder])
}

/// A `learn` in another PID namespace has a number that is nobody's here. What a stranger calls as it would call its own
/// is not looked into: somebody could be waited for there.
fn what_a_learn_elsewhere_writes_stays(outside: &Outside) -> Result<()> {
    let [theirs, strange] = ["1-0a0b", "2-0a0b"]
        .map(|rest| outside.dir().join(format!("tmp/sandboxd-learn-419430{rest}")));
    for folder in [&theirs, &strange] {
        fs::create_dir(folder)?;
        nix::unistd::mkfifo(&folder.join("record"), Mode::S_IRUSR | Mode::S_IWUSR)?;
    }
    std::os::unix::fs::chown(&strange, Some(65534), Some(65534))?;
    let lock = Flock::lock(fs::File::open(&theirs)?, FlockArg::LockExclusiveNonblock);
    let lock = lock.map_err(|(_, errno)| errno)?;
    doctor(outside, &["--clean"])?;
    ensure!(theirs.exists() && strange.exists(), "a folder of somebody who lives is gone");
    drop(lock);
    doctor(outside, &["--clean"])?;
    ensure!(
        !theirs.exists() && strange.exists(),
        "what was left stays, or what is another's is gone"
    );
    fs::remove_dir_all(&strange).context("the stranger's")
}

/// Where the sockets lie at which calls are approved; beside it, those at which secrets are renewed and edges taken back.
const SOCKETS: &str = "/run/sandboxd/approvals";

/// The control sockets with names that begin so.
fn sockets(begin: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in ["approvals", "secrets", "edges"] {
        for entry in fs::read_dir(Path::new(SOCKETS).with_file_name(folder))? {
            let entry = entry?;
            found.extend(
                entry.file_name().to_string_lossy().starts_with(begin).then(|| entry.path()),
            );
        }
    }
    Ok(found)
}

/// Of any run, whether it has such sockets itself or not.
fn the_next_start_removes_sockets(outside: &Outside) -> Result<()> {
    killed(outside, "before")?;
    ensure!(sockets("before-")?.len() == 3, "it left no control sockets");
    let next = outside.sandbox("extends = [\"builtin:base\"]\n").probe("live", &[]);
    let mut next = next.start()?;
    next.says("lives")?;
    let until = Instant::now() + patience(Duration::from_secs(10));
    while !sockets("before-")?.is_empty() {
        ensure!(Instant::now() < until, "still there: {:?}", sockets("")?);
        std::thread::sleep(Duration::from_millis(5));
    }
    ensure!(sockets("living-")?.len() == 3, "a living one's sockets: {:?}", sockets("")?);
    next.signal(Signal::SIGUSR1)?;
    next.wait()?.ran()?;
    Ok(())
}

/// A child that is frozen between its clone and its execve has a copy of every descriptor of a supervisor that was
/// killed, and so every lock that this had taken; and it is in one of the groups, whichever that is.
fn what_one_frozen_start_keeps_locked_goes(outside: &Outside, dead: &[PathBuf]) -> Result<()> {
    // Of the unified hierarchy, where another one's processes can be ended.
    let mut beside = dead.iter().filter_map(|group| group.parent());
    let unified = |folder: &&Path| folder.join("cgroup.subtree_control").exists();
    let Some(beside) = beside.find(unified) else { return Ok(()) };
    let groups: Vec<PathBuf> =
        (0..8).map(|index| beside.join(format!("sandboxd.kept{index}-1"))).collect();
    let mut locks: Vec<OwnedFd> = Vec::new();
    for group in &groups {
        fs::create_dir(group)?;
        // Passed on by an execve.
        locks.push(nix::fcntl::open(group, OFlag::O_DIRECTORY, Mode::empty())?);
    }
    let supervisor = raw::fork(|| {
        let lock = |fd: &OwnedFd| {
            raw::call_numbers(libc::SYS_flock, &[u64::from(fd.as_raw_fd().cast_unsigned()), 6])
        };
        u8::from(!locks.iter().all(|fd| lock(fd).is_ok()))
    })?;
    ensure!(waitpid(supervisor, None)? == WaitStatus::Exited(supervisor, 0), "it took no locks");
    let mut start = sleeper(None)?;
    drop(locks);
    let group = groups.get(4).context("there are eight")?;
    fs::write(group.join("cgroup.procs"), start.id().to_string())?;
    fs::write(group.join("cgroup.freeze"), "1")?;

    let cleaned = doctor(outside, &["--clean"])?;
    cleaned.exited(0)?;
    let still: Vec<_> = groups.iter().filter(|group| group.exists()).collect();
    ensure!(still.is_empty(), "still there: {still:?}: {}", cleaned.stdout);
    ensure!(!start.wait()?.success(), "what was in a group was not ended");
    Ok(())
}

/// What was to be put in the place of a file beside the audit log.
fn what_is_half_written_goes_once_nobody_writes_it(outside: &Outside) -> Result<()> {
    let folder = outside.audit().with_file_name("pins");
    if !folder.exists() {
        fs::create_dir(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
    }
    let half = folder.join(".half");
    fs::write(&half, "")?;
    let writer = Flock::lock(fs::File::open(&folder)?, FlockArg::LockExclusive);
    let writer = writer.map_err(|(_, errno)| errno)?;
    doctor(outside, &["--clean"])?.exited(0)?;
    ensure!(half.exists(), "removed while somebody writes it");
    drop(writer);
    let cleaned = doctor(outside, &["--clean"])?;
    ensure!(cleaned.stdout.contains(&half.display().to_string()), "{}", cleaned.stdout);
    ensure!(!half.exists(), "it stays");
    Ok(())
}

/// A lease whose uid a process has that is in no cgroup of ours: it stays, and is told.
fn a_uid_that_somebody_has_stays(outside: &Outside) -> Result<()> {
    killed(outside, "taken")?;
    let busy = busy()?;
    ensure!(!busy.is_empty(), "no lease is busy");
    let mut holders = Vec::new();
    for uid in &busy {
        holders.push(sleeper(Some(uid.parse()?))?);
    }
    let cleaned = doctor(outside, &["--clean"])?;
    cleaned.exited(1)?;
    ensure!(cleaned.stdout.contains("stays    "), "it does not say what stays: {}", cleaned.stdout);
    ensure!(cleaned.stdout.contains("  remedy  "), "and not what to do: {}", cleaned.stdout);
    for mut holder in holders {
        ensure!(holder.try_wait()?.is_none(), "a process of others was ended");
        holder.kill()?;
        holder.wait()?;
    }
    let cleaned = doctor(outside, &["--clean"])?;
    ensure!(cleaned.stdout.contains("lease   uid "), "not freed: {}", cleaned.stdout);
    Ok(())
}

/// The uids that are marked busy.
fn busy() -> Result<Vec<String>> {
    let mut found = Vec::new();
    for file in fs::read_dir("/run/sandboxd/uids")?.flatten() {
        if fs::read_to_string(file.path())?.trim() == "busy" {
            found.push(file.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(found)
}

/// Directories beside the sandbox's that have names like it, one with a process in it.
fn not_ours(groups: &[PathBuf], process: u32) -> Result<Vec<PathBuf>> {
    let mut made = Vec::new();
    for group in groups {
        let parent = group.parent().context("a group lies in a folder")?;
        for name in ["sandboxd.service", "sandboxd.x", "sandboxd-7"] {
            let folder = parent.join(name);
            fs::create_dir(&folder)?;
            made.push(folder);
        }
        fs::write(parent.join("sandboxd.service/cgroup.procs"), process.to_string())?;
    }
    Ok(made)
}

fn sleeper(uid: Option<u32>) -> Result<Child> {
    let mut sleep = Command::new("/bin/sleep");
    if let Some(uid) = uid {
        sleep.uid(uid);
    }
    sleep.arg("600").spawn().context("sleep")
}

fn start<'a>(outside: &'a Outside, name: &str) -> Result<sandboxd_integration::Running<'a>> {
    let tool = outside.tool("tool", &[], "")?;
    let named = "tools = [\"sh\"]\n";
    let asks = outside.call("tool", &tool, &[])?;
    let asks = asks.replacen(named, &format!("{named}approval = \"ask\"\n"), 1);
    let key = outside.dir().join("key");
    fs::write(&key, "sk-0123456789")?;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
    let profile = format!(
        "name = \"{name}\"\nextends = [\"builtin:base\"]\n{asks}[network]\nmode = \"egress\"\n\
         egress = [\"http://host.internal:9\"]\n[secrets.model]\nfrom = \"file:{}\"\n\
         inject = {{ host = \"host.internal\", port = 9, header = \"x-api-key\" }}\n",
        key.display()
    );
    let mut running = outside.sandbox(&profile).probe("live", &[]).start()?;
    running.says("lives")?;
    Ok(running)
}

/// Starts one and kills its supervisor; what it left, once nobody is in it.
fn killed(outside: &Outside, name: &str) -> Result<Vec<PathBuf>> {
    let running = start(outside, name)?;
    running.signal(Signal::SIGKILL)?;
    running.wait()?;
    let mut groups = Vec::new();
    for hierarchy in fs::read_dir("/sys/fs/cgroup")?.flatten() {
        let own = format!("sandboxd-test-{}", std::process::id());
        for folder in [hierarchy.path().join(&own), hierarchy.path()] {
            groups.extend(below(&folder, name));
        }
    }
    ensure!(!groups.is_empty(), "nothing was left");
    groups.sort();
    groups.dedup();
    Ok(groups)
}

fn below(folder: &Path, name: &str) -> Vec<PathBuf> {
    let begin = format!("sandboxd.{name}-");
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&begin))
        .map(|entry| entry.path())
        .collect()
}

fn doctor(outside: &Outside, options: &[&str]) -> Result<Run> {
    let doctor = outside.bare().verb("doctor");
    options.iter().fold(doctor, |doctor, option| doctor.option(option)).run()
}

fn names(told: &Value, list: &str) -> Vec<String> {
    let all = told.get(list).and_then(Value::as_array).into_iter().flatten();
    all.filter_map(|one| one.get("name")?.as_str().map(str::to_owned)).collect()
}

/// Until it is told to end.
fn live(inside: &Inside) -> Result<()> {
    use nix::sys::signal::SigSet;
    let told = SigSet::from_iter([Signal::SIGUSR1]);
    told.thread_block()?;
    inside.fact("lives", "yes");
    told.wait()?;
    Ok(())
}
