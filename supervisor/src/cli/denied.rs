//! What a person is told of a run that failed: what it was refused, in a few lines.

use super::load;
use super::typed::Grants;
use super::why::last;
use crate::explain::{self, printable};
use crate::kept::{Kept, Options};
use crate::sandbox::{DeniedCall, RunResult};

/// So many refusals are said one by one.
const SAID: usize = 5;

/// A refused call, as people read it.
pub(super) fn call(denied: &DeniedCall) -> String {
    let argument = denied.argument.map_or_else(String::new, |number| format!("({number}, …)"));
    let by = if denied.by.is_empty() {
        String::new()
    } else {
        format!(", by {}", printable(&denied.by))
    };
    let times = if denied.times == 1 { String::new() } else { format!(", {} times", denied.times) };
    format!("{}{argument}: {}{by}{times}", denied.call, explain::errno(denied.errno))
}

/// Keeps what is known of a run that failed; nothing where it did not fail, or that cannot be kept.
pub(super) fn keep(result: &RunResult, grants: &Grants) -> Option<Kept> {
    let failed = result.exit_status() != 0;
    let kept = failed.then(|| Kept::of(result, load::name(grants), asked(grants)))?;
    kept.keep().then_some(kept)
}

/// The first few refusals of a run that failed, each with what would allow it, and where the rest is told.
pub(super) fn words(result: &RunResult, grants: &Grants, kept: Option<&Kept>) -> String {
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
    let went = result.egress.as_ref().is_some_and(|used| !used.refused.is_empty());
    let somebody = rustix::termios::isatty(std::io::stderr());
    if kept.is_some() && (went || somebody || !lines.is_empty()) {
        lines.push(String::from("it failed; what it was refused: sandboxd why --last"));
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
    use super::is_kept;

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
