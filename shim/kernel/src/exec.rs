//! execveat(2).

use crate::fds::number;
use crate::syscall::syscall;
use alloc::vec::Vec;
use core::ffi::{CStr, c_char};
use core::marker::PhantomData;
use core::ptr;
use rustix::fd::BorrowedFd;
use rustix::io::Errno;

/// What is executed: an open file, or a path.
#[derive(Debug, Clone, Copy)]
pub enum Program<'a> {
    /// This very file, `AT_EMPTY_PATH`. A script then needs the descriptor to stay open.
    File(BorrowedFd<'a>),
    /// Whatever is at this absolute path.
    Path(&'a CStr),
}

/// A list as execve takes it: a pointer to each text, and a null pointer at the end.
pub(crate) struct Texts<'a> {
    pointers: Vec<*const c_char>,
    texts: PhantomData<&'a CStr>,
}

impl<'a> Texts<'a> {
    pub(crate) fn new(texts: &[&'a CStr]) -> Self {
        let pointers = texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect();
        Self { pointers, texts: PhantomData }
    }
}

/// Replaces the calling program; returns only where that failed, with the reason.
#[must_use]
pub fn exec(program: Program<'_>, argv: &[&CStr], env: &[&CStr]) -> Errno {
    exec_texts(program, &Texts::new(argv), &Texts::new(env))
}

/// [`exec`] with lists made before, for a process that must not allocate.
pub(crate) fn exec_texts(program: Program<'_>, argv: &Texts<'_>, env: &Texts<'_>) -> Errno {
    const AT_EMPTY_PATH: usize = 0x1000;
    const AT_FDCWD: usize = (-100_isize).cast_unsigned();
    let (fd, path, flags) = match program {
        Program::File(file) => (number(file), c"", AT_EMPTY_PATH),
        Program::Path(path) => (AT_FDCWD, path, 0),
    };
    let arguments = [
        fd,
        path.as_ptr().addr(),
        argv.pointers.as_ptr().addr(),
        env.pointers.as_ptr().addr(),
        flags,
        0,
    ];
    // SAFETY: the path is terminated, and both lists end with a null pointer and point to terminated
    // texts that are borrowed for as long as the lists live; the call returns only on failure.
    match unsafe { syscall(libc::SYS_execveat, arguments) } {
        Err(error) => error,
        Ok(_) => Errno::IO,
    }
}
