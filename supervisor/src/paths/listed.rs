//! What lies in one folder of a tree that others write, with a bound on what is read of it.

use rustix::fd::OwnedFd;
use rustix::fs::{Access, AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::time::Instant;

/// What lies in a folder.
pub(super) struct Listed {
    pub(super) names: Vec<(String, FileType)>,
    /// Whether these are all.
    pub(super) whole: bool,
    /// A folder, or the like, that cannot be searched because its name is not UTF-8.
    pub(super) odd: Option<String>,
    /// Whether there is a file whose name is not UTF-8.
    pub(super) odd_file: bool,
    /// How many entries were read.
    pub(super) read: usize,
    /// Whether these are not all because of the bytes of their names, or of the time.
    pub(super) cut: bool,
    /// Its default ACL, or why that is not known.
    pub(super) acl: rustix::io::Result<Option<Vec<u8>>>,
}

/// What may be read of a folder: the agent decides how much there is.
pub(super) struct Room {
    pub(super) entries: usize,
    pub(super) bytes: usize,
    pub(super) until: Instant,
}

/// Whether a file has a second name. What cannot be looked at may.
pub(super) fn has_names(tree: &OwnedFd, path: &str) -> bool {
    let file = super::open(tree, path).and_then(rustix::fs::fstat);
    file.map_or(true, |stat| stat.st_nlink > 1)
}

/// Whether a folder that this process may not read is its own user's, or may be entered all the same. What may be neither
/// read nor entered, nor opened again, is closed to a command of that user as well.
pub(super) fn is_closed(tree: &OwnedFd, folder: &str) -> bool {
    let path = if folder.is_empty() { "." } else { folder };
    let Ok(opened) = super::open(tree, path) else { return true };
    let own = rustix::process::geteuid().as_raw();
    let owned = rustix::fs::fstat(&opened).map_or(true, |stat| stat.st_uid == own);
    let entered = rustix::fs::accessat(&opened, ".", Access::EXEC_OK, AtFlags::EACCESS);
    owned || entered.is_ok()
}

/// Reads a folder, as much of it as there is room for.
pub(super) fn entries(tree: &OwnedFd, folder: &str, mut room: Room) -> rustix::io::Result<Listed> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = rustix::fs::ResolveFlags::BENEATH
        | rustix::fs::ResolveFlags::NO_SYMLINKS
        | rustix::fs::ResolveFlags::NO_MAGICLINKS;
    let path = if folder.is_empty() { "." } else { folder };
    let opened = rustix::fs::openat2(tree, path, flags, Mode::empty(), resolve)?;
    let acl = default_acl(&opened);
    let mut listed = Listed {
        names: Vec::new(),
        whole: true,
        odd: None,
        odd_file: false,
        read: 0,
        cut: false,
        acl,
    };
    for entry in Dir::read_from(&opened)? {
        let entry = entry?;
        listed.read += 1;
        room.bytes = room.bytes.saturating_sub(entry.file_name().to_bytes().len());
        listed.cut = room.bytes == 0 || Instant::now() > room.until;
        if listed.read > room.entries || listed.cut {
            listed.whole = false;
            break;
        }
        // A name that is not UTF-8 is none of those that are protected, but one of them may lie below
        // it, and no plan can name that.
        let Ok(name) = entry.file_name().to_str() else {
            listed.odd_file |= entry.file_type() == FileType::RegularFile;
            if entry.file_type() != FileType::RegularFile {
                let name = entry.file_name().to_bytes().escape_ascii();
                listed.odd.get_or_insert_with(|| name.to_string());
            }
            continue;
        };
        if matches!(name, "." | "..") {
            continue;
        }
        let mut kind = entry.file_type();
        if kind == FileType::Unknown {
            let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
            kind = FileType::from_raw_mode(rustix::fs::statat(&opened, name, flags)?.st_mode);
        }
        listed.names.push((name.to_owned(), kind));
    }
    Ok(listed)
}

/// What the kernel keeps of it; nothing where there is none, or none on this file system.
fn default_acl(folder: &OwnedFd) -> rustix::io::Result<Option<Vec<u8>>> {
    const NAME: &str = "system.posix_acl_default";
    let size = match rustix::fs::fgetxattr_query(folder, NAME) {
        Ok(0) | Err(Errno::NODATA | Errno::OPNOTSUPP) => return Ok(None),
        size => size?,
    };
    let mut acl = vec![0; size];
    let size = rustix::fs::fgetxattr(folder, NAME, &mut acl[..])?;
    acl.truncate(size);
    Ok(Some(acl))
}
