//! Where a host, a container or a sandbox lets its users make no user namespaces, nothing is started, and
//! the message says what refuses it and what to do; so do `check` and `doctor`.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Fault, Need, Outside};
use std::process::Command;

pub(crate) const CASE: Case = Case {
    rows: &["C06", "E4"],
    needs: &[Need::Program("/usr/bin/unshare"), Need::Program("/usr/bin/setpriv")],
    outside,
    by: By::User,
    ..Case::NEW
};

fn outside(outside: &Outside) -> Result<()> {
    // As a container's filter does it: the namespace itself is refused, or what is done in it.
    for (number, errno) in [(libc::SYS_clone3, libc::ENOSYS), (libc::SYS_fsopen, libc::EPERM)] {
        for verb in ["run", "check"] {
            let fault = Fault::of(number, errno);
            let sandbox = outside.sandbox("extends = [\"builtin:base\"]\n").verb(verb);
            let run = sandbox.command(&["/bin/true"]).fault(fault).run()?;
            ensure!(run.exit() == Some(125) && run.stdout.is_empty(), "{verb}: {}", run.status);
            for words in ["a filter around sandboxd denies it", "remedy  run sandboxd outside it"] {
                ensure!(
                    run.stderr.contains(words),
                    "{verb} does not say {words:?}: {}",
                    run.stderr
                );
            }
        }
    }
    in_another(outside)?;
    none_left(outside)
}

/// In a sandbox of its own making, which lets nobody make another.
fn in_another(outside: &Outside) -> Result<()> {
    let product = std::env::current_exe()?.with_file_name("sandboxd");
    let shown = format!("{}:/inner:execute", product.display());
    let sandbox = outside.sandbox("extends = [\"builtin:base\"]\n").option("--bind").option(shown);
    let run = sandbox.command(&["/inner", "run", "--", "/bin/true"]).run()?;
    run.exited(125)?;
    ensure!(run.stderr.contains("or of another sandbox"), "not told: {}", run.stderr);
    Ok(())
}

/// As an administrator does it, in a user namespace whose setting is this process's to make.
fn none_left(outside: &Outside) -> Result<()> {
    let product = std::env::current_exe()?.with_file_name("sandboxd");
    let script = "echo 0 > /proc/sys/user/max_user_namespaces &&
        exec setpriv --inh-caps=-all --ambient-caps=-all \"$@\"";
    for words in [&["run", "--", "/bin/true"][..], &["doctor"]] {
        let ran = Command::new("/usr/bin/unshare")
            .args(["--user", "--map-current-user", "--keep-caps", "/bin/sh", "-c", script, "sh"])
            .arg(&product)
            .args(words)
            .env("TMPDIR", outside.dir().join("tmp"))
            .output()
            .context("unshare")?;
        let said =
            String::from_utf8_lossy(if words == ["doctor"] { &ran.stdout } else { &ran.stderr });
        ensure!(!ran.status.success(), "{words:?} went well: {said}");
        for wanted in ["user.max_user_namespaces = 0", "sysctl -w user.max_user_namespaces=15000"] {
            ensure!(said.contains(wanted), "{words:?} does not say {wanted:?}: {said}");
        }
    }
    Ok(())
}
