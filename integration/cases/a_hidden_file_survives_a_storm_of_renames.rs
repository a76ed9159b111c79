//! A hidden file cannot be reached by winning a race: renames, exchanges, links and unnamed files, from
//! several threads at once.

use anyhow::{Result, ensure};
use nix::fcntl::{AT_FDCWD, OFlag, RenameFlags, renameat2};
use nix::sys::stat::Mode;
use sandboxd_integration::{By, Case, Inside, Outside};
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub(crate) const CASE: Case = Case {
    rows: &["E7", "F17"],
    outside,
    probes: &[("storm", storm)],
    by: By::Anybody,
    ..Case::NEW
};

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let canary = outside.canary("ws/keys/.env")?;
    outside.file("ws/plain/.env", "mine")?;
    let profile = format!(
        "extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\nhide = [{:?}]\n",
        canary.path()
    );
    let run = outside.sandbox(&profile).probe("storm", &[ws.to_str().unwrap_or_default()]).run()?;
    run.ran()?.keeps(&canary)?;
    ensure!(run.fact("tries")?.parse::<u64>()? > 10_000, "no storm: {}", run.fact("tries")?);
    canary.unchanged()
}

fn storm(inside: &Inside) -> Result<()> {
    let ws = inside.path(0)?;
    let until = Instant::now() + Duration::from_secs(3);
    let tries = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| move_about(ws, until, &tries));
        scope.spawn(|| link_about(ws, until, &tries));
        scope.spawn(|| {
            let names = ["keys/.env", "plain/.env", "moved/.env", "linked", "unnamed"];
            while Instant::now() < until {
                for name in names {
                    tries.fetch_add(1, Ordering::Relaxed);
                    let mut text = String::new();
                    let read = fs::File::open(ws.join(name))
                        .and_then(|mut file| file.read_to_string(&mut text));
                    if read.is_ok() && !text.is_empty() && text != "mine" {
                        inside.fact(name, &text);
                    }
                }
            }
        });
    });
    inside.fact("tries", &tries.load(Ordering::Relaxed).to_string());
    Ok(())
}

/// The folder of the hidden file, and the file, under other names.
fn move_about(ws: &Path, until: Instant, tries: &AtomicU64) {
    let pairs = [
        ("keys", "plain"),
        ("keys", "moved"),
        ("keys/.env", "plain/.env"),
        ("keys/.env", "linked"),
    ];
    let won = |from: &str, to: &str, flags| {
        tries.fetch_add(1, Ordering::Relaxed);
        renameat2(AT_FDCWD, &ws.join(from), AT_FDCWD, &ws.join(to), flags).is_ok()
    };
    while Instant::now() < until {
        for (from, to) in pairs {
            for flags in
                [RenameFlags::RENAME_EXCHANGE, RenameFlags::RENAME_NOREPLACE, RenameFlags::empty()]
            {
                // Back again, so that the next try begins where the first did.
                if won(from, to, flags) {
                    won(to, from, flags);
                }
            }
        }
    }
}

/// Links to the hidden file, and an unnamed file put in its place.
fn link_about(ws: &Path, until: Instant, tries: &AtomicU64) {
    let mut refused = 0_u64;
    while Instant::now() < until {
        tries.fetch_add(2, Ordering::Relaxed);
        refused += u64::from(fs::hard_link(ws.join("keys/.env"), ws.join("linked")).is_err());
        let unnamed = nix::fcntl::open(ws, OFlag::O_TMPFILE | OFlag::O_RDWR, Mode::S_IRWXU);
        if let Ok(file) = unnamed {
            let to = ws.join("keys/.env");
            let flags = nix::fcntl::AtFlags::AT_EMPTY_PATH;
            refused += u64::from(nix::unistd::linkat(&file, "", AT_FDCWD, &to, flags).is_err());
        }
    }
    tries.fetch_add(refused, Ordering::Relaxed);
}
