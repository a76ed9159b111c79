//! Memory for what nobody else is to read, mlock(2), madvise(2): pages of their own that are never
//! written to a swap area, a core or a forked child, and that are overwritten before they are given back.

use core::ffi::c_void;
use core::ptr::NonNull;
use rustix::io::{Errno, Result};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mlock, mmap_anonymous, munmap};

/// Bytes in such memory.
pub struct Locked {
    start: NonNull<u8>,
    room: usize,
    length: usize,
}

// SAFETY: the pages are this value's alone, and are written through `&mut` only.
unsafe impl Send for Locked {}
// SAFETY: as above; `&` gives nothing but bytes to read.
unsafe impl Sync for Locked {}

impl Locked {
    /// Room for so many bytes, with none in it yet.
    ///
    /// # Errors
    /// `EPERM`, `ENOMEM` or `EAGAIN` where not so much may be locked, getrlimit(2) `RLIMIT_MEMLOCK`.
    pub fn with_room(room: usize) -> Result<Self> {
        let room = room.max(1);
        let (access, kind) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
        // SAFETY: the kernel chooses where, so that no mapping of ours is replaced.
        let start = unsafe { mmap_anonymous(core::ptr::null_mut(), room, access, kind) }?;
        let start = NonNull::new(start.cast::<u8>()).ok_or(Errno::NOMEM)?;
        // From here on it is given back whatever fails.
        let locked = Self { start, room, length: 0 };
        // SAFETY: the pages are mapped; locking changes nothing that is in them.
        unsafe { mlock(locked.pages(), room) }?;
        for advice in [Advice::LinuxDontDump, Advice::LinuxDontFork] {
            // SAFETY: neither advice changes the pages of this process.
            unsafe { madvise(locked.pages(), room, advice) }?;
        }
        Ok(locked)
    }

    /// A copy of these bytes. Whoever holds the original overwrites it.
    ///
    /// # Errors
    /// Those of [`with_room`](Self::with_room).
    pub fn copy(bytes: &[u8]) -> Result<Self> {
        let mut locked = Self::with_room(bytes.len())?;
        locked.extend(|room| {
            let (to, from) = (room.iter_mut(), bytes);
            to.zip(from).for_each(|(to, from)| *to = *from);
            Ok(bytes.len())
        })?;
        Ok(locked)
    }

    /// Lets the rest of the room be filled, with as many bytes as are then told.
    ///
    /// # Errors
    /// Those of whoever fills it.
    pub fn extend<E>(
        &mut self,
        fill: impl FnOnce(&mut [u8]) -> core::result::Result<usize, E>,
    ) -> core::result::Result<usize, E> {
        let length = self.length;
        let filled = fill(self.all().get_mut(length..).unwrap_or_default())?;
        self.length = length.saturating_add(filled).min(self.room);
        Ok(filled)
    }

    /// What is in it.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: so many bytes are mapped and were zero or written from the beginning.
        unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }

    fn all(&mut self) -> &mut [u8] {
        // SAFETY: so many bytes are mapped; `&mut self` keeps everybody else away.
        unsafe { core::slice::from_raw_parts_mut(self.start.as_ptr(), self.room) }
    }

    const fn pages(&self) -> *mut c_void {
        self.start.as_ptr().cast()
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        for byte in self.all() {
            // SAFETY: a byte of ours; volatile, because nobody reads it any more.
            unsafe { core::ptr::write_volatile(byte, 0) };
        }
        // SAFETY: the pages are this value's alone, and it is gone.
        unsafe { munmap(self.pages(), self.room) }.ok();
    }
}

impl core::fmt::Debug for Locked {
    fn fmt(&self, to: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        // What is in it is nobody's business.
        to.write_str("Locked")
    }
}
