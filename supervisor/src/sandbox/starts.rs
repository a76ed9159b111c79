//! Where the command starts, where that is not the folder that sandboxd was called in.

use sandboxd_plan::Plan;
use sandboxd_profiles::Profile;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

/// What whoever typed a relative name should know; nothing where it starts where they are, or where the
/// profile says.
#[must_use]
pub(crate) fn elsewhere(profile: &Profile, plan: &Plan) -> Option<String> {
    let called_in = std::env::current_dir().ok()?;
    told(profile, plan.exec.cwd.as_str(), called_in.as_os_str())
}

fn told(profile: &Profile, starts: &str, called_in: &OsStr) -> Option<String> {
    let own = profile.command.cwd.is_none() && called_in != "/";
    let why = match called_in.to_str() {
        Some(here) if here == starts => return None,
        Some(here) => format!("{here} is not granted (-r . or -w .)"),
        None => {
            let name = called_in.as_bytes().escape_ascii();
            format!("the name {name} is not UTF-8, and no profile can grant it: rename it")
        }
    };
    own.then(|| format!("starts in {starts}, a temporary folder of its own: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_where_a_relative_name_means_another_file() {
        let none = Profile::default();
        let told = |starts: &str, called_in: &[u8]| {
            super::told(&none, starts, OsStr::from_bytes(called_in)).unwrap_or_default()
        };
        assert_eq!(told("/srv/a", b"/srv/a"), "");
        assert_eq!(told("/home/agent", b"/"), "");
        let said = told("/home/agent", b"/srv/a");
        assert!(said.contains("/home/agent") && said.contains("/srv/a is not granted"), "{said}");
        assert!(told("/home/agent", b"/srv/caf\xe9").contains("caf\\xe9 is not UTF-8"));
    }
}
