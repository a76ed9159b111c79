//! Where the receipt of a run is written to.

use crate::sandbox::{MakeReceipt, StartError};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, fcntl_getfl, fcntl_setfl, fstat, linkat,
    openat, openat2, renameat, statat, unlinkat,
};
use rustix::io::Errno;
use sandboxd_plan::HostPath;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// What lies where the receipt is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum There {
    Nothing,
    /// Replaced by the new one.
    File,
    /// Written into, and never replaced: `/dev/null` is the whole host's.
    Device,
    /// Not followed, and never to be removed for it: `/dev/stdout` is the whole host's.
    Link,
    Other,
}

/// The folder that the receipt is to lie in, which no command may write; nothing where it is none, so that nothing will
/// be written, and for a device, which is written into and stays.
pub(super) fn folder(path: &Path) -> Option<HostPath> {
    let is_device =
        |path: &Path| path.symlink_metadata().is_ok_and(|found| found.file_type().is_char_device());
    let folder = folder_of(path).canonicalize().ok().filter(|_| !is_device(path))?;
    // What a profile grants has a name that is text: of another folder, what it lies in counts.
    folder.ancestors().find_map(|above| HostPath::try_from(above.to_str()?).ok())
}

fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or_else(|| Path::new("."))
}

/// What writes it there once it is made.
pub(super) fn writer(path: PathBuf) -> impl FnMut(MakeReceipt<'_>) -> Result<(), StartError> {
    move |made| write(&path, &made()?)
}

/// Writes the receipt to a file of its own: made anew in a folder that no link leads to, so that
/// nothing is followed and nothing that was there is changed before the new one is whole.
fn write(path: &Path, receipt: &str) -> Result<(), StartError> {
    let refused = |errno: Errno, remedy: &str| {
        StartError::call("open", format!("{}", path.display()), errno).with_remedy(format!(
            "the receipt could not be written, so the command was not run: {remedy}"
        ))
    };
    let failed = |errno: Errno| {
        let full = matches!(errno, Errno::NOSPC | Errno::DQUOT);
        let real = "give the real path of a file in a folder that exists";
        refused(errno, if full { "free space on its disk" } else { real })
    };
    if path.as_os_str() == "-" {
        return Err(refused(
            Errno::INVAL,
            "standard output belongs to the command: give a file (./- for one of that name)",
        ));
    }
    let folder = folder_of(path);
    let name = path.file_name().ok_or_else(|| failed(Errno::ISDIR))?;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = openat2(CWD, folder, flags, Mode::empty(), resolve).map_err(failed)?;
    match there(&folder, name).map_err(failed)? {
        There::Nothing | There::File => {}
        There::Device => return device(&folder, name, receipt).map_err(failed),
        There::Link => {
            return Err(refused(
                Errno::EXIST,
                "it is a link, which is not replaced: give the path that it leads to, or another name",
            ));
        }
        There::Other => {
            return Err(refused(
                Errno::EXIST,
                "it is not a regular file, and is not replaced: give another name, or remove it",
            ));
        }
    }
    match unnamed(&folder, name, receipt).map_err(failed)? {
        Placed::There => Ok(()),
        // There is one already, or the file system has no files without a name.
        Placed::Not => named(&folder, name, receipt).map_err(failed),
    }
}

fn there(folder: &OwnedFd, name: &OsStr) -> Result<There, Errno> {
    match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => There::File,
            FileType::CharacterDevice => There::Device,
            FileType::Symlink => There::Link,
            FileType::Directory
            | FileType::Fifo
            | FileType::Socket
            | FileType::BlockDevice
            | FileType::Unknown => There::Other,
        }),
        Err(Errno::NOENT) => Ok(There::Nothing),
        Err(errno) => Err(errno),
    }
}

/// Writes into a device.
fn device(folder: &OwnedFd, name: &OsStr, receipt: &str) -> Result<(), Errno> {
    // Not to hang where it is a line that nobody has answered yet.
    let flags =
        OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(openat(folder, name, flags, Mode::empty())?);
    if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::CharacterDevice {
        return Err(Errno::STALE);
    }
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    fill(&file, receipt)
}

enum Placed {
    There,
    Not,
}

/// Writes a file that has no name until it is whole: whatever ends this process leaves none behind.
fn unnamed(folder: &OwnedFd, name: &OsStr, receipt: &str) -> Result<Placed, Errno> {
    use std::os::fd::AsRawFd;
    let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
    let file = match openat(folder, ".", flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => File::from(file),
        // open(2), "O_TMPFILE requires support by the underlying filesystem".
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT) => return Ok(Placed::Not),
        Err(errno) => return Err(errno),
    };
    fill(&file, receipt)?;
    let own = format!("/proc/self/fd/{}", file.as_raw_fd());
    match linkat(CWD, own, folder, name, AtFlags::SYMLINK_FOLLOW) {
        Ok(()) => is_still(folder, name, &file).map(|()| Placed::There),
        Err(Errno::EXIST) => Ok(Placed::Not),
        Err(errno) => Err(errno),
    }
}

/// Writes a file under another name and gives it this one's place.
fn named(folder: &OwnedFd, name: &OsStr, receipt: &str) -> Result<(), Errno> {
    let mut partial = name.to_owned();
    partial.push(format!(".{}", std::process::id()));
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = File::from(openat(folder, &partial, flags, Mode::RUSR | Mode::WUSR)?);
    fill(&file, receipt)
        // Looked at again: it may have come into being since.
        .and_then(|()| match there(folder, name)? {
            There::Nothing | There::File => Ok(()),
            There::Device | There::Link | There::Other => Err(Errno::EXIST),
        })
        .and_then(|()| renameat(folder, &partial, folder, name))
        .and_then(|()| is_still(folder, name, &file))
        .inspect_err(|_| {
            // What is reported is why it could not be written; a second failure says nothing more.
            unlinkat(folder, &partial, AtFlags::empty()).ok();
        })
}

fn fill(mut file: &File, receipt: &str) -> Result<(), Errno> {
    file.write_all(receipt.as_bytes())
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

/// Whether the name leads to the file that was written: whoever may write the folder could have put
/// another one in its place meanwhile.
fn is_still(folder: &OwnedFd, name: &OsStr, file: &File) -> rustix::io::Result<()> {
    let there = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let own = fstat(file)?;
    if (there.st_dev, there.st_ino) == (own.st_dev, own.st_ino) {
        Ok(())
    } else {
        Err(Errno::STALE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_folder_of_a_receipt_is_told_and_that_of_a_device_is_not() {
        let real = |path: &str| Path::new(path).canonicalize().unwrap();
        let told = |path: &str| folder(Path::new(path)).map(|folder| folder.as_str().to_owned());
        assert_eq!(told("/tmp/one.json"), Some(real("/tmp").display().to_string()));
        assert_eq!(told("one.json"), Some(real(".").display().to_string()));
        assert_eq!(told("/dev/null"), None);
        assert_eq!(told("/nowhere/at-all/one.json"), None);
    }

    #[test]
    fn only_a_file_is_replaced() {
        let dir = std::env::temp_dir().join(format!("sandboxd-receipt-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        let at = |name: &str| dir.join(name);
        let read = |name: &str| fs::read_to_string(at(name)).unwrap();
        write(&at("new"), "one").unwrap();
        write(&at("new"), "two").unwrap();
        assert_eq!(read("new"), "two");

        symlink("new", at("link")).unwrap();
        rustix::fs::mkfifoat(CWD, at("fifo"), Mode::RUSR | Mode::WUSR).unwrap();
        fs::create_dir(at("folder")).unwrap();
        for name in ["link", "fifo", "folder"] {
            let error = write(&at(name), "three").unwrap_err().text("it");
            assert!(error.contains("EEXIST") && error.contains("not replaced"), "{error}");
            assert_eq!(error.contains("remove it"), name != "link", "{error}");
        }
        assert!(fs::symlink_metadata(at("link")).unwrap().is_symlink());
        assert!(fs::symlink_metadata(at("fifo")).unwrap().file_type().is_fifo());
        assert_eq!(read("new"), "two");
        assert!(write(Path::new("-"), "three").unwrap_err().text("it").contains("./-"));
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 4, "something was left behind");
        fs::remove_dir_all(&dir).unwrap();
    }
}
