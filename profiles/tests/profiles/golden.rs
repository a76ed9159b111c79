//! The whole plan of every builtin profile on hosts of every kind, checked in. A change of a plan is
//! a change of this folder; `SANDBOXD_BLESS=1 cargo test -p sandboxd-profiles` writes it anew.
//!
//! Filters have a golden matrix of their own, and only their length is kept here.

use crate::support::{a_users, container, nothing_allowed, on, shown, typical};
use sandboxd_profiles::HostFacts;
use sandboxd_profiles::builtin;
use sandboxd_profiles::host::{CgroupFacts, LandlockFacts};
use serde_json::Value;
use std::path::Path;

fn hosts() -> Vec<(String, HostFacts)> {
    let mut hosts = vec![("v2".to_owned(), typical())];
    let mut hybrid = typical();
    let controllers = hybrid.cgroups.controllers().to_vec();
    hybrid.cgroups = CgroupFacts::V1 { controllers, unified: true };
    hosts.push(("v1".into(), hybrid));
    let mut bare = typical();
    bare.cgroups = CgroupFacts::None;
    hosts.push(("no-cgroup".into(), bare));
    let mut plain = typical();
    plain.privilege = nothing_allowed();
    hosts.push(("unprivileged".into(), plain));
    hosts.push(("user".into(), a_users()));
    let mut user = a_users();
    user.cgroups = CgroupFacts::None;
    hosts.push(("user-no-cgroup".into(), user));
    let mut without = typical();
    without.landlock = None;
    hosts.push(("no-landlock".into(), without));
    hosts
}

/// The plan as text, or the problems.
fn outcome(text: &str, host: HostFacts) -> String {
    match on(text, host) {
        Ok(resolved) => {
            let mut value = serde_json::to_value(&resolved).unwrap();
            for side in ["init", "command"] {
                for layer in value["plan"][side]["syscalls"].as_array_mut().unwrap() {
                    let filter = &mut layer["rules"];
                    let length = filter.as_str().unwrap().len() / 16;
                    *filter = Value::String(format!("{length} instructions"));
                }
            }
            format!("{value:#}\n")
        }
        Err(problems) => {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            format!("{:#}\n", serde_json::json!({ "problems": lines }))
        }
    }
}

#[test]
fn plans_are_the_ones_checked_in() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/plans");
    let mut cases = Vec::new();
    for builtin in builtin::list() {
        let text = format!("extends = [\"builtin:{}\"]", builtin.name);
        cases.push((format!("{}.json", builtin.name), outcome(&text, typical())));
    }
    for service in ["broker", "egress", "notify", "terminal"] {
        let text = format!("extends = [\"builtin:{service}\"]");
        cases.push((format!("service-{service}.json"), outcome(&text, typical())));
    }
    let text = "extends = [\"builtin:base\"]\n[files]\nwrite = [\"/w\"]";
    for builtin in builtin::list() {
        let text = format!("extends = [\"builtin:{}\"]", builtin.name);
        cases.push((format!("user-{}.json", builtin.name), outcome(&text, a_users())));
    }
    for (name, host) in hosts() {
        cases.push((format!("host-{name}.json"), outcome(text, host)));
    }
    for abi in 1..=9 {
        let mut host = typical();
        host.landlock = Some(LandlockFacts { abi, errata: 0 });
        cases.push((format!("landlock-{abi}.json"), outcome(text, host)));
    }
    let text = "extends = [\"builtin:container\"]\n[files]\nwrite = [\"/w\"]";
    for (name, uid, abi) in
        [("root", 0, 7), ("user", 1000, 7), ("newest", 1000, 9), ("old", 1000, 3)]
    {
        let host = container(uid, abi);
        cases.push((format!("container-{name}.json"), outcome(text, host)));
    }
    let bless = std::env::var_os("SANDBOXD_BLESS").is_some();
    let mut changed = Vec::new();
    for (name, now) in &cases {
        let file = folder.join(name);
        if bless {
            std::fs::write(&file, now).unwrap();
        }
        if std::fs::read_to_string(&file).ok().as_ref() != Some(now) {
            changed.push(name.as_str());
        }
    }
    let known = std::fs::read_dir(&folder).unwrap().count();
    assert_eq!(known, cases.len(), "a golden plan that no case makes");
    assert!(changed.is_empty(), "{changed:?} changed; SANDBOXD_BLESS=1 accepts it");
}

#[test]
fn resolving_twice_gives_the_same_plan() {
    let text = "extends = [\"builtin:coding-agent\"]";
    let one = on(text, typical()).unwrap_or_else(|problems| panic!("{}", shown(&problems)));
    assert_eq!(Some(one), on(text, typical()).ok());
}
