//! Where a granted folder is a subvolume of btrfs, no snapshot of it can be made inside, in which what is hidden would
//! stand at a name of the command's choice: not of one that may be written, and not of one that may be read. Nor is it made
//! read-only for its owner.

use anyhow::{Result, bail, ensure};
use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use sandboxd_integration::raw::{self, Argument};
use sandboxd_integration::{Case, Inside, Need, Outside};
use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::process::Command;

const MKFS: &str = "/usr/sbin/mkfs.btrfs";
const BTRFS: &str = "/usr/bin/btrfs";

pub(crate) const CASE: Case = Case {
    rows: &["F17"],
    needs: &[Need::Program(MKFS), Need::Program(BTRFS), Need::Path("/dev/loop-control")],
    outside,
    probes: &[("snapshot", snapshot)],
    ..Case::NEW
};

/// `BTRFS_IOC_SNAP_CREATE` and `BTRFS_IOC_SNAP_CREATE_V2`, linux/btrfs.h, and where each has the name.
const WAYS: [(&str, u64, usize); 2] = [("first", 0x5000_9401, 8), ("second", 0x5000_9417, 56)];
/// `BTRFS_IOC_SUBVOL_SETFLAGS`, and `BTRFS_SUBVOL_RDONLY`.
const SET_FLAGS: u64 = 0x4008_941a;
const READ_ONLY: u64 = 2;
/// The size of what both are told.
const ARGUMENTS: usize = 4096;

fn outside(outside: &Outside) -> Result<()> {
    let disk = Disk::new(outside)?;
    let (written, read) = (disk.at.join("written"), disk.at.join("read"));
    for one in [&written, &read] {
        done(Command::new(BTRFS).args(["subvolume", "create"]).arg(one))?;
        fs::write(one.join(".env"), "KEY=hidden\n")?;
        ensure!(Command::new("chown").args(["1000:1000"]).arg(one).status()?.success(), "chown");
    }
    let profile = format!(
        "extends = [\"builtin:base\"]\n[files]\nwrite = [{written:?}]\nread = [{read:?}]\nhide = [{:?}, {:?}]\n",
        written.join(".env"),
        read.join(".env"),
    );
    let folders = [&*written.to_string_lossy(), &*read.to_string_lossy()];
    let run = outside.sandbox(&profile).probe("snapshot", &folders).run()?;
    run.ran()?;
    for (way, ..) in WAYS {
        for folder in ["written", "read"] {
            run.refused(&format!("{folder} {way}"), &[Errno::EPERM])?;
        }
    }
    run.refused("read-only", &[Errno::EPERM])?;
    fs::write(written.join("after"), "its owner's")?;
    ensure!(!run.stdout.contains("hidden") && run.fact("found")? == "[]", "{}", run.fact("found")?);
    Ok(())
}

fn snapshot(inside: &Inside) -> Result<()> {
    let (written, read) = (inside.path(0)?, inside.path(1)?);
    let into = File::open(written)?;
    let flags = READ_ONLY.to_ne_bytes();
    let mut words = [
        Argument::Number(into.as_raw_fd().try_into()?),
        Argument::Number(SET_FLAGS),
        Argument::Bytes(&flags),
    ];
    inside.attempt("read-only", raw::call(libc::SYS_ioctl, &mut words));
    let mut found = Vec::new();
    for (way, request, place) in WAYS {
        for (folder, path) in [("written", &written), ("read", &read)] {
            let name = format!("{folder}-{way}");
            let of = File::open(path)?;
            // What it is taken of, and behind that, where this form has it, the name.
            let mut told = i64::from(of.as_raw_fd()).to_ne_bytes().to_vec();
            told.resize(place, 0);
            told.extend_from_slice(name.as_bytes());
            told.resize(ARGUMENTS, 0);
            let mut words = [
                Argument::Number(into.as_raw_fd().try_into()?),
                Argument::Number(request),
                Argument::Bytes(&told),
            ];
            inside.attempt(&format!("{folder} {way}"), raw::call(libc::SYS_ioctl, &mut words));
            found.extend(fs::read_to_string(written.join(&name).join(".env")).ok());
        }
    }
    inside.fact("found", &format!("{found:?}"));
    Ok(())
}

/// A file system of its own, which goes with this.
struct Disk {
    at: PathBuf,
}

impl Disk {
    fn new(outside: &Outside) -> Result<Self> {
        let (image, at) = (outside.dir().join("image"), outside.dir().join("mounted"));
        fs::create_dir(&at)?;
        File::create(&image)?.set_len(256 << 20)?;
        done(Command::new(MKFS).args(["-q", "-m", "single"]).arg(&image))?;
        done(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&at))?;
        Ok(Self { at })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        umount2(&self.at, MntFlags::MNT_DETACH).ok();
    }
}

fn done(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
