//! An allocator that only ever hands out.
//!
//! The shim lives for two milliseconds and holds one plan of at most a mebibyte, so nothing is worth
//! giving back. The arena lies in `.bss`: a page of it costs nothing until it is touched.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Room for a plan of a mebibyte as bytes, as text and as values, several times over.
const SIZE: usize = 16 << 20;

/// The arena and how much of it is handed out.
pub struct Arena {
    bytes: UnsafeCell<[u8; SIZE]>,
    used: AtomicUsize,
}

// SAFETY: `bytes` is only reached through `alloc`, which hands out each part of it once: `used` is
// moved by an atomic exchange before the part is handed out.
unsafe impl Sync for Arena {}

impl Arena {
    /// An empty arena.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it is a static, made in a const context only")]
    pub const fn new() -> Self {
        Self { bytes: UnsafeCell::new([0; SIZE]), used: AtomicUsize::new(0) }
    }
}

// SAFETY: every block lies within `bytes`, is aligned as asked, and overlaps no other (see `alloc`);
// no block is ever handed out again.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let base = self.bytes.get().cast::<u8>();
        let mut used = self.used.load(Ordering::Relaxed);
        loop {
            let start = base.addr() + used;
            let padding = start.wrapping_neg() & (layout.align() - 1);
            let Some(end) = used.checked_add(padding).and_then(|at| at.checked_add(layout.size()))
            else {
                return core::ptr::null_mut();
            };
            if end > SIZE {
                return core::ptr::null_mut();
            }
            match self.used.compare_exchange(used, end, Ordering::Relaxed, Ordering::Relaxed) {
                // SAFETY: `used + padding` is at most `end`, which is at most SIZE.
                Ok(_) => return unsafe { base.add(used + padding) },
                Err(now) => used = now,
            }
        }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}
