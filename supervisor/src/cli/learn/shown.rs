//! The sandbox in which a command is learnt from: more than it will get, and nothing that must not get out.

use crate::cli::clean;
use crate::cli::load::{self, Loaded};
use crate::cli::typed::Grants;
use crate::host;
use crate::learn::group::{SECRETS, SECRETS_OF_THE_HOST};
use crate::learn::text::quoted;
use crate::sandbox::StartError;
use rustix::fd::OwnedFd;
use rustix::rand::{GetRandomFlags, getrandom};
use sandboxd_plan::Text;
use sandboxd_profiles::schema::Isolation;
use sandboxd_profiles::syscalls::{groups, number};
use sandboxd_profiles::{Graph, Overrides, Profile};
use std::fs::{DirBuilder, File};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Where the observer and what it tells lie inside.
const PROGRAM: &str = "/sandboxd";
const FOLDER: &str = "/sandboxd-learn";

/// What is no tree of files, is everybody's, or is made for each sandbox.
const NOT_SHOWN: &[&str] =
    &["proc", "sys", "dev", "run", "tmp", "boot", "lost+found", "var", "root", "home"];

/// Groups of calls that a profile can allow, and that reach nobody outside: at most they use up what the host has once.
const CALLS: &[&str] = &["sysv-ipc", "posix-queues", "async-io", "numa"];

/// What a command is learnt from in.
pub(super) struct Shown {
    pub(super) profile: Profile,
    /// What the observer tells, for us to read.
    pub(super) record: File,
    /// Whom it calls.
    pub(super) graph: Option<Graph>,
    trees: Vec<PathBuf>,
    hidden: Vec<PathBuf>,
    written: Vec<String>,
    egress: Vec<String>,
    folder: PathBuf,
    /// Of that folder, as long as this lives: see [`clean::lock`].
    #[expect(dead_code, reason = "it is held, and that is all")]
    lock: OwnedFd,
}

impl Drop for Shown {
    fn drop(&mut self) {
        // Nothing of worth is in it any more, whether it goes or not.
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

impl Shown {
    /// # Errors
    /// Where the profile cannot be read, or has no view in which anything could be shown.
    pub(super) fn new(grants: &Grants) -> Result<Self, StartError> {
        let Loaded { mut profile, under, graph, .. } = load::load(grants)?;
        if !under.is_empty() || profile.isolation() == Isolation::Landlock {
            return Err(StartError::found("learn", "--under, or isolation = \"landlock\"")
                .with_remedy("learn with a profile without it, such as builtin:base"));
        }
        if !grants.bind.is_empty() {
            return Err(StartError::found("learn", "--bind, whose paths are other files outside")
                .with_remedy("write [files].bind into a profile, and learn with that: -p"));
        }
        if grants.command.iter().any(|word| word.to_str().is_none()) {
            return Err(StartError::found("learn", "a command that is not UTF-8")
                .with_remedy("put it into a script and learn that: a profile is UTF-8"));
        }
        let (folder, lock, record) = record()?;
        let (cwd, home) = host::folders();
        let home = home.map(|home| PathBuf::from(home.as_str()));
        let trees = trees(cwd.as_ref().map(|cwd| Path::new(cwd.as_str())), home.as_deref());
        let hidden = hidden(&trees, home.as_deref());
        let reason = "shown while it is learnt from";
        let text = |path: &PathBuf| {
            path.to_str().map(quoted).ok_or_else(|| {
                StartError::found("learn", format!("{}: its name is not UTF-8", path.display()))
            })
        };
        let entry = |tree| Ok(format!("{{ path = {}, reason = {} }}", text(tree)?, quoted(reason)));
        let entries = trees.iter().map(entry).collect::<Result<Vec<String>, StartError>>()?;
        let hides = hidden.iter().map(text).collect::<Result<Vec<String>, StartError>>()?;
        let calls: Vec<String> = CALLS.iter().map(|group| quoted(&format!("@{group}"))).collect();
        // What is built there can be run, as what lies there can.
        let execute = grants.write.clone();
        let mut overrides = Overrides { cwd, execute, ..Overrides::default() };
        overrides.set = vec![
            format!("files.execute=[{}]", entries.join(",")),
            format!("files.hide=[{}]", hides.join(",")),
            format!("syscalls.allow=[{}]", calls.join(",")),
        ];
        let own = host::executable()?;
        overrides.bind.push(format!("{own}:{PROGRAM}:execute"));
        overrides.bind.push(format!("{}:{FOLDER}:write", folder.display()));
        overrides.command = command(&profile, grants)?;
        profile.apply(&overrides)?;
        let (written, egress) = (grants.write.clone(), grants.egress.clone());
        Ok(Self { profile, record, graph, trees, hidden, written, egress, folder, lock })
    }

    /// What is allowed meanwhile, for people.
    pub(super) fn words(&self) -> String {
        let list = |paths: &[PathBuf]| {
            let paths: Vec<String> = paths
                .iter()
                .map(|path| crate::explain::printable(&path.to_string_lossy()))
                .collect();
            if paths.is_empty() { String::from("nothing") } else { paths.join(" ") }
        };
        let or = |typed: &[String], words: &str, nothing: &str| {
            let all = crate::explain::printable(&typed.join(" "));
            if all.is_empty() { nothing.to_owned() } else { format!("{words}{all}") }
        };
        format!(
            "sandboxd: learning; meanwhile, beyond the profile, the command\n  reads   and executes {}\n  never   {}, and what the files' permissions keep from it\n  writes  {}\n  reaches {}\n{}",
            list(&self.trees),
            list(&self.hidden),
            or(&self.written, "and executes ", "nothing of the host (-w PATH)"),
            or(&self.egress, "", "nobody (--egress HOST:PORT)"),
            calls(&self.profile),
        )
    }
}

/// Whom the profile calls: they are called meanwhile, and whoever is called can be told anything.
fn calls(profile: &Profile) -> String {
    if profile.calls.is_empty() {
        return String::new();
    }
    let edges: Vec<&str> = profile.calls.keys().map(|name| name.as_str()).collect();
    format!(
        "  calls   {}: anything it reads it can pass to these tools, and they to any host they reach\n",
        crate::explain::printable(&edges.join(" "))
    )
}

/// A file of ours in a folder of its own, which is shown to be written, and is locked.
fn record() -> Result<(PathBuf, OwnedFd, File), StartError> {
    let mut random = [0_u8; 16];
    getrandom(&mut random, GetRandomFlags::empty())
        .map_err(|errno| StartError::call("getrandom", "a name", errno))?;
    let name: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let name = format!("{}{}-{name}", clean::LEARN, std::process::id());
    let folder = std::env::temp_dir().join(name);
    let failed = |error: &std::io::Error| {
        StartError::io("mkdir", folder.display().to_string(), error)
            .with_remedy("set TMPDIR to a folder that can be written")
    };
    DirBuilder::new().mode(0o700).create(&folder).map_err(|error| failed(&error))?;
    let lock = clean::lock(&folder).map_err(|errno| failed(&errno.into()))?;
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(folder.join("record"))
        .map_err(|error| failed(&error))?;
    Ok((folder, lock, file))
}

/// The trees of the host: what lies in `/`, the folder that is worked in, and the caller's home where it is
/// not closed to the sandbox's user.
fn trees(cwd: Option<&Path>, home: Option<&Path>) -> Vec<PathBuf> {
    let entries = std::fs::read_dir("/").into_iter().flatten().flatten();
    let own = entries.filter(|entry| {
        let folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        folder && !NOT_SHOWN.iter().any(|name| entry.file_name() == *name)
    });
    let mut trees: Vec<PathBuf> = own.map(|entry| entry.path()).collect();
    let is_ours = !rustix::process::geteuid().is_root();
    trees.extend(home.filter(|home| is_ours && home.is_dir()).map(Path::to_owned));
    trees.extend(cwd.filter(|cwd| *cwd != Path::new("/")).map(Path::to_owned));
    let open = |tree: &PathBuf| {
        is_ours || std::fs::metadata(tree).is_ok_and(|found| found.mode() & 0o005 == 0o005)
    };
    trees.retain(|tree| tree.to_str().is_some() && open(tree));
    trees.sort();
    trees.dedup();
    let all = trees.clone();
    trees.retain(|tree| !all.iter().any(|other| other != tree && tree.starts_with(other)));
    trees
}

/// What of that holds keys and the like.
fn hidden(trees: &[PathBuf], home: Option<&Path>) -> Vec<PathBuf> {
    let of_the_home = home.into_iter().flat_map(|home| SECRETS.iter().map(|name| home.join(name)));
    let all = of_the_home.chain(SECRETS_OF_THE_HOST.iter().map(PathBuf::from));
    let shown = |path: &PathBuf| trees.iter().any(|tree| path.starts_with(tree));
    // A link leads to what is hidden by its own name, or is not shown.
    let there = |path: &PathBuf| path.symlink_metadata().is_ok_and(|found| !found.is_symlink());
    all.filter(|path| shown(path) && there(path)).collect()
}

/// The observer, and what it is to start.
fn command(profile: &Profile, grants: &Grants) -> Result<Vec<Text>, StartError> {
    let own = profile.command.exec.as_ref().map(|exec| exec.value.clone()).unwrap_or_default();
    if own.is_empty() {
        return Err(StartError::found("learn", "no command")
            .with_remedy("name it after --: sandboxd learn -o agent.toml -- COMMAND"));
    }
    let extra: Vec<String> = extra().iter().map(u32::to_string).collect();
    let words = [PROGRAM, "service", "observe", "--record", "/sandboxd-learn/record", "--calls"];
    let words = words.iter().map(|word| (*word).to_owned()).chain([extra.join(","), "--".into()]);
    let words: Result<Vec<Text>, _> = words.map(|word| Text::try_from(word.into_bytes())).collect();
    let mut words = words.map_err(|error| StartError::found("learn", error.to_string()))?;
    // As it was typed, or as the profile has it.
    let typed = grants.command.iter().map(|word| Text::try_from(word.clone().into_vec()));
    let typed: Vec<Text> = typed.filter_map(Result::ok).collect();
    words.extend(if typed.is_empty() { own } else { typed });
    Ok(words)
}

/// The calls of those groups.
pub(super) fn extra() -> Vec<u32> {
    let named = groups().iter().filter(|group| CALLS.contains(&group.name));
    let numbers = named.flat_map(|group| group.lines.iter().flat_map(|line| line.calls));
    numbers.copied().filter(|call| Some(*call) != number("shmdt")).collect()
}
