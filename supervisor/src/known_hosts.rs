//! By which keys hosts are known, in files as `~/.ssh/known_hosts`. Whoever writes one says who a host is.

use crate::explain::{errno, printable};
use crate::profile_file::is_ours;
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use sandboxd_egress::ssh::known::keys;
use sandboxd_plan::HostPath;
use sandboxd_profiles::host::KnownHosts;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;

/// As large as one may be.
const MOST: u64 = 4 << 20;

/// Looks for these hosts in these files.
pub(crate) fn look(
    wanted: &BTreeMap<HostPath, BTreeSet<String>>,
) -> BTreeMap<HostPath, KnownHosts> {
    let found = wanted.iter().map(|(path, hosts)| {
        let read = read(path).map(|text| {
            let of = |host: &String| (host.clone(), keys(&text, host));
            hosts.iter().map(of).collect()
        });
        (path.clone(), read.map_or_else(KnownHosts::Failed, KnownHosts::Read))
    });
    found.collect()
}

fn read(path: &HostPath) -> Result<String, String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let file = openat2(CWD, path.as_str(), flags, Mode::empty(), resolve)
        .map_err(|error| errno(error.raw_os_error()))?;
    let found = fstat(&file).map_err(|error| errno(error.raw_os_error()))?;
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
        return Err("it is not a regular file".to_owned());
    }
    let (mode, owner) = (found.st_mode & 0o7777, found.st_uid);
    if mode & 0o022 != 0 {
        return Err(format!("its mode {mode:04o} lets others write it"));
    }
    if !is_ours(owner) {
        return Err(format!("it belongs to uid {owner}"));
    }
    let mut bytes = Vec::new();
    let read = File::from(file).take(MOST + 1).read_to_end(&mut bytes);
    read.map_err(|error| printable(&error.to_string()))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MOST {
        return Err("it is larger than 4 MiB".to_owned());
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
