//! Mounts below a granted tree, which come with it: those that would let more in than the tree,
//! `/proc/self/mountinfo`, proc(5).

use crate::proc;
use rustix::io::Errno;
use sandboxd_plan::HostPath;

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

/// Mount points that show the kernel's own file systems, or the host's root again.
pub(super) struct Doors(Vec<HostPath>);

struct Row {
    device: String,
    /// What of the file system is mounted.
    root: String,
    point: String,
    kind: String,
}

impl Doors {
    /// Those of the mounts this process sees. There are none where `/proc` is missing, without which no sandbox
    /// starts.
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
        let rows: Vec<Row> = text.lines().filter_map(row).collect();
        let host = rows.iter().find(|row| row.point == "/");
        let opens = |row: &&Row| {
            let again =
                host.is_some_and(|host| (&row.device, &row.root) == (&host.device, &host.root));
            again || KERNEL.contains(&row.kind.as_str())
        };
        let points = rows.iter().filter(opens).map(|row| row.point.as_str());
        Self(points.filter_map(|point| HostPath::try_from(point).ok()).collect())
    }

    /// Those below a tree.
    pub(super) fn below(&self, tree: &HostPath) -> Vec<HostPath> {
        self.0.iter().filter(|point| *point != tree && point.is_within(tree)).cloned().collect()
    }
}

fn row(line: &str) -> Option<Row> {
    let (left, right) = line.split_once(" - ")?;
    let mut fields = left.split(' ').skip(2).map(unescape);
    let (device, root, point) = (fields.next()?, fields.next()?, fields.next()?);
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

    #[test]
    fn the_kernels_file_systems_and_the_hosts_root_are_doors() {
        let doors = Doors::parse(
            "22 1 254:0 / / rw - ext4 /dev/vda rw\n\
             23 22 0:21 / /proc rw - proc proc rw\n\
             24 22 0:30 / /srv/my\\040jail/proc rw - proc proc rw\n\
             25 22 254:0 / /srv/my\\040jail/host rw - ext4 /dev/vda rw\n\
             26 22 254:0 /data /srv/my\\040jail/data rw - ext4 /dev/vda rw\n\
             27 22 254:1 / /srv/my\\040jail/disk rw - ext4 /dev/vdb rw\n",
        );
        let below = |tree| {
            let found = doors.below(&HostPath::try_from(tree).unwrap());
            found.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(below("/srv"), ["/srv/my jail/proc", "/srv/my jail/host"]);
        assert!(below("/srv/my jail/data").is_empty());
        assert!(below("/usr").is_empty());
    }
}
