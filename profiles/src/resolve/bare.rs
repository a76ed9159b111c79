//! What is decided otherwise where the profile chose `isolation = "landlock"`: there is no namespace and
//! no view, so what only those give is refused, or named as absent, and never left out in silence.

use super::holds::Holds;
use super::trees::{Shown, Tree};
use super::view::{TMP, View};
use super::{Deciding, jail, landlock};
use crate::host::ProtectedKind;
use crate::origin::{Origin, Written};
use crate::resolved::{Absent, Private};
use crate::schema::{Mode, Protect, User};
use crate::syscalls::Sharing;
use sandboxd_plan::{Ending, Groups, HostPath, Identity, Kind, Probe};
use std::collections::BTreeSet;

/// What is left where an ABI lacks something and no namespace stands behind it.
pub(super) const GAPS: [(u32, &str, &str); 3] = [
    (3, "landlock.truncate", "read-only files can be truncated (before kernel 6.2)"),
    (4, "landlock.network", "TCP is restricted only by the filter (before kernel 6.7)"),
    (
        5,
        "landlock.ioctl",
        "ioctls on the devices in /dev that may be opened are not checked (before kernel 6.10)",
    ),
];

/// The ABI that keeps signals inside.
const SCOPE: u32 = 6;
/// The ABI that judges connecting to a Unix socket that has a name.
const RESOLVE_UNIX: u32 = 9;

const EPERM: i32 = 1;
const EACCES: i32 = 13;
const EAFNOSUPPORT: i32 = 97;
const AF_UNIX: u16 = 1;
const SOCK_STREAM: u32 = 1;

impl Deciding<'_> {
    /// The one identity to be had: that of `sandboxd` itself.
    pub(super) fn own_identity(&mut self) -> Identity {
        let own = self.host.own;
        let groups = if own.leaves_groups { Groups::Emptied } else { Groups::Kept };
        let origin = self.profile.command.user.as_ref().map(|user| user.origin.clone());
        let origin = origin.unwrap_or_else(|| Origin::named("this profile", "command.user"));
        let kept = groups == Groups::Kept && !self.host.groups.is_empty();
        match self.profile.command.user.as_ref().map(|user| &user.value) {
            Some(User::Named(name)) if self.host.users.get(name).is_none_or(|ids| ids.0 != own.uid) => {
                let what = format!("the command runs as sandboxd itself here, uid {}, not as {name}", own.uid);
                self.refuse(&origin, what, "run sandboxd as that user, or write user = \"invoker\"");
            }
            Some(User::Named(_) | User::Invoker) if kept => self.lacking(
                "uid",
                "the command keeps the caller's supplementary groups: dropping them needs CAP_SETGID",
            ),
            Some(User::Named(_) | User::Invoker) => {}
            Some(User::Dynamic) | None => self.lacking(
                "uid",
                &format!("the command runs as sandboxd itself, uid {}: it has no uid of its own", own.uid),
            ),
        }
        if own.uid == 0 && self.profile.command.reason.is_none() {
            let remedy = "write reason = \"…\" in [command], or run sandboxd as another user";
            self.refuse(&origin, "the command would run as root", remedy);
        }
        Identity { uid: own.uid, gid: own.gid, groups }
    }

    /// What the user is called.
    pub(super) fn user_name(&self) -> &str {
        if !self.is_bare() {
            return "agent";
        }
        let own = self.host.own.uid;
        let known = self.host.users.iter().find(|(_, (uid, _))| *uid == own);
        known.map_or("agent", |(name, _)| name)
    }

    /// Landlock is what there is.
    pub(super) fn no_landlock(&mut self) {
        if !self.is_bare() {
            self.lacking("landlock", "no Landlock: files are protected only by the mount view");
            return;
        }
        let what =
            "this kernel has no Landlock, and without namespaces nothing else protects files";
        let remedy = "boot kernel 6.12 or newer with lsm=landlock,…, or allow this container to create namespaces";
        self.refuse(&self.chosen(), what, remedy);
    }

    /// Nothing else keeps the command from ending sandboxd, and ends all that it started.
    pub(super) fn signals_stay_inside(&mut self, abi: u32) {
        if self.is_bare() && abi < SCOPE {
            let what = "Landlock does not confine signals before kernel 6.12, and without a pid namespace \
                        nothing else does";
            let remedy = "boot kernel 6.12 or newer, or allow this container to create namespaces";
            self.refuse(&self.chosen(), what, remedy);
        }
    }

    /// Where the profile chose to have no namespaces.
    fn chosen(&self) -> Origin {
        let origin = self.profile.isolation.as_ref().map(|word| word.origin.clone());
        origin.unwrap_or_else(|| Origin::named("this profile", "isolation"))
    }

    /// Whether something keeps the command from the Unix sockets of others.
    pub(super) fn guards_unix_sockets(&self) -> bool {
        !self.is_bare() || self.host.landlock.is_some_and(|found| found.abi >= RESOLVE_UNIX)
    }

    pub(super) fn sharing(&self, shown: &Shown) -> Sharing {
        if !self.is_bare() {
            return Sharing::Nothing;
        }
        let fileless = self.profile.syscalls.fileless_exec.as_ref().is_some_and(|word| word.value);
        Sharing::Host {
            fileless_exec: fileless,
            // What is written gets modes and times: compilers, tar, git and make see to that.
            attributes: shown.trees.iter().any(|tree| tree.write),
        }
    }

    pub(super) fn ending(&self) -> Option<Ending> {
        if !self.is_bare() {
            return Some(Ending::PidNamespace);
        }
        landlock::fence().map(|fence| Ending::Domain { fence })
    }

    /// The root that is there, and a folder of this run for temporary files.
    pub(super) fn bare_view(&mut self, shown: &Shown) -> Option<View> {
        let size = self.profile.files.tmp.as_ref().map_or(TMP, |tmp| tmp.value);
        let folder = jail(self.lease.folder.as_ref()?)?;
        if let Some(tree) = shown.around(&folder) {
            let what =
                format!("{} is granted, and the run's private folder would be in it", tree.from);
            let (origin, remedy) =
                (tree.origin.clone(), "set TMPDIR to a folder that is not granted");
            self.refuse(&origin, what, remedy);
        }
        let (tmp, home) = (folder.join("tmp").ok()?, folder.join("home").ok()?);
        if size > 0 {
            let what =
                "the private /tmp and home directory are limited only by the disk they are on";
            self.lacking("tmp", what);
        }
        let scratch = if size > 0 { vec![tmp.clone(), home.clone()] } else { Vec::new() };
        let programs = shown.programs;
        let made = BTreeSet::from([tmp.clone(), home.clone()]);
        Some(View {
            ops: Vec::new(),
            scratch,
            programs,
            home,
            tmp,
            bare: true,
            secrets: Vec::new(),
            credentials: None,
            made,
            authority: None,
            carried: None,
            notified: None,
            agent: None,
        })
    }

    /// What the supervisor makes of it.
    pub(super) fn private(&self, view: &View, identity: Identity) -> Option<Private> {
        if !self.is_bare() {
            return None;
        }
        let host = |path: &sandboxd_plan::JailPath| HostPath::try_from(path.as_str()).ok();
        Some(Private {
            folder: self.lease.folder.clone()?,
            scratch: [&view.tmp, &view.home].into_iter().filter_map(host).collect(),
            canary: self.canary()?,
            uid: identity.uid,
            gid: identity.gid,
        })
    }

    fn canary(&self) -> Option<HostPath> {
        self.lease.folder.as_ref()?.join("canary").ok()
    }

    /// What only a mount can do is refused, and what may be written is looked through after the run.
    pub(super) fn unheld(&mut self, shown: &Shown) -> Holds {
        for hole in &self.profile.files.hide {
            let path = self.folder(&hole.path);
            let around = path.as_ref().and_then(jail);
            if around.is_some_and(|path| shown.covers(&path)) {
                let what = format!(
                    "{} is in a granted folder, and only a mount can hide it",
                    hole.path.value
                );
                self.refuse(&hole.path.origin, what, "grant the folders beside it instead");
            }
        }
        for tree in &shown.trees {
            if tree.from.as_str() != tree.to.as_str() {
                let what =
                    format!("{} cannot be shown at {}: that needs a mount", tree.from, tree.to);
                self.refuse(
                    &tree.origin,
                    what,
                    "grant it at its own path, in files.read, write or execute",
                );
            }
            if let Some(parent) = shown.parent(tree).filter(|parent| parent.write && !tree.write) {
                let what = format!(
                    "{} is in {}, which may be written, and so may be written, too",
                    tree.to, parent.to
                );
                self.refuse(
                    &tree.origin,
                    what,
                    "grant the folders beside it instead of their parent",
                );
            }
        }
        let mut holds = Holds::default();
        for tree in shown.trees.iter().filter(|tree| tree.write && tree.kind == Kind::Directory) {
            self.unprotected(tree, shown);
            holds.watched.push(tree.watched(Vec::new()));
        }
        holds
    }

    /// Without a mount nothing inside what may be written stays as it is; that has to be said.
    fn unprotected(&mut self, tree: &Tree, shown: &Shown) {
        let written = self.profile.files.protect.as_ref();
        if matches!(written.map(|word| &word.value), Some(Protect::Off(_))) {
            return;
        }
        let own = |path: &HostPath| {
            jail(path).and_then(|path| Some(shown.around(&path)?.to == tree.to)).unwrap_or(true)
        };
        let outside = [ProtectedKind::Socket, ProtectedKind::Pipe];
        let mut found = tree.protected.iter().filter(|one| !outside.contains(&one.kind));
        let what = match found.find(|one| own(&one.path)) {
            Some(one) => format!("{} exists, and only a mount can keep it unchanged", one.path),
            None if tree.searched => return,
            None => {
                format!(
                    "{} could not be searched completely for what the host may execute",
                    tree.from
                )
            }
        };
        let origin = written.map(|Written { origin, .. }| origin.clone());
        let origin = origin.unwrap_or_else(|| Origin::named("this profile", "files.protect"));
        self.refuse(
            &origin,
            what,
            "write protect = { off = \"why\" }: changes are listed at the end of the run",
        );
    }

    /// What the self-test tries instead of what a view would answer.
    pub(super) fn bare_probes(&self, probes: &mut Vec<Probe>) {
        if let Some(path) = self.canary().as_ref().and_then(jail) {
            probes.push(Probe::Open { path: path.clone(), errno: EACCES });
            probes.push(Probe::OpenWrite { path, errno: EACCES });
        }
        probes.push(Probe::SignalInit { errno: EPERM });
        if !self.guards_unix_sockets() {
            let (kind, errno) = (SOCK_STREAM, EAFNOSUPPORT);
            probes.push(Probe::Socket { family: AF_UNIX, kind, protocol: 0, errno });
        }
    }

    /// The layers that are not there.
    pub(super) fn absent(&self, shown: &Shown, identity: Identity) -> Vec<Absent> {
        if !self.is_bare() {
            return Vec::new();
        }
        let uid = identity.uid;
        let mut absent = Vec::new();
        let mut say = |layer: &str, what: String| {
            absent.push(Absent { layer: layer.to_owned(), what });
        };
        say(
            "mount-view",
            String::from(
                "names, owners, sizes and links of all files can be seen; only Landlock protects their contents",
            ),
        );
        say("pid-namespace", String::from("pids and names of all processes can be seen"));
        say("ipc-namespace", String::from("System V and POSIX queues are refused instead"));
        let network = match self.mode() {
            Mode::None => "only the filter keeps it from the network: no sockets can be created",
            // There is no egress without a network namespace.
            Mode::Egress | Mode::Host => "the network is the host's, as the profile says",
        };
        say("network-namespace", network.to_owned());
        say("uid", format!("it runs as sandboxd itself, uid {uid}"));
        if matches!(self.sharing(shown), Sharing::Host { attributes: true, .. }) {
            say(
                "file-attributes",
                format!(
                    "mode, times and attributes of every file of uid {uid} can be changed, granted or not"
                ),
            );
        }
        if identity.groups == Groups::Kept {
            say("groups", String::from("the caller's groups are kept"));
        }
        if !self.host.own.empties_bounding {
            let what = "the bounding set is kept; no_new_privs prevents gaining anything from it";
            say("bounding-set", what.to_owned());
        }
        absent
    }
}
