//! That a service of sandboxd's own is confined, as whoever looks from outside finds it.

use crate::Outside;
use crate::below::field;
use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;

/// What every sandbox has of its own at its root, and the program.
const ROOT: [&str; 7] = ["dev", "etc", "home", "proc", "run", "sandboxd", "tmp"];

/// A service has no right and no uid that is root's or its command's, and sees nothing of the host or of the command
/// but what it was lent: a namespace of the host's by its name, a file by words of its path.
///
/// # Errors
/// Where it is not so.
pub fn confined(outside: &Outside, service: i32, command: i32, lent: &[&str]) -> Result<()> {
    if !outside.is_user() {
        let (own, others) = (field(service, "Uid")?, field(command, "Uid")?);
        for uid in own.split_whitespace() {
            let taken = others.split_whitespace().any(|other| other == uid);
            ensure!(uid != "0" && !taken, "uid {uid}");
        }
    }
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        let set = field(service, set)?;
        ensure!(set.chars().all(|digit| digit == '0'), "capabilities {set}");
    }
    ensure!(field(service, "NoNewPrivs")? == "1", "no_new_privs is not set");
    ensure!(field(service, "Seccomp")? == "2", "there is no filter");
    let seen = in_namespaces_of_its_own(service, command, lent)
        .and_then(|()| sees_nothing(service))
        .and_then(|()| has_nothing_open(service, lent));
    match seen {
        // Root alone looks into one that is not dumpable.
        Err(error) if outside.is_user() && is_shut(&error) => Ok(()),
        seen => seen,
    }
}

fn is_shut(error: &anyhow::Error) -> bool {
    let why = error.root_cause().downcast_ref::<std::io::Error>();
    why.is_some_and(|why| why.kind() == ErrorKind::PermissionDenied)
}

fn in_namespaces_of_its_own(service: i32, command: i32, lent: &[&str]) -> Result<()> {
    for name in ["mnt", "pid", "net", "ipc", "uts"] {
        let inode = |process: &str| {
            let path = format!("/proc/{process}/ns/{name}");
            fs::metadata(&path).map(|found| found.ino()).context(path)
        };
        let own = inode(&service.to_string())?;
        ensure!(own != inode(&command.to_string())?, "its {name} namespace is the command's");
        let hosts = own == inode("self")?;
        ensure!(hosts == lent.contains(&name), "its {name} namespace is the host's: {hosts}");
    }
    Ok(())
}

fn has_nothing_open(service: i32, lent: &[&str]) -> Result<()> {
    for entry in fs::read_dir(format!("/proc/{service}/fd"))? {
        let open = fs::read_link(entry?.path())?.to_string_lossy().into_owned();
        // What it is to do it reads in memory of the supervisor's, while it begins.
        let is_file = open.starts_with('/') && open != "/dev/null" && !open.starts_with("/memfd:");
        ensure!(!is_file || lent.iter().any(|words| open.contains(words)), "{open} is open");
    }
    Ok(())
}

fn sees_nothing(service: i32) -> Result<()> {
    let mut there = Vec::new();
    for entry in fs::read_dir(format!("/proc/{service}/root"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        // Those that stand for what is hidden in a view.
        if !name.starts_with('.') {
            there.push(name);
        }
    }
    there.sort_unstable();
    ensure!(there == ROOT, "it sees {there:?}");
    Ok(())
}
