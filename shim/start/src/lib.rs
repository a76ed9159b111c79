//! What a C library would do for the shim, and no more of it than the shim needs.
//!
//! The shim links no C library: it starts faster by the pages it does not map and the relocations it
//! does not make, it is the same bytes whatever the host's libc, and it has no locale, resolver,
//! loader or environment to be led astray by. What is left to do is the entry point, the four memory
//! functions that the compiler calls, an allocator, and an answer to a panic.
//!
//! Read in this order: [`memory`], [`arena`], then the macro below.
#![no_std]

#[cfg(not(target_arch = "x86_64"))]
compile_error!(
    "sandboxd runs on x86_64 so far: the entry point and the filter tables are per machine"
);

pub mod arena;
pub mod memory;

/// Defines `_start`, the allocator and the panic handler of a program whose body is
/// `fn() -> i32`; the number it returns is the exit status. A panic ends the program with
/// status 254, after `on_panic` had its say.
#[macro_export]
macro_rules! program {
    ($main:path, $on_panic:path) => {
        #[global_allocator]
        static ARENA: $crate::arena::Arena = $crate::arena::Arena::new();

        core::arch::global_asm!(
            ".globl _start",
            "_start:",
            "xor ebp, ebp",
            "and rsp, -16",
            "call {body}",
            "mov edi, eax",
            "mov eax, 231", // exit_group
            "syscall",
            "ud2",
            body = sym entered,
        );

        extern "C" fn entered() -> i32 {
            $main()
        }

        #[panic_handler]
        fn panic_handler(_: &core::panic::PanicInfo<'_>) -> ! {
            $on_panic();
            $crate::exit(254)
        }
    };
}

/// Ends the process, exit_group(2).
pub fn exit(status: i32) -> ! {
    // SAFETY: exit_group takes an integer by value, touches no memory of ours and does not return.
    unsafe {
        core::arch::asm!("syscall", in("rax") 231, in("rdi") status, options(noreturn, nostack));
    }
}
