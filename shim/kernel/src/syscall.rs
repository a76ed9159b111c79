//! The bare system call instruction. Private: every use is behind a typed function.

use core::arch::asm;
use rustix::io::{Errno, Result};

/// A system call's number, as `libc::SYS_*` has it.
pub(crate) type Number = libc::c_long;

/// Makes a system call; the kernel's negative answers become [`Errno`]s.
///
/// # Safety
/// The arguments must be what the call takes: every pointer valid for what the kernel reads or writes
/// through it, for as long as it does.
pub(crate) unsafe fn syscall(number: Number, arguments: [usize; 6]) -> Result<usize> {
    let [a, b, c, d, e, f] = arguments;
    let answer: isize;
    // SAFETY: the instruction follows the x86-64 ABI of the kernel: it clobbers rcx and r11 and
    // returns in rax; what it does with the arguments is the caller's promise.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => answer,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    usize::try_from(answer).map_err(|_| {
        // -4095 to -1 are errors; no call made here answers with an address above that.
        Errno::from_raw_os_error(i32::try_from(answer.wrapping_neg()).unwrap_or(libc::EIO))
    })
}
