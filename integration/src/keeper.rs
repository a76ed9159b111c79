//! OpenSSH's ssh-agent of whoever runs sandboxd, with keys in it.

use crate::patience;
use anyhow::{Context as _, Result, ensure};
use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// What a case needs for it.
pub const AGENT: &str = "/usr/bin/ssh-agent";
const ADD: &str = "/usr/bin/ssh-add";

/// One that listens; gone when it is let go of.
#[derive(Debug)]
pub struct Keeper {
    process: Child,
    socket: PathBuf,
}

impl Keeper {
    /// Starts one that listens there.
    ///
    /// # Errors
    /// Where it does not in time.
    pub fn begin(socket: &Path) -> Result<Self> {
        let process = Command::new(AGENT)
            .args(["-D", "-a"])
            .arg(socket)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context(AGENT)?;
        let keeper = Self { process, socket: socket.to_owned() };
        let until = Instant::now() + patience(Duration::from_secs(60));
        // The name is there before somebody listens.
        while UnixStream::connect(socket).is_err() {
            ensure!(Instant::now() < until, "it does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(keeper)
    }

    /// What `ssh-add` says to these words.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn add(&self, words: &[&str]) -> Result<Output> {
        let mut command = Command::new(ADD);
        command.args(words).env("SSH_AUTH_SOCK", &self.socket).stdin(Stdio::null());
        command.output().context(ADD)
    }

    /// Puts a key in, with these words before it.
    ///
    /// # Errors
    /// Where the agent does not take it.
    pub fn put(&self, words: &[&str], key: &Path) -> Result<()> {
        let key = key.to_str().context("a path that is no text")?;
        let ran = self.add(&[words, &["-q", key]].concat())?;
        ensure!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        Ok(())
    }

    /// Locks it, or unlocks it.
    ///
    /// # Errors
    /// Where it is not.
    pub fn lock(&self, word: &str) -> Result<()> {
        self.answered(word.as_ref(), "secret")
    }

    /// Puts a key in that these words open.
    ///
    /// # Errors
    /// Where the agent does not take it.
    pub fn put_encrypted(&self, key: &Path, words: &str) -> Result<()> {
        self.answered(key.as_os_str(), words)
    }

    /// What `ssh-add` asks for is these words.
    fn answered(&self, word: &OsStr, says: &str) -> Result<()> {
        // They are asked for by a program where there is no terminal.
        let asks = self.socket.with_extension("asks");
        let mut file = std::fs::File::create(&asks)?;
        writeln!(file, "#!/bin/sh\necho {says}")?;
        std::fs::set_permissions(&asks, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
        drop(file);
        let ran = Command::new(ADD)
            .arg(word)
            .env("SSH_AUTH_SOCK", &self.socket)
            .env("SSH_ASKPASS", &asks)
            .env("SSH_ASKPASS_REQUIRE", "force")
            .stdin(Stdio::null())
            .output()
            .context(ADD)?;
        ensure!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        Ok(())
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // One that is gone already is what is wanted.
        self.process.kill().ok();
        self.process.wait().ok();
        std::fs::remove_file(&self.socket).ok();
    }
}

/// What a public key is known by, as `ssh-keygen -l` prints it.
///
/// # Errors
/// Where there is none.
pub fn fingerprint(key: &Path) -> Result<String> {
    let ran = Command::new(crate::sshd::KEYGEN).args(["-l", "-f"]).arg(key).output()?;
    let text = String::from_utf8(ran.stdout)?;
    text.split_whitespace().nth(1).map(str::to_owned).context("no fingerprint")
}
