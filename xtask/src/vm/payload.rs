//! What a guest is given: the product, the harness and the job, on a disk that it cannot write.

use super::matrix::FOLDER;
use crate::{process, tree::Tree};
use anyhow::{Context as _, Result};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What is done in the guest, as lines of a shell script (see `start.sh`).
pub(super) struct Job(String);

impl Job {
    pub(super) fn new() -> Self {
        let facts = "\"$(/vm/bin/sandboxd-integration facts)\"";
        Self(format!("printf '{{\"facts\":%s}}\\n' {facts} >&8\n"))
    }

    /// A command of a user's.
    pub(super) fn step<'a>(
        mut self,
        name: &str,
        user: &str,
        words: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        self.0.push_str(&format!("step {} {}", quoted(name), quoted(user)));
        for word in words {
            self.0.push(' ');
            self.0.push_str(&quoted(word));
        }
        self.0.push('\n');
        self
    }
}

/// A disk, which is removed with this.
pub(super) struct Payload {
    pub(super) folder: PathBuf,
    pub(super) disk: PathBuf,
}

impl Payload {
    /// `bin` is the folder of the product and the harness, `package` the Debian package.
    pub(super) fn pack(tree: &Tree, bin: &Path, job: &Job, package: Option<&Path>) -> Result<Self> {
        let folder = tree.target.join(format!("vm-run-{}", std::process::id()));
        let disk = folder.join("disk");
        let files = folder.join("files");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(files.join("bin"))?;
        let packed = Self { folder, disk };
        for name in ["sandboxd", "sandboxd-integration"] {
            let path = bin.join(name);
            fs::copy(&path, files.join("bin").join(name))
                .with_context(|| path.display().to_string())?;
        }
        for script in ["start.sh", "package.sh", "unit.sh"] {
            fs::copy(tree.root.join(FOLDER).join(script), files.join(script))?;
        }
        if let Some(package) = package {
            fs::copy(package, files.join("sandboxd.deb"))?;
        }
        fs::write(files.join("job.sh"), &job.0)?;
        fs::write(files.join("place"), tree.root.as_os_str().as_encoded_bytes())?;
        let copies = [("examples", "tree/examples"), ("target/npm", "tree/target/npm")];
        for (from, to) in copies {
            if let Some(above) = files.join(to).parent() {
                fs::create_dir_all(above)?;
            }
            if tree.root.join(from).exists() {
                let mut copy = Command::new("cp");
                process::run(copy.arg("-a").arg(tree.root.join(from)).arg(files.join(to)))?;
            }
        }
        process::run(Command::new("chown").args(["-R", "0:0"]).arg(&files))?;
        let size = process::output(Command::new("du").arg("-sm").arg(&files))?;
        let megabytes: u64 =
            size.split_whitespace().next().and_then(|size| size.parse().ok()).context("du")?;
        process::output(
            Command::new("mke2fs")
                .args(["-q", "-F", "-t", "ext4", "-O", "^has_journal", "-m0", "-d"])
                .arg(&files)
                .arg(&packed.disk)
                .arg(format!("{}M", megabytes + megabytes / 4 + 16)),
        )?;
        fs::remove_dir_all(&files)?;
        Ok(packed)
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("cannot remove {}: {error}", self.folder.display());
        }
    }
}

/// A word for a shell.
pub(super) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}
