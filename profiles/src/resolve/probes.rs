//! What the shim tries, as the command and behind every layer, before the command runs.
//!
//! Each answer is one that only the layer gives: the file at the root has a mode that allows
//! everything, and the system calls fail otherwise with another errno, or harmlessly.

use super::Deciding;
use super::trees::Shown;
use super::view::{CANARY, fixed};
use crate::schema::Mode;
use crate::syscalls::{Verdict, number};
use sandboxd_plan::{Identity, Probe};

// errno(3), of x86_64.
const EPERM: i32 = 1;
const ENOENT: i32 = 2;
const EACCES: i32 = 13;
const EINVAL: i32 = 22;
const EROFS: i32 = 30;
const EAFNOSUPPORT: i32 = 97;

// socket(2).
const AF_INET: u16 = 2;
const AF_PACKET: u16 = 17;
const SOCK_STREAM: u32 = 1;
const SOCK_RAW: u32 = 3;
/// `IPPROTO_RAW`.
const RAW: u32 = 255;

/// Calls that fail harmlessly with all arguments zero, should they get through.
const TRIED: &[&str] =
    &["mount", "keyctl", "bpf", "userfaultfd", "swapoff", "io_uring_setup", "memfd_create"];

impl Deciding<'_> {
    pub(super) fn probes(
        &self,
        shown: &Shown,
        calls: &[Verdict],
        identity: Identity,
    ) -> Vec<Probe> {
        let mut probes = Vec::new();
        if self.is_bare() {
            self.bare_probes(&mut probes);
        } else if let Some(path) = fixed(CANARY) {
            if self.host.landlock.is_some() {
                probes.push(Probe::Open { path: path.clone(), errno: EACCES });
            }
            probes.push(Probe::OpenWrite { path, errno: EROFS });
        }
        // Not even the way there exists.
        let absent = fixed("/sys/kernel").zip(fixed("/sys"));
        if let Some((path, _)) = absent.filter(|(_, sys)| {
            !self.is_bare() && !shown.trees.iter().any(|tree| tree.to.is_within(sys))
        }) {
            probes.push(Probe::Open { path, errno: ENOENT });
        }
        let refused = |call: u32| match usize::try_from(call).ok().and_then(|at| calls.get(at)) {
            Some(Verdict::Errno(errno)) => Some(*errno),
            Some(Verdict::Allow | Verdict::Conditional(_) | Verdict::Kill) | None => None,
        };
        for number in TRIED.iter().filter_map(|name| number(name)) {
            let probe = refused(number).map(|errno| Probe::Syscall { number, errno });
            probes.extend(probe);
        }
        let refused = |name, otherwise| number(name).and_then(refused).unwrap_or(otherwise);
        // A base without sockets has none of any family.
        let errno = refused("socket", EAFNOSUPPORT);
        probes.push(Probe::Socket { family: AF_PACKET, kind: SOCK_RAW, protocol: 0, errno });
        probes.extend(self.dialling(errno));
        if identity.uid != 0 {
            // A user namespace in which only the caller exists has no root to become.
            let errno = if self.is_rootless() { EINVAL } else { EPERM };
            let errno = refused("setresuid", errno);
            probes.push(Probe::Setuid { errno });
        }
        probes.extend([
            Probe::NoCapabilities,
            Probe::NoNewPrivs,
            Probe::Filtered,
            Probe::Identity,
            Probe::Descriptors,
        ]);
        probes
    }

    /// A socket that is not to be had, where the network is the sandbox's own.
    fn dialling(&self, errno: i32) -> Option<Probe> {
        let (kind, protocol) = match self.mode() {
            Mode::None => (SOCK_STREAM, 0),
            // One that goes past whoever is asked for every connection.
            Mode::Egress => (SOCK_RAW, RAW),
            Mode::Host => return None,
        };
        Some(Probe::Socket { family: AF_INET, kind, protocol, errno })
    }
}
