//! A private folder (mode 0700) with spaces, quotes, newlines and other scripts in its names, deep
//! paths and links inside is worked in as any other, and stays its owner's.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::outside::OWNER;
use sandboxd_integration::{Case, Outside};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};

pub(crate) const CASE: Case = Case { rows: &["F13", "F14"], outside, ..Case::NEW };

const NAMES: &[&str] = &[
    "with space",
    "quo'te \"s\"",
    "new\nline",
    "日本語 ünï",
    "-dash",
    "tab\there",
    "*?[x]",
    "$HOME",
];

const WORK: &str = r#"set -eu
for name in ./*/; do
    cat "${name}in" > "${name}out"
    mv "${name}out" "${name}moved here"
done
deep=.
for _ in $(seq 40); do deep=$deep/a-folder-with-a-rather-long-name; done
mkdir -p "$deep"
echo deep > "$deep/file"
cat link/in > through
cat chain > chained
ln -s "$PWD/through" absolute
cat absolute > again
rm -r deleted\ later
pwd > where
stat -c %a . >> where
"#;

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?.join("my project (1)");
    for name in NAMES.iter().chain(&["deleted later"]) {
        outside.file(&format!("ws/my project (1)/{name}/in"), name)?;
    }
    symlink("with space", ws.join("link"))?;
    symlink("link/in", ws.join("chain"))?;
    fs::set_permissions(&ws, fs::Permissions::from_mode(0o700))?;
    chown(&ws, Some(OWNER), Some(OWNER))?;
    for profile in ["coding-agent", "ci-job"] {
        let sandbox = outside.bare().option(format!("--profile=builtin:{profile}"));
        sandbox.cwd(&ws).command(&["bash", "-c", WORK]).run()?.exited(0)?;
        for name in NAMES {
            let path = ws.join(name).join("moved here");
            let text = fs::read_to_string(&path).with_context(|| format!("{path:?}"))?;
            ensure!(text == *name, "{name:?} holds {text:?}");
            ensure!(fs::metadata(&path)?.uid() == OWNER, "{name:?} changed hands");
        }
        let text = |name: &str| fs::read_to_string(ws.join(name));
        for name in ["through", "chained", "again"] {
            ensure!(text(name)? == "with space", "{name}: the link was not followed");
        }
        ensure!(text("where")? == format!("{}\n700\n", ws.display()), "it is elsewhere inside");
        let mut deep = ws.clone();
        deep.extend(["a-folder-with-a-rather-long-name"; 40]);
        ensure!(fs::read_to_string(deep.join("file"))? == "deep\n", "the deep file is not there");
        ensure!(!ws.join("deleted later").exists(), "what was removed is there");
        fs::remove_file(ws.join("absolute"))?;
        fs::remove_dir_all(ws.join("a-folder-with-a-rather-long-name"))?;
        outside.file("ws/my project (1)/deleted later/in", "x")?;
    }
    Ok(())
}
