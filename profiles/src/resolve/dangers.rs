//! Grants that would hand over the host, or could.

use super::Deciding;
use crate::host::AuditFact;
use crate::schema::{Access, Isolation};
use sandboxd_plan::HostPath;

/// What is wrong with granting a path, and what to do.
pub(super) struct Danger {
    pub(super) what: String,
    pub(super) remedy: &'static str,
    /// Whether a written reason is enough.
    pub(super) reasonable: bool,
}

const OWN: &[&str] = &["/run/sandboxd", "/var/lib/sandboxd"];
/// What the host itself executes and obeys: nothing in it is written by a sandbox without a reason, and so a link in it
/// is the system's.
pub const SYSTEM: &[&str] =
    &["/usr", "/etc", "/boot", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];
const REASON: &str = "write { path = \"…\", reason = \"why\" }, or name only what is needed in it";

fn never(what: String, remedy: &'static str) -> Danger {
    Danger { what, remedy, reasonable: false }
}

fn unless_reasoned(what: String) -> Danger {
    Danger { what, remedy: REASON, reasonable: true }
}

/// Whether no profile may grant this, whatever its reason; the host need not be looked at then.
pub(crate) fn is_never_granted(path: &HostPath, access: Access, isolation: Isolation) -> bool {
    danger(path, access, isolation, None).is_some_and(|danger| !danger.reasonable)
}

/// What is dangerous about granting this path of the host.
pub(super) fn danger(
    path: &HostPath,
    access: Access,
    isolation: Isolation,
    home: Option<&HostPath>,
) -> Option<Danger> {
    let is = |text: &str| path.as_str() == text;
    let within = |text: &str| HostPath::try_from(text).is_ok_and(|tree| path.is_within(&tree));
    let holds = |text: &str| HostPath::try_from(text).is_ok_and(|inner| inner.is_within(path));
    if is("/") {
        return Some(never("/ is the whole host".into(), "name the folders that are needed"));
    }
    // Without a view there is no other to be had.
    if isolation == Isolation::Landlock && within("/proc") && access == Access::Read {
        return Some(unless_reasoned(format!("{path} exposes all processes of the host")));
    }
    if isolation == Isolation::Landlock && within("/dev/shm") {
        return Some(unless_reasoned(format!("{path} is shared with everyone here")));
    }
    if within("/proc") || within("/dev") {
        let remedy = "remove it: the sandbox has its own /proc and /dev";
        return Some(never(format!("{path} belongs to the host"), remedy));
    }
    if let Some(own) = OWN.iter().find(|own| within(own) || holds(own)) {
        let remedy = "name the folders that are needed";
        return Some(never(format!("{path} contains {own}, sandboxd's own state"), remedy));
    }
    let write = access == Access::Write;
    if within("/sys") {
        return Some(if access == Access::Read {
            unless_reasoned(format!("{path} exposes details of the machine"))
        } else {
            never(format!("{path} controls the machine"), "remove it, or move it to files.read")
        });
    }
    if write && SYSTEM.iter().any(|system| is(system)) {
        return Some(never(
            format!("the host executes and trusts what is in {path}"),
            "name only what is needed in it",
        ));
    }
    if write && SYSTEM.iter().any(|system| within(system)) {
        return Some(unless_reasoned(format!("the host executes or trusts {path}")));
    }
    if within("/run") || within("/var/run") {
        return Some(unless_reasoned(format!("{path} may contain sockets of the host's services")));
    }
    if is("/tmp") {
        return Some(unless_reasoned("/tmp is shared with everyone on the host".into()));
    }
    if is("/home") || is("/root") || home.is_some_and(|home| home.is_within(path)) {
        return Some(unless_reasoned(format!(
            "{path} is a home directory: keys, history, settings"
        )));
    }
    None
}

impl Deciding<'_> {
    /// The audit log is nobody's inside. Where a folder around it is shown it is covered, which takes a
    /// view.
    pub(super) fn holds_audit(&self, path: &HostPath) -> Option<Danger> {
        let AuditFact::Folder(folder) = &self.host.audit else { return None };
        let shows = path.is_within(folder) || (self.is_bare() && folder.is_within(path));
        shows.then(|| {
            let remedy =
                "name the folders that are needed, or set XDG_STATE_HOME to another folder";
            never(format!("{path} contains {folder}, sandboxd's audit log"), remedy)
        })
    }
}
