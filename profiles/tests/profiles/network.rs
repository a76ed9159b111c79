//! What goes out, and who is told of it.

use crate::support::*;
use sandboxd_egress_plan::{Bound, EgressPlan, HostName, Known, Ways};
use sandboxd_plan::{HostPath, Namespace, Probe, RootOp};
use sandboxd_profiles::host::{ResolverFacts, Unread};
use sandboxd_profiles::why::Asked;
use sandboxd_profiles::{HostFacts, Invocation, Problem, Resolved, Stream, explain, resolve};

const ONE: &str = "[network]\nmode = \"egress\"\negress = [\"api.example.com:443\"]\n";

fn asked() -> HostFacts {
    let hosts = ["db.internal", "other.example"].map(|name| Known {
        name: HostName::try_from(name).unwrap(),
        addresses: vec!["10.0.0.5".parse().unwrap()],
    });
    let servers = vec!["192.0.2.53:53".parse().unwrap()];
    HostFacts {
        resolver: ResolverFacts { hosts: hosts.into(), servers, unread: vec![] },
        ..typical()
    }
}

fn run(texts: &[&str], host: HostFacts) -> Result<Resolved, Vec<Problem>> {
    invoked(texts, host, Invocation::default())
}

fn invoked(
    texts: &[&str],
    host: HostFacts,
    invocation: Invocation,
) -> Result<Resolved, Vec<Problem>> {
    let applied = |text: &&str| {
        let mut profile = read(text)?;
        profile.apply(&overrides("/usr/bin/true"))?;
        Ok::<_, Vec<Problem>>(profile)
    };
    let mut all = texts.iter().map(applied).collect::<Result<Vec<_>, _>>()?;
    let profile = all.pop().unwrap();
    let host = looked_at(&profile, host);
    resolve(&profile, &all, &host, &lease(), &invocation)
}

fn wrong(text: &str, host: HostFacts) -> String {
    shown(&run(&[text], host).unwrap_err())
}

fn way_out(texts: &[&str]) -> EgressPlan {
    run(texts, asked()).unwrap().outside.egress.unwrap()
}

fn written(plan: &EgressPlan) -> Vec<&str> {
    plan.rules.iter().map(|rule| rule.written.as_str()).collect()
}

#[test]
fn the_network_is_its_own_and_leads_to_what_is_named() {
    let resolved = run(&[ONE], asked()).unwrap();
    assert!(resolved.plan.namespaces.own.contains(&Namespace::Net));
    assert!(resolved.plan.namespaces.network.is_some());
    let raw = |probe: &Probe| matches!(probe, Probe::Socket { family: 2, kind: 3, .. });
    assert!(resolved.plan.probes.iter().any(raw));
    let sandboxd_plan::Root::Own { ops, .. } = &resolved.plan.root else { panic!("no view") };
    let asks = |op: &RootOp| {
        matches!(op, RootOp::File { path, content, .. }
            if path.as_str() == "/etc/resolv.conf" && content == "nameserver 127.0.0.1\n")
    };
    assert!(ops.iter().any(asks));
    let plan = resolved.outside.egress.unwrap();
    assert_eq!(written(&plan), ["api.example.com:443"]);
    assert_eq!(plan.resolver.servers.len(), 1);
    assert!(plan.resolver.hosts.is_empty(), "whom no rule names");
    let users = HostFacts { resolver: asked().resolver, ..a_users() };
    let text = format!("{ONE}[require]\nuid = \"if-available\"\nmemfd_noexec = \"if-available\"\n");
    let users = run(&[&text], users).unwrap();
    assert!(users.outside.egress.is_some());
    // Made with its user namespace, and not before.
    assert!(users.plan.namespaces.own.contains(&Namespace::Net));
    assert_eq!(users.plan.namespaces.network, None);
    for text in ["", "[network]\nmode = \"none\"", "[network]\nmode = \"host\"\nreason = \"x\""] {
        assert_eq!(run(&[text], asked()).unwrap().outside.egress, None, "{text}");
    }
}

/// One whose `/etc/hosts` is there, and says nothing.
fn unread() -> HostFacts {
    let (path, why) = ("/etc/hosts".to_owned(), "it is a folder".to_owned());
    let unread = vec![Unread { path, why }];
    HostFacts { resolver: ResolverFacts { unread, ..asked().resolver }, ..typical() }
}

/// Root that may do everything but administer networks.
fn powerless() -> HostFacts {
    let mut host = asked();
    host.own.leads_networks = false;
    host
}

#[test]
fn only_who_lets_something_out_must_be_able_to_lead_it() {
    run(&[""], powerless()).unwrap();
    let users = HostFacts { own: powerless().own, resolver: asked().resolver, ..a_users() };
    let text = format!("{ONE}[require]\nuid = \"if-available\"\nmemfd_noexec = \"if-available\"\n");
    run(&[&text], users).unwrap();
}

#[test]
fn what_would_not_hold_is_refused() {
    let entry = "egress = [\"api.example.com:443\"]\n";
    for (text, host, says) in [
        ("[network]\nmode = \"egress\"".to_owned(), asked(), "names no host"),
        (format!("[network]\n{entry}"), asked(), "write mode = \"egress\""),
        (
            format!("[network]\nmode = \"host\"\nreason = \"x\"\n{entry}"),
            asked(),
            "this would restrict nothing",
        ),
        (ONE.to_owned(), typical(), "no nameserver in /etc/resolv.conf"),
        (ONE.to_owned(), powerless(), "lacks CAP_NET_ADMIN"),
        (ONE.to_owned(), unread(), "/etc/hosts cannot be read: it is a folder"),
        (format!("isolation = \"landlock\"\n{ONE}"), asked(), "without a network namespace"),
    ] {
        let found = wrong(&text, host);
        assert!(found.contains(says), "{text}: {found}");
    }
    let known = ONE.replace("api.example.com:443", "tcp://db.internal:5432");
    let host =
        HostFacts { resolver: ResolverFacts { servers: vec![], ..asked().resolver }, ..typical() };
    let plan = run(&[&known], host).unwrap().outside.egress.unwrap();
    assert_eq!(plan.resolver.hosts.len(), 1, "who is in the file need not be asked for");
}

#[test]
fn a_socket_of_the_hosts_network_is_no_way_round() {
    let streams = [Stream::Network, Stream::Pipe, Stream::Pipe];
    let invocation = Invocation { streams, ..Invocation::default() };
    for text in [ONE, "", "isolation = \"landlock\""] {
        let found = shown(&invoked(&[text], asked(), invocation.clone()).unwrap_err());
        assert!(
            found.contains("standard input")
                && found.contains("hosts that this profile does not name"),
            "{text}: {found}"
        );
    }
    let host = "[network]\nmode = \"host\"\nreason = \"x\"";
    assert!(invoked(&[host], asked(), invocation).is_ok());
}

#[test]
fn what_is_run_under_another_goes_where_both_go_and_both_count_it() {
    let under = "[network]\nmode = \"egress\"\negress = [\"*.example.com:443\"]\nup = 1000\n";
    let plan = way_out(&[under, ONE]);
    assert_eq!(written(&plan), ["api.example.com:443 under *.example.com:443"]);
    assert_eq!(plan.rules[0].accounts, [0, 1]);
    assert_eq!(plan.accounts[0].up, Bound::AtMost(1000));
    let elsewhere = ONE.replace("api.example.com", "api.example.net");
    assert!(way_out(&[under, &elsewhere]).rules.is_empty());
    let host = "[network]\nmode = \"host\"\nreason = \"x\"";
    assert_eq!(written(&way_out(&[under, host])), ["*.example.com:443"]);
    assert_eq!(written(&way_out(&[host, ONE])), ["api.example.com:443"]);
    let none = run(&["", ONE], asked()).unwrap();
    assert_eq!(none.outside.egress, None);
    assert!(none.plan.namespaces.own.contains(&Namespace::Net));
}

#[test]
fn no_connection_goes_on_for_longer_than_the_network_and_its_entry_say() {
    let text = "[network]\nmode = \"egress\"\nidle = \"10m\"\ntotal = \"30s\"\negress = [\n\
                \"http://a.example\",\n{ to = \"http://b.example\", idle = \"1m\", total = \"1m\" },\n\
                { to = \"http://c.example\", idle = \"1h\", total = \"10s\" },\n]\n";
    let of = |plan: EgressPlan| -> Vec<(Bound, Bound)> {
        plan.rules.iter().map(|rule| (rule.deadlines.idle, rule.deadlines.total)).collect()
    };
    let most = |idle, total| (Bound::AtMost(idle), Bound::AtMost(total));
    let each = [most(600_000, 30_000), most(60_000, 30_000), most(600_000, 10_000)];
    assert_eq!(of(way_out(&[text])), each);
    // It is no default: what an entry is silent about stays as short as it is.
    let longer = of(way_out(&[&text.replace("10m", "2h").replace("30s", "unlimited")]));
    assert_eq!(longer[0], (Bound::AtMost(3_600_000), Bound::Unlimited));
    // And that of whatever it is run under holds too.
    let under = text.replace("10m", "2m").replace("30s", "5s");
    assert_eq!(of(way_out(&[&under, text]))[0], most(120_000, 5_000));
    let shown = read(text).unwrap().to_toml();
    assert!(
        shown.contains("idle = \"600000ms\"") && shown.contains("total = \"30000ms\""),
        "{shown}"
    );
    assert_eq!(read(&shown).unwrap().to_toml().lines().count(), shown.lines().count());
}

#[test]
fn the_command_line_names_hosts_too() {
    let mut profile = read("").unwrap();
    let mut typed = overrides("/usr/bin/true");
    typed.egress = vec!["api.example.com:443".into()];
    profile.apply(&typed).unwrap();
    let host = looked_at(&profile, asked());
    let resolved = resolve(&profile, &[], &host, &lease(), &Invocation::default()).unwrap();
    assert_eq!(written(&resolved.outside.egress.unwrap()), ["api.example.com:443"]);
    typed.egress = vec!["api.example.com".into()];
    let found = shown(&read("").unwrap().apply(&typed).unwrap_err());
    assert!(found.contains("--egress") && found.contains("api.example.com:443"), "{found}");
}

const MODEL: &str = "[network]\nmode = \"egress\"\negress = [{ to = \"http://host.internal:8080\", model = true }]\n";

#[test]
fn what_is_used_up_is_borne_by_all_that_it_is_run_under() {
    let priced = "[budget]\ntokens = 1000\ncost = 2.5\n[budget.prices]\n\"*\" = { input = 3, output = 15 }\n\
                  \"small-*\" = { input = \"0.25\", output = 1.25, cached = 0.025, cache_write = 0.3125 }\n\
                  small-1 = { input = 0, output = 0.5 }\n";
    let plan = way_out(&[
        &format!("name = \"site\"\n{MODEL}[budget]\nbytes = \"1M\""),
        &format!("{MODEL}{priced}"),
    ]);
    assert!(plan.rules[0].model);
    let [site, own] = &plan.budgets[..] else { panic!("{:?}", plan.budgets) };
    assert_eq!(
        (site.of.as_str(), site.bytes, site.tokens),
        ("site", Bound::AtMost(1 << 20), Bound::Unlimited)
    );
    assert_eq!((own.tokens, own.cost), (Bound::AtMost(1000), Bound::AtMost(2_500_000_000)));
    let models: Vec<&str> = own.prices.iter().map(|price| price.model.as_str()).collect();
    assert_eq!(models, ["small-1", "small-*", "*"], "the narrower comes first");
    let small = &own.prices[1];
    assert_eq!((small.input, small.cached, small.written), (250_000_000, 25_000_000, 312_500_000));
    assert_eq!((own.prices[2].cached, own.prices[2].written), (3_000_000_000, 3_000_000_000));
    // As it is shown, it is read again.
    let shown = read(&format!("{MODEL}{priced}")).unwrap().to_toml();
    assert_eq!(read(&shown).unwrap().to_toml().lines().count(), shown.lines().count());
    assert!(shown.contains("prices.small-1 = { input = 0.0, output = 0.5 }"), "{shown}");
    assert!(shown.contains("cached = 0.025, cache_write = 0.3125 }"), "{shown}");
    // The same budget twice is one, and what is let out by another entry alone is not counted.
    assert_eq!(way_out(&[MODEL, MODEL]).budgets.len(), 1);
    let unseen = MODEL.replace(", model = true", "");
    assert!(way_out(&[MODEL, &unseen]).rules[0].model && !way_out(&[&unseen]).rules[0].model);
}

#[test]
fn a_budget_that_nobody_counts_is_refused() {
    let tcp = MODEL.replace("[{", "[\"tcp://host.internal:8080\", {");
    for (text, says) in [
        (format!("{ONE}[budget]\ntokens = 5"), "no entry is a model's API"),
        (
            format!("{ONE}[budget]\ncost = 5\nprices.x = {{ input = 1, output = 1 }}"),
            "no entry is a model's API",
        ),
        (format!("{MODEL}[budget]\ncost = 5"), "there are no prices"),
        (MODEL.replace("http://", "tcp://"), "nothing could be counted"),
        (tcp, "leads to the same host and is not counted"),
        (addresses("0.0.0.0/0", ""), "\"tcp://0.0.0.0/0:80\" leads to the same host"),
        (addresses("10.0.0.0/8", ", within = [\"10.1.0.0/16\"]"), "leads to the same host"),
        (format!("{HOST}[budget]\nbytes = 5"), "budget.bytes: the network is the host's"),
        (format!("{HOST}[budget]\ntokens = 5"), "the network is the host's"),
    ] {
        let found = wrong_or_unread(&text);
        assert!(found.contains(says), "{text}: {found}");
    }
    for text in [
        format!("{ONE}[budget]\ntokens = \"unlimited\"\nbytes = 5"),
        "[budget]\ntokens = 5".to_owned(),
        format!("{HOST}[budget]\ncalls = 5\nbytes = \"unlimited\""),
        addresses("10.0.0.0/8", ""),
    ] {
        assert_eq!(wrong_or_unread(&text), "", "{text}");
    }
}

#[test]
fn a_budget_of_what_it_is_run_under_is_counted_too() {
    let named =
        |network: &str, budget: &str| format!("name = \"site\"\n{network}[budget]\n{budget}");
    let found = |texts: [&str; 2]| match run(&texts, asked()) {
        Ok(_) => String::new(),
        Err(problems) => shown(&problems),
    };
    for limit in ["tokens = 5", "bytes = 5"] {
        let says = found([&named(HOST, limit), HOST]);
        assert!(says.contains("the network is the host's, where nothing"), "{says}");
    }
    assert!(found([&named(ONE, "tokens = 5"), ONE]).contains("no entry is a model's API"));
    let unseen = MODEL.replace(", model = true", "");
    for (outer, inner) in [
        (named(ONE, "bytes = 5"), ONE),
        (named(&unseen, "tokens = 5"), MODEL),
        (named(HOST, "tokens = 5"), MODEL),
        (named(MODEL, "tokens = 5"), &unseen),
        (named(HOST, "tokens = 5"), ""),
    ] {
        assert_eq!(found([&outer, inner]), "", "{outer} {inner}");
    }
}

const HOST: &str = "[network]\nmode = \"host\"\nreason = \"x\"\n";

/// A model's API by its name, beside addresses.
fn addresses(network: &str, within: &str) -> String {
    format!(
        "[network]\nmode = \"egress\"\negress = [\"tcp://{network}:80\", {{ to = \"http://api.example.com:80\", \
         model = true{within} }}]\n"
    )
}

fn wrong_or_unread(text: &str) -> String {
    match run(&[text], asked()) {
        Ok(_) => String::new(),
        Err(problems) => shown(&problems),
    }
}

#[test]
fn programs_are_told_of_the_proxy_where_it_is_a_way() {
    let says = |text: &str| {
        let resolved =
            run(&[text], asked()).unwrap_or_else(|problems| panic!("{}", shown(&problems)));
        let env = resolved
            .plan
            .exec
            .env
            .iter()
            .map(|one| String::from_utf8_lossy(one.as_bytes()).into_owned());
        (resolved.outside.egress.unwrap().ways, env.collect::<Vec<_>>())
    };
    let told = |env: &[String], word: &str| env.iter().any(|one| one == word);
    let (ways, env) = says(ONE);
    assert_eq!(ways, Ways::Transparent);
    assert!(!env.iter().any(|one| one.to_lowercase().contains("proxy")));
    for (word, ways) in [("proxy", Ways::Proxy), ("both", Ways::Both)] {
        let text = format!("{ONE}way = {word:?}\n");
        let (found, env) = says(&text);
        assert_eq!(found, ways);
        for name in ["HTTPS_PROXY", "https_proxy", "http_proxy", "ALL_PROXY"] {
            assert!(told(&env, &format!("{name}=http://127.0.0.1:3128")), "{env:?}");
        }
        assert!(
            told(&env, "no_proxy=localhost,127.0.0.1,::1") && told(&env, "NODE_USE_ENV_PROXY=1")
        );
        let own = format!("{text}[env]\nset = {{ NO_PROXY = \"a.example\" }}\n");
        assert!(told(&says(&own).1, "NO_PROXY=a.example"));
        let other = format!("{text}[env]\nset = {{ https_proxy = \"http://b.example\" }}\n");
        assert!(wrong(&other, asked()).contains("where the proxy is"));
    }
    // A way that leads nowhere.
    for mode in ["", "mode = \"host\"\nreason = \"x\"\n"] {
        let text = format!("[network]\n{mode}way = \"proxy\"\n");
        assert!(wrong(&text, asked()).contains("and there is none"), "{text}");
    }
    assert!(run(&["[network]\nmode = \"none\"\nway = \"proxy\"\n"], asked()).is_ok());
}

/// Whether it is let out, and all that is said of it.
fn asked_why(entries: &str, host: &str, port: u16) -> (bool, String) {
    let text = format!("[network]\nmode = \"egress\"\negress = [{entries}]\n");
    let mut profile = read(&text).unwrap();
    profile.apply(&overrides("/usr/bin/true")).unwrap();
    let facts = looked_at(&profile, asked());
    let explained = explain(&profile, &[], &facts, &lease(), &Invocation::default())
        .unwrap_or_else(|problems| panic!("{}", shown(&problems)));
    let nothing = |_: &HostPath| Err(2);
    let asked = Asked { explained: &explained, groups: &[], guarded: true, look: &nothing };
    let answer = asked.host(host, port);
    let said = answer.layers.iter().map(|judged| judged.what.clone());
    (answer.allowed, said.chain(answer.notes).collect::<Vec<_>>().join("; "))
}

#[test]
fn why_answers_as_the_egress_process_judges() {
    let wide = "\"tcp://0.0.0.0/0:80\", \"tcp://host.internal:81\"";
    for (entries, host, port, allowed, says) in [
        (wide, "8.8.8.8", 80, true, "one of this host's own"),
        (wide, "::ffff:8.8.8.8", 80, true, "any traffic"),
        (wide, "10.9.0.2", 80, false, "it is not public"),
        (wide, "169.254.169.254", 80, false, "it is not public"),
        (wide, "224.0.0.1", 80, false, "no entry can name it"),
        (wide, "0.0.0.0", 80, true, "the sandbox's own loopback"),
        (wide, "LocalHost.", 80, true, "the sandbox's own loopback"),
        (wide, "10.9.0.2", 82, false, "no entry names it"),
        (wide, "Host.Internal.", 81, true, "any traffic"),
        ("\"tcp://10.9.0.2:80\"", "10.9.0.2", 80, true, "any traffic"),
        ("\"tcp://Host.Internal:80\"", "host.internal", 80, true, "any traffic"),
        ("\"*.example.com:80\"", "A.example.COM", 80, true, "`within` does not name it"),
    ] {
        let (answer, said) = asked_why(entries, host, port);
        assert_eq!(answer, allowed, "{host}:{port} {said}");
        assert!(said.contains(says), "{host}:{port} {said}");
    }
    assert!(!asked_why("\"tcp://10.9.0.2:80\"", "10.9.0.2", 80).1.contains("own"));
}
