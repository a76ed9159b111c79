//! Where a program lies that is not inside: on the host, by the names that the caller's shell would try. Nothing is
//! read of it, only that it is there.

use crate::explain::printable;
use crate::sandbox::StartError;
use sandboxd_plan::Failure;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// A line more for whoever typed a command that was not found inside; nothing where no more is known.
pub(super) fn hint(error: &StartError) -> Option<String> {
    let StartError::Failed(Failure { subject, .. }) = error else { return None };
    if error.exit_status() != 127 {
        return None;
    }
    of(OsStr::new(subject), std::env::var_os("PATH").as_deref())
}

fn of(command: &OsStr, path: Option<&OsStr>) -> Option<String> {
    let shown = printable(&command.to_string_lossy());
    if let Some((program, rest)) = command.to_str().and_then(|text| text.split_once(' '))
        && (is_program(Path::new(program)) || find(OsStr::new(program), path).is_some())
    {
        return Some(format!(
            "{shown:?} is one word: write -- {} {}, or -- sh -c {shown:?}",
            printable(program),
            printable(rest)
        ));
    }
    if command.to_string_lossy().contains('/') {
        return Path::new(command).is_file().then(|| {
            format!(
                "{shown} exists on the host: grant it with -x; if it is granted already, grant what its first line (#!) or its header names, which may be missing inside"
            )
        });
    }
    let found = find(command, path)?;
    let real = found.canonicalize().ok()?;
    let (folder, inside) = (found.parent()?, printable(&found.to_string_lossy()));
    let mut grants = format!("-x {}", printable(&folder.to_string_lossy()));
    if let Some(other) = real.parent().filter(|other| !other.starts_with(folder)) {
        grants.push_str(&format!(" -x {}", printable(&other.to_string_lossy())));
    }
    Some(format!(
        "{shown} is {inside} on the host, which is not on the PATH inside: sandboxd run {grants} -- {inside}; sandboxd learn finds what else it needs"
    ))
}

/// The first of this name in the folders of a PATH.
fn find(name: &OsStr, path: Option<&OsStr>) -> Option<PathBuf> {
    let folders = std::env::split_paths(path?).filter(|folder| folder.is_absolute());
    folders.map(|folder| folder.join(name)).find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_program_is_found_where_the_caller_would_find_it() {
        let dir = std::env::temp_dir().join(format!("sandboxd-found-{}", std::process::id()));
        fs::create_dir_all(dir.join("bin")).unwrap();
        fs::create_dir_all(dir.join("real")).unwrap();
        let tool = dir.join("real/tool");
        fs::write(&tool, "").unwrap();
        fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink(&tool, dir.join("bin/tool")).unwrap();
        fs::write(dir.join("bin/text"), "").unwrap();
        let path = dir.join("bin");
        let hint = |name: &str| of(OsStr::new(name), Some(path.as_os_str()));
        let said = hint("tool").unwrap();
        let text = |name: &str| dir.join(name).display().to_string();
        let grants = format!("-x {} -x {} -- {}", text("bin"), text("real"), text("bin/tool"));
        assert!(said.contains(&grants), "{said}");
        assert!(hint("tool --help").unwrap().contains("-- tool --help"));
        let script = hint(&text("bin/text")).unwrap();
        assert!(script.contains("first line"), "{script}");
        assert_eq!(hint("text"), None);
        assert_eq!(hint("/nowhere/tool"), None);
        fs::remove_dir_all(&dir).unwrap();
    }
}
