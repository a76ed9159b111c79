//! The calls that name files, and what each needs of what it names.

use super::seen::Need;

/// Where a call has a path, and what it needs of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named {
    /// The argument that is a descriptor of the folder where the path begins; nothing where that is the
    /// working directory.
    pub(crate) folder: Option<usize>,
    /// The argument that is the path.
    pub(crate) path: usize,
    pub(crate) need: Need,
    /// Whether a link at the end is followed.
    pub(crate) follows: bool,
}

const fn named(folder: Option<usize>, path: usize, need: Need) -> Named {
    Named { folder, path, need, follows: true }
}

/// Names made or removed are not followed.
const fn of_a_name(folder: Option<usize>, path: usize) -> Named {
    Named { folder, path, need: Need::NAME, follows: false }
}

const READ: Need = Need::READ;
const LOOK: Need = Need::LOOK;
const WRITE: Need = Need::WRITE;
const FOLDER: Need = Need::NAME.and(Need::FOLDER);

/// Calls that look, change, make and remove; opening and executing is judged by its flags.
pub(crate) const CALLS: &[(&str, &[Named])] = &[
    ("stat", &[named(None, 0, LOOK)]),
    ("lstat", &[Named { follows: false, ..named(None, 0, LOOK) }]),
    ("newfstatat", &[named(Some(0), 1, LOOK)]),
    ("statx", &[named(Some(0), 1, LOOK)]),
    ("access", &[named(None, 0, LOOK)]),
    ("faccessat", &[named(Some(0), 1, LOOK)]),
    ("faccessat2", &[named(Some(0), 1, LOOK)]),
    ("readlink", &[Named { follows: false, ..named(None, 0, READ) }]),
    ("readlinkat", &[Named { follows: false, ..named(Some(0), 1, READ) }]),
    ("chdir", &[named(None, 0, READ)]),
    ("unlink", &[of_a_name(None, 0)]),
    ("unlinkat", &[of_a_name(Some(0), 1)]),
    ("rmdir", &[of_a_name(None, 0)]),
    ("rename", &[of_a_name(None, 0), of_a_name(None, 1)]),
    ("renameat", &[of_a_name(Some(0), 1), of_a_name(Some(2), 3)]),
    ("renameat2", &[of_a_name(Some(0), 1), of_a_name(Some(2), 3)]),
    ("mkdir", &[Named { need: FOLDER, ..of_a_name(None, 0) }]),
    ("mkdirat", &[Named { need: FOLDER, ..of_a_name(Some(0), 1) }]),
    ("symlink", &[of_a_name(None, 1)]),
    ("symlinkat", &[of_a_name(Some(1), 2)]),
    ("link", &[named(None, 0, READ), of_a_name(None, 1)]),
    ("linkat", &[named(Some(0), 1, READ), of_a_name(Some(2), 3)]),
    ("mknod", &[of_a_name(None, 0)]),
    ("mknodat", &[of_a_name(Some(0), 1)]),
    ("truncate", &[named(None, 0, WRITE)]),
    ("chmod", &[named(None, 0, WRITE)]),
    ("fchmodat", &[named(Some(0), 1, WRITE)]),
    ("fchmodat2", &[named(Some(0), 1, WRITE)]),
    ("chown", &[named(None, 0, WRITE)]),
    ("fchownat", &[named(Some(0), 1, WRITE)]),
    ("utimensat", &[named(Some(0), 1, WRITE)]),
    ("setxattr", &[named(None, 0, WRITE)]),
    ("execve", &[named(None, 0, Need::EXECUTE)]),
    ("execveat", &[named(Some(0), 1, Need::EXECUTE)]),
];

/// Those of them that take a name away.
pub(crate) const REMOVES: &[&str] = &["unlink", "unlinkat", "rmdir"];

/// Opening: the argument with the path, and that with the flags.
pub(crate) const OPENS: &[(&str, Option<usize>, usize, Option<usize>)] =
    &[("open", None, 0, Some(1)), ("openat", Some(0), 1, Some(2)), ("creat", None, 0, None)];

/// Mapping a file to be executed, which takes what executing it takes.
pub(crate) const MAPS: &str = "mmap";

/// `O_ACCMODE` and what of it writes, `O_CREAT`, `O_TRUNC`, `O_PATH`.
const ACCESS: u64 = 3;
const CREATE: u64 = 0o100;
const TRUNCATE: u64 = 0o1000;

/// What opening with these flags needs of what is there, or of a name that is not.
pub(crate) const fn opening(flags: u64, exists: bool) -> Need {
    let write = flags & ACCESS != 0 || flags & TRUNCATE != 0;
    if flags & CREATE != 0 && !exists {
        return Need::NAME.and(Need::WRITE);
    }
    let need = if write { Need::WRITE } else { Need::READ };
    if exists { need } else { need.and(Need::ABSENT) }
}

/// `creat(2)`: `O_CREAT | O_WRONLY | O_TRUNC`.
pub(crate) const OF_CREAT: u64 = CREATE | TRUNCATE | 1;
