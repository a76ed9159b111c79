//! `isolation = "landlock"`: what is decided without namespaces, and what is refused.

use crate::support::*;
use sandboxd_plan::{Bounding, Ending, Groups, Keyring, Probe, Resource, Root};
use sandboxd_profiles::host::{Found, PathFact, ProtectedKind};
use sandboxd_profiles::resolved::Resolved;
use sandboxd_profiles::{HostFacts, Problem};

const CONTAINER: &str = "extends = [\"builtin:container\"]\n";

fn run(rest: &str, host: HostFacts) -> Result<Resolved, Vec<Problem>> {
    on(&format!("{CONTAINER}{rest}"), host)
}

fn refused(rest: &str, host: HostFacts) -> String {
    shown(&run(rest, host).unwrap_err())
}

fn ok(rest: &str, host: HostFacts) -> Resolved {
    run(rest, host).unwrap_or_else(|problems| panic!("{rest}: {}", shown(&problems)))
}

#[test]
fn without_namespaces_every_other_profile_is_refused_with_the_one_that_runs() {
    let problems = shown(&on("extends = [\"builtin:base\"]", container(0, 7)).unwrap_err());
    assert!(problems.contains("builtin:container"), "{problems}");
    assert!(problems.contains("mount view"), "{problems}");
}

#[test]
fn nothing_is_mounted_or_unshared_and_what_is_absent_is_named() {
    for uid in [0, 1000] {
        let Resolved { plan, outside, absent, .. } = ok("", container(uid, 7));
        assert_eq!(plan.root, Root::Host);
        assert!(plan.namespaces.own.is_empty() && plan.namespaces.network.is_none());
        assert_eq!(plan.command.identity.uid, uid);
        assert_eq!(plan.session.keyring, Keyring::Unreachable);
        let root = uid == 0;
        assert_eq!(plan.bounding == Bounding::Emptied, root);
        assert_eq!(plan.command.identity.groups == Groups::Emptied, root);
        assert!(outside.cgroup.is_none() && outside.private.is_some());
        let named: Vec<&str> = absent.iter().map(|one| one.layer.as_str()).collect();
        for layer in ["mount-view", "pid-namespace", "ipc-namespace", "network-namespace", "uid"] {
            assert!(named.contains(&layer), "{layer} in {named:?}");
        }
        assert!(!named.contains(&"file-attributes"));
    }
}

#[test]
fn signals_stay_inside_by_a_fence_and_init_is_out_of_the_commands_reach() {
    let plan = ok("", container(1000, 7)).plan;
    let Ending::Domain { fence } = &plan.ending else { panic!("{:?}", plan.ending) };
    assert_eq!((fence.handled_fs, fence.scoped), (1 << 13, 2));
    assert_eq!(
        plan.init.landlock.iter().next().unwrap().rules.scoped & 2,
        0,
        "init's signals end at its own ruleset"
    );
    assert_eq!(plan.command.landlock.iter().next().unwrap().rules.scoped & 2, 2);
    assert!(plan.probes.contains(&Probe::SignalInit { errno: 1 }));
}

#[test]
fn what_an_older_landlock_lacks_is_a_problem_although_base_waives_it() {
    let old = refused("", container(1000, 2));
    assert!(old.contains("truncated") && old.contains("does not confine signals"), "{old}");
    // Nobody can waive what ends the sandbox.
    let waived = "[require]\nlandlock.scope = \"if-available\"\n";
    assert!(refused(waived, container(1000, 5)).contains("does not confine signals"));
    let none = HostFacts { landlock: None, ..container(1000, 7) };
    let waived = "[require]\nlandlock = \"if-available\"\n";
    assert!(refused(waived, none).contains("nothing else protects files"));
}

#[test]
fn what_only_a_mount_can_do_is_refused() {
    for (rest, words) in [
        ("[files]\nwrite = [\"/w\"]\nhide = [\"/w/.env\"]\n", "only a mount can hide it"),
        ("[files]\nwrite = [\"/w\"]\nread = [\"/w/sub\"]\n", "may be written, too"),
        ("[files]\nbind = [{ from = \"/data\", to = \"/d\" }]\n", "that needs a mount"),
        ("[command]\nuser = \"alice\"\n", "not as alice"),
        ("[syscalls]\nallow = [\"mq_open\"]\n", "cannot be allowed here"),
        ("[files]\nread = [{ path = \"/tmp\", reason = \"x\" }]\n", "private folder"),
        ("[files]\nread = [\"/proc\"]\n", "all processes of the host"),
        ("[limits]\nfile_size = \"2G\"\n", "sandboxd itself has no more"),
    ] {
        let mut host = container(0, 7);
        host.hard_limits.insert(Resource::Fsize, 1 << 30);
        let problems = refused(rest, host);
        assert!(problems.contains(words), "{rest}: {problems}");
    }
}

#[test]
fn a_protected_name_in_a_writable_folder_needs_the_word_that_it_is_not_kept() {
    let mut host = container(1000, 7);
    let tree = Found {
        protected: vec![protected("/w/.git/hooks", ProtectedKind::Directory)],
        ..found("/w", sandboxd_profiles::host::FileKind::Directory, 1000)
    };
    host.paths.insert(path("/w"), PathFact::Found(tree));
    let rest = "[files]\nwrite = [\"/w\"]\nprotect = \"default\"\n";
    let problems = refused(rest, host.clone());
    assert!(problems.contains("/w/.git/hooks"), "{problems}");
    let watched = ok("[files]\nwrite = [\"/w\"]\n", host).outside.watched;
    assert_eq!(watched.len(), 1);
}

#[test]
fn limits_are_no_higher_than_those_of_sandboxd_itself() {
    let limits = ok("", container(1000, 7)).plan.limits.rlimits;
    let value = |wanted| limits.iter().find(|one| one.resource == wanted).map(|one| one.value);
    assert_eq!(value(Resource::Memlock), Some(65536));
    assert_eq!(value(Resource::Core), Some(0));
}
