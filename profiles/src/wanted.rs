//! What the supervisor must look at on the host before a profile can be resolved.

use crate::resolve::{dangers, masks};
use crate::schema::{Access, Isolation, Mode, Profile, Protect};
use sandboxd_plan::HostPath;
use std::collections::{BTreeMap, BTreeSet};

/// Paths of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// To be looked at, links followed and noted.
    pub paths: BTreeSet<HostPath>,
    /// Those of them that are writable trees, to be searched for protected names.
    pub writable: BTreeSet<HostPath>,
    /// Those that are hidden, wherever else they are mounted.
    pub hidden: BTreeSet<HostPath>,
    /// Those whose disk matters, because its input and output is limited.
    pub disks: BTreeSet<HostPath>,
    /// How names are resolved.
    pub resolver: bool,
    /// Files as `~/.ssh/known_hosts`, and the hosts that are looked for in each, as a line of it begins.
    pub known_hosts: BTreeMap<HostPath, BTreeSet<String>>,
}

/// Which paths [`resolve`](crate::resolve()) will ask for.
#[must_use]
pub fn wanted(profile: &Profile, under: &[Profile]) -> Wanted {
    let all = || std::iter::once(profile).chain(under);
    let looks = Looks {
        // Without a view nothing is held, but what is there is remembered, and named where it changes.
        protect: !all().all(|one| {
            matches!(one.files.protect.as_ref().map(|word| &word.value), Some(Protect::Off(_)))
        }),
        throttled: all().any(|one| {
            let rates = [&one.limits.io_read, &one.limits.io_write].into_iter().flatten();
            rates.into_iter().any(|rate| rate.value.limit().is_some())
        }),
    };
    let mut wanted = Wanted::default();
    for one in all() {
        let more = of_one(one, &looks);
        wanted.paths.extend(more.paths);
        wanted.writable.extend(more.writable);
        wanted.hidden.extend(more.hidden);
        wanted.disks.extend(more.disks);
        wanted.resolver |= more.resolver;
        for (file, hosts) in more.known_hosts {
            wanted.known_hosts.entry(file).or_default().extend(hosts);
        }
    }
    wanted
}

/// What any of the profiles makes a question about all of them.
struct Looks {
    protect: bool,
    throttled: bool,
}

fn of_one(profile: &Profile, looks: &Looks) -> Wanted {
    let mut wanted = Wanted::default();
    let files = &profile.files;
    let folders = &profile.folders;
    let mut shown: Vec<(HostPath, HostPath)> = Vec::new();
    let grants = files.grants.iter().map(|grant| (&grant.path, &grant.path, grant.access));
    let binds = files.bind.iter().map(|bind| (&bind.from, &bind.to, bind.access));
    for (from, to, access) in grants.chain(binds) {
        let (Some(from), Some(to)) = (from.value.host(folders), to.value.host(folders)) else {
            continue;
        };
        // Refused at once, not after a search of the whole host.
        if looks.protect
            && access == Access::Write
            && !dangers::is_never_granted(&from, access, profile.isolation())
        {
            wanted.writable.insert(from.clone());
        }
        wanted.paths.insert(from.clone());
        if looks.throttled {
            wanted.disks.insert(from.clone());
        }
        shown.push((from, to));
    }
    let on_host = |path: &HostPath| {
        let places = shown.iter().filter_map(|(from, to)| {
            let below = path.below(to).filter(|below| !below.is_empty())?;
            from.join(below).ok()
        });
        places.collect::<Vec<_>>()
    };
    for hole in files.hide.iter().filter_map(|hole| hole.path.value.host(folders)) {
        wanted.hidden.extend(or_itself(on_host(&hole), hole));
    }
    wanted.paths.extend(wanted.hidden.iter().cloned());
    let cwd = profile.command.cwd.as_ref();
    let cwd = cwd.map_or_else(|| folders.cwd.clone(), |path| path.value.host(folders));
    if let Some(path) = cwd {
        wanted.paths.extend(on_host(&path));
        wanted.paths.insert(path);
    }
    wanted.paths.extend(shown.iter().flat_map(|(_, to)| on_host(to)));
    if let Some(program) = program(profile) {
        wanted.paths.insert(program);
    }
    wanted.resolver = profile.network.mode() == Mode::Egress;
    wanted.known_hosts = known_hosts(profile);
    if profile.network.mode() == Mode::Host {
        let resolver = masks::RESOLVER.iter();
        wanted.paths.extend(resolver.filter_map(|path| HostPath::try_from(*path).ok()));
    }
    let masks = match profile.isolation() {
        Isolation::Namespaces => masks::HIDDEN.iter().chain(masks::READ_ONLY),
        Isolation::Landlock => masks::SHARED.iter().chain(&[]),
    };
    wanted.paths.extend(masks.filter_map(|path| HostPath::try_from(*path).ok()));
    wanted
}

fn known_hosts(profile: &Profile) -> BTreeMap<HostPath, BTreeSet<String>> {
    let mut files: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for ssh in profile.secrets.values().flat_map(|secret| &secret.value.ssh) {
        let file = ssh.value.known_hosts.as_ref();
        if let Some(file) = file.and_then(|file| file.value.host(&profile.folders)) {
            let hosts = ssh.value.hosts.iter().map(|host| host.value.known());
            files.entry(file).or_default().extend(hosts);
        }
    }
    files
}

/// The program whose content is part of the profile.
fn program(profile: &Profile) -> Option<HostPath> {
    profile.command.sha256.as_ref()?;
    let exec = profile.command.exec.as_ref()?;
    let program = std::str::from_utf8(exec.value.first()?.as_bytes()).ok()?;
    HostPath::try_from(program).ok()
}

/// Where something of a view is on the host; where nothing shows it, by its own name.
fn or_itself(places: Vec<HostPath>, path: HostPath) -> Vec<HostPath> {
    if places.is_empty() { vec![path] } else { places }
}
