//! What a person is told of a run that failed: what it was refused, in a few lines.

use super::load;
use super::not_called;
use super::run::Who;
use super::typed::Grants;
use super::used_up;
use super::why::last;
use crate::explain::{self, printable};
use crate::kept::{Kept, Options, refused_calls};
use crate::sandbox::{DeniedCall, RunResult};

/// So many refusals are said one by one.
const SAID: usize = 5;

/// A refused call, as people read it.
pub(super) fn call(denied: &DeniedCall) -> String {
    let argument =
        denied.argument.map_or_else(String::new, |number| argument(&denied.call, number));
    let by = if denied.by.is_empty() {
        String::new()
    } else {
        format!(", by {}", printable(&denied.by))
    };
    let times = if denied.times == 1 { String::new() } else { format!(", {} times", denied.times) };
    format!("{}{argument}: {}{by}{times}", denied.call, explain::errno(denied.errno))
}

/// Address families, as socket(2) and the kernel's `include/linux/socket.h` name them.
const FAMILIES: &[(u64, &str)] = &[
    (1, "AF_UNIX"),
    (2, "AF_INET"),
    (10, "AF_INET6"),
    (15, "AF_KEY"),
    (16, "AF_NETLINK"),
    (17, "AF_PACKET"),
    (21, "AF_RDS"),
    (29, "AF_CAN"),
    (30, "AF_TIPC"),
    (31, "AF_BLUETOOTH"),
    (38, "AF_ALG"),
    (40, "AF_VSOCK"),
    (44, "AF_XDP"),
    (45, "AF_MCTP"),
];

/// The argument that decided, by its name where it has one that people know.
fn argument(call: &str, number: u64) -> String {
    match call {
        "socket" | "socketpair" => match FAMILIES.iter().find(|(family, _)| *family == number) {
            Some((_, name)) => format!("({name}, …)"),
            None => format!("({number}, …)"),
        },
        "ioctl" => format!("(…, {number:#x}, …)"),
        "personality" => format!("({number:#x})"),
        _ => format!("({number}, …)"),
    }
}

/// Keeps what is known of a run that failed or was refused anything; nothing of another, or where that
/// cannot be kept.
pub(super) fn keep(result: &RunResult, grants: &Grants) -> Option<Kept> {
    let limits = used_up::limits(result);
    let refused = !limits.is_empty()
        || !result.denials.is_empty()
        || result.egress.as_ref().is_some_and(|used| !used.refused.is_empty())
        || refused_calls(result).next().is_some();
    let kept = (refused || result.exit_status() != 0).then(|| {
        Kept::of(result, (load::name(grants), !grants.command.is_empty()), asked(grants), limits)
    })?;
    kept.keep().then_some(kept)
}

/// The first few refusals of a run that failed, each with what would allow it, and where the rest is told.
/// Whoever called through the broker reads this: no tool is named that it was not given.
pub(super) fn words(
    result: &RunResult,
    grants: &Grants,
    (kept, who): (Option<&Kept>, Who),
) -> String {
    if result.exit_status() == 0 {
        return String::new();
    }
    let mut lines: Vec<String> = Vec::new();
    let denials = &result.denials;
    let advised = last::advised(grants, &denials.calls, SAID);
    for (denied, advice) in denials.calls.iter().zip(advised) {
        lines.push(format!("refused: {}{advice}", call(denied)));
    }
    let more: u64 = denials.calls.iter().skip(SAID).map(|denied| denied.times).sum();
    let more = more.saturating_add(denials.others);
    if more > 0 {
        lines.push(format!("refused: {more} more"));
    }
    let calls: Vec<_> = not_called::all(&result.called).collect();
    let line = match who {
        Who::Caller => not_called::line,
        Who::Client => not_called::line_for_a_client,
    };
    let said = calls.iter().take(SAID);
    lines.extend(said.map(|(edge, one)| format!("not called: {}", line(edge, one))));
    let more: u64 = calls.iter().skip(SAID).map(|(_, one)| one.times).sum();
    if more > 0 {
        lines.push(format!("not called: {more} more"));
    }
    let went = result.egress.as_ref().is_some_and(|used| !used.refused.is_empty());
    // Whoever interrupts it knows why it ended.
    let interrupted = result.exit_status() == 130;
    if kept.is_some() && !interrupted && (went || !lines.is_empty()) {
        lines.push(String::from(
            "the command failed; to see what it was denied: sandboxd why --last",
        ));
    }
    lines.iter().map(|line| format!("sandboxd: {}: {line}\n", result.sandbox)).collect()
}

/// Tables in whose values nobody writes a secret.
const KEPT: &[&str] = &["files", "isolation", "limits", "network", "require", "syscalls"];

/// Whether what is typed with --set is written down.
fn is_kept(set: &str) -> bool {
    let key = set.split('=').next().unwrap_or_default();
    KEPT.contains(&key.split('.').next().unwrap_or_default().trim())
}

fn asked(grants: &Grants) -> Options {
    let Grants { profile, under, read, write, execute, egress, bind, set, .. } = grants;
    Options {
        profile: profile.clone(),
        under: under.clone(),
        read: read.clone(),
        write: write.clone(),
        execute: execute.clone(),
        egress: egress.clone(),
        bind: bind.clone(),
        set: set.iter().filter(|set| is_kept(set)).cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::{argument, is_kept};

    #[test]
    fn an_argument_is_named_as_its_manual_names_it() {
        assert_eq!(argument("socket", 2), "(AF_INET, …)");
        assert_eq!(argument("socketpair", 7), "(7, …)");
        assert_eq!(argument("ioctl", 0x5412), "(…, 0x5412, …)");
        assert_eq!(argument("personality", 8), "(0x8)");
        assert_eq!(argument("prctl", 43), "(43, …)");
    }

    #[test]
    fn nothing_is_kept_that_may_hold_a_secret() {
        for set in ["files.read=[\"/srv\"]", " limits.memory = \"1G\"", "isolation=\"landlock\""] {
            assert!(is_kept(set), "{set}");
        }
        for set in [
            "env.set.TOKEN=\"t\"",
            " env.set.TOKEN=\"t\"",
            "\"env\".set.TOKEN=\"t\"",
            "command.exec=[\"curl\",\"-H\",\"Authorization: t\"]",
            "secrets.k.from=\"file:/k\"",
            "filesystem=1",
            "",
        ] {
            assert!(!is_kept(set), "{set}");
        }
    }
}
