//! Kernels, root file systems and disks, made of Debian packages and kept for the next run.
//!
//! Nothing is installed on this machine: everything lies below one folder, `target/vm` or the one
//! that `SANDBOXD_VM_CACHE` names, and can be removed with it.

use super::{
    apt::{self, Suite},
    matrix::{FOLDER, Kernel, Matrix},
};
use crate::{process, tree::Tree};
use anyhow::{Context as _, Result, bail, ensure};
use std::{
    env, fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::Read as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

const VARIABLE: &str = "SANDBOXD_VM_CACHE";

/// Where everything that was prepared lies.
pub(super) struct Cache {
    pub(super) folder: PathBuf,
}

/// What a guest boots from.
pub(super) struct Image {
    pub(super) kernel: PathBuf,
    pub(super) initrd: PathBuf,
    pub(super) disk: PathBuf,
}

impl Cache {
    pub(super) fn open(tree: &Tree) -> Result<Self> {
        let folder = env::var_os(VARIABLE).map_or_else(|| tree.target.join("vm"), PathBuf::from);
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        Ok(Self { folder: folder.canonicalize()? })
    }

    /// Names what a guest with this kernel boots from: of other packages or scripts it is another.
    pub(super) fn name(tree: &Tree, matrix: &Matrix, kernel: &Kernel) -> Result<String> {
        let key = key(&[&script(tree, "init.sh")?, &script(tree, "image.sh")?]);
        Ok(format!("{}--{}-{key}", root_name(tree, matrix, kernel)?, linux_name(kernel)))
    }

    /// Everything that a guest with this kernel boots from; made where it is not there yet.
    pub(super) fn prepare(&self, tree: &Tree, matrix: &Matrix, kernel: &Kernel) -> Result<Image> {
        let lock = Lock::take(&self.folder)?;
        let linux = self.kernel(kernel)?;
        let tar = self.root(tree, matrix, kernel)?;
        let base = self.folder.join(Self::name(tree, matrix, kernel)?);
        let image = Image {
            kernel: linux.join("vmlinuz"),
            initrd: with(&base, ".initrd"),
            disk: with(&base, ".ext4"),
        };
        if !image.initrd.exists() || !image.disk.exists() {
            let scripts = tree.root.join(FOLDER);
            let (script, init) = (scripts.join("image.sh"), scripts.join("init.sh"));
            step("its disk", || {
                apart(&script, &[&base, &linux, &tar, &init, &self.folder.join("work")])
            })?;
        }
        lock.release()?;
        Ok(image)
    }

    /// A folder with `vmlinuz`, `release`, and `modules/RELEASE`.
    fn kernel(&self, kernel: &Kernel) -> Result<PathBuf> {
        let folder = self.folder.join(linux_name(kernel));
        if folder.exists() {
            return Ok(folder);
        }
        let new = with(&folder, ".new");
        if new.exists() {
            fs::remove_dir_all(&new)?;
        }
        fs::create_dir_all(new.join("packages"))?;
        let what = format!("{} from Debian's {}", kernel.package, kernel.suite);
        step(&what, || {
            let suite = Suite::open(&kernel.suite, &new.join("apt"))?;
            suite.download(&kernel.package, &new.join("packages"))?;
            unpack(&new)
        })?;
        fs::rename(&new, &folder)?;
        Ok(folder)
    }

    /// The tar archive of a root file system.
    fn root(&self, tree: &Tree, matrix: &Matrix, kernel: &Kernel) -> Result<PathBuf> {
        let tar = self.folder.join(format!("{}.tar", root_name(tree, matrix, kernel)?));
        if !tar.exists() {
            let scripts = tree.root.join(FOLDER);
            let (script, hook) = (scripts.join("root.sh"), scripts.join("customize.sh"));
            let mirror = apt::mirror(&kernel.root)?;
            let what = format!("a root file system of Debian's {}", kernel.root);
            step(&what, || {
                let work = self.folder.join("work");
                apart(
                    &script,
                    &[
                        &tar,
                        Path::new(&kernel.root),
                        Path::new(&matrix.programs(kernel)),
                        Path::new(&mirror),
                        &hook,
                        &work,
                    ],
                )
            })?;
        }
        Ok(tar)
    }
}

/// Names a kernel of Debian's.
fn linux_name(kernel: &Kernel) -> String {
    format!("{}_{}", kernel.suite, kernel.package.replace('*', "x"))
}

/// Names a root file system.
fn root_name(tree: &Tree, matrix: &Matrix, kernel: &Kernel) -> Result<String> {
    let (hook, script) = (script(tree, "customize.sh")?, script(tree, "root.sh")?);
    Ok(format!("{}-{}", kernel.root, key(&[&matrix.programs(kernel), &hook, &script])))
}

fn script(tree: &Tree, name: &str) -> Result<String> {
    tree.read(Path::new(FOLDER).join(name))
}

/// Takes a kernel out of its packages.
fn unpack(folder: &Path) -> Result<()> {
    let files = folder.join("files");
    for package in entries(&folder.join("packages"))? {
        process::run(Command::new("dpkg").arg("-x").arg(&package).arg(&files))?;
    }
    let mut modules = Vec::new();
    for place in ["lib/modules", "usr/lib/modules"] {
        if files.join(place).is_dir() {
            modules.extend(entries(&files.join(place))?);
        }
    }
    let [modules] = modules.as_slice() else { bail!("{} kernels, not one", modules.len()) };
    let release = modules.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let images = [modules.join("vmlinuz"), files.join(format!("boot/vmlinuz-{release}"))];
    let image =
        images.iter().find(|path| path.is_file()).context("the packages hold no vmlinuz")?;
    fs::copy(image, folder.join("vmlinuz"))?;
    fs::create_dir(folder.join("modules"))?;
    fs::rename(modules, folder.join("modules").join(&release))?;
    fs::write(folder.join("release"), release)?;
    for done in ["files", "packages", "apt"] {
        fs::remove_dir_all(folder.join(done))?;
    }
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let listed = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut paths = Vec::new();
    for entry in listed {
        paths.push(entry?.path());
    }
    paths.sort();
    Ok(paths)
}

/// Runs a script of ours in a mount namespace of its own; what it says is shown where it fails.
fn apart(script: &Path, arguments: &[&Path]) -> Result<()> {
    let output = Command::new("unshare")
        .args(["--mount", "bash"])
        .arg(script)
        .args(arguments)
        .env("LC_ALL", "C")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .context("cannot start unshare")?;
    let name = script.file_name().unwrap_or_default().display();
    ensure!(
        output.status.success(),
        "{name}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// Says what is done and how long it took.
fn step(what: &str, perform: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("    preparing {what}");
    let begun = Instant::now();
    perform().with_context(|| format!("preparing {what}"))?;
    println!("    prepared in {:.1} s", begun.elapsed().as_secs_f64());
    Ok(())
}

/// Names a state of these texts.
pub(super) fn key(texts: &[&str]) -> String {
    let mut hasher = DefaultHasher::new();
    texts.hash(&mut hasher);
    format!("{:08x}", hasher.finish() & 0xffff_ffff)
}

fn with(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Only one prepares in a folder at a time. flock(1) holds the lock until its input ends, which it
/// does however this program ends.
struct Lock(Child);

impl Lock {
    fn take(folder: &Path) -> Result<Self> {
        let mut holder = Command::new("flock")
            .arg(folder.join("lock"))
            .args(["sh", "-c", "echo; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start flock")?;
        let Some(told) = &mut holder.stdout else { bail!("no stdout: flock") };
        told.read_exact(&mut [0]).context("flock")?;
        Ok(Self(holder))
    }

    fn release(mut self) -> Result<()> {
        drop(self.0.stdin.take());
        self.0.wait()?;
        Ok(())
    }
}
