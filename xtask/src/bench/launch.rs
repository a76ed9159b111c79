//! Many starts: how many a second, beside bubblewrap and runc; and a thousand alive at once.
//!
//! The kinds take turns of a second each, so that whatever else the machine does hits all alike.

use super::Built;
use super::paired::at;
use super::start::BWRAP;
use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long one kind has its turn.
const TURN: Duration = Duration::from_secs(1);

/// How many are alive at once in the end.
const ALIVE: usize = 1000;

/// One way to start `/bin/true`.
struct Kind<'a> {
    name: &'static str,
    command: Box<dyn Fn(usize) -> Command + Sync + 'a>,
    /// Of each turn: how many were started in it, in a second.
    rates: Vec<f64>,
    times: Vec<Duration>,
}

pub(crate) fn run(built: &Built, seconds: u64, alive: bool) -> Result<()> {
    let profile = built.sources.join("start.toml");
    let bundle = bundle(built)?;
    let runc = runc_works(&bundle);
    if let Err(why) = &runc {
        println!("runc is left out: {why:#}\n");
    }
    for launchers in [1, 2] {
        let mut kinds = vec![
            Kind::new("sandboxd run, every layer", |_| built.run(&profile, &["/bin/true"])),
            Kind::new("bwrap --unshare-all", |_| {
                let mut bwrap = Command::new("bwrap");
                bwrap.args(BWRAP);
                bwrap
            }),
        ];
        if runc.is_ok() {
            kinds.push(Kind::new("runc run", |number| runc_run(&bundle, number)));
        }
        let turns = usize::try_from(seconds)?.max(1);
        for turn in 0..turns {
            let first = turn % kinds.len();
            let (later, sooner) = kinds.split_at_mut(first);
            for kind in sooner.iter_mut().chain(later) {
                kind.turn(launchers).with_context(|| kind.name)?;
            }
        }
        print(launchers, &mut kinds);
    }
    if alive { many(built) } else { Ok(()) }
}

impl<'a> Kind<'a> {
    fn new(name: &'static str, command: impl Fn(usize) -> Command + Sync + 'a) -> Self {
        Self { name, command: Box::new(command), rates: Vec::new(), times: Vec::new() }
    }

    fn turn(&mut self, launchers: usize) -> Result<()> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let command = &self.command;
        let begun = Instant::now();
        let launcher = || -> Result<Vec<Duration>> {
            let mut times = Vec::new();
            while begun.elapsed() < TURN {
                let mut command = command(NUMBER.fetch_add(1, Ordering::Relaxed));
                let from = Instant::now();
                let status = command
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .status()?;
                ensure!(status.success(), "{status}");
                times.push(from.elapsed());
            }
            Ok(times)
        };
        let all: Vec<Result<Vec<Duration>>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..launchers).map(|_| scope.spawn(launcher)).collect();
            let ended = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
            ended.map(|times| times.unwrap_or_else(|_| Ok(Vec::new()))).collect()
        });
        let took = begun.elapsed();
        let mut count = 0_u32;
        for times in all {
            for time in times? {
                self.times.push(time);
                count += 1;
            }
        }
        self.rates.push(f64::from(count) / took.as_secs_f64());
        Ok(())
    }
}

fn print(launchers: usize, kinds: &mut [Kind<'_>]) {
    println!("launchers: {launchers}");
    println!("{:<30}{:>11}{:>9}{:>11}{:>11}", "", "a second", "ratio", "p50", "p99");
    let reference = kinds.get(1).map(|bwrap| bwrap.rates.clone()).unwrap_or_default();
    for kind in kinds {
        // Of each turn with the other's of the same round.
        let mut ratios: Vec<f64> =
            kind.rates.iter().zip(&reference).map(|(own, other)| own / other).collect();
        ratios.sort_by(f64::total_cmp);
        kind.rates.sort_by(f64::total_cmp);
        kind.times.sort();
        let micros = |permille| at(&kind.times, permille).map_or(0, Duration::as_micros);
        println!(
            "{:<30}{:>11.1}{:>9.2}{:>8} µs{:>8} µs",
            kind.name,
            at(&kind.rates, 500).copied().unwrap_or_default(),
            at(&ratios, 500).copied().unwrap_or_default(),
            micros(500),
            micros(990),
        );
    }
    println!();
}

/// A bundle that shows what the others show: the host's `/usr`, read-only.
fn bundle(built: &Built) -> Result<PathBuf> {
    let bundle = built.folder.join("runc");
    let root = bundle.join("rootfs");
    for folder in ["usr", "proc", "dev", "tmp", "home/agent"] {
        fs::create_dir_all(root.join(folder))?;
    }
    for name in ["bin", "sbin", "lib", "lib64"] {
        let link = root.join(name);
        if !link.is_symlink() {
            std::os::unix::fs::symlink(format!("usr/{name}"), link)?;
        }
    }
    let mount = |to: &str, kind: &str, from: &str, options: &[&str]| serde_json::json!({ "destination": to, "type": kind, "source": from, "options": options });
    let namespaces: Vec<_> = ["pid", "network", "ipc", "uts", "mount"]
        .iter()
        .map(|name| serde_json::json!({ "type": name }))
        .collect();
    let config = serde_json::json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false, "user": { "uid": 65000, "gid": 65000 }, "cwd": "/",
            "args": ["/bin/true"], "env": ["PATH=/usr/bin:/bin"], "noNewPrivileges": true,
        },
        "root": { "path": "rootfs", "readonly": true },
        "mounts": [
            mount("/proc", "proc", "proc", &[]),
            mount("/dev", "tmpfs", "tmpfs", &["nosuid", "mode=755", "size=65536k"]),
            mount("/tmp", "tmpfs", "tmpfs", &["nosuid", "nodev"]),
            mount("/usr", "bind", "/usr", &["bind", "ro"]),
        ],
        "linux": { "namespaces": namespaces },
    });
    fs::write(bundle.join("config.json"), serde_json::to_string(&config)?)?;
    Ok(bundle)
}

fn runc_run(bundle: &Path, number: usize) -> Command {
    let mut runc = Command::new("runc");
    let name = format!("bench-{}-{number}", std::process::id());
    runc.arg("run").arg("--bundle").arg(bundle).arg(name);
    runc
}

/// Why runc cannot run here, in its own words.
fn runc_works(bundle: &Path) -> Result<()> {
    let output = runc_run(bundle, usize::MAX)
        .stdin(Stdio::null())
        .output()
        .context("apt-get install runc")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}", said.lines().last().unwrap_or_default());
    Ok(())
}

/// A thousand that sleep: how long the last ones take to start against the first, what each keeps in
/// memory, and how long their end takes.
fn many(built: &Built) -> Result<()> {
    let profile = built.sources.join("start.toml");
    let before = available()?;
    let mut alive: Vec<Child> = Vec::new();
    let mut times = Vec::new();
    for _ in 0..ALIVE {
        let from = Instant::now();
        let mut child = built
            .run(&profile, &["/bin/sh", "-c", "echo; exec sleep 600"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut told = [0; 1];
        let mut out = child.stdout.take().context("its output")?;
        std::io::Read::read_exact(&mut out, &mut told).context("one did not start")?;
        times.push(from.elapsed());
        alive.push(child);
    }
    let after = available()?;
    let proportional: u64 = alive.iter().map(|child| pss(child.id())).sum();
    let begun = Instant::now();
    for child in &alive {
        // SIGTERM, which is forwarded; sleep(1) ends of it.
        Command::new("kill").arg(child.id().to_string()).status()?;
    }
    for mut child in alive {
        child.wait()?;
    }
    let ended = begun.elapsed();
    let median = |range: std::ops::Range<usize>| {
        let mut part = times.get(range).unwrap_or_default().to_vec();
        part.sort();
        at(&part, 500).copied().unwrap_or_default()
    };
    // Twenty around the 10th, and the last twenty.
    let (first, last) = (median(0..20), median(ALIVE - 20..ALIVE));
    let count = u64::try_from(ALIVE)?;
    println!("{ALIVE} alive at once");
    println!("start, median of the first 20     {:>8} µs", first.as_micros());
    println!("start, median of the last 20      {:>8} µs", last.as_micros());
    println!("last to first                     {:>8.2}", last.div_duration_f64(first));
    println!("supervisor, proportional          {:>8} KiB each", proportional / count);
    println!(
        "all of it, by MemAvailable        {:>8} KiB each",
        before.saturating_sub(after) / count
    );
    println!("their end, one signal after another {:>6} ms for all", ended.as_millis());
    Ok(())
}

/// `MemAvailable`, in KiB.
fn available() -> Result<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    field(&text, "MemAvailable:").context("MemAvailable")
}

/// What of a process's memory is its own, shared pages by share, in KiB; 0 of one that is gone.
fn pss(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    field(&text, "Pss:").unwrap_or(0)
}

fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
