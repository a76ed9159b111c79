//! Everything of a profile but files and system calls, met with the profiles it is run under: limits
//! by the smaller, choices by the narrower, leave to do without something by all of them.

use crate::Problem;
use crate::origin::{Origin, Written};
use crate::quantity::Amount;
use crate::resolve::view::TMP;
use crate::schema::{Limits, Profile, Protect, User};

/// A profile narrowed to what those it is run under allow. Its files and its system calls are left as
/// they are: each profile is a layer of its own there.
pub(crate) fn narrowed(profile: &Profile, under: &[Profile]) -> (Profile, Vec<Problem>) {
    let mut narrow = profile.clone();
    let mut problems = Vec::new();
    for grant in under {
        user(&narrow, grant, &mut problems);
        passed(&narrow, grant, &mut problems);
        limits(&mut narrow.limits, grant);
        let label = grant.label().to_owned();
        narrow.files.tmp = smaller(narrow.files.tmp.take(), grant.files.tmp.clone(), TMP, &label);
        if severity(grant) > severity(&narrow) {
            narrow.files.protect.clone_from(&grant.files.protect);
        }
        if narrow.network.mode() > grant.network.mode() {
            narrow.network = grant.network.clone();
        }
        let granted = &grant.command.escapes;
        narrow
            .command
            .escapes
            .retain(|escape| granted.iter().any(|granted| granted.value == escape.value));
        if !grant.syscalls.fileless_exec.as_ref().is_some_and(|word| word.value) {
            narrow.syscalls.fileless_exec = None;
        }
        narrow.require.keep_what_also(&grant.require);
    }
    (narrow, problems)
}

/// How much stays read-only.
pub(crate) fn severity(profile: &Profile) -> u8 {
    match profile.files.protect.as_ref().map(|protect| &protect.value) {
        Some(Protect::Off(_)) => 0,
        None | Some(Protect::Default) => 1,
        Some(Protect::Strict) => 2,
    }
}

/// A uid of its own is less than any other.
fn user(profile: &Profile, grant: &Profile, problems: &mut Vec<Problem>) {
    let Some(Written { value: user, origin }) = &profile.command.user else { return };
    let granted = grant.command.user.as_ref().map(|user| &user.value);
    if *user != User::Dynamic && granted != Some(user) {
        let label = grant.label();
        problems.push(origin.problem(
            format!("{label}, which this runs under, does not let a command run as this user"),
            "write user = \"dynamic\", or the same user in that profile",
        ));
    }
}

/// Who listens for somebody else is answered to as that somebody, and a secret is told to nobody further.
fn passed(profile: &Profile, grant: &Profile, problems: &mut Vec<Problem>) {
    let (own, granted) = (&profile.command, &grant.command);
    for (own, granted, kind) in [
        (&own.sockets, &granted.sockets, "socket"),
        (&own.credentials, &granted.credentials, "credential"),
    ] {
        for name in own.iter().filter(|name| !granted.iter().any(|one| one.value == name.value)) {
            let label = grant.label();
            problems.push(name.origin.problem(
                format!("{label}, which this runs under, does not grant this {kind}"),
                "name it there, too, or remove it here",
            ));
        }
    }
}

/// Limits by the smaller.
pub(crate) fn limits(limits: &mut Limits, grant: &Profile) {
    use crate::resolve::limits as silent;
    let label = grant.label();
    let some = |amount| Some(Amount::Limited(amount));
    let given = grant.limits.clone();
    for (limit, given, silent) in [
        (&mut limits.memory, given.memory, some(silent::MEMORY)),
        (&mut limits.memory_high, given.memory_high, None),
        (&mut limits.swap, given.swap, some(0)),
        (&mut limits.cpus, given.cpus, some(silent::CPU_MILLI)),
        (&mut limits.cpu_weight, given.cpu_weight, some(100)),
        (&mut limits.io_read, given.io_read, None),
        (&mut limits.io_write, given.io_write, None),
        (&mut limits.processes, given.processes, some(silent::PROCESSES)),
        (&mut limits.open_files, given.open_files, some(silent::OPEN_FILES)),
        (&mut limits.file_size, given.file_size, some(silent::FILE_SIZE)),
        (&mut limits.wall_time, given.wall_time, some(silent::WALL_TIME_MS)),
        (&mut limits.cpu_time, given.cpu_time, None),
        (&mut limits.output, given.output, some(silent::OUTPUT)),
    ] {
        let silent = silent.unwrap_or(Amount::Unlimited);
        *limit = smaller(limit.take(), given, silent, label);
    }
}

/// The smaller of two; where a profile is silent, what silence means there.
fn smaller<T: Ord + Copy>(
    own: Option<Written<T>>,
    given: Option<Written<T>>,
    silent: T,
    label: &str,
) -> Option<Written<T>> {
    let value = |written: &Option<Written<T>>| written.as_ref().map_or(silent, |one| one.value);
    if value(&given) >= value(&own) {
        return own;
    }
    // Smaller than what silence means, so it was written; or it is that, and what is said is more.
    given.or_else(|| Some(Written { value: silent, origin: Origin::named(label, "its default") }))
}
