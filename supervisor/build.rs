//! Builds the shim and hands its bytes to the supervisor, so that one file is the whole product and
//! `cargo build`, `cargo install` and a copied binary all are complete.
//!
//! The shim is always the same build: optimised, without a C library and statically linked, whatever
//! profile the supervisor is built with. There is no debug shim that enforces less.
#![forbid(unsafe_code)]

use std::env;
use std::path::PathBuf;
use std::process::Command;

/// The shim has its own entry point, links nothing, and runs where it is loaded: there is no loader
/// to relocate it.
const FLAGS: [&str; 4] = [
    "-Crelocation-model=static",
    "-Clink-arg=-nostartfiles",
    "-Clink-arg=-nostdlib",
    "-Clink-arg=-static",
];
const TARGET: &str = "x86_64-unknown-linux-gnu";

#[expect(clippy::expect_used, reason = "a build script reports by panicking")]
#[expect(clippy::panic, reason = "a build script reports by panicking")]
fn main() {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let workspace = here.parent().expect("the supervisor lies in the workspace");
    let target_dir = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("shim");
    for input in ["shim", "Cargo.toml", "Cargo.lock", "rust-toolchain.toml"] {
        println!("cargo::rerun-if-changed={}", workspace.join(input).display());
    }
    let target = env::var("TARGET").expect("cargo sets it");
    assert!(
        target.starts_with("x86_64-") && target.contains("linux"),
        "sandboxd runs on x86_64 Linux so far, not on {target}"
    );
    let built = Command::new(env::var_os("CARGO").expect("cargo sets it"))
        .current_dir(workspace)
        .args(["build", "--package", "sandboxd-shim", "--profile", "shim", "--target", TARGET])
        .arg("--target-dir")
        .arg(&target_dir)
        // What shapes the outer build must not shape this one.
        .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\x1f"))
        .env_remove("RUSTFLAGS")
        .env_remove("RUSTC_WRAPPER")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("CARGO_BUILD_TARGET")
        .status();
    match built {
        Ok(status) if status.success() => {}
        Ok(status) => panic!("building the shim failed: {status}"),
        Err(error) => panic!("cargo did not start to build the shim: {error}"),
    }
    let shim = target_dir.join(TARGET).join("shim").join("sandboxd-shim");
    println!("cargo::rustc-env=SANDBOXD_SHIM={}", shim.display());
}
