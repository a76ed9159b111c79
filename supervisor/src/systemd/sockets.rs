//! Sockets that systemd listens on for a service, sd_listen_fds(3). No command gets them yet, and whoever
//! connects to one would wait for ever: so nothing is started where there are some.

use crate::sandbox::StartError;
use std::ffi::OsString;

/// Whether none were passed to this process.
///
/// # Errors
/// Where some were.
pub(crate) fn none() -> Result<(), StartError> {
    judge(&|name| std::env::var_os(name), std::process::id())
}

fn judge(variable: &dyn Fn(&str) -> Option<OsString>, own: u32) -> Result<(), StartError> {
    // The variables reach every process below a service; one of them is meant.
    let is_own = variable("LISTEN_PID").is_some_and(|pid| pid == *own.to_string());
    match variable("LISTEN_FDS").filter(|count| is_own && *count != *"0") {
        None => Ok(()),
        Some(count) => {
            let count = count.to_string_lossy();
            Err(StartError::found("sockets", format!("LISTEN_FDS={count}")).with_remedy(
                "a command in a sandbox gets no sockets of systemd's: take the .socket unit away, and let whoever may call the command do so through a pipe or a file that its profile grants",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(variables: &[(&str, &str)]) -> bool {
        let find = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        };
        judge(&find, 77).is_ok()
    }

    #[test]
    fn sockets_for_this_process_and_for_no_other_are_refused() {
        assert!(judged(&[]));
        assert!(judged(&[("LISTEN_FDS", "1")]));
        assert!(judged(&[("LISTEN_FDS", "1"), ("LISTEN_PID", "76")]));
        assert!(judged(&[("LISTEN_FDS", "0"), ("LISTEN_PID", "77")]));
        assert!(!judged(&[("LISTEN_FDS", "1"), ("LISTEN_PID", "77")]));
        assert!(!judged(&[("LISTEN_FDS", "some"), ("LISTEN_PID", "77")]));
    }
}
