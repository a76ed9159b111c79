//! What runs under another profile may do exactly what both profiles allow: random pairs, each alone
//! and one under the other, judged call by call.

use anyhow::{Result, ensure};
use nix::errno::Errno;
use sandboxd_integration::{By, Case, Inside, Outside, Random, raw};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// The kernel computes each side: what each profile allows by itself, and the layers of both.
pub(crate) const CASE: Case =
    Case { rows: &["B12"], outside, probes: &[("try", try_all)], by: By::Anybody, ..Case::NEW };

/// Some are the beginning of another, and some lie in another.
const FOLDERS: [&str; 7] = ["a", "a/a", "a/b", "ab", "ab/a", "b", "b/ab"];
const CALLS: [(&str, i64); 4] = [
    ("getcpu", libc::SYS_getcpu),
    ("sysinfo", libc::SYS_sysinfo),
    ("times", libc::SYS_times),
    ("getpriority", libc::SYS_getpriority),
];
const PAIRS: usize = 8;

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    what_is_typed_never_vanishes(outside, &ws)?;
    for folder in FOLDERS {
        for name in ["file", "hidden"] {
            let file = outside.file(&format!("ws/{folder}/{name}"), "text")?;
            fs::set_permissions(file, fs::Permissions::from_mode(0o666))?;
        }
        fs::copy("/usr/bin/true", ws.join(folder).join("program"))?;
        fs::set_permissions(ws.join(folder), fs::Permissions::from_mode(0o777))?;
    }
    let seed = u64::from(std::process::id());
    outside.note(&format!("the seed is {seed}"));
    let mut random = Random::new(seed | 1);
    for pair in 0..outside.times(PAIRS) {
        let (one, other) = (profile(&ws, "one", &mut random), profile(&ws, "other", &mut random));
        let alone = [answers(outside, &one, None, 0)?, answers(outside, &other, None, 0)?];
        // Twice: as two layers, and as many, which become one and the own.
        for often in [1, 6] {
            let both = answers(outside, &one, Some(&other), often)?;
            for (what, allowed) in &both {
                let wanted = alone.iter().all(|answers| answers.get(what) == Some(&true));
                ensure!(
                    *allowed == wanted,
                    "pair {pair} of seed {seed}, under it {often} times: {what} is allowed: {allowed}, \
                     by both: {wanted}\n{one}\n--- under\n{other}"
                );
            }
        }
    }
    Ok(())
}

/// Where nothing is left of what was typed, the command would write into a folder that is thrown away.
fn what_is_typed_never_vanishes(outside: &Outside, ws: &Path) -> Result<()> {
    let site = outside.site("extends = [\"builtin:base\"]\n")?;
    let start = |verb: &'static str, typed: Option<&'static str>| {
        let start = outside.bare().verb(verb).option("--under").option(&site);
        let start = typed.iter().fold(start, |start, typed| start.option("-w").option(*typed));
        start.cwd(ws)
    };
    let write = ["/bin/sh", "-c", "echo lost > new"];
    let refused = start("run", Some(".")).command(&write).run()?;
    refused.not_started()?;
    ensure!(
        refused.stderr.contains("-w") && refused.stderr.contains("not granted"),
        "{}",
        refused.stderr
    );
    let asked = start("why", Some(".")).option("--path=new").option("--access=make-reg").run()?;
    ensure!(asked.exit() == Some(125), "why says otherwise: {}{}", asked.stdout, asked.stderr);
    // What nobody typed may come to nothing, and that it starts elsewhere is told.
    let run = start("run", None).command(&["/bin/sh", "-c", "echo > new; exit 1"]).run()?;
    run.exited(1)?;
    ensure!(run.stderr.contains("starts in /home/agent"), "{}", run.stderr);
    // Nor does it keep what was typed beside it from being looked at.
    let beside =
        |typed: &str| start("run", None).option("-x").option(typed).command(&["true"]).run();
    beside("/usr")?.exited(0)?;
    let refused = beside(".")?;
    refused.not_started()?;
    ensure!(refused.stderr.contains("line: -x"), "{}", refused.stderr);
    let asked = start("why", None).option("--path=new").option("--access=make-reg").run()?;
    ensure!(asked.stdout.contains("starts in /home/agent"), "{}{}", asked.stdout, asked.stderr);
    ensure!(!ws.join("new").exists(), "it was written after all");
    Ok(())
}

/// What a run answers to each attempt: whether it was allowed.
fn answers(
    outside: &Outside,
    profile: &str,
    under: Option<&str>,
    often: usize,
) -> Result<BTreeMap<String, bool>> {
    let mut sandbox = outside.sandbox(profile);
    if let Some(under) = under {
        let file = outside.site(under)?;
        for _ in 0..often {
            sandbox = sandbox.option("--under").option(&file);
        }
    }
    let run = sandbox.probe("try", &[]).run()?;
    run.ran()?;
    Ok(run.attempts().map(|(what, errno)| (what.to_owned(), errno == 0)).collect())
}

fn profile(ws: &Path, name: &str, random: &mut Random) -> String {
    let mut text = format!("name = \"{name}\"\nextends = [\"builtin:base\"]\n");
    let network = random.below(3) == 0;
    let mut binds = Vec::new();
    let mut granted = Vec::new();
    for _ in 0..=random.below(3) {
        let folder = random.pick(&FOLDERS);
        if !granted.contains(&folder) {
            granted.push(folder);
            let access = random.pick(&["read", "write", "execute"]);
            let from = ws.join(folder);
            // Not below /tmp, where everything else is the sandbox's own to write.
            binds.push(format!(
                "{{ from = {from:?}, to = \"/ws/{folder}\", access = \"{access}\" }}"
            ));
        }
    }
    text.push_str(&format!("[files]\nbind = [{}]\n", binds.join(", ")));
    if random.below(2) == 0 {
        let folder = random.pick(&granted);
        text.push_str(&format!("hide = [\"/ws/{folder}/hidden\"]\n"));
    }
    // A filter that refuses seccomp(2) would keep another from being put on.
    let names = CALLS.iter().map(|(name, _)| *name).chain(["seccomp"]);
    let denied: Vec<String> =
        names.filter(|_| random.below(3) == 0).map(|name| format!("{name:?}")).collect();
    text.push_str(&format!("[syscalls]\ndeny = [{}]\n", denied.join(", ")));
    if network {
        text.push_str("[network]\nmode = \"host\"\nreason = \"a test\"\n");
    }
    text
}

fn try_all(inside: &Inside) -> Result<()> {
    let ws = Path::new("/ws");
    for folder in FOLDERS {
        let at = ws.join(folder);
        inside.attempt(&format!("list {folder}"), fs::read_dir(&at));
        for name in ["file", "hidden"] {
            let file = at.join(name);
            inside.attempt(&format!("read {folder}/{name}"), fs::File::open(&file));
            let write = fs::OpenOptions::new().write(true).open(&file);
            inside.attempt(&format!("write {folder}/{name}"), write);
        }
        inside.attempt(&format!("execute {folder}"), Command::new(at.join("program")).output());
        let made = at.join("made");
        let create = fs::OpenOptions::new().write(true).create_new(true).open(&made);
        if inside.attempt(&format!("create {folder}"), create).is_some() {
            fs::remove_file(&made)?;
        }
        if inside.attempt(&format!("mkdir {folder}"), fs::create_dir(&made)).is_some() {
            fs::remove_dir(&made)?;
        }
        for to in FOLDERS {
            let (from, to_path) = (at.join("file"), ws.join(to).join("moved"));
            let moved = fs::rename(&from, &to_path);
            if inside.attempt(&format!("move {folder} to {to}"), moved).is_some() {
                fs::rename(&to_path, &from)?;
            }
        }
    }
    for (name, number) in CALLS {
        let refused = [Errno::EPERM, Errno::ENOSYS];
        let answer = match raw::call_numbers(number, &[]) {
            Err(errno) if refused.contains(&errno) => Err(errno),
            Ok(_) | Err(_) => Ok(()),
        };
        inside.attempt(name, answer);
    }
    inside.attempt("internet", std::net::UdpSocket::bind("127.0.0.1:0"));
    inside.attempt("listen", std::net::TcpListener::bind("127.0.0.1:0"));
    Ok(())
}
