//! What npm needs to install a package from a folder and node to use it, and cargo to build a crate, is learnt
//! in one run, and under the written profile the same is done again.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{Case, Need, Outside};
use std::fs;
use std::path::Path;

pub(crate) const CASE: Case = Case {
    rows: &["X03"],
    needs: &[
        Need::Program("/usr/bin/npm"),
        Need::Home(".cargo/bin/cargo"),
        Need::Home(".rustup/toolchains"),
    ],
    seconds: 600,
    outside,
    ..Case::NEW
};

const NPM: &str = "cd app && npm install --no-audit --no-fund --offline >/dev/null && \
    node -e 'console.log(require(\"part\"))'";
const CARGO: &str = "cd crate && cargo build -q --offline && target/debug/built";

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    for (path, text) in [
        ("part/package.json", "{\"name\":\"part\",\"version\":\"1.0.0\",\"main\":\"i.js\"}"),
        ("part/i.js", "module.exports = 'from the part'"),
        (
            "app/package.json",
            "{\"name\":\"app\",\"version\":\"1.0.0\",\"dependencies\":{\"part\":\"file:../part\"}}",
        ),
        (
            "crate/Cargo.toml",
            "[package]\nname = \"built\"\nversion = \"0.1.0\"\nedition = \"2021\"\n",
        ),
        ("crate/src/main.rs", "fn main() { println!(\"from the crate\"); }\n"),
    ] {
        outside.file(&format!("ws/{path}"), text)?;
    }
    learnt(outside, &ws, ("builtin:node-tool", NPM, "from the part\n"))?;
    fs::remove_dir_all(ws.join("app/node_modules"))?;
    learnt(outside, &ws, ("builtin:coding-agent", CARGO, "from the crate\n"))
}

fn learnt(outside: &Outside, ws: &Path, (base, script, says): (&str, &str, &str)) -> Result<()> {
    let file = outside.dir().join(format!("{}.toml", base.trim_start_matches("builtin:")));
    let learn = outside.bare().verb("learn").option("--profile").option(base);
    let learn = learn.option("--output").option(file.as_path()).option("--write").option(ws);
    let run = learn.cwd(ws).command(&["/bin/sh", "-c", script]).run()?;
    run.exited(0)?;
    ensure!(run.stdout == says, "{}", run.stdout);
    for made in ["app/node_modules", "crate/target"] {
        if ws.join(made).exists() {
            fs::remove_dir_all(ws.join(made))?;
        }
    }
    let profile = fs::read_to_string(&file)?;
    let again = outside.bare().option("--profile").option(file.as_path()).cwd(ws).run()?;
    again.exited(0).with_context(|| profile.clone())?;
    ensure!(again.stdout == says, "{} under {profile}", again.stdout);
    Ok(())
}
