//! Decisions of `resolve`, each on an invented host.

use crate::support::*;
use sandboxd_plan::{
    Groups, Identity, JailPath, Mount, Namespace, Probe, Resource, Root, RootOp, wire,
};
use sandboxd_profiles::host::{
    Also, AuditFact, Blind, CgroupFacts, Controller, CoreFact, Disk, DiskFact, FileKind, Found,
    LandlockFacts, PathFact, ProtectedKind, ShownBy,
};
use sandboxd_profiles::resolved::{IoLimit, Resolved};
use sandboxd_profiles::{HostFacts, Overrides, builtin};
use std::collections::BTreeMap;

fn ops(resolved: &Resolved) -> &[RootOp] {
    match &resolved.plan.root {
        Root::Own { ops, .. } => ops,
        Root::Host => &[],
    }
}

/// Those that make a view.
fn builtins() -> impl Iterator<Item = String> {
    let with_view = builtin::list().iter().filter(|one| one.name != "container");
    with_view.map(|one| format!("extends = [\"builtin:{}\"]", one.name))
}

fn bind<'r>(resolved: &'r Resolved, to: &str) -> Option<(&'r str, Mount, Option<u32>)> {
    ops(resolved).iter().find_map(|op| {
        let RootOp::Bind { from, to: at, mount, idmap, .. } = op else { return None };
        (at.as_str() == to).then_some((from.as_str(), *mount, *idmap))
    })
}

fn place(op: &RootOp) -> &JailPath {
    match op {
        RootOp::Directory { path, .. }
        | RootOp::File { path, .. }
        | RootOp::Copy { path, .. }
        | RootOp::Symlink { path, .. }
        | RootOp::Device { path, .. }
        | RootOp::Sysctl { path, .. }
        | RootOp::Hide { path, .. }
        | RootOp::Hold { path, .. }
        | RootOp::Endpoint { path, .. }
        | RootOp::Remount { path, .. } => path,
        RootOp::Bind { to, .. }
        | RootOp::Tmpfs { to, .. }
        | RootOp::Proc { to }
        | RootOp::Devpts { to } => to,
    }
}

fn held(resolved: &Resolved) -> Vec<(String, bool)> {
    let held = ops(resolved).iter().filter_map(|op| {
        let RootOp::Hold { path, mount, .. } = op else { return None };
        Some((path.as_str().to_owned(), mount.read_only))
    });
    held.filter(|(path, _)| !path.starts_with("/proc")).collect()
}

fn refused(text: &str) -> String {
    shown(&on(text, typical()).unwrap_err())
}

#[test]
fn every_builtin_profile_resolves_on_a_typical_host_and_fits_the_wire() {
    for text in builtins() {
        let resolved =
            on(&text, typical()).unwrap_or_else(|problems| panic!("{text}: {}", shown(&problems)));
        wire::encode(&resolved.plan).unwrap();
        assert!(bind(&resolved, "/usr").is_some(), "{text}");
    }
}

#[test]
fn an_empty_profile_shows_nothing_of_the_host() {
    for text in ["", "[files]\nread = []\nwrite = []\nexecute = []\nbind = []\n[env]\npass = []"] {
        let resolved = on(text, typical()).unwrap();
        assert!(!ops(&resolved).iter().any(|op| matches!(op, RootOp::Bind { .. })), "{text}");
        let rules = ruleset(&resolved).paths.iter();
        let host: Vec<&str> = rules.map(|rule| rule.path.as_str()).collect();
        let own = ["/proc", "/etc", "/dev", "/tmp", "/home/agent"];
        assert!(host.iter().all(|path| own.iter().any(|own| path.starts_with(own))), "{host:?}");
        let env: Vec<String> = resolved.plan.exec.env.iter().map(ToString::to_string).collect();
        assert!(!env.iter().any(|entry| entry.starts_with("LANG")), "{env:?}");
    }
}

#[test]
fn no_rule_covers_the_root_or_the_canary_and_both_are_probed() {
    for text in builtins() {
        let resolved = on(&text, typical()).unwrap();
        let canary = JailPath::try_from("/.sandboxd").unwrap();
        let rules = &ruleset(&resolved).paths;
        assert!(!rules.iter().any(|rule| canary.is_within(&rule.path)));
        assert!(ops(&resolved).iter().any(|op| place(op) == &canary));
        let opened = Probe::Open { path: canary.clone(), errno: 13 };
        assert!(resolved.plan.probes.contains(&opened));
        assert!(resolved.plan.probes.contains(&Probe::OpenWrite { path: canary, errno: 30 }));
    }
}

#[test]
fn parents_come_before_what_lies_in_them() {
    let text = "[files]\nexecute = [\"/usr\"]\nwrite = [\"/w\"]\nread = [\"/w/a/b\"]\n\
                hide = [\"/w/.env\"]";
    let resolved = on(text, typical()).unwrap();
    let mut mounted: Vec<&JailPath> = Vec::new();
    for op in ops(&resolved) {
        let mounts = matches!(
            op,
            RootOp::Bind { .. } | RootOp::Hold { .. } | RootOp::Hide { .. } | RootOp::Tmpfs { .. }
        );
        if mounts {
            let at = place(op);
            let later = mounted.iter().find(|earlier| earlier.is_within(at) && **earlier != at);
            assert_eq!(later, None, "{at} is mounted over what lies in it");
            mounted.push(at);
        }
    }
}

#[test]
fn each_access_has_its_flags_and_entries_for_one_path_come_together() {
    let text = "[files]\nread = [\"/data\"]\nwrite = [\"/w\", \"/home/alice/project\"]\n\
                execute = [\"/usr\", \"/w\"]";
    let resolved = on(text, typical()).unwrap();
    let flags = |to| bind(&resolved, to).map(|(_, mount, _)| (mount.read_only, mount.no_exec));
    assert_eq!(flags("/data"), Some((true, true)));
    assert_eq!(flags("/usr"), Some((true, false)));
    assert_eq!(flags("/w"), Some((false, false)));
    assert_eq!(flags("/home/alice/project"), Some((false, true)));
}

#[test]
fn temporary_folders_run_programs_where_something_written_may_be_executed_anyway() {
    let no_exec = |text: &str| {
        let resolved = on(text, typical()).unwrap();
        ["/tmp", "/home/agent", "/dev/shm"].map(|wanted| {
            let mounts = ops(&resolved).iter().find_map(|op| {
                let RootOp::Tmpfs { to, mount, .. } = op else { return None };
                (to.as_str() == wanted).then_some(mount.no_exec)
            });
            let execute = ruleset(&resolved)
                .paths
                .iter()
                .any(|rule| rule.path.as_str() == wanted && rule.rights & 1 != 0);
            let mount = mounts.unwrap();
            assert_eq!(execute, !mount, "{wanted}: the layers differ");
            mount
        })
    };
    assert_eq!(no_exec("[files]\nwrite = [\"/w\"]\nexecute = [\"/usr\"]"), [true; 3]);
    assert_eq!(no_exec("[files]\nwrite = [\"/w\"]\nexecute = [\"/w\"]"), [false, false, true]);
}

#[test]
fn read_only_inside_writable_is_a_mount_whose_parents_are_held() {
    let resolved = on("[files]\nwrite = [\"/w\"]\nread = [\"/w/a/b\"]", typical()).unwrap();
    let (_, mount, _) = bind(&resolved, "/w/a/b").unwrap();
    assert!(mount.read_only);
    assert_eq!(held(&resolved), [("/w/a".to_owned(), false)]);
}

#[test]
fn the_same_access_inside_is_no_second_mount() {
    let resolved = on("[files]\nwrite = [\"/w\", \"/w/sub\"]", typical()).unwrap();
    assert!(bind(&resolved, "/w").is_some());
    assert_eq!(bind(&resolved, "/w/sub"), None);
}

#[test]
fn a_link_of_the_system_is_made_again_and_any_other_is_refused() {
    let resolved = on("[files]\nexecute = [\"/bin\"]", typical()).unwrap();
    assert!(bind(&resolved, "/usr/bin").is_some());
    assert!(ops(&resolved).iter().any(
        |op| matches!(op, RootOp::Symlink { path, target } if path.as_str() == "/bin" && target == "usr/bin")
    ));
    let mut host = typical();
    let planted = Found {
        links: vec![link("/w/sub", "/home/alice", false)],
        ..found("/home/alice", FileKind::Directory, 1000)
    };
    host.paths.insert(path("/w/sub"), PathFact::Found(planted));
    assert_eq!(
        shown(&on("[files]\nread = [\"/w/sub\"]", host).unwrap_err()),
        "p.toml:2:9: files.read[0]: /w/sub leads through the link /w/sub, which is not one of the system's own\n  remedy  write /home/alice if that is what is meant"
    );
}

#[test]
fn a_hole_is_covered_and_a_second_name_for_it_refused() {
    let text = "[files]\nwrite = [\"/w\"]\nhide = [\"/w/.env\"]";
    let resolved = on(text, typical()).unwrap();
    assert!(
        ops(&resolved)
            .iter()
            .any(|op| matches!(op, RootOp::Hide { path, .. } if path.as_str() == "/w/.env"))
    );
    let mut host = typical();
    let linked = Found { links_count: 2, ..found("/w/.env", FileKind::Regular, 1000) };
    host.paths.insert(path("/w/.env"), PathFact::Found(linked));
    let linked = shown(&on(text, host).unwrap_err());
    assert!(linked.contains("has 2 names (hard links)"), "{linked}");
    // cp(1) refuses to copy a file over itself.
    assert!(linked.contains("cp -p FILE FILE.new && mv FILE.new FILE"), "{linked}");
    for (shown_by, words) in [
        (ShownBy::Name("a/key".into()), "/w/.env/a/key has a name outside of /w/.env"),
        (ShownBy::Unsearched, "/w/.env has too many entries to search"),
    ] {
        let mut host = typical();
        let folder =
            Found { shown_by: Some(shown_by), ..found("/w/.env", FileKind::Directory, 1000) };
        host.paths.insert(path("/w/.env"), PathFact::Found(folder));
        assert!(shown(&on(text, host).unwrap_err()).contains(words));
    }
    let outside = "[files]\nwrite = [\"/w\"]\nhide = [\"/data/x\"]";
    assert!(refused(outside).contains("/data/x is not in a granted folder"));
    let missing = "[files]\nwrite = [\"/w\"]\nhide = [\"/w/gone\"]";
    assert!(refused(missing).contains("/w/gone does not exist"));
    let optional = "[files]\nwrite = [\"/w\"]\nhide = [{ path = \"/w/gone\", optional = true }]";
    on(optional, typical()).unwrap();
}

#[test]
fn a_hole_is_covered_wherever_its_folder_is_shown() {
    let text = "[files]\nwrite = [\"/w\"]\nhide = [\"/w/.env\"]\nbind = [{ from = \"/w\", to = \"/again\" }]";
    let resolved = on(text, typical()).unwrap();
    let hidden = |place: &str| {
        let is_it = |op: &RootOp| matches!(op, RootOp::Hide { path, .. } if path.as_str() == place);
        ops(&resolved).iter().any(is_it)
    };
    assert!(hidden("/w/.env") && hidden("/again/.env"));
    let itself = "[files]\nwrite = [\"/w\"]\nhide = [\"/w/.env\"]\nbind = [{ from = \"/w/.env\", to = \"/env\" }]";
    assert!(refused(itself).contains("/env is in a path that files.hide covers"));
}

#[test]
fn of_holes_in_a_hole_the_outer_one_is_made() {
    let of = |resolved: &Resolved| -> Vec<String> {
        let held = |op: &&RootOp| matches!(op, RootOp::Hide { .. } | RootOp::Hold { .. });
        let hidden = ops(resolved).iter().filter(held).map(|op| place(op).as_str());
        let own = hidden.filter(|path| path.starts_with("/w") || path.starts_with("/home/alice"));
        own.map(str::to_owned).collect()
    };
    for list in ["write", "read"] {
        for hide in ["\"/w/a\", \"/w/a/b\"", "\"/w/a/b\", \"/w/a\"", "\"/w/a\", \"/w/a/b/c\""] {
            let mut host = typical();
            let deepest = found("/w/a/b/c", FileKind::Regular, 1000);
            host.paths.insert(path("/w/a/b/c"), PathFact::Found(deepest));
            let text = format!("[files]\n{list} = [\"/w\"]\nhide = [{hide}]");
            assert_eq!(of(&on(&text, host).unwrap()), ["/w/a"], "{text}");
        }
    }
    // The audit log is covered without being named.
    let log = "/home/alice/.local/state/sandboxd/audit";
    let mut host = HostFacts { audit: AuditFact::Folder(path(log)), ..a_users() };
    for at in [log, "/home/alice/.local", "/home/alice"] {
        host.paths.insert(path(at), PathFact::Found(found(at, FileKind::Directory, 1000)));
    }
    let home = "require = { uid = \"if-available\", memfd_noexec = \"if-available\" }\n[files]\nread = [{ path = \"/home/alice\", reason = \"x\" }]\n";
    assert_eq!(of(&on(home, host.clone()).unwrap()), [log]);
    let hidden = format!("{home}hide = [\"/home/alice/.local\"]");
    assert_eq!(of(&on(&hidden, host.clone()).unwrap()), ["/home/alice/.local"]);
    // By another mount of what is around it, too.
    let also = vec![Also { inside: path("/w/state"), at: path("/home/alice/.local") }];
    let twice = Found { also, ..found("/w", FileKind::Directory, 1000) };
    host.paths.insert(path("/w"), PathFact::Found(twice));
    let other = home.replace("/home/alice", "/w");
    assert_eq!(of(&on(&other, host).unwrap()), ["/w/state/state/sandboxd/audit"]);
}

#[test]
fn where_a_receipt_is_to_lie_no_command_writes() {
    let run = |files: &str, receipt: &str| {
        let receipt = Some(path(receipt));
        let invocation = sandboxd_profiles::Invocation { receipt, ..Default::default() };
        invoked(&format!("[files]\n{files}"), typical(), &overrides("/usr/bin/true"), &invocation)
    };
    for folder in ["/w", "/w/sub"] {
        let problems = shown(&run("write = [\"/w\"]", folder).unwrap_err());
        let said = "files.write[0]: /w may be written, and --receipt would be written into it";
        assert!(problems.contains(said), "{problems}");
    }
    run("write = [\"/w/sub\"]", "/w").unwrap();
    run("read = [\"/w\"]", "/w").unwrap();
}

/// `/w` is on the host, and has these other names there.
fn twice(also: &[(&str, &str)]) -> HostFacts {
    let mut host = typical();
    let also = also.iter().map(|(inside, at)| Also { inside: path(inside), at: path(at) });
    let found = Found { also: also.collect(), ..found("/w", FileKind::Directory, 1000) };
    host.paths.insert(path("/w"), PathFact::Found(found));
    host
}

#[test]
fn what_is_mounted_twice_is_held_to_both_names() {
    let wrong = |text: &str, also| shown(&on(text, twice(&[also])).unwrap_err());
    for (text, also, said) in [
        (
            "read = [\"/w\"]",
            ("/w", "/var/lib"),
            "/w is also /var/lib, mounted twice, and /var/lib contains",
        ),
        ("read = [\"/w\"]", ("/w/m", "/var"), "/w/m is also /var"),
        ("read = [\"/w\"]", ("/w/m", "/var/lib/sandboxd/audit/live"), "/w/m is"),
        ("write = [\"/w\"]", ("/w/m", "/usr/bin"), "the host executes or trusts /usr/bin"),
        ("read = [\"/w\"]", ("/w/m", "/home/alice"), "is a home directory"),
        ("write = [\"/w\"]", ("/w", "/p"), "the profile p.toml is in it"),
        ("write = [\"/w\"]", ("/w/m", "/p/p.toml"), "the profile p.toml is in it"),
        (
            "write = [\"/w\"]\nread = [\"/w/sub\"]",
            ("/w/alias", "/w/sub"),
            "/w/sub is read-only, but may be written as /w/alias",
        ),
        (
            "write = [\"/w\"]\nread = [\"/w/sub\"]",
            ("/w/alias", "/w/sub/part"),
            "/w/sub is read-only, but may be written as /w/alias",
        ),
        (
            "read = [\"/w\"]\n[secrets.token]\nfrom = \"file:/srv/keys/token\"\ncredential = true",
            ("/w/m", "/srv/keys"),
            "[files] shows /w, so the command could read /srv/keys/token itself",
        ),
        (
            "write = [\"/w\"]\n[secrets.token]\nfrom = \"exec:/srv/keys/get\"\ncredential = true",
            ("/w", "/srv"),
            "the command may write /w, and so replace /srv/keys/get",
        ),
    ] {
        let problems = wrong(&format!("[files]\n{text}"), also);
        assert!(problems.contains(said), "{text}: {problems}");
    }
    // Where both may be read, or the other name is shown to be read, too, or leads nowhere that matters.
    for (text, also) in [
        ("read = [\"/w\", \"/w/sub\"]", ("/w/alias", "/w/sub")),
        ("write = [\"/w\"]\nread = [\"/w/sub\", \"/w/a\"]", ("/w/a", "/w/sub")),
        ("write = [\"/w\"]", ("/w", "/data/w")),
        ("read = [\"/w\"]", ("/w", "/p")),
    ] {
        on(&format!("[files]\n{text}"), twice(&[also])).unwrap();
    }
    let invocation = sandboxd_profiles::Invocation {
        receipt: Some(path("/srv/receipts")),
        ..Default::default()
    };
    let host = twice(&[("/w/m", "/srv")]);
    let typed = overrides("/usr/bin/true");
    let told = invoked("[files]\nwrite = [\"/w\"]", host, &typed, &invocation).unwrap_err();
    assert!(shown(&told).contains("--receipt would be written into it"), "{}", shown(&told));
}

#[test]
fn a_command_starts_in_a_folder_that_it_may_enter() {
    let starts = |cwd: &str, files: &str, there: Found| {
        let mut host = typical();
        host.paths.insert(path(cwd), PathFact::Found(there));
        let text = format!("[command]\ncwd = {cwd:?}\n[files]\n{files}");
        let written = on(&text, host.clone()).map(drop);
        let here = Overrides { cwd: Some(path(cwd)), ..overrides("/usr/bin/true") };
        let typed = with(&format!("[files]\n{files}"), host, &here).map(drop);
        assert_eq!(written.is_ok(), typed.is_ok(), "{files}");
        written.map_or_else(|problems| shown(&problems), |()| String::new())
    };
    let file = found("/w/file", FileKind::Regular, 1000);
    let said = starts("/w/file", "read = [\"/w\"]", file);
    assert!(
        said.contains("command.cwd: the command cannot start in /w/file: it is not a folder"),
        "{said}"
    );
    let closed = |uid, mode| Found { mode, ..found("/w/sub", FileKind::Directory, uid) };
    for (uid, mode, files, may) in [
        // What it reads of another than root is shown as its own.
        (1000, 0o700, "read = [\"/w\"]", true),
        (1000, 0o600, "read = [\"/w\"]", false),
        (1001, 0o700, "read = [\"/w\"]", false),
        (1001, 0o701, "read = [\"/w\"]", true),
        (1001, 0o710, "read = [\"/w\"]", true),
        (0, 0o700, "read = [\"/w/sub\"]", false),
        (0, 0o700, "write = [\"/w/sub\"]", true),
    ] {
        let said = starts("/w/sub", files, closed(uid, mode));
        assert_eq!(said.is_empty(), may, "{uid} {mode:o} {files}: {said}");
        assert!(may || said.contains("its user may not enter it"), "{said}");
    }
}

#[test]
fn what_follows_from_a_refused_grant_is_no_problem_of_its_own() {
    let mut host = typical();
    let closed = Found { mode: 0o700, ..found("/w", FileKind::Directory, 0) };
    host.paths.insert(path("/w"), PathFact::Found(closed));
    let home =
        Overrides { home: Some(path("/w")), cwd: Some(path("/w")), ..overrides("/usr/bin/true") };
    for (files, cwd, what) in [
        ("read = [\"/\"]", "/", "/ is the whole host"),
        ("read = [\"{home}\"]", "/w", "/w is a home directory: keys, history, settings"),
    ] {
        let text = format!("[command]\ncwd = {cwd:?}\n[files]\n{files}");
        let told = with(&text, host.clone(), &home).unwrap_err();
        assert!(told.len() == 1 && shown(&told).contains(what), "{}", shown(&told));
    }
}

#[test]
fn a_tree_in_which_a_folder_is_closed_is_not_given_to_be_written() {
    let mut host = typical();
    let blind = Some(Blind::Closed(path("/w/.git")));
    let closed = Found { blind, searched: false, ..found("/w", FileKind::Directory, 1000) };
    host.paths.insert(path("/w"), PathFact::Found(closed));
    let on = |protect: &str| on(&format!("[files]\nwrite = [\"/w\"]\n{protect}"), host.clone());
    let told = shown(&on("").unwrap_err());
    assert!(told.contains("/w/.git cannot be read") && told.contains("chmod u+rx"), "{told}");
    assert!(on("protect = { off = \"it is mine\" }").is_ok());
}

fn repository(facts: &[(&str, ProtectedKind)]) -> sandboxd_profiles::HostFacts {
    let mut host = typical();
    let protected = facts.iter().map(|(at, kind)| protected(at, *kind)).collect();
    let tree = Found { protected, ..found("/w", FileKind::Directory, 1000) };
    host.paths.insert(path("/w"), PathFact::Found(tree));
    host
}

#[test]
fn protected_paths_are_read_only_and_every_folder_above_them_is_held() {
    let facts = [
        ("/w/.git/config", ProtectedKind::Regular),
        ("/w/.git/hooks", ProtectedKind::Directory),
        ("/w/a/.envrc", ProtectedKind::Link),
    ];
    let resolved = on("[files]\nwrite = [\"/w\"]", repository(&facts)).unwrap();
    let wanted = [("/w/.git", false), ("/w/.git/config", true), ("/w/.git/hooks", true)];
    assert_eq!(held(&resolved), wanted.map(|(path, ro)| (path.to_owned(), ro)));
    let watched = resolved.outside.watched.first().unwrap();
    assert_eq!(watched.held, [path("/w/.git/config"), path("/w/.git/hooks")]);
}

#[test]
fn a_folder_granted_twice_is_protected_as_part_of_the_outer_one() {
    let facts = [("/w/sub/.git/hooks", ProtectedKind::Directory)];
    let resolved = on("[files]\nwrite = [\"/w\", \"/w/sub\"]", repository(&facts)).unwrap();
    let wanted = [("/w/sub", false), ("/w/sub/.git", false), ("/w/sub/.git/hooks", true)];
    assert_eq!(held(&resolved), wanted.map(|(path, ro)| (path.to_owned(), ro)));
    let text = "[files]\nwrite = [\"/w\"]\nbind = [{ from = \"/home/alice/project\", to = \"/w/a/b\", \
                access = \"write\" }]";
    let resolved = on(text, typical()).unwrap();
    assert_eq!(held(&resolved), [("/w/a".to_owned(), false)]);
}

#[test]
fn what_nobody_inside_can_change_is_not_named_at_the_end() {
    let facts = [
        ("/w/sub/.git/config", ProtectedKind::Regular),
        ("/w/hidden/.envrc", ProtectedKind::Regular),
    ];
    let mut host = repository(&facts);
    for folder in ["/w/sub", "/w/hidden"] {
        let there = found(folder, FileKind::Directory, 1000);
        host.paths.insert(path(folder), PathFact::Found(there));
    }
    let text = "[files]\nwrite = [\"/w\"]\nread = [\"/w/sub\"]\nhide = [\"/w/hidden\"]";
    let held = |host: HostFacts| on(text, host).unwrap().outside.watched.remove(0).held;
    assert_eq!(held(host.clone()), [path("/w/sub/.git/config"), path("/w/hidden/.envrc")]);
    // By a second name it can be changed.
    if let Some(PathFact::Found(tree)) = host.paths.get_mut(&path("/w")) {
        tree.protected.iter_mut().for_each(|fact| fact.linked = true);
    }
    assert_eq!(held(host), []);
}

#[test]
fn a_home_that_is_granted_is_home() {
    let text = "[files]\nbind = [{ from = \"/w\", to = \"/home/agent\", access = \"write\" }]";
    let resolved = on(text, typical()).unwrap();
    assert!(resolved.plan.exec.env.iter().any(|entry| entry.as_bytes() == b"HOME=/home/agent"));
    let mut host = typical();
    host.paths.insert(path("/p/p.toml"), PathFact::Found(found("/p/p.toml", FileKind::Regular, 0)));
    let itself = on("[files]\nwrite = [\"/p/p.toml\"]", host).unwrap_err();
    assert!(shown(&itself).contains("is in it"));
}

#[test]
fn strict_refuses_what_cannot_be_held_and_off_needs_a_reason() {
    let strict = "[files]\nwrite = [\"/w\"]\nprotect = \"strict\"";
    let config = ("/w/.git/config", ProtectedKind::Regular);
    let problems = shown(&on(strict, repository(&[config])).unwrap_err());
    assert!(
        problems.contains("/w/.git/hooks does not exist, so it could be planted"),
        "{problems}"
    );
    let hooks = ("/w/.git/hooks", ProtectedKind::Directory);
    let problems = shown(&on(strict, repository(&[config, hooks])).unwrap_err());
    assert!(problems.contains("/w/.git/commondir does not exist, so"), "{problems}");
    assert!(problems.contains("printf '.\\n' > .git/commondir"), "{problems}");
    let common = ("/w/.git/commondir", ProtectedKind::Regular);
    on(strict, repository(&[config, hooks, common])).unwrap();
    let link = ("/w/.envrc", ProtectedKind::Link);
    assert!(shown(&on(strict, repository(&[link])).unwrap_err()).contains("cannot be protected"));
    assert!(refused("[files]\nprotect = \"off\"").contains("off needs a reason"));
    let off = "[files]\nwrite = [\"/w\"]\nprotect = { off = \"a throwaway clone\" }";
    let resolved = on(off, repository(&[config])).unwrap();
    assert_eq!(held(&resolved), []);
    assert_eq!(resolved.outside.watched, []);
}

#[test]
fn what_is_kept_in_a_folder_that_is_kept_opens_nothing_of_it() {
    let facts = [
        ("/w/.husky", ProtectedKind::Directory),
        ("/w/.husky/a/link", ProtectedKind::Link),
        ("/w/.husky/a/pipe", ProtectedKind::Pipe),
    ];
    let mut host = repository(&facts);
    let there = found("/w/.husky/a/b", FileKind::Directory, 1000);
    host.paths.insert(path("/w/.husky/a/b"), PathFact::Found(there));
    let resolved = on("[files]\nwrite = [\"/w\"]\nhide = [\"/w/.husky/a/b\"]", host).unwrap();
    assert_eq!(held(&resolved), [("/w/.husky".to_owned(), true)]);
    let watched = resolved.outside.watched.first().unwrap();
    assert_eq!(watched.held, [path("/w/.husky"), path("/w/.husky/a/pipe")]);
}

#[test]
fn a_tree_that_may_be_written_in_a_folder_that_is_kept_keeps_its_own() {
    let mut host = repository(&[("/w/.husky", ProtectedKind::Directory)]);
    let mut other = found("/b", FileKind::Directory, 1000);
    other.protected = vec![sandboxd_profiles::host::ProtectedFact {
        path: path("/b/.git/hooks"),
        kind: ProtectedKind::Directory,
        linked: false,
    }];
    host.paths.insert(path("/b"), PathFact::Found(other));
    let there = found("/w/.husky/x", FileKind::Directory, 1000);
    host.paths.insert(path("/w/.husky/x"), PathFact::Found(there));
    let text = "[files]\nwrite = [\"/w\"]\nbind = [{ from = \"/b\", to = \"/w/.husky/x\", access = \"write\" }]";
    let resolved = on(text, host).unwrap();
    let kept: Vec<String> =
        held(&resolved).into_iter().filter(|(_, kept)| *kept).map(|(path, _)| path).collect();
    assert_eq!(kept, ["/w/.husky", "/w/.husky/x/.git/hooks"]);
}

#[test]
fn more_than_a_plan_has_room_for_is_refused_with_the_folder_that_has_it() {
    let name = "n".repeat(55);
    let deep = |at: u32| format!("/w/{at}/{}", vec![&*name; 60].join("/"));
    let sockets: Vec<String> = (0..12).map(deep).collect();
    let starts = |many: usize| {
        let facts: Vec<(&str, ProtectedKind)> =
            sockets.iter().take(many).map(|at| (&**at, ProtectedKind::Socket)).collect();
        on("[files]\nwrite = [\"/w\"]", repository(&facts))
    };
    assert!(sandboxd_plan::wire::encode(&starts(6).unwrap().plan).is_ok());
    let problems = shown(&starts(12).unwrap_err());
    assert!(problems.contains("/w has more of what the host may execute"), "{problems}");
    assert!(problems.contains("find out who filled it"), "{problems}");
}

#[test]
fn a_workspace_keeps_its_owner_by_a_map_after_the_task_files() {
    let mut host = typical();
    let controllers = host.cgroups.controllers().to_vec();
    host.cgroups = CgroupFacts::V1 { controllers, unified: true };
    let text = "[files]\nwrite = [\"/w\", \"/home/alice/project\"]\nread = [\"/data\"]\n\
                execute = [\"/usr\"]\n[command]\nexec = [\"/usr/bin/python3\"]\nsha256 = \
                \"0000000000000000000000000000000000000000000000000000000000000000\"";
    let plain = sandboxd_profiles::Overrides { command: Vec::new(), ..overrides("x") };
    let resolved = with(text, host, &plain).unwrap();
    assert_eq!(resolved.plan.namespaces.network, Some(6));
    assert_eq!(resolved.plan.namespaces.tasks, [7, 8, 9]);
    assert_eq!(bind(&resolved, "/w").unwrap().2, Some(10));
    assert_eq!(bind(&resolved, "/home/alice/project").unwrap().2, Some(10));
    assert_eq!(bind(&resolved, "/data").unwrap().2, None);
    assert_eq!(resolved.outside.idmaps.len(), 1);
    assert_eq!(resolved.plan.exec.pinned, Some(11));
    assert_eq!(resolved.plan.session.granted, 6);
    let invoker =
        on("[files]\nwrite = [\"/w\"]\n[command]\nuser = \"invoker\"", typical()).unwrap();
    assert_eq!(invoker.outside.idmaps, []);
}

#[test]
fn what_is_asked_about_is_served() {
    let serving = |serve: &str| on(&format!("name = \"a\"\n[serve]\n{serve}"), typical());
    let refused = shown(&serving("tools = [\"search\"]\nask = [\"serach\"]").unwrap_err());
    assert!(refused.contains("serve.ask[0]: no tool or method named serach"), "{refused}");
    let unknown = "tools = [\"search\"]\nclient.arguments.serach = {}";
    let refused = shown(&serving(unknown).unwrap_err());
    assert!(refused.contains("serach is not one of the tools that are served"), "{refused}");
    for serve in [
        "tools = [\"search\"]\nask = [\"s*\", \"*\"]",
        "tools = [\"s*\"]\nask = [\"search\"]\nclient.arguments.search = {}",
        "speaks = \"json-rpc\"\nmethods = [\"deploy\"]\nask = [\"deploy\"]",
    ] {
        assert!(serving(serve).is_ok(), "{serve}");
    }
}

#[test]
fn dangerous_grants_are_refused_or_need_a_reason() {
    for (access, path) in [
        ("read", "/"),
        ("write", "/"),
        ("write", "/usr"),
        ("write", "/etc"),
        ("read", "/proc"),
        ("write", "/proc/sys"),
        ("write", "/sys"),
        ("read", "/dev"),
        ("write", "/boot"),
        ("read", "/run/sandboxd"),
        ("read", "/run"),
        ("read", "/var"),
        ("write", "/var/lib"),
        ("read", "/dev/kvm"),
        ("execute", "/"),
        ("read", "/srv/node"),
    ] {
        let reasoned = format!("[files]\n{access} = [{{ path = \"{path}\", reason = \"why\" }}]");
        assert!(on(&reasoned, typical()).is_err(), "{access} {path}");
    }
    for (access, path) in [
        ("read", "/sys"),
        ("read", "/run/docker.sock"),
        ("read", "/srv/x.sock"),
        ("read", "/home/alice"),
        ("write", "/home"),
        ("read", "/root"),
        ("write", "/tmp"),
    ] {
        let bare = format!("[files]\n{access} = [\"{path}\"]");
        assert!(on(&bare, typical()).is_err(), "{access} {path}");
        let reasoned = format!("[files]\n{access} = [{{ path = \"{path}\", reason = \"why\" }}]");
        let resolved = on(&reasoned, typical());
        assert!(resolved.is_ok(), "{access} {path}: {}", shown(&resolved.unwrap_err()));
    }
}

#[test]
fn a_profile_inside_a_tree_it_lets_be_written_is_refused() {
    let problems = refused("[files]\nwrite = [\"/p\"]");
    assert_eq!(
        problems,
        "p.toml:2:10: files.write[0]: /p may be written, and the profile p.toml is in it\n  \
         remedy  move the profile to a folder that the sandbox cannot write"
    );
    on("[files]\nread = [\"/p\"]", typical()).unwrap();
    on("[files]\nbind = [{ from = \".\", to = \"/x\" }]", typical()).unwrap();
    assert!(
        refused("[files]\nbind = [{ from = \".\", to = \"/x\", access = \"write\" }]")
            .contains("is in it")
    );
}

#[test]
fn nothing_is_created_in_the_users_tree_to_mount_at() {
    let text = "[files]\nwrite = [\"/w\"]\nbind = [{ from = \"/data\", to = \"/w/new\" }]";
    assert!(refused(text).contains("nothing is created in your tree"), "{}", refused(text));
    let there = "[files]\nwrite = [\"/w\"]\nbind = [{ from = \"/data\", to = \"/w/sub\" }]";
    assert_eq!(bind(&on(there, typical()).unwrap(), "/w/sub").unwrap().0, "/data");
}

#[test]
fn what_a_host_lacks_is_a_problem_unless_waived() {
    let mut host = typical();
    host.landlock = Some(LandlockFacts { abi: 4, errata: 0 });
    let problems = on("", host.clone()).unwrap_err();
    let keys: Vec<&str> = problems.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["require.landlock.ioctl", "require.landlock.scope"]);
    let waived = on("[require]\nlandlock = \"if-available\"", host.clone()).unwrap().waived;
    assert_eq!(waived.len(), 2);
    let part = on("[require]\nlandlock.ioctl = \"if-available\"", host).unwrap_err();
    assert_eq!(part.len(), 1);
    let mut bare = typical();
    (bare.landlock, bare.cgroups, bare.memfd_noexec) = (None, CgroupFacts::None, false);
    assert_eq!(on("", bare.clone()).unwrap_err().len(), 3);
    let text = "[require]\nlandlock = \"if-available\"\ncgroup = \"if-available\"\n\
                memfd_noexec = \"if-available\"";
    let resolved = on(text, bare).unwrap();
    assert_eq!(resolved.waived.len(), 3);
    assert_eq!(resolved.outside.cgroup, None);
    assert_eq!(ruleset(&resolved).handled_fs, 0);
    let mut plain = typical();
    plain.privilege = nothing_allowed();
    let told = shown(&on("", plain).unwrap_err());
    assert!(told.contains("namespaces are switched off here") && told.contains("switch them on"));
}

#[test]
fn rights_are_those_of_the_abi_and_files_get_no_rights_of_directories() {
    for (abi, bits) in
        [(1, 13), (2, 14), (3, 15), (4, 15), (5, 16), (6, 16), (8, 16), (9, 17), (12, 17)]
    {
        let mut host = typical();
        host.landlock = Some(LandlockFacts { abi, errata: 0 });
        let text = "[require]\nlandlock = \"if-available\"\n[files]\nwrite = [\"/w\"]\n\
                    read = [\"/etc/os-release\"]";
        let landlock = ruleset(&on(text, host).unwrap()).clone();
        assert_eq!(landlock.handled_fs, (1 << bits) - 1, "ABI {abi}");
        assert_eq!(landlock.handled_net, if abi >= 4 { 3 } else { 0 });
        assert_eq!(landlock.scoped, if abi >= 6 { 3 } else { 0 });
        assert_eq!(landlock.flags, if abi >= 7 { 5 } else { 0 });
        let rights = |path: &str| {
            landlock.paths.iter().find(|rule| rule.path.as_str() == path).unwrap().rights
        };
        assert_eq!(rights("/etc/os-release"), 1 << 2);
        // No MAKE_CHAR, MAKE_BLOCK, IOCTL_DEV, RESOLVE_UNIX, EXECUTE; REFER and TRUNCATE as known.
        let never = 1 << 6 | 1 << 11 | 1 << 15 | 1 << 16 | 1;
        assert_eq!(rights("/w"), landlock.handled_fs & !never);
        assert!(landlock.paths.iter().all(|rule| rule.rights & !landlock.handled_fs == 0));
    }
}

#[test]
fn removing_an_entry_never_widens() {
    let entries = [
        ("files", "read", "\"/data\""),
        ("files", "write", "\"/w\""),
        ("files", "execute", "\"/usr\""),
        ("files", "execute", "\"/w\""),
        ("env", "pass", "\"LANG\""),
        ("env", "pass", "\"TERM\""),
        ("syscalls", "allow", "\"ptrace\""),
    ];
    let text = |left_out: Option<usize>| {
        let mut text = String::new();
        for table in ["files", "env", "syscalls"] {
            text += &format!("[{table}]\n");
            for list in ["read", "write", "execute", "pass", "allow"] {
                let items: Vec<&str> = entries
                    .iter()
                    .enumerate()
                    .filter(|(index, (t, l, _))| {
                        Some(*index) != left_out && *t == table && *l == list
                    })
                    .map(|(_, (_, _, item))| *item)
                    .collect();
                if entries.iter().any(|(t, l, _)| *t == table && *l == list) {
                    text += &format!("{list} = [{}]\n", items.join(", "));
                }
            }
        }
        text
    };
    let whole = on(&text(None), typical()).unwrap();
    for (index, entry) in entries.iter().enumerate() {
        let less = on(&text(Some(index)), typical()).unwrap();
        for op in ops(&less) {
            let RootOp::Bind { to, mount, .. } = op else { continue };
            let (_, before, _) = bind(&whole, to.as_str()).unwrap();
            assert!(mount.read_only || !before.read_only);
            assert!(mount.no_exec || !before.no_exec);
        }
        for rule in &ruleset(&less).paths {
            let before = ruleset(&whole).paths.iter();
            let before =
                before.filter(|old| old.path == rule.path).map(|old| old.rights).sum::<u64>();
            assert_eq!(rule.rights & !before, 0, "{} without {entry:?}", rule.path);
        }
        assert!(less.plan.exec.env.iter().all(|entry| whole.plan.exec.env.contains(entry)));
    }
}

#[test]
fn the_command_is_found_where_the_sandboxs_own_path_says() {
    let resolved = with("[files]\nread = [\"/w\"]", typical(), &overrides("true")).unwrap();
    let exec = &resolved.plan.exec;
    assert_eq!(exec.candidates.len(), 6);
    assert_eq!(exec.candidates[3].as_str(), "/usr/bin/true");
    assert_eq!(exec.cwd.as_str(), "/home/agent");
    let own = with("[env.set]\nPATH = \"/w:.:/usr/bin\"", typical(), &overrides("x")).unwrap();
    let paths: Vec<&str> = own.plan.exec.candidates.iter().map(JailPath::as_str).collect();
    assert_eq!(paths, ["/w/x", "/usr/bin/x"]);
    let shown_cwd = with("[files]\nread = [\"{cwd}\"]", typical(), &overrides("./run")).unwrap();
    assert_eq!(shown_cwd.plan.exec.cwd.as_str(), "/home/alice/project");
    assert_eq!(shown_cwd.plan.exec.candidates[0].as_str(), "/home/alice/project/run");
}

#[test]
fn running_in_the_home_directory_grants_it_to_nobody() {
    let mut typed = overrides("true");
    typed.cwd = Some(path("/home/alice"));
    typed.read = vec![".".into()];
    let problems = shown(&with("", typical(), &typed).unwrap_err());
    assert!(problems.contains("is a home directory"), "{problems}");
    typed.read = vec!["/home/alice".into()];
    with("", typical(), &typed).unwrap();
}

#[test]
fn root_and_the_hosts_network_need_a_reason() {
    let root = "[command]\nuser = \"root\"";
    assert!(refused(root).contains("the command would run as root"));
    let resolved = on(&format!("{root}\nreason = \"why\""), typical()).unwrap();
    assert_eq!(resolved.plan.command.identity.uid, 0);
    let host = "[network]\nmode = \"host\"";
    assert!(refused(host).contains("reaches everything the host reaches"));
    let resolved = on(&format!("{host}\nreason = \"why\""), typical()).unwrap();
    assert_eq!(ruleset(&resolved).handled_net, 0);
    assert!(bind(&resolved, "/etc/resolv.conf").is_some());
    assert!(refused("[command]\nuser = \"bob\"").contains("this host has no user bob"));
}

#[test]
fn zero_allows_nothing() {
    let resolved = on("[files]\ntmp = 0\n[limits]\nswap = 0\nfile_size = 0", typical()).unwrap();
    let writable = ops(&resolved)
        .iter()
        .any(|op| matches!(op, RootOp::Tmpfs { to, .. } if to.as_str() != "/dev"));
    assert!(!writable);
    assert_eq!(resolved.outside.cgroup.unwrap().swap, Some(0));
}

#[test]
fn a_rate_is_for_each_disk_and_one_that_is_not_to_be_had_is_a_problem() {
    let text = "[limits]\nio_write = \"1M/s\"\ncpu_weight = 7\nmemory_high = \"9M\"\n\
                [files]\nwrite = [\"/w\"]\nread = [\"/data\"]";
    let disk = Disk { major: 8, minor: 0 };
    let mut host = typical();
    let CgroupFacts::V2 { controllers } = &mut host.cgroups else { panic!() };
    controllers.push(Controller::Io);
    host.disks.insert(path("/w"), DiskFact::Disk(disk));
    host.disks.insert(path("/data"), DiskFact::Without("btrfs".into()));
    let limits = on(text, host.clone()).unwrap().outside.cgroup.unwrap();
    assert_eq!(limits.io, [IoLimit { disk, read: None, write: Some(1 << 20) }]);
    assert_eq!((limits.cpu_weight, limits.memory_high), (Some(7), Some(9 << 20)));
    host.disks.insert(path("/w"), DiskFact::Memory);
    let problems = shown(&on(text, host.clone()).unwrap_err());
    assert!(problems.contains("require.cgroup.io"), "{problems}");
    let waived = format!("{text}\n[require]\ncgroup.io = \"if-available\"");
    let resolved = on(&waived, host.clone()).unwrap();
    assert_eq!(resolved.waived.len(), 1);
    assert_eq!(resolved.outside.cgroup.unwrap().io, []);
    // A rate that is read at is read at everywhere.
    let both = waived.replace("io_write", "io_read");
    assert_eq!(on(&both, host).unwrap().waived.len(), 2);
}

#[test]
fn more_open_files_than_the_supervisor_may_have_are_refused() {
    let mut host = typical();
    host.open_files_max = Some(4096);
    let problems = shown(&on("[limits]\nopen_files = 5000", host).unwrap_err());
    assert!(problems.contains("write at most 4096, or raise the limit"), "{problems}");
}

#[test]
fn where_the_hosts_core_handler_cannot_be_kept_away_nothing_runs_unless_waived() {
    let text = "[files]\nwrite = [\"/w\"]";
    let none = BTreeMap::from([(Resource::Core, 0)]);
    for (cores, hard_limits, kept) in [
        (CoreFact::File, none.clone(), true),
        (CoreFact::Program, BTreeMap::new(), true),
        (CoreFact::Program, none, false),
        (CoreFact::Socket, BTreeMap::new(), false),
    ] {
        let host = HostFacts { cores, hard_limits, ..typical() };
        let resolved = on(text, host.clone());
        assert_eq!(resolved.is_ok(), kept, "{cores:?}");
        if let Err(problems) = resolved {
            assert!(shown(&problems).contains("require.core_handler"), "{}", shown(&problems));
            let waived = format!("{text}\n[require]\ncore_handler = \"if-available\"");
            assert_eq!(on(&waived, host).unwrap().waived.len(), 1);
        }
    }
}

#[test]
fn a_users_sandbox_differs_from_roots_by_what_only_root_can_do_and_says_so() {
    let waive = "[require]\nuid = \"if-available\"\nmemfd_noexec = \"if-available\"\n";
    let text = format!("{waive}[files]\nwrite = [\"/w\"]");
    let (user, root) = (on(&text, a_users()).unwrap(), on(&text, typical()).unwrap());
    let keys: Vec<&str> = user.waived.iter().map(|one| one.key.as_str()).collect();
    assert_eq!(keys, ["require.memfd_noexec", "require.uid"]);
    assert!(root.waived.is_empty());
    let refused = on("[files]\nwrite = [\"/w\"]", a_users()).unwrap_err();
    assert_eq!(refused.len(), 2, "{}", shown(&refused));
    assert!(shown(&refused).contains("uid = \"if-available\""));

    let caller = Identity { uid: 1000, gid: 1000, groups: Groups::Kept };
    assert_eq!((user.plan.init.identity, user.plan.command.identity), (caller, caller));
    assert_eq!(root.plan.command.identity.groups, Groups::Emptied);
    assert!(user.plan.namespaces.own.contains(&Namespace::User));
    assert!(!root.plan.namespaces.own.contains(&Namespace::User));
    assert!(user.plan.namespaces.own.contains(&Namespace::Net));
    assert_eq!(user.plan.namespaces.network, None, "it is made with the others");
    assert_eq!(
        bind(&user, "/w").map(|(_, mount, idmap)| (mount.read_only, idmap)),
        Some((false, None))
    );
    assert!(user.outside.idmaps.is_empty());
    assert_eq!(bind(&user, "/dev/null").map(|(from, _, _)| from), Some("/dev/null"));
    for op in ops(&user) {
        assert!(!matches!(op, RootOp::Device { .. } | RootOp::Sysctl { .. }), "{op:?}");
        if let RootOp::Tmpfs { owner, .. } = op {
            assert_eq!((owner.uid, owner.gid), (1000, 1000));
        }
    }
    // The rest is the same, to the last instruction.
    assert_eq!(user.plan.command.syscalls, root.plan.command.syscalls);
    assert_eq!(ruleset(&user), ruleset(&root));
    assert_eq!(user.plan.init.syscalls, root.plan.init.syscalls);
}

#[test]
fn without_root_the_command_is_its_caller_or_not_run() {
    let fileless = "[require]\nmemfd_noexec = \"if-available\"\n[command]\n";
    // The caller was asked for: nothing is missing but the leaving of groups, where there are any.
    let invoker = format!("{fileless}user = \"invoker\"");
    assert!(shown(&on(&invoker, a_users()).unwrap_err()).contains("supplementary groups"));
    let mut alone = a_users();
    alone.groups.clear();
    assert_eq!(on(&invoker, alone.clone()).unwrap().waived.len(), 1);
    assert_eq!(on(&format!("{fileless}user = \"alice\""), alone.clone()).unwrap().waived.len(), 1);
    alone.users.insert("bob".into(), (1001, 1001));
    for other in ["bob", "root", "nobody-here"] {
        let text = format!("{fileless}user = \"{other}\"\nreason = \"a try\"");
        let told = shown(&on(&text, alone.clone()).unwrap_err());
        assert!(told.contains(&format!("only root can become {other}")), "{told}");
    }
}

#[test]
fn a_users_processes_are_counted_in_their_own_namespace_with_init_among_them() {
    let text = "[require]\nuid = \"if-available\"\nmemfd_noexec = \"if-available\"\n\
                cgroup = \"if-available\"\n[limits]\nprocesses = 10";
    let nproc = |host| {
        let limits = on(text, host).unwrap().plan.limits;
        limits.rlimits.iter().find(|one| one.resource == Resource::Nproc).map(|one| one.value)
    };
    assert_eq!(nproc(a_users()), Some(12));
    let mut bare = a_users();
    bare.cgroups = CgroupFacts::None;
    assert_eq!(nproc(bare), Some(11));
    assert_eq!(nproc(typical()), Some(11));
}

#[test]
fn who_has_no_home_directory_lacks_nothing_but_what_is_not_optional() {
    let homeless = Overrides { home: None, ..overrides("/usr/bin/true") };
    let text = |optional| format!("[files]\nread = [{{ path = \"{{home}}/x\"{optional} }}]");
    assert!(with(&text(", optional = true"), typical(), &homeless).is_ok());
    let told = shown(&with(&text(""), typical(), &homeless).unwrap_err());
    assert!(told.contains("no home directory"), "{told}");
}

#[test]
fn where_a_filter_hides_how_to_look_the_host_alone_is_what_is_wrong() {
    let mut host = HostFacts { privilege: nothing_allowed(), ..typical() };
    host.paths.insert(path("/data"), PathFact::Failed(38));
    assert_eq!(on("[files]\nread = [\"/data\"]", host.clone()).unwrap_err().len(), 1);
    host.privilege = sandboxd_profiles::host::Privilege::Root;
    let told = shown(&on("[files]\nread = [\"/data\"]", host).unwrap_err());
    assert!(told.contains("/data cannot be examined"), "{told}");
}

#[test]
fn what_the_kernel_says_too_much_in_is_covered_or_nothing_is_run() {
    let hides = |resolved: &Resolved| {
        ops(resolved)
            .iter()
            .any(|op| matches!(op, RootOp::Hide { path, .. } if path.as_str() == "/proc/kcore"))
    };
    assert!(hides(&on("", typical()).unwrap()));
    let failing = |errno| {
        let mut host = typical();
        host.paths.insert(path("/proc/kcore"), PathFact::Failed(errno));
        on("", host)
    };
    for errno in [1, 12, 24, 28, 38] {
        let told = shown(&failing(errno).unwrap_err());
        let words = format!("/proc/kcore cannot be examined (errno {errno})");
        assert!(told.contains(&words), "{told}");
    }
    // Of what this process may not even look at the sandbox sees no more.
    assert!(!hides(&failing(13).unwrap()));
}

#[test]
fn a_host_whose_proc_shows_processes_alone_is_refused() {
    let mut host = typical();
    for name in ["kcore", "keys", "sys", "kallsyms", "sysrq-trigger", "interrupts"] {
        host.paths.insert(path(&format!("/proc/{name}")), PathFact::Missing);
    }
    let told = shown(&on("", host).unwrap_err());
    assert!(told.contains("/proc shows only processes") && told.contains("ProcSubset"), "{told}");
}
