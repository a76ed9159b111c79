//! OpenSSH's server, on an address of a case's [`world`](crate::world), with a key of its own.

use crate::patience;
use anyhow::{Context as _, Result, ensure};
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What a case needs for it, beside root.
pub const SSHD: &str = "/usr/sbin/sshd";
/// Makes keys.
pub const KEYGEN: &str = "/usr/bin/ssh-keygen";

/// Where it goes while nobody is logged in; nothing is in it.
const EMPTY: &str = "/run/sshd";

/// One that listens; gone when it is let go of.
#[derive(Debug)]
pub struct Sshd {
    process: Child,
    folder: PathBuf,
}

/// A private key in this file, and its public half beside it.
///
/// # Errors
/// Where none is made.
pub fn key(path: &Path, kind: &[&str]) -> Result<String> {
    let ran = Command::new(KEYGEN)
        .args(["-q", "-N", "", "-C", "of a case", "-t"])
        .args(kind)
        .arg("-f")
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .context(KEYGEN)?;
    ensure!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    Ok(fs::read_to_string(path.with_extension("pub"))?.trim().to_owned())
}

impl Sshd {
    /// Starts one at port 22 of this address, at which whoever has one of these keys is root.
    ///
    /// # Errors
    /// Where it does not listen in time.
    pub fn begin(folder: PathBuf, address: Ipv4Addr, keys: &[&str]) -> Result<Self> {
        fs::create_dir_all(&folder)?;
        key(&folder.join("host"), &["ed25519"])?;
        fs::write(folder.join("authorized"), keys.join("\n"))?;
        let at = folder.display();
        let settings = format!(
            "ListenAddress {address}:22\nHostKey {at}/host\nAuthorizedKeysFile {at}/authorized\n\
             PidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\n\
             PermitUserRC no\nPrintMotd no\nPrintLastLog no\nMaxStartups 100\nLoginGraceTime 600\n\
             LogLevel VERBOSE\n"
        );
        fs::write(folder.join("sshd_config"), settings)?;
        // It stays: others that go on at the same time need it for each connection.
        fs::create_dir_all(EMPTY)?;
        let process = Command::new(SSHD)
            .args(["-D", "-e", "-f"])
            .arg(folder.join("sshd_config"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(folder.join("log"))?)
            .spawn()
            .context(SSHD)?;
        let sshd = Self { process, folder };
        let until = Instant::now() + patience(Duration::from_secs(60));
        while TcpStream::connect((address, 22)).is_err() {
            ensure!(Instant::now() < until, "it does not listen: {}", sshd.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(sshd)
    }

    /// The public key of the host.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn host_key(&self) -> Result<String> {
        let line = fs::read_to_string(self.folder.join("host.pub"))?;
        let words: Vec<&str> = line.split_whitespace().take(2).collect();
        Ok(words.join(" "))
    }

    /// What it said.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        // One that is gone already is what is wanted.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
