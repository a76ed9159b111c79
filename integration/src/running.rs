//! A `sandboxd` that goes on.

use crate::sandbox::shortened;
use crate::{Outside, Run, patience};
use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

/// A `sandboxd` that was started. One that is not waited for is ended with the case.
#[derive(Debug)]
pub struct Running<'a> {
    pub(crate) outside: &'a Outside,
    pub(crate) folder: PathBuf,
    pub(crate) child: Child,
}

impl Running<'_> {
    /// The supervisor's number.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(i32::MAX))
    }

    /// Sends the supervisor a signal.
    ///
    /// # Errors
    /// Where it is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(self.pid(), signal).with_context(|| format!("{signal} to sandboxd"))
    }

    /// What it wrote to standard output so far.
    ///
    /// # Errors
    /// Where that cannot be read.
    pub fn stdout(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(self.folder.join("stdout"))?).into_owned())
    }

    /// How many bytes it wrote to standard output so far.
    ///
    /// # Errors
    /// Where that is not known.
    pub fn written(&self) -> Result<u64> {
        Ok(fs::metadata(self.folder.join("stdout"))?.len())
    }

    /// Forgets what it wrote to standard output so far. What it writes next lies where it would have lain, so that the
    /// count goes on.
    ///
    /// # Errors
    /// Where the file cannot be cut.
    pub fn forget_output(&self) -> Result<()> {
        Ok(fs::OpenOptions::new().write(true).open(self.folder.join("stdout"))?.set_len(0)?)
    }

    /// Waits until standard output holds these words, for ten seconds at most.
    ///
    /// # Errors
    /// Where they do not come.
    pub fn says(&mut self, words: &str) -> Result<()> {
        let until = Instant::now() + patience(Duration::from_secs(10));
        while !self.stdout()?.contains(words) {
            if let Some(status) = self.child.try_wait()? {
                let stderr = fs::read(self.folder.join("stderr"))?;
                bail!(
                    "ended before it said {words:?}: {status}\n{}",
                    String::from_utf8_lossy(&stderr)
                );
            }
            ensure!(Instant::now() < until, "it did not say {words:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// Where the kernel does not say.
    pub fn lives(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// Where what it wrote cannot be read.
    pub fn wait(mut self) -> Result<Run> {
        let status = self.child.wait()?;
        self.outside.launched().remove(&self.pid().as_raw());
        let run = Run::read(status, &self.folder)?;
        self.outside.note(&shortened(&run.stdout));
        self.outside.note(&shortened(&run.stderr));
        self.outside.note(&format!("=> {status}"));
        Ok(run)
    }
}
