//! What a command gets of a service manager's: sockets, credentials, and its ear.

use crate::support::*;
use sandboxd_plan::{Root, RootOp, Text};
use sandboxd_profiles::{
    Accepts, Copied, Credentials, HostFacts, Invocation, Listening, Manager, Passed, Problem,
    Resolved, resolve,
};

fn passed(listening: &[(&str, Accepts)]) -> Listening {
    let one =
        |(name, accepts): &(&str, Accepts)| Passed { name: (*name).into(), accepts: *accepts };
    Listening::Passed(listening.iter().map(one).collect())
}

fn run(
    texts: (&str, &[&str]),
    host: HostFacts,
    listening: Listening,
) -> Result<Resolved, Vec<Problem>> {
    invoked(texts, host, &Invocation { listening, ..Invocation::default() })
}

fn invoked(
    texts: (&str, &[&str]),
    host: HostFacts,
    invocation: &Invocation,
) -> Result<Resolved, Vec<Problem>> {
    let applied = |text: &str| {
        let mut profile = read(text)?;
        profile.apply(&overrides("/usr/bin/true"))?;
        Ok::<_, Vec<Problem>>(profile)
    };
    let profile = applied(texts.0)?;
    let under = texts.1.iter().map(|text| applied(text)).collect::<Result<Vec<_>, _>>()?;
    let host = looked_at(&profile, host);
    resolve(&profile, &under, &host, &lease(), invocation)
}

fn wrong(text: &str, host: HostFacts, listening: Listening) -> String {
    shown(&run((text, &[]), host, listening).unwrap_err())
}

const WEB: &str = "[command]\nsockets = [\"web\"]\n";

#[test]
fn they_come_last_and_the_command_is_told_of_them() {
    let listening = passed(&[("web", Accepts::Tcp), ("web", Accepts::Local)]);
    let resolved = run((WEB, &[]), typical(), listening).unwrap();
    let plan = &resolved.plan;
    let end = 6 + plan.session.granted;
    assert_eq!(plan.exec.sockets, [end - 2, end - 1]);
    let told = |text: &str| plan.exec.env.contains(&Text::try_from(text).unwrap());
    assert!(told("LISTEN_FDS=2") && told("LISTEN_FDNAMES=web:web"));
    let none = run(("", &[]), typical(), passed(&[])).unwrap();
    assert_eq!(none.plan.session.granted + 2, plan.session.granted);
    assert!(!none.plan.exec.env.iter().any(|entry| entry.to_string().starts_with("LISTEN_")));
}

#[test]
fn what_is_named_and_what_is_passed_are_the_same() {
    let text = wrong("", typical(), passed(&[("web", Accepts::Local)]));
    assert!(text.starts_with("LISTEN_FDS: systemd listens on a socket"), "{text}");
    assert!(text.contains("write command.sockets = [\"web\"]"), "{text}");
    let text = wrong(WEB, typical(), passed(&[]));
    assert!(text.starts_with("p.toml:2:12: command.sockets[0]: no socket named"), "{text}");
    // Where nothing is started, nothing was passed.
    assert_eq!(run((WEB, &[]), typical(), Listening::AsNamed).unwrap().plan.exec.sockets.len(), 1);
}

#[test]
fn a_tcp_socket_needs_something_that_keeps_it_from_dialling() {
    let old = || HostFacts {
        landlock: Some(sandboxd_profiles::host::LandlockFacts { abi: 3, errata: 0 }),
        ..typical()
    };
    let waived = "[require]\nlandlock = \"if-available\"\n";
    let tcp = || passed(&[("web", Accepts::Tcp)]);
    let text = wrong(&format!("{WEB}{waived}"), old(), tcp());
    assert!(text.contains("could connect to the host's network"), "{text}");
    let local = passed(&[("web", Accepts::Local)]);
    run((&format!("{WEB}{waived}"), &[]), old(), local).unwrap();
    let host = "[network]\nmode = \"host\"\nreason = \"it dials anyhow\"\n";
    run((&format!("{WEB}{waived}{host}"), &[]), old(), tcp()).unwrap();
}

#[test]
fn who_is_run_under_another_profile_listens_with_its_leave() {
    let local = || passed(&[("web", Accepts::Local)]);
    run((WEB, &[WEB]), typical(), local()).unwrap();
    let refused = shown(&run((WEB, &["name = \"outer\""]), typical(), local()).unwrap_err());
    assert!(refused.contains("does not grant this socket"), "{refused}");
}

#[test]
fn what_the_shim_needs_is_not_taken_away() {
    let text = format!("{WEB}[syscalls]\ndeny = [\"getpid\"]\n");
    let text = wrong(&text, typical(), passed(&[("web", Accepts::Local)]));
    assert!(text.contains("its sockets without getpid"), "{text}");
}

#[test]
fn nobody_else_tells_the_command_of_sockets() {
    let text = format!("{WEB}[env]\nset.LISTEN_FDS = \"3\"\n");
    let text = wrong(&text, typical(), passed(&[("web", Accepts::Local)]));
    assert!(text.contains("sandboxd sets this variable"), "{text}");
}

fn given(text: &str, under: &[&str], names: &[&str]) -> Result<Resolved, Vec<Problem>> {
    let names = names.iter().map(|name| (*name).into()).collect();
    let credentials = Credentials::In { folder: path("/run/credentials/a.service"), names };
    let invocation = Invocation { credentials, ..Invocation::default() };
    invoked((text, under), typical(), &invocation)
}

const TOKEN: &str = "[command]\ncredentials = [\"token\"]\n";

#[test]
fn a_credential_is_granted_before_the_maps_and_is_for_the_command_alone() {
    let resolved = given(TOKEN, &[], &["token", "other"]).unwrap();
    let RootOp::Copy { path, from, owner } = copies(&resolved)[0] else { unreachable!() };
    assert_eq!((path.as_str(), *from), ("/run/credentials/token", 7));
    assert_eq!(owner.uid, resolved.plan.command.identity.uid);
    assert_eq!(copies(&resolved).len(), 1);
    assert_eq!(resolved.outside.copies, [Copied::File { path: path_of("token") }]);
    let told = Text::try_from("CREDENTIALS_DIRECTORY=/run/credentials").unwrap();
    assert!(resolved.plan.exec.env.contains(&told));
    assert!(copies(&given("", &[], &["token"]).unwrap()).is_empty());
}

fn path_of(name: &str) -> sandboxd_plan::HostPath {
    path(&format!("/run/credentials/a.service/{name}"))
}

fn copies(resolved: &Resolved) -> Vec<&RootOp> {
    let Root::Own { ops, .. } = &resolved.plan.root else { return Vec::new() };
    ops.iter().filter(|op| matches!(op, RootOp::Copy { .. })).collect()
}

#[test]
fn a_credential_that_cannot_be_given_is_a_problem() {
    let text = shown(&given(TOKEN, &[], &["other"]).unwrap_err());
    assert!(text.contains("has no credential \"token\""), "{text}");
    let text = shown(&given(TOKEN, &["name = \"outer\""], &["token"]).unwrap_err());
    assert!(text.contains("does not grant this credential"), "{text}");
    given(TOKEN, &[TOKEN], &["token"]).unwrap();
    let text = format!("{TOKEN}[files]\nread = [\"/run\"]\n");
    let text = shown(&given(&text, &[], &["token"]).unwrap_err());
    assert!(text.contains("a grant covers /run/credentials"), "{text}");
    let text = wrong(TOKEN, typical(), passed(&[]));
    assert!(text.contains("passed no credentials"), "{text}");
}

const SPEAKS: &str = "[command]\nnotify = true\n";

fn spoken(text: &str, under: &[&str], manager: Manager) -> Result<Resolved, Vec<Problem>> {
    let invocation = Invocation { manager, ..Invocation::default() };
    invoked((text, under), typical(), &invocation)
}

#[test]
fn a_command_speaks_to_a_manager_that_waits_and_to_no_other() {
    let waits = Manager::Waits { watchdog_us: 7 };
    let told = |text: &str, manager| {
        let resolved = spoken(text, &[], manager).unwrap();
        let env = resolved.plan.exec.env.iter().map(ToString::to_string);
        let known =
            |entry: &String| entry.starts_with("NOTIFY_SOCKET=") || entry.starts_with("WATCHDOG_");
        (env.filter(known).collect::<Vec<_>>(), resolved.outside.notify)
    };
    let socket = "NOTIFY_SOCKET=/run/sandboxd/notify.sock".to_owned();
    assert_eq!(told(SPEAKS, waits), (vec![socket.clone(), "WATCHDOG_USEC=7".to_owned()], true));
    assert_eq!(told(SPEAKS, Manager::Waits { watchdog_us: 0 }), (vec![socket], true));
    assert_eq!(told(SPEAKS, Manager::Silent), (vec![], false));
    assert_eq!(told("", waits), (vec![], false));
}

#[test]
fn a_command_that_may_not_speak_or_not_alone_is_a_problem() {
    let waits = Manager::Waits { watchdog_us: 0 };
    spoken(SPEAKS, &[SPEAKS], waits).unwrap();
    let text = shown(&spoken(SPEAKS, &["name = \"outer\""], waits).unwrap_err());
    assert!(text.contains("does not let it notify the service manager"), "{text}");
    for (more, words) in [
        ("isolation = \"landlock\"\n", "without a mount view everyone can"),
        ("[files]\nread = [\"/run\"]\n", "needs /run/sandboxd, which a grant covers"),
    ] {
        let text = if more.starts_with('[') {
            format!("{SPEAKS}{more}")
        } else {
            format!("{more}{SPEAKS}")
        };
        let text = shown(&spoken(&text, &[], waits).unwrap_err());
        assert!(text.contains(words), "{text}");
    }
}
