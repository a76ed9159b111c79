//! Cargo builds a crate with a vendored dependency and a build script, without a network, and runs
//! it, its tests and its documentation tests.

use anyhow::{Result, ensure};
use sandboxd_integration::outside::OWNER;
use sandboxd_integration::{Case, Need, Outside};
use std::fs;
use std::os::unix::fs::MetadataExt as _;

pub(crate) const CASE: Case = Case {
    rows: &["P22"],
    needs: &[Need::Home(".cargo/bin/cargo"), Need::Program("/usr/bin/gcc")],
    seconds: 180,
    outside,
    ..Case::NEW
};

const CRATE: &[(&str, &str)] = &[
    (
        "Cargo.toml",
        "[package]\nname = \"built\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\
         [dependencies]\nsmall = \"1\"\n",
    ),
    ("build.rs", "fn main() { println!(\"cargo:rustc-env=FROM_SCRIPT=script\"); }\n"),
    ("src/main.rs", "fn main() { println!(\"{} {}\", built::answer(), env!(\"FROM_SCRIPT\")); }\n"),
    (
        "src/lib.rs",
        "//! ```\n//! assert_eq!(built::answer(), 42);\n//! ```\n\
         pub fn answer() -> u32 { small::answer() }\n\
         #[test]\nfn answers() { assert_eq!(answer(), 42); }\n",
    ),
    (
        ".cargo/config.toml",
        "[source.crates-io]\nreplace-with = \"vendored\"\n\
         [source.vendored]\ndirectory = \"vendor\"\n",
    ),
    (
        "vendor/small/Cargo.toml",
        "[package]\nname = \"small\"\nversion = \"1.0.0\"\nedition = \"2021\"\n",
    ),
    ("vendor/small/src/lib.rs", "pub fn answer() -> u32 { 42 }\n"),
    ("vendor/small/.cargo-checksum.json", "{\"files\":{}}"),
];

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    for (path, text) in CRATE {
        outside.file(&format!("ws/{path}"), text)?;
    }
    let sandbox = |words: &[&str]| {
        let sandbox = outside.bare().option("--profile=builtin:coding-agent");
        sandbox.cwd(&ws).command(words).run()
    };
    let run = sandbox(&["sh", "-c", "cargo build --offline && target/debug/built"])?;
    run.exited(0)?;
    ensure!(run.stdout == "42 script\n", "what was built says {:?}", run.stdout);
    let owner = fs::metadata(ws.join("target/debug/built"))?.uid();
    ensure!(owner == OWNER, "what was built belongs to {owner}");
    let run = sandbox(&["cargo", "test", "--offline"])?;
    run.exited(0)?;
    let passed = run.stdout.matches("test result: ok. 1 passed").count();
    ensure!(passed == 2, "{passed} of the test and the documentation test passed");
    Ok(())
}
