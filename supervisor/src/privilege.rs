//! By what right sandboxes are made: as root of the machine, or as an ordinary user in a user
//! namespace. Whether a host lets its users do that is found by doing it; why it does not, from what it
//! says of itself.

use crate::explain;
use crate::host;
use rustix::io::Errno;
use sandboxd_kernel::userns::{Mapping, Refused, Step};
use sandboxd_profiles::host::Privilege;
use std::path::Path;

/// Finds it. For root that is a look at its capabilities; for anybody else, a process that makes a user
/// namespace, mounts something in it, and ends.
#[must_use]
pub fn find() -> Privilege {
    if host::is_root_of_the_machine() {
        return Privilege::Root;
    }
    let own = host::own_ids();
    if own.0 == 0 {
        let missing: Vec<String> =
            host::missing_capabilities().iter().map(ToString::to_string).collect();
        return Privilege::None {
            what: match missing.as_slice() {
                [] => String::from("root here is root of a user namespace, not of the machine"),
                missing => format!("root lacks {} here", missing.join(", ")),
            },
            remedy: String::from(
                "run sandboxd as root of the machine or as an ordinary user, outside a container",
            ),
        };
    }
    match Mapping::of(own.0, own.1).attempt() {
        Ok(()) => Privilege::UserNamespace,
        Err(refused) => {
            let (what, remedy) = explained(refused, &Clues::read());
            Privilege::None { what, remedy }
        }
    }
}

/// What a host says about the user namespaces of its users.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Clues {
    /// `kernel.apparmor_restrict_unprivileged_userns`, of Ubuntu.
    pub apparmor: Option<u64>,
    /// `kernel.unprivileged_userns_clone`, of Debian and its kin.
    pub clone: Option<u64>,
    /// `user.max_user_namespaces`.
    pub most: Option<u64>,
    /// Whether a filter is in force around this process.
    pub filtered: bool,
    /// This program, for the text of a remedy.
    pub program: String,
}

impl Clues {
    /// Reads them.
    #[must_use]
    pub fn read() -> Self {
        let number = |path| std::fs::read_to_string(path).ok()?.trim().parse().ok();
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let seccomp = status.lines().find_map(|line| line.strip_prefix("Seccomp:"));
        let program = std::env::current_exe().unwrap_or_else(|_| "/usr/bin/sandboxd".into());
        Self {
            apparmor: number(Path::new("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")),
            clone: number(Path::new("/proc/sys/kernel/unprivileged_userns_clone")),
            most: number(Path::new("/proc/sys/user/max_user_namespaces")),
            filtered: seccomp.is_some_and(|mode| mode.trim() == "2"),
            program: program.display().to_string(),
        }
    }
}

/// What refused a step, and what to do.
#[must_use]
pub fn explained(Refused { step, errno }: Refused, clues: &Clues) -> (String, String) {
    let said = explain::errno(errno.raw_os_error());
    let (why, remedy) = match (step, errno) {
        (Step::Clone, _) if clues.clone == Some(0) => (
            "this host lets only root make them (kernel.unprivileged_userns_clone = 0)",
            String::from(
                "let root run: sysctl -w kernel.unprivileged_userns_clone=1 (and write it into /etc/sysctl.d), or run sandboxd as root",
            ),
        ),
        (Step::Clone, Errno::NOSPC) if clues.most == Some(0) => (
            "this host lets nobody make them (user.max_user_namespaces = 0)",
            String::from(
                "let root run: sysctl -w user.max_user_namespaces=15000 (and write it into /etc/sysctl.d), or run sandboxd as root",
            ),
        ),
        (Step::Clone, Errno::NOSPC | Errno::USERS) => (
            "the limit on user namespaces is reached, or this process is nested too deeply in them",
            String::from(
                "end some sandboxes, or let root raise user.max_user_namespaces; start sandboxd outside of other sandboxes",
            ),
        ),
        (Step::Proc, _) => (
            "parts of /proc are masked, as in most containers, so the kernel permits no other proc mount",
            String::from(
                "run sandboxd outside the container, or let the container keep its proc unmasked (docker run --security-opt systempaths=unconfined, a pod's procMount: Unmasked)",
            ),
        ),
        (_, Errno::PERM | Errno::ACCESS) if clues.apparmor.is_some_and(|on| on != 0) => (
            "AppArmor removes their privileges (kernel.apparmor_restrict_unprivileged_userns = 1, as Ubuntu has it)",
            format!("let root allow it for this program: {}", apparmor_remedy(&clues.program)),
        ),
        (_, Errno::PERM | Errno::ACCESS | Errno::NOSYS) if clues.filtered => (
            "a filter around sandboxd denies it: that of a container (Docker, Podman, a pod), or of another sandbox",
            String::from(
                "run sandboxd outside it, or let the container make user namespaces (docker run --security-opt seccomp=…, a pod's seccompProfile)",
            ),
        ),
        (Step::Clone, Errno::PERM | Errno::ACCESS) => (
            "a security module of the host denies it (AppArmor, SELinux), or this process is in a chroot",
            String::from(
                "let the module's policy allow user namespaces for this program, start sandboxd outside the chroot, or run it as root",
            ),
        ),
        (Step::Clone, Errno::INVAL | Errno::NOSYS) => (
            "the kernel lacks them (CONFIG_USER_NS)",
            String::from("run a kernel that has them, or run sandboxd as root"),
        ),
        _ => (
            "this host lets them be created, but denies what is done in them",
            String::from("run sandboxd as root, or check the kernel's log (dmesg)"),
        ),
    };
    let step = match step {
        Step::Clone => "make a user namespace",
        Step::Setgroups | Step::Map => "map their own ids in a user namespace",
        Step::Capabilities | Step::Tmpfs => "mount anything in a user namespace",
        Step::Proc => "mount a proc in a user namespace",
    };
    (format!("an ordinary user may not {step} here: {why}: {said}"), remedy)
}

/// How root lets one program use user namespaces where AppArmor restricts them.
fn apparmor_remedy(program: &str) -> String {
    format!(
        "printf '%s\\n' 'abi <abi/4.0>,' 'include <tunables/global>' 'profile sandboxd {program} flags=(unconfined) {{ userns, }}' | sudo tee /etc/apparmor.d/sandboxd && sudo apparmor_parser -r /etc/apparmor.d/sandboxd (the Debian package has this file for /usr/bin/sandboxd, in /usr/share/sandboxd/apparmor); or run sandboxd as root"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(step: Step, errno: Errno, clues: &Clues) -> String {
        let (what, remedy) = explained(Refused { step, errno }, clues);
        assert!(!remedy.is_empty());
        format!("{what}\n{remedy}")
    }

    #[test]
    fn ubuntus_restriction_is_told_with_a_profile_for_this_very_program() {
        let clues = Clues {
            apparmor: Some(1),
            program: String::from("/opt/tools/sandboxd"),
            ..Clues::default()
        };
        // The map may be refused, or all may go well until the first mount.
        for (step, errno) in [
            (Step::Clone, Errno::PERM),
            (Step::Setgroups, Errno::PERM),
            (Step::Map, Errno::ACCESS),
            (Step::Map, Errno::PERM),
            (Step::Tmpfs, Errno::PERM),
            (Step::Tmpfs, Errno::ACCESS),
        ] {
            let told = told(step, errno, &clues);
            assert!(told.contains("apparmor_restrict_unprivileged_userns = 1"), "{told}");
            assert!(told.contains("profile sandboxd /opt/tools/sandboxd flags=(unconfined)"));
            assert!(told.contains("apparmor_parser -r /etc/apparmor.d/sandboxd"));
        }
    }

    #[test]
    fn each_switch_of_a_host_is_named_with_the_command_that_turns_it() {
        let debian = Clues { clone: Some(0), ..Clues::default() };
        let text = told(Step::Clone, Errno::PERM, &debian);
        assert!(text.contains("sysctl -w kernel.unprivileged_userns_clone=1"), "{text}");
        let none = Clues { most: Some(0), ..Clues::default() };
        let text = told(Step::Clone, Errno::NOSPC, &none);
        assert!(text.contains("sysctl -w user.max_user_namespaces=15000"), "{text}");
        let some = Clues { most: Some(100), ..Clues::default() };
        for errno in [Errno::NOSPC, Errno::USERS] {
            let text = told(Step::Clone, errno, &some);
            assert!(text.contains("raise user.max_user_namespaces"), "{text}");
        }
    }

    #[test]
    fn containers_are_told_by_their_filter_and_by_their_proc() {
        let docker = Clues { filtered: true, ..Clues::default() };
        for errno in [Errno::PERM, Errno::NOSYS] {
            let text = told(Step::Clone, errno, &docker);
            assert!(text.contains("Docker") && text.contains("seccomp"), "{text}");
        }
        let text = told(Step::Proc, Errno::PERM, &docker);
        assert!(text.contains("procMount: Unmasked"), "{text}");
    }

    #[test]
    fn what_nothing_is_known_of_is_still_told_with_its_errno_and_something_to_do() {
        let nothing = Clues { apparmor: Some(0), clone: Some(1), ..Clues::default() };
        assert!(told(Step::Clone, Errno::PERM, &nothing).contains("chroot"));
        assert!(told(Step::Clone, Errno::ACCESS, &nothing).contains("SELinux"));
        assert!(told(Step::Clone, Errno::INVAL, &nothing).contains("CONFIG_USER_NS"));
        assert!(told(Step::Capabilities, Errno::IO, &nothing).contains("(EIO)"));
    }
}
