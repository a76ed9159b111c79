//! Where a secret is read: a file, a credential of systemd's, a variable, what a program prints, an encrypted
//! file.

use super::{Over, agent, program, room, unlocked};
use crate::explain::printable;
use crate::profile_file::is_ours;
use crate::sandbox::StartError;
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::io::{Errno, read as read_some, retry_on_intr};
use sandboxd_kernel::locked::Locked;
use sandboxd_plan::HostPath;
use sandboxd_profiles::{From, Held};
use std::os::unix::ffi::OsStringExt as _;

/// The most bytes of a secret.
pub(super) const MOST: usize = 64 << 10;

/// Where systemd puts what it passes, systemd.exec(5).
const PASSED: &str = "CREDENTIALS_DIRECTORY";

/// Where Debian and others have age(1).
const AGE: [&str; 2] = ["/usr/bin/age", "/usr/local/bin/age"];

/// What it is now.
///
/// # Errors
/// Where it cannot be read, others could read it, or the run is over.
pub(super) fn read(Held { name, from }: &Held, over: Over<'_>) -> Result<Locked, StartError> {
    let bytes = match from {
        From::File(path) => whole(name, &own(path)?)?,
        From::Systemd(passed) => whole(name, &open(&credential(passed)?)?)?,
        From::Env(variable) => self::variable(name, variable)?,
        From::Exec { program, arguments } => {
            is_nobody_elses(program)?;
            // A script that an interpreter is given is a program, too.
            let files = arguments.iter().filter_map(|word| HostPath::try_from(word.as_str()).ok());
            for file in files.filter(|file| std::path::Path::new(file.as_str()).is_file()) {
                is_nobody_elses(&file)?;
            }
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            program::printed(name, (program.as_str(), &arguments), None, over)?
        }
        From::Age { file, identity } => {
            is_nobody_elses(file)?;
            let found = AGE.into_iter().find(|path| std::path::Path::new(path).exists());
            let age = found.ok_or_else(|| {
                StartError::found("secret", format!("{name}: there is no /usr/bin/age"))
                    .with_remedy("install age (Debian: apt install age)")
            })?;
            // The key is read from the very file that was looked at.
            let arguments = ["--decrypt", "--identity", "-", file.as_str()];
            program::printed(name, (age, &arguments), Some(own(identity)?), over)?
        }
        From::Agent { socket, key } => {
            let line = agent::key(name, (socket, *key), over)?;
            Locked::copy(line.as_bytes()).map_err(|errno| unlocked(name, errno))?
        }
    };
    if bytes.bytes().len() > MOST {
        let what = format!("{name}: more than {} KiB", MOST >> 10);
        return Err(StartError::found("secret", what).with_remedy("check that it is the secret"));
    }
    Ok(bytes)
}

/// A file that nobody but its owner may read, who is root or whoever runs this.
fn own(path: &HostPath) -> Result<OwnedFd, StartError> {
    let file = open(path)?;
    let found = fstat(&file).map_err(|errno| StartError::call("fstat", path.as_str(), errno))?;
    let (mode, owner) = (found.st_mode & 0o7777, found.st_uid);
    if mode & 0o077 != 0 {
        return Err(StartError::found(
            "secret",
            format!("{path}: its mode {mode:04o} lets others access it"),
        )
        .with_remedy("only its owner may access a secret: chmod go= it"));
    }
    if !is_ours(owner) {
        return Err(StartError::found("secret", format!("{path} belongs to uid {owner}"))
            .with_remedy(
                "a secret must belong to root or to the user who runs sandboxd: chown it",
            ));
    }
    Ok(file)
}

/// Whether nobody but root and whoever runs this decides what lies at a path: they alone own and write it and the
/// folders that lead there, but for those in which nobody removes what is another's. No link is in it: the profile is
/// held against this path, and a link could lead to what the command writes.
fn is_nobody_elses(path: &HostPath) -> Result<(), StartError> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    for part in std::path::Path::new(path.as_str()).ancestors() {
        let opened = openat2(CWD, part, flags, Mode::empty(), resolve)
            .map_err(|errno| not_itself(path, errno))?;
        let part = printable(&part.to_string_lossy());
        let found =
            fstat(&opened).map_err(|errno| StartError::call("fstat", part.as_str(), errno))?;
        let (mode, owner) = (found.st_mode & 0o7777, found.st_uid);
        let is_folder = FileType::from_raw_mode(found.st_mode) == FileType::Directory;
        if mode & 0o022 != 0 && !(is_folder && mode & 0o1000 != 0) {
            let what = format!("{path}: the mode {mode:04o} of {part} lets others change it");
            return Err(StartError::found("secret", what).with_remedy(format!(
                "only root or its owner may change what prints a secret: chmod go-w {part}"
            )));
        }
        if !is_ours(owner) {
            let what = format!("{path}: {part} belongs to uid {owner}");
            return Err(StartError::found("secret", what).with_remedy(
                "what prints a secret must belong to root or to the user who runs sandboxd: chown it, or move it",
            ));
        }
    }
    Ok(())
}

/// Why a path cannot be opened without links, and where they lead.
pub(super) fn not_itself(path: &HostPath, errno: Errno) -> StartError {
    let real = std::fs::canonicalize(path.as_str()).ok().filter(|_| errno == Errno::LOOP);
    let remedy = match real {
        Some(real) => {
            let real = printable(&real.to_string_lossy());
            format!("the path contains a link: write the real path, {real}, in [secrets]")
        }
        None => String::from("create it, or correct [secrets]"),
    };
    StartError::call("open", path.as_str(), errno).with_remedy(remedy)
}

fn open(path: &HostPath) -> Result<OwnedFd, StartError> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let file = openat2(CWD, path.as_str(), flags, Mode::empty(), resolve).map_err(|errno| {
        StartError::call("open", path.as_str(), errno).with_remedy(
            "write the secret there, the path without links (realpath), or correct [secrets]",
        )
    })?;
    let found = fstat(&file).map_err(|errno| StartError::call("fstat", path.as_str(), errno))?;
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
        return Err(StartError::found("secret", format!("{path} is not a regular file"))
            .with_remedy("give the path of a file that holds the secret and nothing else"));
    }
    Ok(file)
}

fn credential(passed: &str) -> Result<HostPath, StartError> {
    let remedy = format!(
        "write LoadCredential={passed}:/path in the unit, or try it with systemd-run -p LoadCredential={passed}:/path --wait --pipe sandboxd run …"
    );
    let none = |what: String| StartError::found("secret", what).with_remedy(remedy.as_str());
    let folder = std::env::var_os(PASSED)
        .ok_or_else(|| none(format!("{passed}: systemd passed no credentials")))?;
    let folder = folder.to_str().and_then(|folder| HostPath::try_from(folder).ok());
    folder
        .and_then(|folder| folder.join(passed).ok())
        .ok_or_else(|| none(format!("{passed}: {PASSED} is not a folder")))
}

fn variable(name: &str, variable: &str) -> Result<Locked, StartError> {
    let value = std::env::var_os(variable).ok_or_else(|| {
        StartError::found("secret", format!("{name}: {} is not set", printable(variable)))
            .with_remedy("set it where sandboxd is started")
    })?;
    let mut value = value.into_vec();
    let copy = Locked::copy(&value).map_err(|errno| unlocked(name, errno));
    // The environment itself has it all the same: whoever may read that need not look here.
    value.fill(0);
    copy
}

/// All of a file, and one byte more than there may be.
fn whole(name: &str, file: &OwnedFd) -> Result<Locked, StartError> {
    let mut bytes = room(name, MOST + 1)?;
    loop {
        let more = bytes.extend(|room| match room.is_empty() {
            true => Ok(0),
            false => retry_on_intr(|| read_some(file, &mut *room)),
        });
        match more {
            Ok(0) => return fitted(name, &bytes),
            Ok(_) => {}
            Err(errno) => return Err(StartError::call("read", name, errno)),
        }
    }
}

/// Pages for what there is alone.
pub(super) fn fitted(name: &str, bytes: &Locked) -> Result<Locked, StartError> {
    Locked::copy(bytes.bytes()).map_err(|errno| unlocked(name, errno))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn held(path: &std::path::Path) -> Held {
        let path = HostPath::try_from(path.to_str().unwrap()).unwrap();
        Held { name: "model".into(), from: From::File(path) }
    }

    #[test]
    fn a_file_is_read_where_nobody_else_could() {
        let folder = std::env::temp_dir().join(format!("sandboxd-secret-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.canonicalize().unwrap().join("key");
        fs::write(&file, "hunter2\n").unwrap();
        let mode = |mode| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        for open in [0o644, 0o640, 0o604, 0o620] {
            mode(open);
            assert!(read(&held(&file), None).unwrap_err().line().contains("lets others access it"));
        }
        mode(0o400);
        assert_eq!(read(&held(&file), None).unwrap().bytes(), b"hunter2\n");
        let link = file.with_file_name("link");
        symlink(&file, &link).unwrap();
        assert!(read(&held(&link), None).is_err());
        assert!(read(&held(&folder.canonicalize().unwrap()), None).is_err());
        mode(0o600);
        fs::write(&file, vec![b'x'; MOST]).unwrap();
        assert_eq!(read(&held(&file), None).unwrap().bytes().len(), MOST);
        fs::write(&file, vec![b'x'; MOST + 1]).unwrap();
        assert!(read(&held(&file), None).unwrap_err().line().contains("more than 64 KiB"));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_is_executed_or_decrypted_is_no_link() {
        let folder = std::env::temp_dir().join(format!("sandboxd-source-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let folder = folder.canonicalize().unwrap();
        let shell = fs::canonicalize("/bin/sh").unwrap();
        symlink(&shell, folder.join("get-key")).unwrap();
        symlink(shell.parent().unwrap(), folder.join("tools")).unwrap();
        let below = folder.join("tools").join(shell.file_name().unwrap());
        let path = |path: &std::path::Path| HostPath::try_from(path.to_str().unwrap()).unwrap();
        let told = |program| {
            let arguments = ["-c", "echo hunter2"].map(str::to_owned).to_vec();
            read(&Held { name: "model".into(), from: From::Exec { program, arguments } }, None)
        };
        assert_eq!(told(path(&shell)).unwrap().bytes(), b"hunter2\n");
        for linked in [folder.join("get-key"), below] {
            let (file, identity) = (path(&linked), path(&shell));
            let age =
                read(&Held { name: "model".into(), from: From::Age { file, identity } }, None);
            for refused in [told(path(&linked)), age] {
                let text = refused.unwrap_err().text("case");
                assert!(text.contains(&format!("the real path, {},", shell.display())), "{text}");
            }
        }
        assert!(told(path(&folder.join("nothing"))).is_err());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_others_could_have_written_is_not_executed() {
        let folder = std::env::temp_dir().join(format!("sandboxd-others-{}", std::process::id()));
        let below = folder.join("below");
        fs::create_dir_all(&below).unwrap();
        let folder = folder.canonicalize().unwrap();
        let script = folder.join("below/get-key");
        fs::write(&script, "#!/bin/sh\necho hunter2\n").unwrap();
        let mode =
            |path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let path = |path: &std::path::Path| HostPath::try_from(path.to_str().unwrap()).unwrap();
        let told = |program, arguments: &[&std::path::Path]| {
            let arguments = arguments.iter().map(|it| it.to_str().unwrap().to_owned()).collect();
            read(&Held { name: "model".into(), from: From::Exec { program, arguments } }, None)
        };
        let shell = path(&fs::canonicalize("/bin/sh").unwrap());
        let both = || [told(path(&script), &[]), told(shell.clone(), &[&script])];
        mode(&script, 0o755);
        for told in both() {
            assert_eq!(told.unwrap().bytes(), b"hunter2\n");
        }
        for open in [&script, &below, &folder] {
            for wide in [0o757, 0o775] {
                mode(open, wide);
                for told in both() {
                    let text = told.unwrap_err().line();
                    assert!(text.contains("lets others change it"), "{text}");
                }
            }
            mode(open, 0o755);
        }
        if rustix::process::getuid().is_root() {
            std::os::unix::fs::chown(&below, Some(65534), None).unwrap();
            for told in both() {
                assert!(told.unwrap_err().line().contains("belongs to uid 65534"));
            }
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
