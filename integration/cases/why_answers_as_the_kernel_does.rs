//! `why` gives the answer that the kernel gives: random profiles on random trees, asked of random paths and
//! system calls, and then tried by a command that runs with the same profile.

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use nix::sys::stat::{Mode, SFlag, mkdirat, mknod};
use nix::unistd::{Gid, Uid};
use sandboxd_integration::{By, Case, Inside, Outside, Random, Run, raw};
use serde_json::Value;
use std::ffi::CString;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) const CASE: Case = Case {
    rows: &["X03", "E28"],
    seconds: 120,
    outside,
    probes: &[("try", try_all)],
    by: By::Anybody,
    ..Case::NEW
};

const PROFILES: usize = 4;
const QUESTIONS: usize = 15;
/// Asked each time: here one layer alone refuses.
const ALWAYS: [(&str, &str); 4] = [
    ("read", "/.sandboxd"),
    ("write", "/proc/self/comm"),
    ("execute", "/probe"),
    ("write", "/dev/ptmx"),
];

const FOLDERS: [&str; 7] = ["a", "a/b", "a/b/c", "d", "d/.git", "d/.git/hooks", "e"];
const LINKS: [&str; 8] =
    ["f", "../f", "nowhere", "l", "/ws/a/f", "/etc/passwd", "/tmp/made", "../../ws/d"];
/// Paths that are no part of the tree.
const ELSEWHERE: [&str; 11] = [
    "/",
    "/nothing",
    "/tmp/made",
    "/etc/passwd",
    "/etc/shadow",
    "/dev/null",
    "/dev/shm/made",
    "/usr/bin/true",
    "/proc/self/status",
    "/proc/uptime",
    "/proc/sys/vm/overcommit_memory",
];
const ACCESSES: [&str; 13] = [
    "read",
    "write",
    "execute",
    "read-file",
    "read-dir",
    "write-file",
    "truncate",
    "make-reg",
    "make-dir",
    "make-sym",
    "make-fifo",
    "make-sock",
    "make-char",
];
/// Calls that do nothing with zeros for arguments, and that the kernel refuses nobody for want of a right.
const CALLS: [(&str, i64); 12] = [
    ("getcpu", libc::SYS_getcpu),
    ("sysinfo", libc::SYS_sysinfo),
    ("times", libc::SYS_times),
    ("getpriority", libc::SYS_getpriority),
    ("inotify_init1", libc::SYS_inotify_init1),
    ("eventfd2", libc::SYS_eventfd2),
    ("getrandom", libc::SYS_getrandom),
    ("mkdir", libc::SYS_mkdir),
    ("msgget", libc::SYS_msgget),
    ("io_uring_setup", libc::SYS_io_uring_setup),
    ("mount", libc::SYS_mount),
    ("keyctl", libc::SYS_keyctl),
];

/// What is asked: a word, and a path or the name of a call.
#[derive(Debug, Clone)]
struct Question {
    word: String,
    subject: String,
}

impl Question {
    fn new(word: &str, subject: &str) -> Self {
        Self { word: word.to_owned(), subject: subject.to_owned() }
    }
}

fn outside(outside: &Outside) -> Result<()> {
    let seed = if outside.soaks() { u64::from(std::process::id()) } else { 19 };
    outside.note(&format!("the seed is {seed}"));
    let mut random = Random::new(seed | 1);
    let (mut ran, mut refused, mut allowed) = (0, 0, 0);
    for round in 0..outside.times(PROFILES) {
        let ws = outside.workspace()?.join(format!("round-{round}"));
        plant(&ws, outside, &mut random)?;
        let (profile, shown) = profile(&ws, &mut random);
        let under = (random.below(4) == 0).then(|| self::profile(&ws, &mut random));
        let under = under.map(|(text, _)| outside.site(&text)).transpose()?;
        let always = ALWAYS.map(|(word, subject)| Question::new(word, subject));
        let asked = (0..QUESTIONS).map(|_| question(&shown, &mut random));
        let questions: Vec<Question> = always.into_iter().chain(asked).collect();
        let answers: Result<Vec<Option<Answer>>> =
            questions.iter().map(|one| ask(outside, &profile, under.as_deref(), one)).collect();
        let answers = answers?;
        let run = tried(outside, &profile, under.as_deref(), &questions)?;
        for folder in FOLDERS {
            // So that the tree can be removed.
            fs::set_permissions(ws.join(folder), fs::Permissions::from_mode(0o755))?;
        }
        let told = format!("round {round} of seed {seed}\n{profile}\n{under:?}");
        if run.exit() == Some(125) {
            // What is wrong with a profile is wrong whoever asks; a folder that its user may not walk to is
            // found by the run alone.
            let knew = answers.iter().all(Option::is_none);
            ensure!(
                knew || run.stderr.contains("permission denied (EACCES)"),
                "{told}\n{}",
                run.stderr
            );
            continue;
        }
        run.ran()?;
        ran += 1;
        for (at, (question, answer)) in questions.iter().zip(answers).enumerate() {
            let answer = answer.with_context(|| format!("no answer, but a run: {told}"))?;
            let met = run.errno(&at.to_string())?;
            answer.fits(question, met).with_context(|| told.clone())?;
            if answer.allowed { allowed += 1 } else { refused += 1 }
        }
    }
    outside.tell(&format!("seed {seed}: {ran} runs, {allowed} allowed, {refused} refused"));
    ensure!(ran > 0 && allowed > 9 && refused > 9, "{ran} runs: {allowed} to {refused}");
    Ok(())
}

/// What `why` says.
#[derive(Debug)]
struct Answer {
    allowed: bool,
    errno: i32,
    conditional: bool,
}

impl Answer {
    fn fits(&self, question: &Question, met: i32) -> Result<()> {
        // A program that is none was let through.
        let let_through = match question.word.as_str() {
            "syscall" => ![libc::EPERM, libc::ENOSYS].contains(&met),
            _ => [0, libc::ENOEXEC].contains(&met),
        };
        if met == SKIPPED || self.conditional {
            return Ok(());
        }
        ensure!(
            self.allowed == let_through && (self.allowed || same(self.errno, met)),
            "{question:?}: {self:?}, and the kernel says {}",
            Errno::from_raw(met)
        );
        Ok(())
    }
}

/// Which layer comes first is not the same in every kernel.
fn same(told: i32, met: i32) -> bool {
    let refused = [libc::EACCES, libc::EROFS, libc::EISDIR];
    told == met || (refused.contains(&told) && refused.contains(&met))
}

/// Asks `sandboxd why`; nothing where the profile cannot be run.
fn ask(
    outside: &Outside,
    profile: &str,
    under: Option<&Path>,
    question: &Question,
) -> Result<Option<Answer>> {
    let mut asked = outside.sandbox(profile).verb("why").probe("try", &[]).option("--json");
    if let Some(under) = under {
        asked = asked.option("--under").option(under);
    }
    let asked = match question.word.as_str() {
        "syscall" => asked.option("--syscall").option(&question.subject),
        access => {
            let path = asked.option("--path").option(&question.subject);
            path.option("--access").option(access)
        }
    };
    let run = asked.run()?;
    if run.exit() == Some(125) {
        return Ok(None);
    }
    let told: Value = serde_json::from_str(&run.stdout).context("the answer is no JSON")?;
    let allowed = told.get("allowed").and_then(Value::as_bool).context("no verdict")?;
    ensure!(run.exit() == Some(i32::from(!allowed)), "{allowed} by the status {}", run.status);
    let errno = told.get("errno").and_then(Value::as_i64).unwrap_or(0);
    let notes = told.get("notes").map(Value::to_string).unwrap_or_default();
    let conditional = question.word == "syscall" && notes.contains(" if arg");
    Ok(Some(Answer { allowed, errno: i32::try_from(errno)?, conditional }))
}

fn tried(
    outside: &Outside,
    profile: &str,
    under: Option<&Path>,
    questions: &[Question],
) -> Result<Run> {
    let words = questions.iter().flat_map(|one| [one.word.as_str(), one.subject.as_str()]);
    let words: Vec<&str> = words.collect();
    let mut sandbox = outside.sandbox(profile).probe("try", &words);
    if let Some(under) = under {
        sandbox = sandbox.option("--under").option(under);
    }
    sandbox.run()
}

/// A tree with owners and modes of every kind, and links that lead in and out of it.
fn plant(ws: &Path, outside: &Outside, random: &mut Random) -> Result<()> {
    let mut all: Vec<PathBuf> = Vec::new();
    for folder in FOLDERS {
        let at = ws.join(folder);
        fs::create_dir_all(&at)?;
        for name in ["f", "x", "config"] {
            fs::write(at.join(name), "")?;
            all.push(at.join(name));
        }
        symlink(random.pick(&LINKS), at.join("l"))?;
        if random.below(2) == 0 {
            let other = random.below(all.len());
            fs::hard_link(all.get(other).context("a file")?, at.join("h"))?;
        }
    }
    let own = outside.owner().0;
    // A user gives nothing away.
    let owners = if outside.is_user() { [own; 4] } else { [own, own, 0, 4242] };
    for file in &all {
        let mode = random.pick(&[0o644, 0o600, 0o444, 0o755, 0o755, 0o666, 0o777, 0]);
        owned(file, random.pick(&owners), mode)?;
    }
    for folder in FOLDERS.iter().rev() {
        let mode = random.pick(&[0o755, 0o755, 0o777, 0o777, 0o700, 0o711, 0o555, 0o1777]);
        owned(&ws.join(folder), random.pick(&owners), mode)?;
    }
    Ok(())
}

fn owned(path: &Path, owner: u32, mode: u32) -> Result<()> {
    nix::unistd::chown(path, Some(Uid::from_raw(owner)), Some(Gid::from_raw(owner)))?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
}

/// A profile, and the folders that it shows.
fn profile(ws: &Path, random: &mut Random) -> (String, Vec<&'static str>) {
    let mut text = String::from("extends = [\"builtin:base\"]\n[files]\nbind = [\n");
    let mut shown: Vec<&'static str> = Vec::new();
    for _ in 0..1 + random.below(5) {
        let folder = random.pick(&[FOLDERS, ["a", "d", "e", "a/b", "a", "d", "e"]].concat());
        if shown.contains(&folder) {
            continue;
        }
        shown.push(folder);
        let (from, access) = (ws.join(folder), random.pick(&["read", "write", "write", "execute"]));
        text.push_str(&format!(
            "{{ from = {from:?}, to = \"/ws/{folder}\", access = \"{access}\" }},\n"
        ));
    }
    text.push_str("]\n");
    if random.below(3) == 0 {
        let folder = random.pick(&shown);
        text.push_str(&format!("hide = [\"/ws/{folder}/config\"]\n"));
    }
    if random.below(4) == 0 {
        text.push_str("protect = { off = \"a test\" }\n");
    }
    let base = random.pick(&["default", "default", "strict", "build"]);
    let denied: Vec<String> = CALLS
        .iter()
        .filter(|_| random.below(6) == 0)
        .map(|(name, _)| format!("{name:?}"))
        .collect();
    text.push_str(&format!("[syscalls]\nbase = \"{base}\"\ndeny = [{}]\n", denied.join(", ")));
    (text, shown)
}

fn question(shown: &[&'static str], random: &mut Random) -> Question {
    match random.below(8) {
        0 => Question::new("syscall", random.pick(&CALLS.map(|(name, _)| name))),
        1 => Question::new(random.pick(&ACCESSES), random.pick(&ELSEWHERE)),
        _ => {
            let folder =
                if random.below(3) == 0 { random.pick(&FOLDERS) } else { random.pick(shown) };
            let name = random.pick(&[
                "", "", "/f", "/f", "/x", "/x", "/new", "/config", "/h", "/l", "/l/f", "/new",
                "/new/new", "/../f", "/./f", "/f/",
            ]);
            let most = random.pick(&["read", "write", "execute"]);
            let access = if random.below(2) == 0 { random.pick(&ACCESSES) } else { most };
            Question::new(access, &format!("/ws/{folder}{name}"))
        }
    }
}

/// Told of what cannot be tried.
const SKIPPED: i32 = libc::EILSEQ;

fn try_all(inside: &Inside) -> Result<()> {
    for (at, question) in inside.arguments().chunks(2).enumerate() {
        let [word, subject] = question else { continue };
        let outcome = match word.as_str() {
            "syscall" => called(subject),
            access => attempted(access, Path::new(subject)),
        };
        inside.attempt(&at.to_string(), outcome);
    }
    Ok(())
}

fn called(name: &str) -> io::Result<()> {
    let known = CALLS.iter().find(|(known, _)| *known == name);
    Ok(raw::call_numbers(known.map_or(-1, |(_, number)| *number), &[]).map(drop)?)
}

/// Does it, and undoes what came of it.
fn attempted(access: &str, path: &Path) -> io::Result<()> {
    // Of a link that is in the way no folder is made.
    let named = access.starts_with("make-");
    let kind = if named { fs::symlink_metadata(path) } else { fs::metadata(path) };
    let kind = kind.map(|found| found.is_dir());
    let made = if matches!(kind, Ok(true)) { path.join("made-by-the-probe") } else { path.into() };
    let slash = path.as_os_str().as_encoded_bytes().ends_with(b"/");
    let open = |flags: i32| OpenOptions::new().read(true).custom_flags(flags).open(path);
    let node = |kind: SFlag| Ok(mknod(&made, kind, Mode::from_bits_truncate(0o600), 0)?);
    let gone = |done: io::Result<()>| done.and_then(|()| fs::remove_file(&made));
    match access {
        "read" => open(0).map(drop),
        "read-dir" => open(libc::O_DIRECTORY).map(drop),
        "read-file" => open(0).and_then(|mut file| file.read(&mut [0]).map(drop)),
        "write-file" => OpenOptions::new().write(true).open(path).map(drop),
        "write" => match OpenOptions::new().write(true).open(path) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) && !slash => created(path),
            Err(error) if error.raw_os_error() == Some(libc::EISDIR) => created(&made),
            done => done.map(drop),
        },
        "truncate" => {
            let name = CString::new(path.as_os_str().as_encoded_bytes())?;
            let mut words = [raw::Argument::Text(&name), raw::Argument::Number(0)];
            Ok(raw::call(libc::SYS_truncate, &mut words).map(drop)?)
        }
        "execute" if matches!(kind, Ok(true)) => Err(io::Error::from_raw_os_error(SKIPPED)),
        "execute" => Command::new(path).output().map(drop),
        "make-reg" => gone(node(SFlag::S_IFREG)),
        "make-fifo" => gone(node(SFlag::S_IFIFO)),
        "make-char" => gone(node(SFlag::S_IFCHR)),
        "make-sock" => gone(std::os::unix::net::UnixListener::bind(&made).map(drop)),
        "make-sym" => gone(symlink("nowhere", &made)),
        "make-dir" => {
            mkdirat(nix::fcntl::AT_FDCWD, &made, Mode::from_bits_truncate(0o700))?;
            fs::remove_dir(&made)
        }
        _ => Err(io::Error::from_raw_os_error(SKIPPED)),
    }
}

/// Makes a file, also where a link leads, and removes it.
fn created(path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    fs::remove_file(path.canonicalize()?)
}
