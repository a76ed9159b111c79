//! Mounts below a granted tree, which come with it: those that would let more in than the tree,
//! `/proc/self/mountinfo`, proc(5).

use crate::proc;
use rustix::io::Errno;
use sandboxd_plan::HostPath;
use sandboxd_profiles::host::Also;
use std::ptr;

/// File systems through which the kernel itself speaks: each would undo what the sandbox's own `/proc`
/// and `/dev` and the absence of `/sys` are for.
const KERNEL: &[&str] = &[
    "proc",
    "sysfs",
    "cgroup",
    "cgroup2",
    "devtmpfs",
    "devpts",
    "debugfs",
    "tracefs",
    "securityfs",
    "bpf",
    "configfs",
    "binfmt_misc",
    "pstore",
    "efivarfs",
    "mqueue",
    "fusectl",
    "selinuxfs",
    "hugetlbfs",
    "nfsd",
    "rpc_pipefs",
];

/// Where the host itself has these: profiles are refused such paths by their names.
const KNOWN: &[&str] = &["/proc", "/sys", "/dev"];

/// The mounts this process sees.
pub(super) struct Mounts(Vec<Row>);

struct Row {
    device: String,
    /// What of the file system is mounted; nothing where that is no path, as of a namespace that is kept by its
    /// mount, and of a cgroup above one's own.
    root: Option<HostPath>,
    point: HostPath,
    kind: String,
}

impl Mounts {
    /// There are none where `/proc` is missing, without which no sandbox starts.
    ///
    /// # Errors
    /// Where the table cannot be read.
    pub(super) fn read() -> rustix::io::Result<Self> {
        match proc::read("/proc/self/mountinfo") {
            Ok(table) => Ok(Self::parse(&table)),
            Err(Errno::NOENT) => Ok(Self(Vec::new())),
            Err(errno) => Err(errno),
        }
    }

    fn parse(text: &str) -> Self {
        Self(text.lines().filter_map(row).collect())
    }

    /// Mounts that show the kernel's own file systems, or all of the host again: those below a tree, and the one that it
    /// lies in, where it is not by its name that it is known what that shows.
    pub(super) fn doors(&self, tree: &HostPath) -> Vec<HostPath> {
        let host = HostPath::try_from("/").ok().and_then(|top| self.of(&top));
        let known = |row: &Row| {
            let within =
                |name: &&str| HostPath::try_from(*name).is_ok_and(|own| row.point.is_within(&own));
            row.point.as_str() == "/" || KNOWN.iter().any(within)
        };
        let opens = |row: &&Row| tree.below(&row.point).is_some_and(|below| row.opens(below, host));
        let around = self.of(tree).filter(|row| !known(row)).filter(opens);
        let below = self.0.iter().filter(|row| row.point != *tree && row.point.is_within(tree));
        let below = below.filter(|row| row.opens("", host));
        around.into_iter().chain(below).map(|row| row.point.clone()).collect()
    }

    /// Where else the host has mounted what is at a path without links, or something below it.
    pub(super) fn elsewhere(&self, path: &HostPath) -> Vec<HostPath> {
        let twice = self.twice(path).into_iter().map(|also| also.at);
        twice.filter(|place| !place.is_within(path)).collect()
    }

    /// What in a tree without links, the mounts below it among it, has another name too.
    pub(super) fn also(&self, tree: &HostPath) -> Vec<Also> {
        let below = self.0.iter().map(|row| &row.point).filter(|point| point.is_within(tree));
        let mut tops: Vec<&HostPath> = std::iter::once(tree).chain(below).collect();
        tops.sort();
        tops.dedup();
        tops.into_iter().flat_map(|top| self.twice(top)).collect()
    }

    /// Both names of what is at a path, or below it in the same mount, where there are two.
    fn twice(&self, path: &HostPath) -> Vec<Also> {
        let own = self
            .of(path)
            .and_then(|row| Some((row, below_of(row.root.as_ref()?, path.below(&row.point)?)?)));
        let Some((own, on_disk)) = own else { return Vec::new() };
        let others = self.0.iter().filter(|row| row.device == own.device);
        let places = others.filter_map(|row| {
            let root = row.root.as_ref()?;
            let (inside, at) = match on_disk.below(root) {
                Some(below) => (path.clone(), below_of(&row.point, below)?),
                None => (below_of(path, root.below(&on_disk)?)?, row.point.clone()),
            };
            // Another mount may lie over it.
            let seen = self.of(&at).is_some_and(|on_top| ptr::eq(on_top, row));
            (seen && inside != at).then_some(Also { inside, at })
        });
        places.collect()
    }

    /// The mount that a path leads to; of those at the same point the last one is on top.
    fn of(&self, path: &HostPath) -> Option<&Row> {
        let mounts = self.0.iter().filter(|row| path.is_within(&row.point));
        mounts.max_by_key(|row| row.point.as_str().len())
    }
}

impl Row {
    /// Whether what lies there in it is the kernel's own, or all that the host's root is.
    fn opens(&self, below: &str, host: Option<&Self>) -> bool {
        let again = || {
            let host = host.filter(|host| host.device == self.device)?;
            let shown = below_of(self.root.as_ref()?, below)?;
            Some(host.root.as_ref()?.is_within(&shown))
        };
        KERNEL.contains(&self.kind.as_str()) || again().unwrap_or(false)
    }
}

fn below_of(base: &HostPath, below: &str) -> Option<HostPath> {
    if below.is_empty() { Some(base.clone()) } else { base.join(below).ok() }
}

fn row(line: &str) -> Option<Row> {
    let (left, right) = line.split_once(" - ")?;
    let mut fields = left.split(' ').skip(2).map(unescape);
    let (device, root, point) = (fields.next()?, fields.next()?, fields.next()?);
    let (root, point) = (HostPath::try_from(root).ok(), HostPath::try_from(point).ok()?);
    Some(Row { device, root, point, kind: right.split(' ').next()?.to_owned() })
}

/// Blanks, tabs, line ends and backslashes are written as `\` and three octal digits.
fn unescape(field: &str) -> String {
    if !field.contains('\\') {
        return field.to_owned();
    }
    ["\\040", "\\011", "\\012", "\\134"]
        .iter()
        .zip([" ", "\t", "\n", "\\"])
        .fold(field.to_owned(), |text, (written, meant)| text.replace(written, meant))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> HostPath {
        HostPath::try_from(text).unwrap()
    }

    fn text(found: &[HostPath]) -> Vec<&str> {
        found.iter().map(HostPath::as_str).collect()
    }

    #[test]
    fn the_kernels_file_systems_and_the_hosts_root_are_doors() {
        let mounts = Mounts::parse(
            "22 1 254:0 / / rw - ext4 /dev/vda rw\n\
             23 22 0:21 / /proc rw - proc proc rw\n\
             24 22 0:30 / /srv/my\\040jail/proc rw - proc proc rw\n\
             25 22 254:0 / /srv/my\\040jail/host rw - ext4 /dev/vda rw\n\
             26 22 254:0 /data /srv/my\\040jail/data rw - ext4 /dev/vda rw\n\
             27 22 254:1 / /srv/my\\040jail/disk rw - ext4 /dev/vdb rw\n\
             28 22 0:31 /../other /srv/my\\040jail/groups rw - cgroup2 cgroup2 rw\n",
        );
        let doors = |tree| mounts.doors(&path(tree));
        assert_eq!(
            text(&doors("/srv")),
            ["/srv/my jail/proc", "/srv/my jail/host", "/srv/my jail/groups"]
        );
        assert!(doors("/srv/my jail/data").is_empty());
        assert!(doors("/usr").is_empty());
        // The mount itself, and what lies in one of the kernel's.
        assert_eq!(text(&doors("/srv/my jail/host")), ["/srv/my jail/host"]);
        assert_eq!(text(&doors("/srv/my jail/proc/sys")), ["/srv/my jail/proc"]);
        assert!(doors("/srv/my jail/host/home").is_empty());
        assert!(doors("/proc/sys").is_empty() && doors("/").len() == 4);
    }

    #[test]
    fn a_file_system_that_holds_the_hosts_root_is_a_door() {
        let mounts = Mounts::parse(
            "22 1 0:30 /@ / rw - btrfs /dev/vda rw\n\
             23 22 0:30 / /mnt/top rw - btrfs /dev/vda rw\n\
             24 22 0:30 /@home /home rw - btrfs /dev/vda rw\n",
        );
        let doors = |tree| mounts.doors(&path(tree));
        for tree in ["/mnt", "/mnt/top", "/mnt/top/@"] {
            assert_eq!(text(&doors(tree)), ["/mnt/top"], "{tree}");
        }
        for tree in ["/mnt/top/@home", "/mnt/top/@/srv", "/home", "/home/alice", "/srv"] {
            assert!(doors(tree).is_empty(), "{tree}");
        }
    }

    #[test]
    fn what_is_mounted_twice_has_both_names() {
        let mounts = Mounts::parse(
            "22 1 254:0 / / rw - ext4 /dev/vda rw\n\
             23 22 254:0 /var/lib /srv/m rw - ext4 /dev/vda rw\n\
             24 22 254:0 /srv/ws/conf /srv/ws/alias rw - ext4 /dev/vda rw\n\
             25 22 254:1 / /data rw - ext4 /dev/vdb rw\n\
             26 22 254:1 /home /home rw - ext4 /dev/vdb rw\n\
             27 22 254:0 /usr /usr ro - ext4 /dev/vda rw\n",
        );
        let also = |tree: &str| {
            let found = mounts.also(&path(tree)).into_iter();
            let mut found: Vec<_> = found.map(|it| format!("{} = {}", it.inside, it.at)).collect();
            found.sort();
            found
        };
        assert_eq!(also("/srv/m"), ["/srv/m = /var/lib"]);
        assert_eq!(also("/srv/m/sandboxd"), ["/srv/m/sandboxd = /var/lib/sandboxd"]);
        assert_eq!(also("/var"), ["/var/lib = /srv/m"]);
        assert_eq!(
            also("/srv/ws"),
            ["/srv/ws/alias = /srv/ws/conf", "/srv/ws/conf = /srv/ws/alias"]
        );
        assert_eq!(also("/home/alice"), ["/home/alice = /data/home/alice"]);
        assert_eq!(also("/data"), ["/data/home = /home"]);
        // By one name alone: what lay there before is covered.
        assert!(also("/usr/share").is_empty() && also("/srv/other").is_empty());
    }

    #[test]
    fn what_is_mounted_twice_is_elsewhere_too() {
        let mounts = Mounts::parse(
            "22 1 254:0 / / rw - ext4 /dev/vda rw\n\
             23 22 254:1 / /home rw - ext4 /dev/vdb rw\n\
             24 22 254:1 /alice /mnt/alice rw - ext4 /dev/vdb rw\n\
             25 22 254:1 /alice/keys/prod /srv/prod rw - ext4 /dev/vdb rw\n\
             26 22 254:2 /alice /mnt/other rw - ext4 /dev/vdc rw\n\
             27 22 254:1 /alice /mnt/under rw - ext4 /dev/vdb rw\n\
             28 22 254:2 / /mnt/under rw - ext4 /dev/vdc rw\n\
             29 22 0:4 net:[4026532000] /run/netns/x rw - nsfs nsfs rw\n",
        );
        let elsewhere = |at| mounts.elsewhere(&path(at));
        assert_eq!(text(&elsewhere("/home/alice/keys")), ["/mnt/alice/keys", "/srv/prod"]);
        assert_eq!(
            text(&elsewhere("/mnt/alice/keys/prod")),
            ["/home/alice/keys/prod", "/srv/prod"]
        );
        assert_eq!(text(&elsewhere("/home/alice")), ["/mnt/alice", "/srv/prod"]);
        assert!(elsewhere("/srv/other").is_empty());
    }
}
