//! What must hold, whatever the data says.

use super::super::{
    Rules, Sockets, Verdict, compile, disassemble, explain, groups, init, name, number,
    table::NUMBERS, verdict,
};
use super::{
    everything,
    interpreter::{ALLOW, Call, I386, KILL, Quad, quads, run},
    numbers_of, plain, words,
};

const EPERM: u32 = 0x5_0001;
const ENOMEM: u32 = 0x5_000c;
const ENOSYS: u32 = 0x5_0026;
const EAFNOSUPPORT: u32 = 0x5_0061;
const EOPNOTSUPP: u32 = 0x5_005f;

fn ask(program: &[Quad], call: &str, arguments: &[u64]) -> u32 {
    let mut all = [0; 6];
    all[..arguments.len()].copy_from_slice(arguments);
    let plain = run(program, &Call::native(number(call).unwrap(), all));
    let junk = all.map(|argument| argument & 0xffff_ffff | 0xdead_beef_0000_0000);
    let with_junk = run(program, &Call::native(number(call).unwrap(), junk));
    assert_eq!(plain, with_junk, "{call}: the upper half of an argument changed the answer");
    plain
}

fn programs() -> impl Iterator<Item = Vec<Quad>> {
    everything().map(|rules| quads(&compile(&rules).unwrap()))
}

#[test]
fn no_new_namespace_in_any_base() {
    for program in programs() {
        for flag in 25..=30 {
            assert_eq!(ask(&program, "clone", &[1 << flag | 17]), EPERM);
            assert_eq!(ask(&program, "unshare", &[1 << flag]), EPERM);
        }
        assert_eq!(ask(&program, "clone", &[0x0002_0000]), EPERM, "CLONE_NEWNS");
        assert_eq!(ask(&program, "unshare", &[0x80]), EPERM, "CLONE_NEWTIME");
        assert_eq!(ask(&program, "clone3", &[]), ENOSYS);
        assert_eq!(ask(&program, "setns", &[3, 0]), EPERM);
        // fork, vfork with a shared memory, and a thread of the C library.
        for flags in [17, 0x4111, 0x003d_0f00] {
            assert_eq!(ask(&program, "clone", &[flags]), ALLOW);
        }
    }
}

#[test]
fn the_ways_into_the_kernel_are_shut_in_every_base() {
    for program in programs() {
        for call in words("io_uring_setup io_uring_enter io_uring_register keyctl add_key openat2")
        {
            assert_eq!(ask(&program, &call, &[]), ENOSYS, "{call}");
        }
        for call in words(
            "bpf perf_event_open mount umount2 pivot_root open_tree fsopen mount_setattr ptrace \
             process_vm_readv pidfd_getfd open_by_handle_at init_module kexec_load reboot",
        ) {
            assert_eq!(ask(&program, &call, &[]), EPERM, "{call}");
        }
        for number in 470..1024 {
            assert_eq!(run(&program, &Call::native(number, [0; 6])), ENOSYS, "{number}");
        }
    }
}

/// No controller of a cgroup counts them, or only where the host asks for it.
#[test]
fn what_a_whole_host_has_once_is_in_no_base() {
    for rules in everything() {
        let program = quads(&compile(&rules).unwrap());
        assert_eq!(ask(&program, "mmap", &[0, 1 << 21, 3, 0x4_0022]), ENOMEM, "MAP_HUGETLB");
        assert_eq!(ask(&program, "mmap", &[0, 1 << 21, 3, 0x22]), ALLOW);
        assert_ne!(ask(&program, "memfd_create", &[1, 4]), ALLOW, "MFD_HUGETLB");
        assert_ne!(ask(&program, "shmget", &[0, 1 << 21, 0o5600]), ALLOW, "SHM_HUGETLB");
        assert_eq!(ask(&program, "prctl", &[62, 1]), EPERM, "PR_SCHED_CORE");
        assert_ne!(ask(&program, "io_setup", &[1]), ALLOW);
    }
}

#[test]
fn another_table_of_calls_kills() {
    for program in programs().chain([quads(&init())]) {
        for (number, _) in NUMBERS {
            let call = Call::native(*number, [0; 6]);
            assert_eq!(run(&program, &Call { arch: I386, ..call }), KILL);
            let x32 = Call { number: number | 0x4000_0000, ..call };
            assert_eq!(run(&program, &x32), KILL);
        }
    }
}

#[test]
fn only_these_sockets_exist() {
    let with = quads(&compile(&plain("default", Sockets::Inet)).unwrap());
    let without = quads(&compile(&plain("default", Sockets::UnixOnly)).unwrap());
    let (stream, datagram, raw, cloexec) = (1, 2, 3, 0x8_0000);
    for (family, kind, protocol, wanted) in [
        (2, stream, 0, ALLOW),
        (2, stream | cloexec, 6, ALLOW),
        (10, datagram | 0x800, 17, ALLOW),
        (16, raw | cloexec, 0, ALLOW),
        (2, stream, 262, EAFNOSUPPORT),
        (2, stream, 132, EAFNOSUPPORT),
        (2, datagram, 1, EAFNOSUPPORT),
        (2, datagram, 136, EAFNOSUPPORT),
        (10, raw, 6, EAFNOSUPPORT),
        (16, raw, 9, EAFNOSUPPORT),
        (16, raw, 12, EAFNOSUPPORT),
    ] {
        let call = [family, kind, protocol];
        assert_eq!(ask(&with, "socket", &call), wanted, "{call:?}");
        assert_eq!(ask(&without, "socket", &call), EAFNOSUPPORT, "{call:?}");
    }
    for family in (0..64).filter(|family| ![1, 2, 10, 16].contains(family)) {
        assert_eq!(ask(&with, "socket", &[family, stream, 0]), EAFNOSUPPORT, "{family}");
    }
    for program in [with, without] {
        assert_eq!(ask(&program, "socket", &[1, stream | cloexec, 0]), ALLOW);
        assert_eq!(ask(&program, "socketpair", &[1, 5, 0]), ALLOW);
        assert_eq!(ask(&program, "socketpair", &[30, stream, 0]), EAFNOSUPPORT);
        assert_eq!(ask(&program, "sendto", &[3, 0, 0, 0x2000_4000]), EOPNOTSUPP);
        assert_eq!(ask(&program, "sendmsg", &[3, 0, 1]), EOPNOTSUPP);
        assert_eq!(ask(&program, "sendmsg", &[3, 0, 0x4000]), ALLOW);
        assert_eq!(ask(&program, "recvmmsg", &[3, 0, 1, 1]), EOPNOTSUPP);
    }
}

#[test]
fn no_setuid_bit_reaches_the_disk() {
    for program in programs() {
        for bit in [0o4000, 0o2000, 0o6755] {
            assert_eq!(ask(&program, "chmod", &[0, bit]), EPERM);
            assert_eq!(ask(&program, "fchmodat2", &[0, 0, bit]), EPERM);
            assert_eq!(ask(&program, "mkdir", &[0, bit]), EPERM);
            assert_eq!(ask(&program, "creat", &[0, bit]), EPERM);
            assert_eq!(ask(&program, "open", &[0, 0o101, bit]), EPERM);
            assert_eq!(ask(&program, "openat", &[0, 0, 0x41_0001, bit]), EPERM, "O_TMPFILE");
            assert_eq!(ask(&program, "mknodat", &[0, 0, 0o10_0000 | bit]), EPERM);
            // Without O_CREAT the register holds whatever the caller left in it.
            assert_eq!(ask(&program, "openat", &[0, 0, 0o20_0000, bit]), ALLOW, "O_DIRECTORY");
        }
        assert_eq!(ask(&program, "openat", &[0, 0, 0o101, 0o644]), ALLOW);
        assert_eq!(ask(&program, "chmod", &[0, 0o1777]), ALLOW);
        assert_eq!(ask(&program, "mknod", &[0, 0o1_0644]), ALLOW, "a named pipe");
        assert_eq!(ask(&program, "mknod", &[0, 0o2_0644]), EPERM, "a character device");
        assert_eq!(ask(&program, "mknod", &[0, 0o6_0644]), EPERM, "a block device");
    }
}

#[test]
fn a_rename_makes_no_device() {
    for program in programs() {
        for flags in [0x4, 0x5, 0xffff_ffff_0000_0004] {
            assert_eq!(ask(&program, "renameat2", &[0, 0, 0, 0, flags]), EPERM, "{flags:#x}");
        }
        for flags in [0, 0x1, 0x2] {
            assert_eq!(ask(&program, "renameat2", &[0, 0, 0, 0, flags]), ALLOW, "{flags:#x}");
        }
    }
}

#[test]
fn no_lease_makes_others_wait() {
    for program in programs() {
        for command in [1024, 1040, 0xffff_ffff_0000_0400] {
            assert_eq!(ask(&program, "fcntl", &[3, command]), EPERM, "{command:#x}");
        }
        // F_DUPFD to F_SETLKW, F_GETLEASE, F_DUPFD_CLOEXEC, the pipe's size, and seals.
        for command in (0..=7).chain([1025, 1030, 1031, 1032, 1033, 1034, 1039]) {
            assert_eq!(ask(&program, "fcntl", &[3, command]), ALLOW, "{command:#x}");
        }
    }
}

#[test]
fn an_owner_is_not_locked_out() {
    for program in programs() {
        for request in [
            0x4080_6685,
            0x800c_6613,
            0xc050_6617,
            0xc040_6618,
            0xc040_6619,
            0x401c_5820,
            0x4008_941a,
            0xc0c8_9425,
            0xc0c0_9425,
        ] {
            assert_eq!(ask(&program, "ioctl", &[0, request]), EPERM, "{request:#x}");
        }
    }
}

#[test]
fn the_terminal_outside_cannot_be_typed_into() {
    for program in programs() {
        for request in [0x5412, 0x541c, 0x541d, 0x5423, 0x894c, 0x4004_54ca] {
            assert_eq!(ask(&program, "ioctl", &[0, request]), EPERM, "{request:#x}");
        }
        for request in [0x5401, 0x5413, 0x5414, 0x541b, 0x8004_5430, 0x4004_5431, 0x4020_940d] {
            assert_eq!(ask(&program, "ioctl", &[0, request]), ALLOW, "{request:#x}");
        }
        assert_eq!(ask(&program, "prctl", &[35]), EPERM);
        assert_eq!(ask(&program, "prctl", &[38, 1]), ALLOW);
        assert_eq!(ask(&program, "personality", &[0x044_0000]), EPERM);
        assert_eq!(ask(&program, "personality", &[0xffff_ffff]), ALLOW);
    }
}

#[test]
fn what_the_shim_does_behind_the_filter_is_allowed_and_cannot_be_denied() {
    let needed = words(
        "read write execve execveat exit exit_group rt_sigreturn sendmsg recvmsg openat prlimit64",
    );
    for rules in everything() {
        let program = quads(&compile(&rules).unwrap());
        for call in &needed {
            assert_eq!(ask(&program, call, &[]), ALLOW, "{call}");
            let deny = [call.clone()];
            let problems = compile(&Rules { deny: &deny, ..rules }).unwrap_err();
            assert!(problems[0].contains(call) && problems[0].contains("remove"), "{problems:?}");
        }
        // Asking, not setting: no_new_privs, seccomp, the bounding and the ambient set.
        for (option, argument) in [(39, 0), (21, 0), (23, 5), (47, 1)] {
            assert_eq!(ask(&program, "prctl", &[option, argument]), ALLOW);
        }
        // The kernel itself refuses these, with EPERM.
        for call in words("setuid setgroups setresgid capset") {
            assert_eq!(ask(&program, &call, &[]), ALLOW, "{call}");
        }
    }
}

#[test]
fn init_does_its_work_and_dies_of_anything_else() {
    let program = quads(&init());
    for call in numbers_of("read sendmsg recvmsg poll waitid kill rt_sigtimedwait exit_group") {
        assert_eq!(run(&program, &Call::native(call, [0; 6])), ALLOW, "{:?}", name(call));
    }
    for call in numbers_of("openat execve execveat clone fork mmap socket mprotect ioctl setns") {
        assert_eq!(run(&program, &Call::native(call, [0; 6])), KILL, "{:?}", name(call));
    }
    for call in [600, 1023, 0x3fff_ffff] {
        assert_eq!(run(&program, &Call::native(call, [0; 6])), KILL);
    }
}

#[test]
fn a_profile_adds_and_takes_away() {
    let (allow, deny) = (words("@debug @numa"), words("@listening symlink copy_file_range clone3"));
    let rules = Rules { allow: &allow, deny: &deny, ..plain("default", Sockets::Inet) };
    let program = quads(&compile(&rules).unwrap());
    for (call, wanted) in [
        ("ptrace", ALLOW),
        ("mbind", ALLOW),
        ("pidfd_getfd", EPERM),
        ("listen", EPERM),
        ("symlink", EPERM),
        ("symlinkat", ALLOW),
        // A call that libraries probe keeps the errno they fall back from.
        ("copy_file_range", ENOSYS),
        ("clone3", ENOSYS),
    ] {
        assert_eq!(ask(&program, call, &[]), wanted, "{call}");
    }
    let found = explain(&rules, number("ptrace").unwrap()).unwrap();
    assert_eq!((found.group, found.verdict), ("profile", Verdict::Allow));
}

#[test]
fn denying_never_widens() {
    let names = |verdict: &Verdict| matches!(verdict, Verdict::Errno(_));
    for group in groups().iter().filter(|group| group.name != "start") {
        let deny = [format!("@{}", group.name)];
        let before = plain("network-server", Sockets::Inet);
        let after = Rules { deny: &deny, ..before };
        for (number, name) in NUMBERS {
            let (old, new) =
                (verdict(&before, *number).unwrap(), verdict(&after, *number).unwrap());
            assert!(old == new || names(&new), "{name} under {deny:?}: {old} became {new}");
        }
    }
}

#[test]
fn every_problem_is_told_at_once_and_with_a_remedy() {
    let allow = words("opnat mount @debgu sockets getpid xyzzyplugh");
    let deny = words("getpid write @start2");
    let rules = Rules { allow: &allow, deny: &deny, ..plain("defualt", Sockets::Inet) };
    let problems = compile(&rules).unwrap_err().join("\n");
    for part in [
        "defualt is not a base; did you mean default?",
        "opnat is not a system call of x86_64; did you mean openat?",
        "mount is never allowed in a sandbox (",
        "@debgu is not a group of system calls; did you mean @debug?",
        "sockets is not a system call; the group is written @sockets",
        "xyzzyplugh is not a system call of x86_64; write a name from syscalls(2)",
        "getpid is in allow and in deny; remove it from one of them",
        "write cannot be denied (",
        "@start2 is not a group of system calls; did you mean @start?",
    ] {
        assert!(problems.contains(part), "{part:?} is not in:\n{problems}");
    }
}

#[test]
fn what_this_kernel_lacks_is_refused() {
    let rules = Rules { last_syscall: 450, ..plain("default", Sockets::Inet) };
    let program = quads(&compile(&rules).unwrap());
    assert_eq!(ask(&program, "fchmodat2", &[0, 0, 0o644]), ENOSYS);
    assert_eq!(ask(&program, "futex_waitv", &[]), ALLOW);
}

#[test]
fn filters_are_short_enough_to_install_quickly() {
    for rules in everything() {
        let length = compile(&rules).unwrap().instructions().len();
        assert!(length < 512, "{} takes {length} instructions", rules.base);
    }
    assert!(init().instructions().len() < 100);
}

#[test]
fn a_filter_can_be_read() {
    let text = disassemble(&compile(&plain("default", Sockets::Inet)).unwrap());
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "   0  load architecture");
    assert_eq!(lines[1], "   1  if = 0xc000003e go 3 else 2");
    assert_eq!(lines[2], "   2  kill");
    assert_eq!(lines[3], "   3  load number");
    for part in ["refuse EAFNOSUPPORT", "refuse ENOSYS", "argument 1 (low half)", "allow"] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
    assert!(!text.contains("code 0x"), "an instruction without words:\n{text}");
}
