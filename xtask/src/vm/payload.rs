//! What a guest is given: the product, the harness and the job, on a disk that it cannot write.

use super::matrix::FOLDER;
use crate::{process, tree::Tree};
use anyhow::{Context as _, Result};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The name of the harness.
const HARNESS: &str = "sandboxd-integration";

/// What cases read of the checkout, and what `.ci/run` puts there that runs anywhere. A virtual environment
/// belongs to the Python of the machine that it was made on.
const COPIED: &[&str] = &[
    "examples",
    "integration/clients",
    "integration/hosts",
    "target/clients/prometheus",
    "target/npm",
];

/// How the folder of a run is named; its process follows.
const PREFIX: &str = "vm-run-";

/// What is done in the guest, as lines of a shell script (see `start.sh`).
pub(super) struct Job(String);

impl Job {
    pub(super) fn new() -> Self {
        let facts = "\"$(/vm/bin/sandboxd-integration facts)\"";
        Self(format!("printf '{{\"facts\":%s}}\\n' {facts} >&8\n"))
    }

    /// A file of the guest's.
    pub(super) fn file(mut self, path: &str, text: &str) -> Self {
        self.0.push_str(&format!("printf %s {} >{}\n", quoted(text), quoted(path)));
        self
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

/// The files that a guest is given, beside the job; removed with this.
pub(super) struct Payload {
    pub(super) folder: PathBuf,
    files: PathBuf,
    /// Names them: of other files it is another one.
    pub(super) digest: String,
}

impl Payload {
    /// `bin` is the folder of the product and the harness, `package` the Debian package.
    pub(super) fn gather(tree: &Tree, bin: &Path, package: Option<&Path>) -> Result<Self> {
        forget(&tree.target)?;
        let folder = tree.target.join(format!("{PREFIX}{}", std::process::id()));
        let files = folder.join("files");
        fs::create_dir_all(files.join("bin"))?;
        let mut payload = Self { folder, files, digest: String::new() };
        let files = &payload.files;
        for name in ["sandboxd", HARNESS] {
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
        fs::write(files.join("place"), tree.root.as_os_str().as_encoded_bytes())?;
        for path in COPIED.iter().filter(|path| tree.root.join(path).exists()) {
            let copy = files.join("tree").join(path);
            if let Some(above) = copy.parent() {
                fs::create_dir_all(above)?;
            }
            process::run(Command::new("cp").arg("-a").arg(tree.root.join(path)).arg(copy))?;
        }
        process::run(Command::new("chown").args(["-R", "0:0"]).arg(files))?;
        payload.digest = digest(files)?;
        Ok(payload)
    }

    /// The harness, for whoever asks it here.
    pub(super) fn harness(&self) -> PathBuf {
        self.files.join("bin").join(HARNESS)
    }

    /// A disk with these files and this job, in the place of the one before.
    pub(super) fn disk(&self, job: &Job) -> Result<PathBuf> {
        let disk = self.folder.join("disk");
        if disk.exists() {
            fs::remove_file(&disk)?;
        }
        fs::write(self.files.join("job.sh"), &job.0)?;
        let size = process::output(Command::new("du").arg("-sm").arg(&self.files))?;
        let megabytes: u64 =
            size.split_whitespace().next().and_then(|size| size.parse().ok()).context("du")?;
        process::output(
            Command::new("mke2fs")
                .args(["-q", "-F", "-t", "ext4", "-O", "^has_journal", "-m0", "-d"])
                .arg(&self.files)
                .arg(&disk)
                .arg(format!("{}M", megabytes + megabytes / 4 + 16)),
        )?;
        Ok(disk)
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("cannot remove {}: {error}", self.folder.display());
        }
    }
}

/// Removes what runs left that were killed.
fn forget(target: &Path) -> Result<()> {
    for entry in fs::read_dir(target)? {
        let entry = entry?;
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Of the names and the bytes of all files of a folder.
fn digest(folder: &Path) -> Result<String> {
    let script = "tar -C \"$1\" --sort=name --mtime=@0 -cf - . | sha256sum";
    let told = process::output(
        Command::new("bash").args(["-o", "pipefail", "-c", script, "digest"]).arg(folder),
    )?;
    Ok(told.get(..16).context("sha256sum")?.to_owned())
}

/// A word for a shell.
pub(super) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}
