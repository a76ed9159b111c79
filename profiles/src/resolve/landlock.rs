//! The Landlock ruleset: a second answer to every question that the view answers.
//!
//! No rule covers `/`. `RESOLVE_UNIX` (ABI 9) is granted only on a socket that the profile names:
//! processes of one sandbox reach each other's sockets without it, and a socket of the host's that
//! happens to lie in a writable tree is a way out.

use super::trees::Tree;
use super::under::Left;
use super::view::{View, fixed};
use super::{Deciding, masks};
use crate::meet::files::Rights;
use crate::schema::Mode;
use landlock::{ABI, Access as _, AccessFs, AccessNet, BitFlags, Scope, make_bitflags};
use sandboxd_plan::{Ending, HostPath, JailPath, Kind, Landlock, Layer, Layers, PathRule};
use std::collections::BTreeMap;

/// `LANDLOCK_RESTRICT_SELF_LOG_SAME_EXEC_OFF` and `LANDLOCK_RESTRICT_SELF_LOG_SUBDOMAINS_OFF` (kernel 6.15): nothing
/// that is refused is a record in the host's audit log, not to the shim, and not by rulesets of the command's own,
/// which could ask for that. The command could write as many as it likes.
const LOG_NOTHING: u32 = 1 | 4;

const READ: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir});
/// All that writing needs. Devices are not made, and REFER lets files move between folders.
const WRITE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    ReadFile | ReadDir | WriteFile | RemoveDir | RemoveFile | MakeDir | MakeReg | MakeSock
        | MakeFifo | MakeSym | Refer | Truncate
});

const DEVICE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | WriteFile});

/// What each ABI brought, the key that lets the host lack it, and what is left then.
const GAPS: [(u32, &str, &str); 4] = [
    (3, "landlock.truncate", "truncation is restricted only by the mount view"),
    (4, "landlock.network", "TCP is restricted only by the network namespace"),
    (5, "landlock.ioctl", "ioctls on devices are restricted only by the private /dev"),
    (6, "landlock.scope", "signals and abstract sockets are restricted only by namespaces"),
];

/// The ABI whose rights are used: the kernel's, as far as we know it.
fn known(abi: u32) -> ABI {
    match abi {
        0 => ABI::Unsupported,
        1 => ABI::V1,
        2 => ABI::V2,
        3 => ABI::V3,
        4 => ABI::V4,
        5 => ABI::V5,
        6 => ABI::V6,
        7 => ABI::V7,
        8 => ABI::V8,
        _ => ABI::V9,
    }
}

/// The same ruleset without a rule: init opens nothing.
pub(super) fn nothing(command: &Landlock, ending: &Ending) -> Landlock {
    let mut none = Landlock { flags: 0, paths: Vec::new(), ports: Vec::new(), ..command.clone() };
    if matches!(ending, Ending::Domain { .. }) {
        // The fence keeps init's signals inside; with a scope of its own they would reach nobody.
        none.scoped &= !BitFlags::from(Scope::Signal).bits();
    }
    none
}

/// A ruleset that keeps signals inside, and nothing else: every file may be renamed to everywhere, as far
/// as this one is concerned, because one that handles nothing of the kind forbids all of it.
pub(super) fn fence() -> Option<Landlock> {
    let refer = BitFlags::from(AccessFs::Refer).bits();
    Some(Landlock {
        handled_fs: refer,
        handled_net: 0,
        scoped: BitFlags::from(Scope::Signal).bits(),
        flags: 0,
        paths: vec![PathRule { path: fixed("/")?, kind: Kind::Directory, rights: refer }],
        ports: Vec::new(),
    })
}

impl Deciding<'_> {
    /// The rulesets of the command: one for each profile it is run under, and its own last.
    pub(super) fn landlock(&mut self, left: &Left, view: &View) -> Option<Layers<Landlock>> {
        self.landlock_gaps();
        let mut layers = Vec::new();
        for granted in &left.granted {
            let rights = |tree: &Tree| granted.files.at(&tree.from).map(rights);
            let rules = self.ruleset(left, view, (granted.programs, &rights));
            layers.push(Layer { of: granted.name.clone(), rules });
        }
        let own = |tree: &Tree| left.own.around(&tree.to).map(|tree| rights(tree.rights()));
        let rules = self.ruleset(left, view, (left.own.programs, &own));
        layers.push(Layer { of: self.profile.name().to_owned(), rules });
        Layers::try_from(layers).ok()
    }

    /// What this host's Landlock lacks.
    fn landlock_gaps(&mut self) {
        let Some(facts) = self.host.landlock else {
            self.no_landlock();
            return;
        };
        let empty_network = self.mode() == Mode::None;
        self.signals_stay_inside(facts.abi);
        let gaps: &[(u32, &str, &str)] = if self.is_bare() { &super::bare::GAPS } else { &GAPS };
        for (since, key, gap) in gaps {
            let matters = empty_network || *key != "landlock.network";
            if facts.abi < *since && matters {
                self.lacking(key, gap);
            }
        }
    }

    /// A ruleset. Empty masks where the host has no Landlock and the profile waives it.
    fn ruleset(&self, left: &Left, view: &View, (programs, allowed): Allowed<'_>) -> Landlock {
        let Some(facts) = self.host.landlock else {
            return Landlock {
                handled_fs: 0,
                handled_net: 0,
                scoped: 0,
                flags: 0,
                paths: Vec::new(),
                ports: Vec::new(),
            };
        };
        // Where there is something to connect to, a server of the command's own may be at any port.
        let empty_network = self.mode() == Mode::None;
        let abi = known(facts.abi);
        let handled = AccessFs::from_all(abi);
        let net = if empty_network { AccessNet::from_all(abi) } else { BitFlags::EMPTY };
        let mut rules = Rules { handled, abi, rules: BTreeMap::new() };
        if view.bare {
            // What cannot be looked at is not shown.
            let shared = masks::SHARED.iter().filter_map(|path| HostPath::try_from(*path).ok());
            for (path, kind) in shared.filter_map(|path| self.there(&path)) {
                rules.add(&path, kind, READ);
            }
        } else {
            rules.at("/proc", Kind::Directory, READ);
            rules.at("/etc", Kind::Directory, READ);
            rules.at("/dev", Kind::Directory, AccessFs::ReadDir.into());
            let terminals = DEVICE | AccessFs::IoctlDev | AccessFs::ReadDir;
            rules.at("/dev/pts", Kind::Directory, terminals);
        }
        rules.own(view, programs);
        for tree in &left.shown.trees {
            rules.add(&tree.to, tree.kind, allowed(tree).unwrap_or(BitFlags::EMPTY));
        }
        Landlock {
            handled_fs: handled.bits(),
            handled_net: net.bits(),
            scoped: Scope::from_all(abi).bits(),
            flags: if facts.abi >= 7 { LOG_NOTHING } else { 0 },
            paths: rules.finish(),
            ports: Vec::new(),
        }
    }
}

/// Whether private folders hold programs, and what a layer allows in a tree.
type Allowed<'a> = (bool, &'a dyn Fn(&Tree) -> Option<BitFlags<AccessFs>>);

fn rights(allowed: Rights) -> BitFlags<AccessFs> {
    let mut rights = READ;
    if allowed.write {
        rights |= WRITE;
    }
    if allowed.execute {
        rights |= AccessFs::Execute;
    }
    if allowed.socket {
        rights |= AccessFs::ResolveUnix;
    }
    rights
}

struct Rules {
    handled: BitFlags<AccessFs>,
    abi: ABI,
    rules: BTreeMap<JailPath, (Kind, BitFlags<AccessFs>)>,
}

impl Rules {
    fn add(&mut self, path: &JailPath, kind: Kind, rights: BitFlags<AccessFs>) {
        let most = match kind {
            Kind::Directory => self.handled,
            Kind::File => self.handled & AccessFs::from_file(self.abi),
        };
        let rule = self.rules.entry(path.clone()).or_insert((kind, BitFlags::EMPTY));
        rule.1 |= rights & most;
    }

    fn at(&mut self, path: &str, kind: Kind, rights: BitFlags<AccessFs>) {
        if let Some(path) = fixed(path) {
            self.add(&path, kind, rights);
        }
    }

    /// What the sandbox has of its own.
    fn own(&mut self, view: &View, programs: bool) {
        for path in ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"] {
            self.at(path, Kind::File, DEVICE);
        }
        self.at("/dev/tty", Kind::File, DEVICE | AccessFs::IoctlDev);
        for path in &view.secrets {
            self.add(path, Kind::File, AccessFs::ReadFile.into());
        }
        if let Some(folder) = view.credentials.as_ref().filter(|_| !view.bare) {
            self.add(folder, Kind::Directory, AccessFs::ReadDir.into());
        }
        // Made by the shim, which is not inside.
        let endpoints = view.carried.iter().map(|carried| &carried.endpoint);
        let endpoints = endpoints.chain(view.notified.iter().map(|notified| &notified.socket));
        for path in endpoints.chain(&view.agent) {
            self.add(path, Kind::File, AccessFs::ResolveUnix.into());
        }
        if let Some(carried) = &view.carried {
            self.add(&carried.program, Kind::File, READ | AccessFs::Execute);
            self.add(&carried.servers, Kind::File, READ);
        }
        let shm = fixed("/dev/shm");
        for path in &view.scratch {
            let programs = programs && shm.as_ref() != Some(path);
            let execute = if programs { AccessFs::Execute.into() } else { BitFlags::EMPTY };
            self.add(path, Kind::Directory, WRITE | execute);
        }
    }

    fn finish(self) -> Vec<PathRule> {
        let rules = self.rules.into_iter().filter(|(_, (_, rights))| !rights.is_empty());
        rules.map(|(path, (kind, rights))| PathRule { path, kind, rights: rights.bits() }).collect()
    }
}
