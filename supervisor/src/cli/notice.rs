//! What whoever started a run is told while it runs: that a call waits.
//!
//! The terminal is the command's meanwhile: what it wrote stands there too, and can look like anything of
//! ours. So nothing is asked here and nothing of the call is shown, not even its ID: there is only said
//! where to look.

use super::output::warn;
use super::run::Says;
use crate::calls::Waits;
use crate::explain::printable;
use rustix::termios::isatty;
use serde_json::json;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often it is said: whoever calls could go on for ever.
const PACE: Duration = Duration::from_secs(5);

/// What was said last.
#[derive(Default)]
struct Said {
    calls: u64,
    at: Option<Instant>,
}

impl Said {
    /// Whether that so many wait is to be said now: that more do, and not too often.
    fn is_news(&mut self, calls: u64, now: Instant) -> bool {
        let more = calls > std::mem::replace(&mut self.calls, calls);
        let news = more && self.at.is_none_or(|at| now.duration_since(at) >= PACE);
        if news {
            self.at = Some(now);
        }
        news
    }
}

/// Says it for the run of this profile.
pub(super) fn waiting(name: String, Says { json, quiet }: Says) -> Waits {
    let said = Mutex::<Said>::default();
    Box::new(move |calls| {
        // Whoever panics ends this process.
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        if quiet || !said.is_news(calls, Instant::now()) {
            return;
        }
        // While the command has the terminal, a line ends with both.
        let [begin, end] = if isatty(std::io::stderr()) { ["\r", "\r\n"] } else { ["", "\n"] };
        let text = if json {
            json!({ "run": name, "waiting_for_approval": calls }).to_string()
        } else {
            let what = if calls == 1 { "a call waits" } else { "calls wait" };
            format!(
                "sandboxd: {name}: {what} to be approved; on another terminal: sandboxd approve"
            )
        };
        warn(&format!("{begin}{text}{end}"));
    })
}

/// That a variable is passed on by its name alone, and there is none.
pub(super) fn unset(typed: &[String]) -> String {
    let names = typed.iter().filter(|typed| !typed.contains('='));
    let unset = names.filter(|name| std::env::var_os(name).is_none());
    let line = |name: &String| {
        format!("sandboxd: -e {}: there is no such variable here to pass on\n", printable(name))
    };
    unset.map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_is_not_there_to_be_passed_on_is_named() {
        let typed = ["PATH", "SANDBOXD_NONE=1", "SANDBOXD_NONE"].map(String::from);
        let said = unset(&typed);
        assert_eq!(said, "sandboxd: -e SANDBOXD_NONE: there is no such variable here to pass on\n");
    }

    #[test]
    fn that_more_calls_wait_is_said_but_not_without_end() {
        let mut said = Said::default();
        let now = Instant::now();
        assert!(said.is_news(1, now));
        assert!(!said.is_news(1, now + PACE), "the same");
        assert!(!said.is_news(0, now + PACE), "fewer");
        assert!(said.is_news(1, now + PACE));
        for calls in [0, 1, 2, 3] {
            assert!(!said.is_news(calls, now + PACE), "too soon: {calls}");
        }
        assert!(said.is_news(4, now + 2 * PACE));
    }
}
