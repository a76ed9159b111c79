//! Which sockets of a service manager's a command gets.

use crate::support::*;
use sandboxd_plan::Text;
use sandboxd_profiles::{
    Accepts, HostFacts, Invocation, Listening, Passed, Problem, Resolved, resolve,
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
    let applied = |text: &str| {
        let mut profile = read(text)?;
        profile.apply(&overrides("/usr/bin/true"))?;
        Ok::<_, Vec<Problem>>(profile)
    };
    let profile = applied(texts.0)?;
    let under = texts.1.iter().map(|text| applied(text)).collect::<Result<Vec<_>, _>>()?;
    let host = looked_at(&profile, host);
    let invocation = Invocation { listening, ..Invocation::default() };
    resolve(&profile, &under, &host, &lease(), &invocation)
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
    assert!(text.starts_with("LISTEN_FDS: systemd listens at a socket"), "{text}");
    assert!(text.contains("write command.sockets = [\"web\"]"), "{text}");
    let text = wrong(WEB, typical(), passed(&[]));
    assert!(text.starts_with("p.toml:2:12: command.sockets[0]: nobody passed"), "{text}");
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
    assert!(text.contains("could dial into the host's network"), "{text}");
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
    assert!(refused.contains("does not give this socket"), "{refused}");
}

#[test]
fn what_the_shim_needs_is_not_taken_away() {
    let text = format!("{WEB}[syscalls]\ndeny = [\"getpid\"]\n");
    let text = wrong(&text, typical(), passed(&[("web", Accepts::Local)]));
    assert!(text.contains("told of its sockets with getpid"), "{text}");
}

#[test]
fn nobody_else_tells_the_command_of_sockets() {
    let text = format!("{WEB}[env]\nset.LISTEN_FDS = \"3\"\n");
    let text = wrong(&text, typical(), passed(&[("web", Accepts::Local)]));
    assert!(text.contains("it is sandboxd that tells"), "{text}");
}
