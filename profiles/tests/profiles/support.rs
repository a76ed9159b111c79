//! Invented hosts, and profiles on them.

use sandboxd_plan::{HostPath, Inode, Landlock, Resource, Text};
use sandboxd_profiles::host::{
    AuditFact, CgroupFacts, Controller, CoreFact, FileKind, Found, LandlockFacts, Link, Own,
    PathFact, Privilege, ProtectedFact, ProtectedKind, ResolverFacts,
};
use sandboxd_profiles::{
    Document, HostFacts, Invocation, Lease, Overrides, Problem, Profile, Resolved, load, resolve,
    wanted,
};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) fn path(text: &str) -> HostPath {
    HostPath::try_from(text).unwrap()
}

/// A host with nothing unusual about it: a Debian of a Landlock ABI 7 kernel and cgroup v2.
pub(crate) fn typical() -> HostFacts {
    HostFacts {
        kernel: "6.18.0".into(),
        landlock: Some(LandlockFacts { abi: 7, errata: 7 }),
        cgroups: CgroupFacts::V2 {
            controllers: vec![Controller::Memory, Controller::Pids, Controller::Cpu],
        },
        cgroup_gaps: BTreeMap::new(),
        privilege: Privilege::Root,
        audit: AuditFact::Folder(path("/var/lib/sandboxd/audit")),
        own: Own {
            uid: 0,
            gid: 0,
            leaves_groups: true,
            empties_bounding: true,
            leads_networks: true,
        },
        keyrings: true,
        clone3: true,
        listeners: true,
        memfd_noexec: true,
        cores: CoreFact::File,
        last_syscall: 469,
        open_files_max: Some(1 << 20),
        hard_limits: BTreeMap::new(),
        users: BTreeMap::from([("root".into(), (0, 0)), ("alice".into(), (1000, 1000))]),
        invoker: (1000, 1000),
        groups: Vec::new(),
        top_links: ["bin", "lib", "lib64", "sbin"]
            .map(|name| (path(&format!("/{name}")), format!("usr/{name}")))
            .into(),
        paths: BTreeMap::new(),
        disks: BTreeMap::new(),
        resolver: ResolverFacts::default(),
        ssh_agent: Some(path("/run/user/1000/agent")),
        known_hosts: BTreeMap::new(),
    }
}

/// The same host, for an ordinary user.
pub(crate) fn a_users() -> HostFacts {
    let invoker = (1000, 1000);
    HostFacts { privilege: Privilege::UserNamespace, invoker, groups: vec![27, 100], ..typical() }
}

pub(crate) fn nothing_allowed() -> Privilege {
    Privilege::None {
        what: "namespaces are switched off here".into(),
        remedy: "switch them on".into(),
    }
}

pub(crate) fn lease() -> Lease {
    let folder = Some(path("/tmp/sandboxd-test-1"));
    Lease { id: "test-1".into(), uid: 61001, init_uid: 61000, folder }
}

pub(crate) fn found(real: &str, kind: FileKind, uid: u32) -> Found {
    Found {
        kind,
        real: path(real),
        links: Vec::new(),
        uid,
        gid: uid,
        inode: Inode { device: 1, number: 2 },
        mode: 0o755,
        links_count: 1,
        protected: Vec::new(),
        searched: true,
        blind: None,
        acls: BTreeSet::new(),
        shown_by: None,
        doors: Vec::new(),
        elsewhere: Vec::new(),
        also: Vec::new(),
    }
}

pub(crate) fn link(at: &str, target: &str, trusted: bool) -> Link {
    Link { path: path(at), target: target.into(), trusted }
}

pub(crate) fn protected(at: &str, kind: ProtectedKind) -> ProtectedFact {
    ProtectedFact { path: path(at), kind, linked: false }
}

/// What is at a path of the invented hosts, unless a test says otherwise.
fn usual(at: &HostPath) -> PathFact {
    let text = at.as_str();
    let directory = |uid| PathFact::Found(found(text, FileKind::Directory, uid));
    match text {
        "/usr" | "/opt" | "/etc/ssl/certs" | "/etc/alternatives" | "/etc/python3" | "/data"
        | "/data/sub" | "/srv" | "/proc/sys" | "/proc/bus" | "/proc/fs" | "/proc/irq" => {
            directory(0)
        }
        "/w"
        | "/w/sub"
        | "/w/a"
        | "/w/a/b"
        | "/home/alice/project"
        | "/home/alice"
        | "/home/alice/.cargo/bin"
        | "/home"
        | "/p" => directory(1000),
        "/etc/localtime" => PathFact::Found(Found {
            links: vec![link("/etc/localtime", "/usr/share/zoneinfo/UTC", true)],
            ..found("/usr/share/zoneinfo/UTC", FileKind::Regular, 0)
        }),
        "/bin" => PathFact::Found(Found {
            links: vec![link("/bin", "usr/bin", true)],
            ..found("/usr/bin", FileKind::Directory, 0)
        }),
        "/w/.env" | "/home/alice/project/.env" => {
            PathFact::Found(found(text, FileKind::Regular, 1000))
        }
        "/etc/ld.so.cache"
        | "/etc/os-release"
        | "/proc/kcore"
        | "/proc/keys"
        | "/proc/kallsyms"
        | "/proc/sysrq-trigger"
        | "/proc/interrupts"
        | "/etc/resolv.conf"
        | "/etc/hosts"
        | "/etc/passwd"
        | "/usr/bin/python3" => PathFact::Found(found(text, FileKind::Regular, 0)),
        "/run/docker.sock" | "/srv/x.sock" => PathFact::Found(found(text, FileKind::Socket, 0)),
        "/dev/kvm" | "/srv/node" => PathFact::Found(found(text, FileKind::Character, 0)),
        "/" | "/etc" | "/proc" | "/sys" | "/dev" | "/boot" | "/run" | "/var" | "/var/lib"
        | "/run/sandboxd" | "/root" | "/tmp" => directory(0),
        _ => PathFact::Missing,
    }
}

/// Inside a container: no privilege, no cgroup that could be written, keyctl(2) and clone3(2) refused.
pub(crate) fn container(uid: u32, abi: u32) -> HostFacts {
    let root = uid == 0;
    HostFacts {
        landlock: Some(LandlockFacts { abi, errata: 0 }),
        cgroups: CgroupFacts::None,
        privilege: nothing_allowed(),
        own: Own {
            uid,
            gid: uid,
            leaves_groups: root,
            empties_bounding: root,
            leads_networks: false,
        },
        keyrings: false,
        clone3: false,
        listeners: false,
        hard_limits: BTreeMap::from([(Resource::Memlock, 65536), (Resource::Core, 0)]),
        invoker: (uid, uid),
        groups: if root { Vec::new() } else { vec![20] },
        ..typical()
    }
}

/// The facts of `host`, with everything looked at that the profile wants.
pub(crate) fn looked_at(profile: &Profile, mut host: HostFacts) -> HostFacts {
    for at in wanted(profile, &[]).paths {
        let fact = usual(&at);
        host.paths.entry(at).or_insert(fact);
    }
    host
}

pub(crate) fn overrides(command: &str) -> Overrides {
    Overrides {
        command: vec![Text::try_from(command).unwrap()],
        cwd: Some(path("/home/alice/project")),
        home: Some(path("/home/alice")),
        ..Overrides::default()
    }
}

pub(crate) fn read(text: &str) -> Result<Profile, Vec<Problem>> {
    let document =
        Document { name: "p.toml".into(), folder: Some(path("/p")), text: text.to_owned() };
    load(document, &mut |path| Err(format!("there is no {path}")))
}

/// A profile on a host, from text to plan.
pub(crate) fn on(text: &str, host: HostFacts) -> Result<Resolved, Vec<Problem>> {
    with(text, host, &overrides("/usr/bin/true"))
}

pub(crate) fn with(
    text: &str,
    host: HostFacts,
    overrides: &Overrides,
) -> Result<Resolved, Vec<Problem>> {
    let env = [("LANG", "C.UTF-8"), ("SECRET_TOKEN", "hunter2")]
        .map(|(name, value)| (Text::try_from(name).unwrap(), Text::try_from(value).unwrap()));
    invoked(text, host, overrides, &Invocation { env: env.into(), ..Invocation::default() })
}

/// The same, of one invocation.
pub(crate) fn invoked(
    text: &str,
    host: HostFacts,
    overrides: &Overrides,
    invocation: &Invocation,
) -> Result<Resolved, Vec<Problem>> {
    let mut profile = read(text)?;
    profile.apply(overrides)?;
    let host = looked_at(&profile, host);
    resolve(&profile, &[], &host, &lease(), invocation)
}

/// The ruleset of the profile's own, which is put on last.
pub(crate) fn ruleset(resolved: &Resolved) -> &Landlock {
    &resolved.plan.command.landlock.iter().last().unwrap().rules
}

pub(crate) fn shown(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}
