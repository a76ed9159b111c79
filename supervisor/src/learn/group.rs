//! From many names to few grants: what lies together is granted together, but no folder as wide as a home, and
//! nothing that keys lie in.

use super::seen::Need;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// From so many names in a folder on, the folder is granted.
const TOGETHER: usize = 4;
/// And from so many in folders below it.
const SCATTERED: usize = 12;

/// Names that keys, tokens, sessions and histories lie under, wherever they are.
pub(crate) const SECRETS: &[&str] = &[
    ".ssh",
    ".aws",
    ".azure",
    ".gnupg",
    ".kube",
    ".docker",
    ".mozilla",
    ".netrc",
    ".pypirc",
    ".npmrc",
    ".git-credentials",
    ".password-store",
    ".vault-token",
    ".terraform.d",
    ".claude",
    ".claude.json",
    ".codex",
    ".gemini",
    ".bash_history",
    ".zsh_history",
    ".python_history",
    ".node_repl_history",
    ".psql_history",
    ".mysql_history",
    ".config/gcloud",
    ".config/gh",
    ".config/op",
    ".config/rclone",
    ".config/google-chrome",
    ".config/chromium",
    ".local/share/keyrings",
    ".local/state/sandboxd",
    ".cargo/credentials.toml",
    ".cargo/credentials",
];

/// The same, of the machine.
pub(crate) const SECRETS_OF_THE_HOST: &[&str] = &[
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/ssl/private",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/krb5.keytab",
    "/etc/wireguard",
    "/etc/NetworkManager/system-connections",
    "/etc/sandboxd",
    "/etc/ssh",
];

/// Something that was needed, and is not given otherwise.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) path: PathBuf,
    pub(crate) need: Need,
    pub(crate) folder: bool,
    pub(crate) by: String,
}

/// A list of `[files]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum List {
    Read,
    Write,
    Execute,
}

impl List {
    pub(crate) const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Execute];

    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Execute => "execute",
        }
    }
}

/// A grant: who needed it, and how many names it stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct For {
    pub(crate) by: BTreeSet<String>,
    pub(crate) names: usize,
}

/// Something that is not granted, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeftOut {
    pub(crate) what: String,
    pub(crate) by: String,
    pub(crate) why: String,
}

impl LeftOut {
    /// A key is given all the same with a folder that is granted whole because it was named.
    fn beside(self, granted: Option<&Path>) -> Self {
        let Some(root) = granted else { return self };
        let why = format!(
            "it lies in {}, which you named and which is granted whole: hide it ([files] hide)",
            root.to_string_lossy()
        );
        Self { why, ..self }
    }
}

/// Grants by list and path.
pub(crate) type Grants = BTreeMap<(List, PathBuf), For>;

/// Where a command was learnt from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Around<'a> {
    /// The folder it was done in, and the home of whoever did it.
    pub(crate) work: &'a Path,
    pub(crate) home: &'a Path,
    /// What was named to be written meanwhile. Nothing else could be.
    pub(crate) writable: &'a [PathBuf],
}

/// Makes grants of what was wanted.
pub(crate) fn group(wanted: &[Wanted], around: Around<'_>) -> (Grants, Vec<LeftOut>) {
    let Around { work, home, .. } = around;
    let made: BTreeSet<&Path> = wanted
        .iter()
        .filter(|one| one.need.has(Need::FOLDER) && around.makes_beside(&one.path).is_some())
        .map(|one| one.path.as_path())
        .collect();
    let worked_in = around.worked_in(wanted);
    let mut left = Vec::new();
    let mut within = Vec::new();
    let mut grants = Grants::new();
    let mut secrets = BTreeSet::new();
    for one in wanted {
        for (list, path) in targets(one, &made, around) {
            let named = worked_in.iter().find(|root| path.starts_with(root));
            let why = if is_secret(&path) {
                secrets.insert(path.clone());
                Some("it holds keys, tokens or history")
            } else if list == List::Write && around.named(&path).is_none() {
                Some("it was not writable during the run: learn with -w for it")
            } else if named.is_some() {
                None
            } else if holds_secret(&path, home) {
                Some("keys, tokens or history are in it: name what is needed besides")
            } else if is_broad(&path, home)
                && (one.folder || list == List::Write || path != one.path)
            {
                Some("the folder holds far more than this command's")
            } else {
                None
            };
            if let Some(why) = why {
                let what = format!("{} {}", list.key(), path.to_string_lossy());
                let out = LeftOut { what, by: one.by.clone(), why: why.to_owned() };
                match named {
                    Some(root) => within.push((*root, out)),
                    None => left.push(out),
                }
            } else {
                let path = named.map_or(path, |root| (*root).to_owned());
                let entry = grants.entry((list, path)).or_default();
                entry.by.insert(one.by.clone());
                entry.names += 1;
            }
        }
    }
    let granted = |root: &Path| grants.keys().any(|(_, path)| path == root);
    left.extend(within.into_iter().map(|(root, out)| out.beside(granted(root).then_some(root))));
    left.sort_by(|one, other| one.what.cmp(&other.what));
    left.dedup_by(|one, other| one.what == other.what);
    let bounds = Bounds { work, home, secrets };
    for list in List::ALL {
        fold(&mut grants, list, &bounds);
    }
    (without_covered(grants), left)
}

impl Around<'_> {
    /// What a path lies in, of what was named to be written.
    fn named(&self, path: &Path) -> Option<&Path> {
        let above = self.writable.iter().filter(|root| path.starts_with(root));
        above.max_by_key(|root| root.as_os_str().len()).map(PathBuf::as_path)
    }

    /// The folder of a name that can be made, replaced and removed: one in which nothing may be written cannot
    /// have been changed, whatever was tried.
    fn makes_beside<'p>(&self, path: &'p Path) -> Option<&'p Path> {
        path.parent().filter(|folder| self.named(folder).is_some())
    }

    /// Folders that were named and written in. Such a one is granted whole: a file that is replaced or moved
    /// there must not be a mount of its own, and the owner of all that is in it is the same.
    fn worked_in(&self, wanted: &[Wanted]) -> BTreeSet<&Path> {
        let writes =
            wanted.iter().filter(|one| one.need.has(Need::WRITE) || one.need.has(Need::NAME));
        let roots = writes.filter_map(|one| self.named(&one.path));
        roots.filter(|root| !is_broad(root, self.home) && !holds_secret(root, self.home)).collect()
    }
}

/// What is to be granted for this to work.
fn targets(one: &Wanted, made: &BTreeSet<&Path>, around: Around<'_>) -> Vec<(List, PathBuf)> {
    // What the command itself made was not there, and is not there the next time.
    let outermost = one.path.ancestors().filter(|above| made.contains(above)).last();
    let own = outermost.and_then(Path::parent);
    let mut targets = Vec::new();
    if one.need.has(Need::EXECUTE) {
        let beside = || around.makes_beside(&one.path).filter(|_| one.need.has(Need::NAME));
        let own = own.or_else(beside);
        targets.push((List::Execute, own.unwrap_or(&one.path).to_owned()));
    }
    if one.need.has(Need::NAME) {
        let folder = own.or_else(|| one.path.parent()).unwrap_or(&one.path);
        targets.push((List::Write, folder.to_owned()));
    } else if one.need.has(Need::WRITE) {
        targets.push((List::Write, own.unwrap_or(&one.path).to_owned()));
    }
    if one.need.has(Need::READ) && own.is_none() {
        targets.push((List::Read, one.path.clone()));
    }
    targets
}

/// Where folding stops.
struct Bounds<'a> {
    work: &'a Path,
    home: &'a Path,
    /// Keys that were looked for.
    secrets: BTreeSet<PathBuf>,
}

impl Bounds<'_> {
    /// What may be written stays within the folder that was worked in.
    fn allow(&self, list: List, folder: &Path) -> bool {
        !is_broad(folder, self.home)
            && !holds_secret(folder, self.home)
            && !self.secrets.iter().any(|secret| secret.starts_with(folder))
            && (list != List::Write || folder.starts_with(self.work))
    }
}

/// Grants a folder in the place of what is granted in it, from the deepest up, where that is enough to be
/// together.
fn fold(grants: &mut Grants, list: List, bounds: &Bounds<'_>) {
    let deepest = grants.keys().map(|(_, path)| path.components().count()).max().unwrap_or(0);
    for depth in (2..=deepest).rev() {
        // By folder of this depth: how much lies in it, and how much of that below another folder.
        let mut folders: BTreeMap<PathBuf, (usize, usize)> = BTreeMap::new();
        for (_, path) in grants.keys().filter(|(of, _)| *of == list) {
            let folder = path.ancestors().skip(1).find(|above| above.components().count() == depth);
            let Some(folder) = folder else { continue };
            let (direct, all) = folders.entry(folder.to_owned()).or_default();
            *direct += usize::from(path.parent() == Some(folder));
            *all += 1;
        }
        for (folder, (direct, all)) in folders {
            let many = direct >= TOGETHER || all >= SCATTERED;
            if (many && bounds.allow(list, &folder)) || grants.contains_key(&(list, folder.clone()))
            {
                gather(grants, list, folder);
            }
        }
    }
}

/// Makes one grant of all that lie in a folder.
fn gather(grants: &mut Grants, list: List, folder: PathBuf) {
    let mut whole = For::default();
    grants.retain(|(of, path), what| {
        let inside = *of == list && path.starts_with(&folder);
        if inside {
            whole.by.append(&mut what.by);
            whole.names += what.names;
        }
        !inside
    });
    grants.insert((list, folder), whole);
}

/// Leaves out what another grant gives already: writing and executing give reading.
fn without_covered(grants: Grants) -> Grants {
    let gives = |list: List, path: &Path, by: List, above: &Path| {
        let same = list == by && path != above;
        path.starts_with(above) && (same || (list == List::Read && by != List::Read))
    };
    let covered =
        |list: List, path: &Path| grants.keys().any(|(by, above)| gives(list, path, *by, above));
    let kept: Vec<(List, PathBuf)> =
        grants.keys().filter(|(list, path)| !covered(*list, path)).cloned().collect();
    kept.into_iter()
        .filter_map(|key| grants.get(&key).map(|what| (key.clone(), what.clone())))
        .collect()
}

/// A folder that holds what other programs and people have: the root, what lies in it, and homes.
fn is_broad(path: &Path, home: &Path) -> bool {
    let homes = path.parent() == Some(Path::new("/home"));
    path.components().count() <= 2
        || homes
        || home.starts_with(path)
        || ["/usr/local", "/usr/share", "/usr/lib", "/var/lib", "/etc/ssl"]
            .iter()
            .any(|broad| path == Path::new(broad))
}

/// Whether a path lies where keys do.
pub(crate) fn is_secret(path: &Path) -> bool {
    let text = format!("{}/", path.to_string_lossy());
    SECRETS_OF_THE_HOST.iter().any(|secret| path.starts_with(secret))
        || SECRETS.iter().any(|secret| text.contains(&format!("/{secret}/")))
}

/// What of keys lies in this folder now.
pub(crate) fn key_in(folder: &Path) -> Option<&'static str> {
    let lies = |secret: &&&str| {
        // Of `.config/gh` the first part may be what the folder is called.
        let parts: Vec<&str> = secret.split('/').collect();
        (0..parts.len()).any(|at| {
            let (above, below) = parts.split_at(at);
            let is_there = || folder.join(below.join("/")).symlink_metadata().is_ok();
            folder.ends_with(above.join("/")) && is_there()
        })
    };
    SECRETS.iter().find(lies).copied()
}

/// Whether keys would be granted with a folder.
fn holds_secret(folder: &Path, home: &Path) -> bool {
    let of_the_home = SECRETS.iter().map(|secret| home.join(secret));
    let of_the_host = SECRETS_OF_THE_HOST.iter().map(PathBuf::from);
    of_the_home.chain(of_the_host).any(|secret| secret.starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(path: &str, need: Need, folder: bool) -> Wanted {
        Wanted { path: path.into(), need, folder, by: "sh".into() }
    }

    fn grouped(all: &[Wanted]) -> (Vec<String>, Vec<String>) {
        let writable = ["/srv/w", "/home/u"].map(PathBuf::from);
        let (work, home) = (Path::new("/srv/w"), Path::new("/home/u"));
        let (grants, left) = group(all, Around { work, home, writable: &writable });
        let grants = grants.keys();
        let grants = grants.map(|(list, path)| format!("{} {}", list.key(), path.display()));
        (grants.collect(), left.into_iter().map(|one| one.what).collect())
    }

    #[test]
    fn what_lies_together_is_granted_together_and_nothing_wide_is() {
        let mut all = Vec::new();
        for number in 0..1000 {
            let path = format!("/srv/w/node_modules/m{}/f{number}.js", number % 50);
            all.push(wanted(&path, Need::READ, false));
        }
        all.push(wanted("/srv/data/one", Need::READ, false));
        assert_eq!(grouped(&all).0, ["read /srv/data/one", "read /srv/w/node_modules"]);
        let wide: Vec<Wanted> =
            (0..9).map(|n| wanted(&format!("/srv/f{n}"), Need::READ, false)).collect();
        assert_eq!(grouped(&wide).0.len(), 9, "{:?}", grouped(&wide));
        let homes = [wanted("/home/u", Need::READ, true), wanted("/", Need::READ, true)];
        assert_eq!(grouped(&homes).0, Vec::<String>::new());
    }

    #[test]
    fn what_the_command_made_is_written_where_that_was_made() {
        let all = [
            wanted("/srv/w/target", Need::NAME.and(Need::FOLDER), false),
            wanted("/srv/w/target/debug", Need::NAME.and(Need::FOLDER), false),
            wanted("/srv/w/target/debug/a", Need::NAME.and(Need::WRITE), false),
            wanted("/srv/w/target/debug/a", Need::EXECUTE, false),
            wanted("/srv/w/src/main.rs", Need::READ, false),
        ];
        assert_eq!(grouped(&all).0, ["write /srv/w", "execute /srv/w"]);
    }

    #[test]
    fn a_folder_that_was_named_is_written_whole_and_nothing_beside_it() {
        let all = [
            wanted("/srv/w/.git/index", Need::NAME.and(Need::WRITE), false),
            wanted("/srv/w/src/main.rs", Need::READ, false),
            wanted("/srv/w/run.sh", Need::EXECUTE, false),
            wanted("/srv/other/file", Need::WRITE, false),
            wanted("/srv/more", Need::NAME, false),
        ];
        let (grants, left) = grouped(&all);
        assert_eq!(grants, ["write /srv/w", "execute /srv/w"]);
        assert_eq!(left, ["write /srv", "write /srv/other/file"]);
        // One in which nothing was written is not.
        assert_eq!(grouped(&all[1..3]).0, ["read /srv/w/src/main.rs", "execute /srv/w/run.sh"]);
    }

    #[test]
    fn what_failed_to_be_replaced_is_executed_alone() {
        let replaced = Need::EXECUTE.and(Need::NAME);
        let all = [
            wanted("/srv/customers.db", replaced, false),
            wanted("/opt/tool/bin", replaced, false),
            wanted("/opt/made", Need::NAME.and(Need::FOLDER), false),
            wanted("/opt/made/run", Need::EXECUTE, false),
            wanted("/home/u/run", replaced, false),
        ];
        let (grants, left) = grouped(&all);
        let alone = ["/opt/made/run", "/opt/tool/bin", "/srv/customers.db"];
        assert_eq!(grants, alone.map(|path| format!("execute {path}")));
        // Where it can be replaced, its folder is needed, and that may be too wide.
        let wide = ["execute /home/u", "write /home/u", "write /opt", "write /opt/tool"];
        assert_eq!(left, [&wide[..], &["write /srv"]].concat());
        let built = [wanted("/srv/w/bin/run", replaced, false)];
        assert_eq!(grouped(&built).0, ["write /srv/w", "execute /srv/w"]);
    }

    #[test]
    fn keys_are_left_out_and_never_granted_with_a_folder() {
        let mut all: Vec<Wanted> =
            (0..9).map(|n| wanted(&format!("/home/u/.config/a{n}"), Need::READ, false)).collect();
        all.push(wanted("/home/u/.ssh/id", Need::READ, false));
        all.push(wanted("/etc/shadow", Need::READ, false));
        let (grants, left) = grouped(&all);
        assert_eq!(left, ["read /etc/shadow", "read /home/u/.ssh/id"]);
        assert!(!grants.contains(&"read /home/u/.config".to_owned()), "{grants:?}");
        // Nor with one that was looked through, or in which something was to be made.
        let folder = wanted("/home/u/.config", Need::READ, true);
        let made = wanted("/home/u/.config/tool", Need::NAME.and(Need::FOLDER), false);
        let cache = wanted("/home/u/.cargo/.package-cache", Need::NAME, false);
        let (grants, left) = grouped(&[folder, made, cache]);
        assert_eq!(grants, Vec::<String>::new());
        let named = ["read /home/u/.config", "write /home/u/.cargo", "write /home/u/.config"];
        assert_eq!(left, named);
    }

    #[test]
    fn a_key_in_a_folder_that_is_granted_whole_is_not_said_to_be_left_out_of_it() {
        let key = wanted("/srv/w/.ssh/id", Need::READ, false);
        let writable = [PathBuf::from("/srv/w")];
        let around = |all: &[Wanted]| {
            let (work, home) = (Path::new("/srv/w"), Path::new("/home/u"));
            group(all, Around { work, home, writable: &writable }).1.remove(0).why
        };
        let written = wanted("/srv/w/a", Need::WRITE, false);
        assert!(around(&[key.clone(), written]).starts_with("it lies in /srv/w, which you named"));
        assert_eq!(around(&[key]), "it holds keys, tokens or history");
    }

    #[test]
    fn a_key_is_seen_in_every_folder_above_it() {
        let root = std::env::temp_dir().join(format!("sandboxd-keys-{}", std::process::id()));
        std::fs::create_dir_all(root.join(".config/gh")).unwrap();
        std::fs::create_dir_all(root.join("src")).unwrap();
        let seen = [".config", ".", "src"].map(|folder| key_in(&root.join(folder)));
        std::fs::remove_dir_all(&root).unwrap();
        assert_eq!(seen, [Some(".config/gh"), Some(".config/gh"), None]);
    }
}
