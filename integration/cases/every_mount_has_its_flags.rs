//! Every mount inside ignores setuid bits; none but `/dev` has devices; and only what may be written
//! is writable, only what may be executed executable.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Outside};

pub(crate) const CASE: Case =
    Case { rows: &["F08", "F31", "V01"], outside, by: By::Anybody, ..Case::NEW };

/// What the command may write, of all that `builtin:base` and this profile show.
const WRITABLE: [&str; 6] = ["/proc", "/dev/pts", "/dev/shm", "/tmp", "/home/agent", "/work"];
const EXECUTABLE: [&str; 2] = ["/usr", "/opt"];

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let profile = format!(
        "extends = [\"builtin:base\"]\n[files]\nexecute = [\"/usr\", {{ path = \"/opt\", optional = true }}]\n\
         bind = [{{ from = {ws:?}, to = \"/work\", access = \"write\" }}]\n"
    );
    let run = outside.sandbox(&profile).command(&["/bin/cat", "/proc/self/mountinfo"]).run()?;
    run.exited(0)?;
    let mut seen = 0;
    for line in run.stdout.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let (point, flags) = fields.get(4).zip(fields.get(5)).context("a short line")?;
        let has = |flag| flags.split(',').any(|one| one == flag);
        let below = |trees: &[&str]| {
            trees.iter().any(|tree| point == tree || point.starts_with(&format!("{tree}/")))
        };
        ensure!(has("nosuid"), "{point}: {flags}");
        ensure!(has("nodev") || below(&["/dev"]), "{point}: {flags}");
        ensure!(has("noexec") || below(&EXECUTABLE), "{point}: {flags}");
        ensure!(has("ro") || WRITABLE.contains(point), "{point}: {flags}");
        seen += 1;
    }
    ensure!(seen > 10, "{seen} mounts");
    Ok(())
}
