//! Secrets that are put into requests.

use crate::support::*;
use sandboxd_egress_plan::{Carries, EgressPlan, Requests, Which};
use sandboxd_profiles::HostFacts;
use sandboxd_profiles::host::ResolverFacts;

fn asked() -> HostFacts {
    let servers = vec!["192.0.2.53:53".parse().unwrap()];
    HostFacts {
        resolver: ResolverFacts { hosts: Vec::new(), servers, unread: Vec::new() },
        ..typical()
    }
}

fn profile(network: &str, inject: &str) -> String {
    format!("[network]\n{network}\n[secrets.model]\nfrom = \"file:/x/key\"\ninject = {inject}\n")
}

fn plan(network: &str, inject: &str) -> EgressPlan {
    on(&profile(network, inject), asked()).unwrap().outside.egress.unwrap()
}

const API: &str = "mode = \"egress\"\negress = [\"api.example.com:443\", \"b.example.com:443\"]";
const BEARER: &str =
    "{ host = \"api.example.com\", header = \"Authorization\", format = \"Bearer {}\" }";

#[test]
fn one_secret_is_put_into_requests_of_several_hosts_and_all_methods_of_a_path() {
    let plan_of_one = plan(API, BEARER);
    assert_eq!(plan_of_one.secrets, ["model"]);
    assert_eq!(plan_of_one.rules[0].carries, Carries::Https(Requests::All));
    assert_eq!(plan_of_one.rules[1].carries, Carries::Tls);
    let list =
        format!("[{BEARER}, {{ host = \"b.example.com\", basic = \"me\", path = \"/v1/*\" }}]");
    let plan = plan(API, &list);
    assert_eq!((plan.secrets.len(), plan.injects.len()), (1, 2));
    assert!(plan.injects.iter().all(|one| one.secret == 0 && one.method == Which::Any));
    let path = |one: usize| plan.injects[one].path.has(|path| path.as_str() == "/v1/*");
    assert!(plan.injects[0].path == Which::Any && plan.injects[1].path != Which::Any && path(1));
    assert!(plan.rules.iter().all(|rule| rule.carries == Carries::Https(Requests::All)));
    let shown = read(&profile(API, &list)).unwrap().to_toml();
    assert!(shown.contains("basic = \"me\"") && shown.contains("path = \"/v1/*\""), "{shown}");
    assert_eq!(read(&shown).unwrap().secrets.len(), 1);
}

#[test]
fn what_would_go_nowhere_is_refused() {
    let twice =
        format!("[{BEARER}, {{ host = \"api.example.com\", basic = \"me\", method = \"GET\" }}]");
    for (network, inject, says) in [
        ("", BEARER, "write [network] mode = \"egress\""),
        ("mode = \"host\"\nreason = \"x\"", BEARER, "there is none"),
        (API, "{ host = \"c.example.com\", query = \"key\" }", "leads to c.example.com:443"),
        (API, &twice, "another secret is injected into the same place"),
        (
            API,
            "{ host = \"api.example.com\", query = \"key\", path = \"v1\" }",
            "does not begin with /",
        ),
        (
            API,
            "{ host = \"api.example.com\", query = \"key\", path = \"/v1?x\" }",
            "without the query",
        ),
        (
            API,
            "{ host = \"api.example.com\", query = \"key\", path = \"/a/../*\" }",
            "ambiguous paths",
        ),
        (API, "{ host = \"api.example.com\" }", "needs one place"),
        (API, "{ header = \"x-key\" }", "names no host"),
    ] {
        let found = shown(&on(&profile(network, inject), asked()).unwrap_err());
        assert!(found.contains(says), "{network} {inject}: {found}");
    }
    let apart = format!(
        "[{}, {{ host = \"api.example.com\", basic = \"me\", path = \"/b/*\" }}]",
        BEARER.replace(", header", ", path = \"/a/*\", header")
    );
    plan(API, &apart);
    assert!(on(&profile("mode = \"none\"", BEARER), asked()).is_ok());
}
