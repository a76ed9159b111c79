//! A thread that works until whoever began it lets go of it.

use crate::sandbox::StartError;
use rustix::fd::OwnedFd;
use rustix::pipe::{PipeFlags, pipe_with};
use std::thread::{Builder, JoinHandle};

/// The thread, which is waited for at the end.
pub(crate) struct Thread<T> {
    name: &'static str,
    /// Its end is the thread's.
    closes: Option<OwnedFd>,
    thread: Option<JoinHandle<T>>,
}

impl<T: Send + 'static> Thread<T> {
    /// Begins it. What it is given can be read from once it is to end.
    ///
    /// # Errors
    /// Where there is no thread or descriptor to be had.
    pub(crate) fn begin(
        name: &'static str,
        work: impl FnOnce(OwnedFd) -> T + Send + 'static,
    ) -> Result<Self, StartError> {
        let (closed, closes) = pipe_with(PipeFlags::CLOEXEC)
            .map_err(|errno| StartError::call("pipe2", name, errno))?;
        let thread = Builder::new()
            .name(name.to_owned())
            .spawn(move || work(closed))
            .map_err(|error| StartError::io("clone3", name, &error))?;
        Ok(Self { name, closes: Some(closes), thread: Some(thread) })
    }
}

impl<T> Thread<T> {
    /// Ends it, and gives what it made; nothing where it was ended before.
    fn end(&mut self) -> Option<std::thread::Result<T>> {
        self.closes = None;
        self.thread.take().map(JoinHandle::join)
    }
}

impl Thread<Vec<String>> {
    /// Ends it, and tells what it could not clean up.
    pub(crate) fn finish(&mut self) -> Vec<String> {
        match self.end() {
            Some(Ok(left)) => left,
            Some(Err(_)) => vec![format!("not cleaned up: the thread for {} panicked", self.name)],
            None => Vec::new(),
        }
    }
}

impl<T> Drop for Thread<T> {
    fn drop(&mut self) {
        // Nobody is left to be told.
        drop(self.end());
    }
}
