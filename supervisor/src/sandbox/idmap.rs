//! User namespaces that exist for their id map alone: the map of an idmapped mount,
//! mount_setattr(2) `MOUNT_ATTR_IDMAP`.

use super::error::StartError;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use sandboxd_kernel::userns::{Sleeper, user_namespace};
use sandboxd_profiles::resolved::Idmap;

/// A user namespace in which the owner on disk is the sandbox's user, and nobody else is anybody.
///
/// # Errors
/// Where user namespaces are refused, or the map.
pub(crate) fn namespace(map: Idmap) -> Result<OwnedFd, StartError> {
    let sleeper = Sleeper::start().map_err(|errno| {
        StartError::call("clone3", "CLONE_NEWUSER", errno).with_remedy(
            "an idmapped workspace needs a user namespace: raise user.max_user_namespaces, or set [command].user to the owner of the folder",
        )
    })?;
    let made = write_maps(&sleeper, map).and_then(|()| open(&sleeper));
    sleeper.end().map_err(|errno| StartError::call("waitid", "id map", errno))?;
    made
}

fn write_maps(sleeper: &Sleeper, map: Idmap) -> Result<(), StartError> {
    let pid = sleeper.pid().as_raw_pid();
    for (file, disk, inside) in
        [("uid_map", map.disk_uid, map.uid), ("gid_map", map.disk_gid, map.gid)]
    {
        let path = format!("/proc/{pid}/{file}");
        std::fs::write(&path, format!("{disk} {inside} 1"))
            .map_err(|error| StartError::io("write", path, &error))?;
    }
    Ok(())
}

fn open(sleeper: &Sleeper) -> Result<OwnedFd, StartError> {
    match user_namespace(sleeper.pidfd()) {
        // Before kernel 6.11 only its file in /proc opens it. The sleeper is our child and has not
        // been waited for, so its number is still its own.
        Err(Errno::NOTTY | Errno::INVAL) => {
            let path = format!("/proc/{}/ns/user", sleeper.pid().as_raw_pid());
            let opened = std::fs::File::open(&path).map(OwnedFd::from);
            opened.map_err(|error| StartError::io("open", path, &error))
        }
        opened => opened.map_err(|errno| StartError::call("ioctl", "user namespace", errno)),
    }
}
