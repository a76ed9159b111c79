//! Which hierarchies this process sees, and where in each it is: `/proc/self/mountinfo` and
//! `/proc/self/cgroup`, proc(5). Pure: the caller reads the files.

use std::os::unix::ffi::OsStringExt;
use std::{ffi::OsString, path::PathBuf};

/// A mounted hierarchy and the supervisor's place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// Its v1 controllers; empty for v2.
    pub controllers: Vec<String>,
    /// Whether it is the v2 hierarchy.
    pub unified: bool,
    /// Where it is mounted.
    pub mount: PathBuf,
    /// The supervisor's cgroup below the mount, without a leading slash; nothing where that cgroup
    /// is not below what is mounted.
    pub own: Option<PathBuf>,
}

/// The hierarchies in these two files. A controller mounted twice is taken where the supervisor's
/// own cgroup can be reached.
#[must_use]
pub fn hierarchies(mountinfo: &str, cgroup: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in mountinfo.lines() {
        let Some(next) = hierarchy(line, cgroup) else { continue };
        let same = found
            .iter_mut()
            .find(|old| old.unified == next.unified && old.controllers == next.controllers);
        match same {
            None => found.push(next),
            Some(old) if old.own.is_none() => *old = next,
            Some(_) => {}
        }
    }
    found
}

fn hierarchy(line: &str, cgroup: &str) -> Option<Hierarchy> {
    let (left, right) = line.split_once(" - ")?;
    let mut fields = left.split(' ').skip(3);
    let root = unescape(fields.next()?)?;
    let mount = PathBuf::from(unescape(fields.next()?)?);
    let mut fields = right.split(' ');
    let unified = match fields.next()? {
        "cgroup" => false,
        "cgroup2" => true,
        _ => return None,
    };
    let options: Vec<&str> = fields.nth(1)?.split(',').collect();
    let mut place = None;
    for membership in cgroup.lines() {
        let mut parts = membership.splitn(3, ':');
        let (Some(number), Some(names), Some(path)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let mine = if unified {
            number == "0" && names.is_empty()
        } else {
            number != "0" && names.split(',').all(|name| options.contains(&name))
        };
        if mine {
            let names = if unified { "" } else { names };
            place = Some((names.split(',').filter(|name| !name.is_empty()), path));
        }
    }
    let (controllers, path) = place?;
    let controllers = controllers.map(str::to_owned).collect();
    Some(Hierarchy { controllers, unified, mount, own: below(&root, path) })
}

/// `path` relative to `root`; nothing where it is not below it, was removed, or climbs.
fn below(root: &OsString, path: &str) -> Option<PathBuf> {
    let root = root.to_str()?;
    let rest = if root == "/" { path } else { path.strip_prefix(root)? };
    let inside = rest.is_empty() || rest.starts_with('/');
    let plain = rest.split('/').all(|part| part != "..") && !rest.ends_with(" (deleted)");
    (inside && plain).then(|| PathBuf::from(rest.trim_start_matches('/')))
}

/// A field of mountinfo with its octal escapes resolved.
fn unescape(field: &str) -> Option<OsString> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'\\' {
            let digits = std::str::from_utf8(tail.get(..3)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 8).ok()?);
            rest = tail.get(3..)?;
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    Some(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hybrid_host_shows_each_controller_and_the_unified_tree() {
        let mounts = "33 31 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
            35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
            40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
            41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n\
            42 31 0:39 / /tmp rw - tmpfs tmpfs rw";
        let own = "4:memory:/a/b\n2:cpu,cpuacct:/\n1:name=systemd:/x\n0::/user.slice/s:1\n";
        let found = hierarchies(mounts, own);
        assert_eq!(found.len(), 4);
        assert_eq!(found[0].controllers, ["cpu", "cpuacct"]);
        assert_eq!(found[0].own.as_deref(), Some("".as_ref()));
        assert_eq!(found[1].own.as_deref(), Some("a/b".as_ref()));
        assert!(found[3].unified && found[3].controllers.is_empty());
        assert_eq!(found[3].own.as_deref(), Some("user.slice/s:1".as_ref()));
    }

    #[test]
    fn a_container_sees_its_part_and_nothing_above_it() {
        let mounts = "33 31 0:30 /docker/c1 /sys/fs/cgroup/pids ro - cgroup cgroup rw,pids";
        let at = |own: &str| hierarchies(mounts, own)[0].own.clone();
        assert_eq!(at("3:pids:/docker/c1/x"), Some("x".into()));
        assert_eq!(at("3:pids:/docker/c1"), Some("".into()));
        assert_eq!(at("3:pids:/docker/c12"), None);
        assert_eq!(at("3:pids:/docker"), None);
        assert_eq!(at("3:pids:/docker/c1/../c2"), None);
        assert_eq!(at("3:pids:/docker/c1/x (deleted)"), None);
    }

    #[test]
    fn escapes_are_resolved_and_broken_lines_left_out() {
        let mounts =
            "1 2 0:1 / /a\\040b rw - cgroup2 none rw\n1 2 0:1 / /a\\0 rw - cgroup2 none rw\nx";
        let found = hierarchies(mounts, "0::/\n");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].mount, PathBuf::from("/a b"));
    }

    #[test]
    fn the_mount_that_reaches_the_own_cgroup_is_taken() {
        let mounts = "1 2 0:1 /other /m1 rw - cgroup2 none rw\n1 2 0:1 / /m2 rw - cgroup2 none rw";
        assert_eq!(hierarchies(mounts, "0::/mine")[0].mount, PathBuf::from("/m2"));
    }
}
