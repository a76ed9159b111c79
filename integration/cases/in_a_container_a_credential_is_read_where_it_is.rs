//! Where there are no namespaces, a command reads the credentials that its profile names in systemd's own
//! folder, changes none, and opens no other.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Need, Outside};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};

pub(crate) const CASE: Case = Case {
    rows: &["I01", "F08"],
    needs: &[Need::Landlock(6)],
    by: By::Anybody,
    outside,
    ..Case::NEW
};

const PROFILE: &str = r#"
extends = ["builtin:container"]
[command]
credentials = ["token"]
user = "invoker"
reason = "it is whoever runs this"
"#;

fn outside(outside: &Outside) -> Result<()> {
    let token = outside.file("credentials/token", "told")?;
    outside.file("credentials/other", "another's")?;
    let folder = token.parent().context("a folder")?;
    let own = Some(nix::unistd::geteuid().as_raw());
    for name in ["token", "other", "."] {
        let path = folder.join(name);
        let mode = if name == "." { 0o500 } else { 0o400 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        chown(&path, own, None)?;
    }
    let text = "cat $CREDENTIALS_DIRECTORY/token; cat $CREDENTIALS_DIRECTORY/other || echo; \
                echo x >$CREDENTIALS_DIRECTORY/token || echo kept";
    let sandbox = outside.sandbox(PROFILE).waiving_nothing();
    let sandbox = sandbox.env("CREDENTIALS_DIRECTORY", folder.to_str().context("a path")?);
    let run = sandbox.command(&["/bin/sh", "-c", text]).run()?;
    run.exited(0)?;
    ensure!(run.stdout == "told\nkept\n", "{:?}", run.stdout);
    ensure!(fs::read_to_string(&token)? == "told", "it was changed");
    Ok(())
}
