//! Which disk a tree lies on, so that its input and output can be limited: stat(2), and sysfs for the
//! disk that a partition is part of.

use super::walked::Walked;
use super::{follow, open, open_root};
use rustix::io::Errno;
use sandboxd_plan::HostPath;
use sandboxd_profiles::Wanted;
use sandboxd_profiles::host::{Disk, DiskFact};
use std::collections::BTreeMap;

/// File systems that have no disk of their own by what fstatfs(2) says, linux/magic.h.
const MEMORY: &[rustix::fs::FsWord] = &[0x0102_1994, 0x8584_58f6];
const NAMES: &[(rustix::fs::FsWord, &str)] = &[
    (0x794c_7630, "overlay"),
    (0x9123_683e, "btrfs"),
    (0x2fc1_2fc1, "zfs"),
    (0x6573_5546, "fuse or virtiofs"),
    (0x0102_1997, "9p"),
    (0x6969, "nfs"),
    (0xff53_4d42, "cifs"),
];

/// The disk below each tree whose input and output is to be limited.
#[must_use]
pub fn disks(wanted: &Wanted) -> BTreeMap<HostPath, DiskFact> {
    let Ok(root) = open_root() else { return BTreeMap::new() };
    let mut walked = Walked::from(root);
    let fact = |path: &HostPath| fact(&mut walked, path).ok().map(|fact| (path.clone(), fact));
    wanted.disks.iter().filter_map(fact).collect()
}

fn fact(walked: &mut Walked, path: &HostPath) -> rustix::io::Result<DiskFact> {
    let file = match open(&walked.root, path.as_str()) {
        Err(Errno::LOOP) => follow(walked, path)?.0,
        opened => opened?,
    };
    let device = rustix::fs::fstat(&file)?.st_dev;
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    if major != 0 {
        return Ok(DiskFact::Disk(whole(Disk { major, minor })));
    }
    let kind = rustix::fs::fstatfs(&file)?.f_type;
    if MEMORY.contains(&kind) {
        return Ok(DiskFact::Memory);
    }
    let name = NAMES.iter().find(|(known, _)| *known == kind).map(|(_, name)| (*name).to_owned());
    Ok(DiskFact::Without(name.unwrap_or_else(|| format!("a file system of type {kind:#x}"))))
}

/// The disk that a partition is part of: the kernel limits disks.
fn whole(device: Disk) -> Disk {
    let entry = format!("/sys/dev/block/{}:{}", device.major, device.minor);
    let above = std::fs::canonicalize(entry).ok().filter(|path| path.join("partition").exists());
    let text = above.and_then(|path| std::fs::read_to_string(path.parent()?.join("dev")).ok());
    let disk = text.as_deref().and_then(|text| {
        let (major, minor) = text.trim().split_once(':')?;
        Some(Disk { major: major.parse().ok()?, minor: minor.parse().ok()? })
    });
    disk.unwrap_or(device)
}
