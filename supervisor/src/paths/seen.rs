//! What is at one path, no link followed: what an answer to "why" needs to know of it.

use super::{open_root, with_the_link};
use rustix::fs::FileType;
use rustix::fs::StatVfsMountFlags as Flags;
use rustix::io::Errno;
use sandboxd_plan::HostPath;
use sandboxd_profiles::why::{Seen, Thing};
use std::os::fd::AsRawFd as _;

/// Looks, without opening anything but for its name.
///
/// # Errors
/// The errno where it is not there, or not for this process to see.
pub fn see(path: &HostPath) -> Result<Seen, i32> {
    // A link, which is not followed; and what any process shows of itself this one shows too.
    let looked = match path.as_str().strip_prefix("/proc/self/") {
        Some(below) => look(&format!("/proc/{}/{below}", std::process::id())),
        None => look(path.as_str()),
    };
    looked.map_err(Errno::raw_os_error)
}

fn look(path: &str) -> rustix::io::Result<Seen> {
    let file = with_the_link(&open_root()?, path)?;
    let stat = rustix::fs::fstat(&file)?;
    let thing = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Thing::Directory,
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(&file, "", Vec::new())?;
            Thing::Link(target.into_string().map_err(|_| Errno::ILSEQ)?)
        }
        FileType::Socket => Thing::Socket,
        FileType::Fifo => Thing::Pipe,
        FileType::CharacterDevice | FileType::BlockDevice => Thing::Device,
        FileType::RegularFile | FileType::Unknown => Thing::Regular,
    };
    let mounted = rustix::fs::fstatvfs(&file)?.f_flag;
    let link = matches!(thing, Thing::Link(_));
    let name = format!("/proc/self/fd/{}", file.as_raw_fd());
    // A list that says no more than the mode is not kept by the kernel.
    let acl = !link
        && rustix::fs::getxattr_query(&name, "system.posix_acl_access").is_ok_and(|size| size > 0);
    Ok(Seen {
        thing,
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        id: (stat.st_dev, stat.st_ino),
        read_only: mounted.contains(Flags::RDONLY),
        no_exec: mounted.contains(Flags::NOEXEC),
        acl,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_seen_itself() {
        let seen = |path: &str| see(&HostPath::try_from(path).unwrap());
        assert_eq!(seen("/proc/self").map(|seen| matches!(seen.thing, Thing::Link(_))), Ok(true));
        assert_eq!(seen("/dev/null").map(|seen| seen.thing), Ok(Thing::Device));
        assert_eq!(seen("/nothing-is-here"), Err(2));
    }

    #[test]
    fn a_list_that_says_more_than_the_mode_is_seen() {
        let file = std::env::temp_dir().join(format!("sandboxd-acl-{}", std::process::id()));
        std::fs::write(&file, "").unwrap();
        let file = file.canonicalize().unwrap();
        let path = HostPath::try_from(file.to_str().unwrap()).unwrap();
        let before = see(&path).unwrap().acl;
        // Of the owner, the user 1234, the group, the mask and others, acl(5).
        let entry = |tag: u8, user: u32| [&[tag, 0, 6, 0][..], &user.to_le_bytes()].concat();
        let none = u32::MAX;
        let users = [(1, none), (2, 1234), (4, none), (0x10, none), (0x20, none)];
        let entries = users.map(|(tag, user)| entry(tag, user)).concat();
        let acl = [&[2, 0, 0, 0][..], &entries].concat();
        let flags = rustix::fs::XattrFlags::empty();
        let set = rustix::fs::setxattr(&file, "system.posix_acl_access", &acl, flags);
        let after = see(&path).unwrap().acl;
        std::fs::remove_file(&file).unwrap();
        if set == Err(Errno::OPNOTSUPP) {
            println!("not run: no ACLs on this file system");
            return;
        }
        assert!(!before && after);
    }
}
