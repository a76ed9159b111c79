//! The processes below a run, by their command lines.

use crate::{Running, patience};
use anyhow::{Context as _, Result, bail, ensure};
use std::fs;
use std::time::{Duration, Instant};

impl Running<'_> {
    /// The process below the supervisor whose command line this is.
    ///
    /// # Errors
    /// Where there is none.
    pub fn process(&self, wanted: impl Fn(&str) -> bool) -> Result<i32> {
        let supervisor = self.pid().as_raw();
        for entry in fs::read_dir("/proc")? {
            let Ok(pid) = entry?.file_name().to_string_lossy().parse::<i32>() else { continue };
            // Others' processes end while we look.
            let Ok(words) = fs::read(format!("/proc/{pid}/cmdline")) else { continue };
            let words = String::from_utf8_lossy(&words).replace('\0', " ");
            if wanted(words.trim_end()) && is_below(pid, supervisor) {
                return Ok(pid);
            }
        }
        bail!("there is no such process below {supervisor}")
    }

    /// The same, which may not be there yet: what is let go executes its program in its own time.
    ///
    /// # Errors
    /// Where there is none in time.
    pub fn process_to_come(&self, wanted: impl Fn(&str) -> bool) -> Result<i32> {
        let until = Instant::now() + patience(Duration::from_secs(30));
        loop {
            match self.process(&wanted) {
                Err(_) if Instant::now() < until => std::thread::sleep(Duration::from_millis(5)),
                found => return found,
            }
        }
    }
}

impl Running<'_> {
    /// The processes below the supervisor that become a command once it is let go, of what is kept ready: the
    /// shim's other half, whose parent is its init.
    ///
    /// # Errors
    /// Where processes cannot be listed.
    pub fn kept_ready(&self) -> Result<Vec<i32>> {
        let supervisor = self.pid().as_raw();
        let is_shim = |pid: i32| {
            fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|words| words == b"sandboxd-init\0")
        };
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let Ok(pid) = entry?.file_name().to_string_lossy().parse::<i32>() else { continue };
            let parent = field(pid, "PPid").ok().and_then(|parent| parent.parse().ok());
            if parent.is_some_and(is_shim) && is_shim(pid) && is_below(pid, supervisor) {
                found.push(pid);
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Waits until so many are kept ready, for a shell that runs.
    ///
    /// # Errors
    /// Where there are others for long.
    pub fn keeps_ready(&self, count: usize) -> Result<Vec<i32>> {
        // Before that it is in the shim itself, and so may its broker be.
        self.process_to_come(|command| command.starts_with("/bin/sh -c"))?;
        self.process_to_come(|command| command.ends_with("service broker"))?;
        let until = Instant::now() + patience(Duration::from_secs(30));
        loop {
            let found = self.kept_ready()?;
            if found.len() == count {
                return Ok(found);
            }
            ensure!(Instant::now() < until, "{} are kept ready, not {count}", found.len());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn is_below(process: i32, ancestor: i32) -> bool {
    let parent = |pid: &i32| field(*pid, "PPid").ok()?.parse().ok().filter(|pid| *pid > 1);
    std::iter::successors(Some(process), parent).any(|pid| pid == ancestor)
}

/// What stands behind a word of `/proc/PID/status`.
///
/// # Errors
/// Where the process is gone, or the kernel has no such word.
pub fn field(process: i32, name: &str) -> Result<String> {
    let path = format!("/proc/{process}/status");
    let status = fs::read_to_string(&path).context(path)?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    Ok(line.with_context(|| format!("no {name}"))?.trim().to_owned())
}
