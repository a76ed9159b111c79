//! Who took which lock, as the kernel tells of all of them at once: proc(5), `/proc/locks`.
//!
//! A lock whose taker is of another PID namespace is not listed.

use super::CgroupError;
use rustix::io::Errno;
use rustix::process::Pid;
use std::collections::HashMap;

/// The flock(2) locks that were held when it was read.
#[derive(Debug, Default)]
pub(super) struct Locks {
    takers: HashMap<String, Pid>,
}

impl Locks {
    /// Those that are held now.
    ///
    /// # Errors
    /// Where `/proc/locks` cannot be read.
    pub(super) fn read() -> Result<Self, CgroupError> {
        let text = std::fs::read_to_string("/proc/locks").map_err(|error| {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::ILSEQ);
            CgroupError::refused("read", "/proc/locks", errno)
        })?;
        Ok(Self::parse(&text))
    }

    /// Of lines such as `7: FLOCK  ADVISORY  WRITE 311 00:1e:42 0 EOF`.
    fn parse(text: &str) -> Self {
        let taken = |line: &str| {
            let mut words = line.split_whitespace().skip(1);
            if words.next() != Some("FLOCK") {
                return None;
            }
            let pid = words.nth(2)?.parse().ok().filter(|pid| *pid > 0)?;
            Some((words.next()?.to_owned(), Pid::from_raw(pid)?))
        };
        Self { takers: text.lines().filter_map(taken).collect() }
    }

    /// Who took the lock of the file with this [identity](super::dir::Dir::identity).
    pub(super) fn taker(&self, identity: &str) -> Option<Pid> {
        self.takers.get(identity).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_taker_of_a_lock_is_found_by_its_file() {
        let text = "1: POSIX  ADVISORY  WRITE 7 00:1e:41 0 EOF\n\
                    7: FLOCK  ADVISORY  WRITE 311 00:1e:42 0 EOF\n\
                    7: -> FLOCK  ADVISORY  WRITE 312 00:1e:42 0 EOF\n\
                    8: FLOCK  ADVISORY  WRITE -1 00:1e:43 0 EOF\n";
        let locks = Locks::parse(text);
        assert_eq!(locks.taker("00:1e:42"), Pid::from_raw(311));
        for other in ["00:1e:4", "00:1e:41", "00:1e:43"] {
            assert_eq!(locks.taker(other), None, "{other}");
        }
    }
}
