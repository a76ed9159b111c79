//! Whatever is given as a profile, the answer is quick, precise and never a crash.

use anyhow::{Context as _, Result, ensure};
use nix::sys::stat::Mode;
use sandboxd_integration::{By, Case, Outside, Run};
use std::path::Path;
use std::time::{Duration, Instant};

pub(crate) const CASE: Case = Case { rows: &["X03"], outside, by: By::Anybody, ..Case::NEW };

/// More than any of them may take, on a busy machine and not optimised.
const MOST: Duration = Duration::from_secs(5);

/// Texts, and words that one line of the answer must hold.
fn texts() -> Vec<(&'static str, Vec<u8>, &'static [&'static str])> {
    let text = |text: &str| text.as_bytes().to_vec();
    vec![
        ("unknown key", text("[files]\nread_only = []\n"), &[":2:", "read_only"]),
        ("unknown table", text("[fields]\n"), &[":1:", "fields"]),
        ("key twice", text("[files]\nread = []\nread = []\n"), &[":3:", "read"]),
        ("table twice", text("[files]\n[files]\n"), &[":2:", "files"]),
        ("relative", text("[files]\nread = [\"etc/ssl\"]\n"), &[":2:", "files.read[0]"]),
        ("tilde", text("[files]\nread = [\"~/.ssh\"]\n"), &[":2:", "files.read[0]"]),
        ("dots", text("[files]\nread = [\"/usr/../etc\"]\n"), &[":2:", ".."]),
        ("glob", text("[files]\nread = [\"/etc/*.conf\"]\n"), &[":2:", "*"]),
        ("empty path", text("[files]\nread = [\"\"]\n"), &[":2:", "files.read[0]"]),
        ("escaped NUL", text("[files]\nread = [\"/etc\\u0000x\"]\n"), &[":2:", "files.read[0]"]),
        ("raw NUL", text("[files]\nread = [\"/etc\0x\"]\n"), &[":2:"]),
        ("not UTF-8", b"[files]\nread = [\"/\xff\"]\n".to_vec(), &["UTF-8"]),
        ("huge number", text("[limits]\nprocesses = 99999999999999999999\n"), &[":2:"]),
        ("largest", text("[limits]\nprocesses = 9223372036854775807\n"), &[":2:", "processes"]),
        ("negative", text("[limits]\nprocesses = -1\n"), &[":2:", "processes"]),
        ("huge size", text("[limits]\nmemory = \"99999999999T\"\n"), &[":2:", "memory"]),
        ("endless", text("[limits]\ncpus = inf\n"), &[":2:", "cpus"]),
        ("no number", text("[limits]\ncpus = nan\n"), &[":2:", "cpus"]),
        ("wrong type", text("[files]\nread = 3\n"), &[":2:", "files.read"]),
        ("unclosed", text("[files\n"), &[":1:"]),
        ("unknown call", text("[syscalls]\nallow = [\"opne\"]\n"), &[":2:", "opne"]),
        ("tables", text(&(0..100_000).map(|at| format!("[t{at}]\n")).collect::<String>()), &[]),
        ("few tables", text(&(0..20_000).map(|at| format!("[t{at}]\n")).collect::<String>()), &[]),
        ("deep arrays", text(&format!("name = {}\n", "[".repeat(100_000))), &[":1:"]),
        ("deep tables", text(&format!("{}1\n", "a.".repeat(50_000))), &[":1:"]),
        ("deep inline", text(&format!("name = {}\n", "{a=".repeat(50_000))), &[":1:"]),
        ("long line", text(&format!("name = \"{}\"\n", "a".repeat(200_000))), &[":1:", "name"]),
        (
            "escapes",
            text("[files]\nread = [\"/\\u001b]52;c;x\\u0007\\nsandboxd: ok\"]\n"),
            &[":2:"],
        ),
    ]
}

fn outside(outside: &Outside) -> Result<()> {
    for (what, text, words) in texts() {
        let begun = Instant::now();
        let run = outside.sandbox("").profile(text).command(&["/bin/echo", "ran"]).run()?;
        judge(&run, words, begun).with_context(|| what.to_owned())?;
    }
    let dir = outside.dir();
    let (fifo, socket, broken) = (dir.join("fifo"), dir.join("socket"), dir.join("broken"));
    nix::unistd::mkfifo(&fifo, Mode::S_IRWXU)?;
    let _listens = std::os::unix::net::UnixListener::bind(&socket)?;
    std::os::unix::fs::symlink("nowhere", &broken)?;
    let others: [&Path; 8] = [
        dir,
        &fifo,
        &socket,
        &broken,
        Path::new("/dev/zero"),
        Path::new("/dev/tty"),
        Path::new("/proc/self/mem"),
        Path::new("/proc/kmsg"),
    ];
    for path in others {
        let begun = Instant::now();
        let run = given(outside, &path.to_string_lossy())?;
        judge(&run, &[&path.to_string_lossy()], begun)
            .with_context(|| path.display().to_string())?;
    }
    for name in ["builtin:", "builtin:../base", "builtin:nothing", "", "\n"] {
        let begun = Instant::now();
        judge(&given(outside, name)?, &[], begun).with_context(|| format!("{name:?}"))?;
    }
    Ok(())
}

fn given(outside: &Outside, profile: &str) -> Result<Run> {
    outside.bare().option("--profile").option(profile).command(&["/bin/echo", "ran"]).run()
}

fn judge(run: &Run, words: &[&str], begun: Instant) -> Result<()> {
    let took = begun.elapsed();
    run.has_problem(words)?;
    let raw = run.stderr.chars().find(|letter| letter.is_control() && *letter != '\n');
    ensure!(raw.is_none(), "the message holds {raw:?}");
    ensure!(!run.stderr.contains("\nsandboxd: ok"), "a profile wrote a line of the message");
    ensure!(run.stderr.len() < 64 << 10, "the message is {} bytes long", run.stderr.len());
    ensure!(took < MOST, "it took {took:?}");
    Ok(())
}
