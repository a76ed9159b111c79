//! How long to wait: every deadline of the harness and its cases, stretched on a slow machine.
//!
//! An emulated processor takes many times as long. Whoever starts the harness there says so once
//! (`--slower N`); nothing of it reaches the product.

use anyhow::{Result, ensure};
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Tells the factor to a case, which is a process of its own.
pub(crate) const VARIABLE: &str = "SANDBOXD_TESTS_SLOWER";

/// This long, or longer on a machine that is said to be slower.
#[must_use]
pub fn patience(usual: Duration) -> Duration {
    usual.saturating_mul(slower())
}

/// Waits until somebody made this file.
///
/// # Errors
/// Where nobody does within a minute.
pub fn wait_for(file: &Path) -> Result<()> {
    let until = Instant::now() + patience(Duration::from_secs(60));
    while !file.exists() {
        ensure!(Instant::now() < until, "{} does not come", file.display());
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn slower() -> u32 {
    static SLOWER: OnceLock<u32> = OnceLock::new();
    *SLOWER.get_or_init(|| {
        std::env::var(VARIABLE).ok().and_then(|factor| factor.parse().ok()).unwrap_or(1)
    })
}
