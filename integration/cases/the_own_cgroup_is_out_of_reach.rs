//! A sandbox can neither see nor change the cgroups that hold it: no limit is widened, no process
//! moved out, no release agent set.
//!
//! Layers: no cgroup file system in the mount view; mounting one is refused by seccomp and for want of
//! capabilities; the files belong to root.

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use sandboxd_integration::raw::{self, Argument};
use sandboxd_integration::{Case, Inside, Outside};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

pub(crate) const CASE: Case =
    Case { rows: &["V05", "E30"], outside, probes: &[("widen", widen)], ..Case::NEW };

/// Files of both versions, and what would widen or escape.
const FILES: &[(&str, &str)] = &[
    ("memory.max", "max"),
    ("memory.limit_in_bytes", "-1"),
    ("pids.max", "max"),
    ("cpu.max", "max"),
    ("cgroup.procs", "0"),
    ("tasks", "0"),
    ("cgroup.subtree_control", "-memory"),
    ("notify_on_release", "1"),
    ("release_agent", "/tmp/agent"),
    ("devices.allow", "a"),
];

fn outside(outside: &Outside) -> Result<()> {
    let name = format!("sandboxd-test-{}", std::process::id());
    let profile = "extends = [\"builtin:base\"]\n[limits]\nmemory = \"128M\"\nprocesses = 40\n";
    let mut running = outside.sandbox(profile).probe("widen", &[&name]).start()?;
    running.says("begins")?;
    let process = inside_of(outside)?;
    let membership = || fs::read_to_string(format!("/proc/{process}/cgroup"));
    let (before, limits) = (membership()?, limits(&membership()?)?);
    ensure!(before.contains(&name), "not in a cgroup of this case: {before}");
    ensure!(!limits.is_empty(), "no limit was found");
    // Whoever opens one may lock it, which is how its owner is known.
    for folder in limits.keys().filter_map(|file| group(file)) {
        let mode = fs::metadata(folder)?.permissions().mode();
        ensure!(mode & 0o077 == 0, "others may open {}: {mode:o}", folder.display());
    }
    running.says("tried")?;
    ensure!(membership()? == before, "it moved: {}", membership()?);
    let after = self::limits(&membership()?)?;
    ensure!(after == limits, "limits were {limits:?} and are {after:?}");
    running.signal(Signal::SIGTERM)?;
    let run = running.wait()?;
    ensure!(run.attempts().count() > 20, "it did not try much");
    for (attempt, errno) in run.attempts() {
        let named = Errno::from_raw(errno);
        let expected = [Errno::ENOENT, Errno::EPERM, Errno::EACCES, Errno::EROFS];
        ensure!(expected.contains(&named), "{attempt}: {named:?}");
    }
    Ok(())
}

/// The folder of its sandbox around a file.
fn group(file: &Path) -> Option<&Path> {
    let named = |folder: &&Path| {
        folder.file_name().is_some_and(|last| last.to_string_lossy().starts_with("sandboxd."))
    };
    file.ancestors().find(named)
}

/// The probe as the host sees it.
fn inside_of(outside: &Outside) -> Result<u32> {
    let (first, count) = outside.uids();
    for entry in fs::read_dir("/proc")? {
        let Ok(pid) = entry?.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { continue };
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        let uid = field("Uid:").and_then(|ids| ids.split_whitespace().next());
        let uid: u32 = uid.context("no uid")?.parse()?;
        if field("Name:").is_some_and(|name| name.trim() == "probe")
            && uid > first
            && uid < first + count
        {
            return Ok(pid);
        }
    }
    anyhow::bail!("the probe is not found")
}

/// The limits in force on the host, from the files of the groups that these lines name.
fn limits(membership: &str) -> Result<BTreeMap<PathBuf, String>> {
    let mut found = BTreeMap::new();
    for line in membership.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let path = path.trim_start_matches('/');
        let root = Path::new("/sys/fs/cgroup");
        let folders =
            [root.join(controllers).join(path), root.join(path), root.join("unified").join(path)];
        for folder in folders.iter().filter(|folder| !path.is_empty() && folder.is_dir()) {
            for (file, _) in
                FILES.iter().filter(|(file, _)| *file != "cgroup.procs" && *file != "tasks")
            {
                if let Ok(text) = fs::read_to_string(folder.join(file)) {
                    found.insert(folder.join(file), text);
                }
            }
        }
    }
    Ok(found)
}

fn widen(inside: &Inside) -> Result<()> {
    let name = inside.argument(0)?;
    inside.fact("state", "begins");
    std::thread::sleep(std::time::Duration::from_millis(400));
    let root = Path::new("/sys/fs/cgroup");
    for controller in ["", "memory", "pids", "cpu", "devices", "unified"] {
        for folder in [root.join(controller), root.join(controller).join(name)] {
            for (file, text) in FILES {
                let path = folder.join(file);
                let written = fs::OpenOptions::new().write(true).open(&path);
                let written = written
                    .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()));
                inside.attempt(&path.display().to_string(), written);
            }
            let made = fs::create_dir(folder.join("mine"));
            inside.attempt(&format!("make {}", folder.join("mine").display()), made);
        }
    }
    for (kind, data) in [(c"cgroup2", c""), (c"cgroup", c"memory"), (c"sysfs", c"")] {
        let mut words = [
            Argument::Text(c"none"),
            Argument::Text(c"/tmp"),
            Argument::Text(kind),
            Argument::Number(0),
            Argument::Text(data),
        ];
        let mounted = raw::call(libc::SYS_mount, &mut words);
        inside.attempt(&format!("mount {kind:?}"), mounted);
    }
    inside.attempt(
        "write /proc/self/cgroup",
        fs::OpenOptions::new().write(true).open("/proc/self/cgroup"),
    );
    inside.fact("state", "tried");
    std::thread::sleep(std::time::Duration::from_secs(40));
    Ok(())
}
