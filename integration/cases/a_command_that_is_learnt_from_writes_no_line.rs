//! Whatever a command does while it is learnt from, the host is protected, and what it chose is no line of the
//! profile: not by names with line ends and quotes in them, nor by thousands of files, paths that are swapped
//! while they are looked at, places that nobody should write, keys, or the observer's own file.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Need, Outside};
use std::fs;
use std::path::Path;

pub(crate) const CASE: Case = Case {
    rows: &["X03", "T04"],
    needs: &[Need::Program("/usr/bin/python3")],
    seconds: 240,
    outside,
    by: By::Anybody,
    ..Case::NEW
};

/// Each step may fail, and the next is tried.
const EVIL: &str = r#"
import ctypes, os, sys, threading
data, ws = sys.argv[1], sys.argv[2]
def tries(step, *words):
    try:
        step(*words)
    except (OSError, ValueError):
        pass
ctypes.CDLL(None).prctl(15, b'x]\nwrite=["/"', 0, 0, 0)
for name in ['a\n[files]\nwrite = ["/"]\n#', 'b"]\nwrite=["/"', 'c\x1b]0;owned\x07', 'd\xff\udcff']:
    tries(lambda: open(os.path.join(ws, name), 'w').close())
    tries(lambda: open(os.path.join(ws, name)).close())
for number in range(3000):
    tries(lambda: open(f'{data}/many/{number % 30}/{number}').close())
for path in ['/etc/passwd', '/usr/bin/python3', '/etc/cron.d/x', '/usr/lib/x', '/x', data + '/one']:
    tries(lambda: open(path, 'a').write('owned'))
tries(lambda: print(open(data + '/.ssh/id').read()))
tries(lambda: os.listdir('/'))
for number in os.listdir('/proc'):
    for fd in range(16):
        tries(lambda: open(f'/proc/{number}/fd/{fd}', 'wb').write(b'\x02\x01\x01\x01\x00/x'))
tries(lambda: open('/sandboxd-learn/record', 'wb').write(b'\x02\x01\x01\x01\x00/x'))
# The very bytes that the kernel and the observer are shown, until the kernel has met either often.
plain, key = b'/usr/bin/env', os.fsencode(data + '/.ssh/other')
path = ctypes.create_string_buffer(key)
stop = False
def swap():
    while not stop:
        path.value = plain
        path.value = key
sys.setswitchinterval(1e-5)
thread = threading.Thread(target=swap)
thread.start()
opens, met = ctypes.CDLL(None).open, dict.fromkeys([os.stat('/usr/bin/env').st_ino, 0], 0)
while min(met.values()) < 200:
    fd = opens(path, 0)
    if fd >= 0:
        number = os.fstat(fd).st_ino
        met[number if number in met else 0] += 1
        os.close(fd)
stop = True
thread.join()
"#;

fn outside(outside: &Outside) -> Result<()> {
    let secret = outside.canary("data/.ssh/id")?;
    let swapped = outside.canary("data/.ssh/other")?;
    let kept = outside.canary("data/one")?;
    for number in 0..60 {
        outside.file(&format!("data/many/{}/{number}", number % 30), "x")?;
    }
    let ws = outside.workspace()?;
    let evil = outside.file("evil/evil.py", EVIL)?;
    let file = outside.dir().join("learnt.toml");
    let data = outside.dir().join("data");
    let learn = outside.bare().verb("learn").option("--output").option(file.as_path());
    let words = [Path::new("/usr/bin/python3"), &evil, &data, &ws];
    let words: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
    let learn = learn.option("--read").option(data.as_path());
    let learn = learn.option("--read").option(outside.dir().join("evil"));
    let run = learn.option("--write").option(ws.as_path()).cwd(&ws).command(&words).run()?;
    ensure!(run.exit() == Some(0), "the adversary did not get to its end: {}", run.stderr);
    kept.unchanged()?;
    secret.unchanged()?;
    swapped.unchanged()?;
    ensure!(!run.stderr.contains('\u{1b}'), "a name makes the terminal act: {}", run.stderr);
    for path in ["/etc/cron.d/x", "/usr/lib/x", "/x"] {
        ensure!(!Path::new(path).exists(), "{path} was made");
    }
    let text = fs::read_to_string(&file)?;
    judged(&text, &data).with_context(|| text.clone())?;
    let checked = outside.bare().verb("check").option("--profile").option(file.as_path()).run()?;
    checked.exited(0).with_context(|| text)?;
    its_own_folder(outside, &ws)
}

/// Where the command may write, its profile is not written.
fn its_own_folder(outside: &Outside, ws: &Path) -> Result<()> {
    let learn = outside.bare().verb("learn").option("--output").option("own.toml");
    let run = learn.option("--write").option(".").cwd(ws).command(&["/bin/echo", "ran"]).run()?;
    run.exited(125)?;
    ensure!(run.stderr.contains("the profile own.toml is in it"), "{}", run.stderr);
    ensure!(!run.stdout.contains("ran"), "it ran");
    ensure!(!ws.join("own.toml").exists(), "a file that is no profile stays");
    Ok(())
}

fn judged(text: &str, data: &Path) -> Result<()> {
    ensure!(text.len() < 64 << 10, "a profile of {} bytes", text.len());
    ensure!(!text.contains('\u{1b}') && !text.contains('\u{7f}'), "a name is in it as it was");
    // Line by line: what is no comment is one of the few things that are written.
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let known =
            ["extends = [", "[command]", "exec = [", "cwd = ", "[files]", "read = [", "write = ["];
        let entry = line.starts_with("    \"/") || ["]", "execute = ["].contains(&line);
        ensure!(entry || known.iter().any(|known| line.starts_with(known)), "{line:?}");
    }
    let grant = |path: &str| text.contains(&format!("    \"{path}\","));
    let keys = data.join(".ssh");
    for wide in ["/", "/etc", "/usr", "/x", "/etc/cron.d", "/usr/lib", "/etc/shadow"] {
        ensure!(!grant(wide), "{wide} is granted");
    }
    for key in ["id", "other"].map(|name| keys.join(name)) {
        ensure!(!grant(&key.to_string_lossy()), "keys are granted");
        ensure!(
            text.contains(&format!("{} (", key.display())),
            "that keys were wanted is not said"
        );
    }
    ensure!(!grant(&keys.to_string_lossy()), "keys are granted with the folder that they lie in");
    ensure!(!grant(&data.to_string_lossy()), "keys are granted with their folder");
    ensure!(grant(&data.join("many").to_string_lossy()), "what lies together is not granted so");
    Ok(())
}
