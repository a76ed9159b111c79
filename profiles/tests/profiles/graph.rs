//! Call graphs: what is wrong with them, how they are drawn, who reaches what, what widened.

use crate::support::*;
use sandboxd_plan::HostPath;
use sandboxd_profiles::graph::{self, Direction, Target};
use sandboxd_profiles::{Document, Folders, Graph, Problem};
use std::path::Path;

fn document(name: &str, text: &str) -> Document {
    Document { name: name.into(), folder: Some(path("/p")), text: text.into() }
}

/// A graph of files in one folder, of which the first is named.
fn graph(files: &[(&str, &str)]) -> Result<Graph, Vec<Problem>> {
    let mut read = |path: &HostPath| {
        let name = path.as_str().strip_prefix("/p/").unwrap_or_default();
        let found = files.iter().find(|(known, _)| *known == name);
        found.map(|(name, text)| document(name, text)).ok_or_else(|| format!("there is no {path}"))
    };
    let first = files.first().map(|(name, text)| document(name, text));
    graph::load(first.into_iter().collect(), &Folders::default(), &mut read)
}

/// An agent with these edges, and two tools: `fs` for the folder /srv, `web` for the network.
fn with(edges: &str) -> Result<Graph, Vec<Problem>> {
    let agent =
        format!("name = \"a\"\nfiles.execute = [\"/usr\"]\nfiles.read = [\"/data\"]\n{edges}");
    graph(&[
        ("a.toml", &agent),
        ("fs.toml", FS),
        ("web.toml", WEB),
        ("mute.toml", MUTE),
        ("own.toml", OWN),
        ("odd.toml", ODD),
    ])
}

const FS: &str = "name = \"fs\"\ncommand.exec = [\"/usr/bin/fs\"]\nfiles.execute = [\"/usr\"]\n\
    files.write = [\"/srv\"]\nfiles.hide = [\"/srv/keys\"]\nserve.tools = [\"read\", \"list\"]";
const WEB: &str = "name = \"web\"\ncommand.exec = [\"/usr/bin/web\"]\nfiles.execute = [\"/usr\"]\n\
    network = { mode = \"host\", reason = \"fetches\" }\nserve.tools = [\"*\"]";
const MUTE: &str = "name = \"mute\"";
const OWN: &str = "name = \"own\"\ncommand.exec = [\"/usr/bin/fs\"]\nfiles.execute = [\"/usr\"]\n\
    serve = { tools = [\"read\"], instances = \"serial\" }";
const ODD: &str = "name = \"odd\"\ncommand.exec = [\"/usr/bin/fs\"]\nfiles.execute = [\"/usr\"]\n\
    serve = { tools = [\"read\"], ask = [\"re*\", \"raed\"] }";

/// Edges of `with`, and all that is said about them.
const WRONG: &[(&str, &str)] = &[
    (
        "[call.fs]\ntools = [\"read\"]",
        "a.toml:4:7: call.fs: names no profile, so nothing can be called\n  remedy  write profile = \
         \"….toml\", relative to this file",
    ),
    (
        "[call.fs]\nprofile = \"gone.toml\"\ntools = [\"read\"]",
        "a.toml:5:11: call.fs.profile: /p/gone.toml cannot be read: there is no /p/gone.toml\n  \
         remedy  correct the path",
    ),
    (
        "[call.fs]\nprofile = \"fs.toml\"",
        "a.toml:4:7: call.fs: allows nothing, so it has no use\n  remedy  write tools = [\"…\"], \
         or remove the edge",
    ),
    (
        "[call.fs]\nprofile = \"fs.toml\"\ntools = [\"read\", \"reed\", \"li*\"]",
        "a.toml:6:18: call.fs.tools[1]: fs serves no tools called reed\n  remedy  remove it, or add it to [serve] tools of fs.toml, which has read, list",
    ),
    (
        "[call.fs]\nprofile = \"fs.toml\"\nprompts = [\"x\"]",
        "a.toml:6:12: call.fs.prompts[0]: fs serves no prompts called x\n  remedy  remove it, or add \
         [serve] prompts to fs.toml",
    ),
    (
        "[call.m]\nprofile = \"mute.toml\"\ntools = [\"*\"]",
        "a.toml:4:7: call.m: mute has no command, so it cannot be started\n  remedy  add \
         [command] exec to mute.toml\n\
         a.toml:4:7: call.m: mute serves nothing: it has no [serve]\n  remedy  add [serve] to \
         mute.toml",
    ),
    (
        "[call.fs]\nprofile = \"fs.toml\"\ntools = [\"read\"]\narguments.list = false",
        "a.toml:7:18: call.fs.arguments.list: list is not one of the tools of this edge\n  remedy  \
         correct the name, or add it to tools",
    ),
    (
        "[call.fs]\nprofile = \"fs.toml\"\ntools = [\"read\"]\ngrant.files.read = [\"/srv\"]",
        "a.toml:7:1: call.fs.grant: lets fs execute nothing, so it cannot start\n  remedy  write grant.files.execute = [\"/usr\"]: only what grant names is granted",
    ),
    (
        "[call.fs]\nprofile = \"fs.toml\"\ntools = [\"read\"]\n\
         grant.files = { execute = [\"/usr\"], read = [\"/home\", \"/srv/keys\"] }\n\
         grant.network.mode = \"host\"",
        "a.toml:7:45: call.fs.grant.files.read[0]: neither fs nor anything it calls may read /home itself\n  remedy  add it to [files] read of fs.toml, or remove it\n\
         a.toml:7:54: call.fs.grant.files.read[1]: neither fs nor anything it calls may read /srv/keys itself\n  remedy  add it to [files] read of fs.toml, or remove it\n\
         a.toml:8:22: call.fs.grant.network.mode: the host's network needs a reason\n  remedy  write \
         grant.network.reason = \"why\"\n\
         a.toml:8:22: call.fs.grant.network.mode: neither fs nor anything it calls may reach it itself\n  remedy  remove it",
    ),
    (
        "[call.fs]\nprofile = \"fs.toml\"\ntools = [\"read\"]\ngrant.files.execute = [\"/usr\"]\n\
         grant.network.egress = [\"a.example:443\"]",
        "a.toml:8:25: call.fs.grant.network.egress[0]: the granted network mode is none, so nothing can be reached\n  remedy  write grant.network.mode = \"egress\"",
    ),
    (
        "files.write = [\"/p\"]\n[call.fs]\nprofile = \"fs.toml\"\ntools = [\"read\"]",
        "a.toml:4:16: files.write[0]: /p may be written by a, and the profile a.toml is in it\n  \
         remedy  move the profiles to a folder that no sandbox can write\n\
         a.toml:4:16: files.write[0]: /p may be written by a, and the profile fs.toml is in it\n  \
         remedy  move the profiles to a folder that no sandbox can write",
    ),
    (
        "[call.fs]\nprofile = \"fs.toml\"\ntools = [\"read\"]\ncycle = \"why\"",
        "a.toml:7:9: call.fs.cycle: no calls lead back to this caller\n  remedy  remove cycle",
    ),
    (
        "[call.own]\nprofile = \"own.toml\"\ntools = [\"read\"]\nready = 1",
        "a.toml:7:9: call.own.ready: own is started once, for all callers\n  remedy  remove ready: only a callee that is started for each connection can be kept ready",
    ),
    (
        "[call.odd]\nprofile = \"odd.toml\"\ntools = [\"read\"]",
        "odd.toml:4:43: serve.ask[1]: no tool or method named raed is served, so nothing needs approval\n  \
         remedy  correct the name, or add it to [serve] tools or methods",
    ),
    (
        "limits.processes = 7\n[call.fs]\nprofile = \"fs.toml\"\ntools = [\"read\"]\nready = 3",
        "a.toml:8:9: call.fs.ready: a may have 7 processes; with the instances kept ready along all its edges, it needs 8\n  remedy  keep fewer ready, or raise limits.processes of the caller",
    ),
];

#[test]
fn every_wrong_edge_has_its_problem() {
    for (edges, wanted) in WRONG {
        let problems = with(edges).expect_err(edges);
        assert_eq!(shown(&problems), *wanted, "\n{edges}");
    }
}

#[test]
fn a_document_more_lies_where_nobody_in_the_graph_writes() {
    let graph = with("[call.fs]\nprofile = \"fs.toml\"\ntools = [\"read\"]").unwrap();
    let to = |folder| graph.leaves_alone(&("learnt.toml".into(), path(folder)));
    to("/p").unwrap();
    to("/srv/keys").unwrap();
    for folder in ["/srv", "/srv/deep"] {
        assert_eq!(
            shown(&to(folder).unwrap_err()),
            "fs.toml:4:16: files.write[0]: /srv may be written by fs, and the profile learnt.toml is in it\n  \
             remedy  move the profiles to a folder that no sandbox can write"
        );
    }
}

/// Profiles that call each other in a row, the last the first where `closed`.
fn row(length: usize, closed: bool, each: &str) -> Result<Graph, Vec<Problem>> {
    let texts: Vec<(String, String)> = (0..length)
        .map(|index| {
            let next = if index + 1 < length { index + 1 } else { 0 };
            let call = if closed || next != 0 {
                format!("[call.n{next}]\nprofile = \"n{next}.toml\"\ntools = [\"*\"]\n{each}")
            } else {
                String::new()
            };
            let text = format!(
                "name = \"n{index}\"\ncommand.exec = [\"/usr/bin/n\"]\n\
                 files.execute = [\"/usr\"]\nserve.tools = [\"*\"]\n{call}"
            );
            (format!("n{index}.toml"), text)
        })
        .collect();
    let files: Vec<(&str, &str)> =
        texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    graph(&files)
}

#[test]
fn a_circle_needs_leave_and_a_chain_has_an_end() {
    let problems = row(3, true, "").unwrap_err();
    let said = "leads in a cycle: n0 -> n1 -> n2 -> n0";
    assert!(shown(&problems).starts_with("n2.toml:5:7: call.n0: "), "{}", shown(&problems));
    assert!(problems.len() == 1 && shown(&problems).contains(said), "{}", shown(&problems));
    assert!(row(3, true, "cycle = \"they take turns\"").is_ok());
    assert!(row(5, false, "").is_ok());
    let problems = row(6, false, "").unwrap_err();
    assert!(shown(&problems).contains("a chain of more than 4 calls: n0 -> n1"));
    let myself = graph(&[(
        "a.toml",
        "name = \"a\"\ncommand.exec = [\"/a\"]\nserve.tools = [\"*\"]\n\
        files.execute = [\"/usr\"]\n[call.a]\nprofile = \"a.toml\"\ntools = [\"*\"]",
    )]);
    assert!(shown(&myself.unwrap_err()).contains("a calls itself"));
}

#[test]
fn two_profiles_of_one_name_and_one_without_are_refused() {
    let call = "name = \"a\"\n[call.b]\nprofile = \"b.toml\"\ntools = [\"*\"]";
    let same = graph(&[("a.toml", call), ("b.toml", "name = \"a\"")]).unwrap_err();
    assert!(shown(&same).contains("b.toml:1:8: name: a.toml is also named a"), "{}", shown(&same));
    let nameless = graph(&[("a.toml", call), ("b.toml", "")]).unwrap_err();
    assert!(shown(&nameless).contains("b.toml: name: has no name"), "{}", shown(&nameless));
}

/// Who reaches it from `a`, and what it may do there.
fn reached(graph: &Graph, to: &Target) -> Vec<(String, Vec<String>)> {
    let answer = graph.ways("a", to).unwrap();
    let chain = |calls: &[graph::Step]| {
        calls.iter().map(|call| call.callee.clone()).collect::<Vec<_>>().join(" ")
    };
    answer.ways.iter().map(|way| (chain(&way.calls), way.may.clone())).collect()
}

#[test]
fn a_chain_carries_the_meet_of_its_edges() {
    let on = |text: &str| Target::Path(path(text));
    let way = |who: &str, may: &[&str]| {
        (who.to_owned(), may.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>())
    };
    // Nothing granted: the tool has what its caller has, which is no part of its own folder.
    let bare = with("[call.fs]\nprofile = \"fs.toml\"\ntools = [\"read\"]").unwrap();
    assert_eq!(reached(&bare, &on("/srv")), []);
    assert_eq!(reached(&bare, &on("/data/x")), [way("", &["read"])]);
    let granted = "[call.fs]\nprofile = \"fs.toml\"\ntools = [\"read\"]\n\
        grant.files = { execute = [\"/usr\"], read = [\"/srv\"] }";
    let granted = with(granted).unwrap();
    assert_eq!(reached(&granted, &on("/srv/x")), [way("fs", &["read"])]);
    assert_eq!(reached(&granted, &on("/srv/keys/x")), [], "a hole of the tool's own");
    assert_eq!(reached(&granted, &on("/srvx")), [], "a beginning of a name is no folder");
    assert_eq!(reached(&granted, &Target::Network), []);
}

/// `a` calls `hub`, which calls `web` with a grant of the network.
fn through(grant: &str, instances: &str) -> Graph {
    let agent = format!(
        "name = \"a\"\nfiles.execute = [\"/usr\"]\n[call.hub]\nprofile = \"hub.toml\"\n\
         tools = [\"ask\"]\n{grant}"
    );
    let hub = format!(
        "name = \"hub\"\ncommand.exec = [\"/usr/bin/hub\"]\nfiles.execute = [\"/usr\"]\n\
         [serve]\ntools = [\"ask\"]\ninstances = {instances}\n[call.web]\nprofile = \"web.toml\"\n\
         tools = [\"get\"]\n\
         grant = {{ files.execute = [\"/usr\"], network = {{ mode = \"host\", reason = \"x\" }} }}"
    );
    graph(&[("a.toml", &agent), ("hub.toml", &hub), ("web.toml", WEB)]).unwrap()
}

#[test]
fn an_aggregator_reaches_for_its_caller_what_the_caller_was_given_and_no_more() {
    let net =
        "grant = { files.execute = [\"/usr\"], network = { mode = \"host\", reason = \"x\" } }";
    let web = [("hub web".to_owned(), vec!["network the host's".to_owned()])];
    for instances in ["\"per-caller\"", "\"attenuate\"", "\"serial\""] {
        let none = through("", instances);
        assert_eq!(reached(&none, &Target::Network), [], "{instances}");
        assert_eq!(reached(&through(net, instances), &Target::Network), web, "{instances}");
    }
    // A host that is named is what both name.
    let named = "grant = { files.execute = [\"/usr\"], network = { mode = \"egress\", egress = [\"a.example:443\"] } }";
    let web_named = [("hub web".to_owned(), vec!["network a.example:443".to_owned()])];
    assert_eq!(reached(&through(named, "\"per-caller\""), &Target::Network), web_named);
    // Who acts by its own right is the one exception, and says so.
    let own = through("", "{ own = \"has an account\" }");
    assert_eq!(reached(&own, &Target::Network), web);
    let answer = own.ways("a", &Target::Profile("web".into())).unwrap();
    assert_eq!(answer.ways[0].calls[0].authority, "hub's own: has an account");
}

#[test]
fn who_acts_by_its_own_right_leads_back_with_more() {
    let agent =
        "name = \"a\"\nfiles.execute = [\"/usr\"]\n[call.x]\nprofile = \"x.toml\"\ntools = [\"*\"]";
    let tool = "name = \"x\"\ncommand.exec = [\"/usr/bin/x\"]\nfiles.execute = [\"/usr\"]\n\
        network = { mode = \"host\", reason = \"x\" }\nserve.tools = [\"*\"]\n\
        [call.o]\nprofile = \"o.toml\"\ntools = [\"*\"]";
    let own = "name = \"o\"\ncommand.exec = [\"/usr/bin/o\"]\nfiles.execute = [\"/usr\"]\n\
        serve = { tools = [\"*\"], instances = { own = \"has an account\" } }\n\
        [call.x]\nprofile = \"x.toml\"\ntools = [\"*\"]\ncycle = \"asks back\"\n\
        grant = { files.execute = [\"/usr\"], network = { mode = \"host\", reason = \"x\" } }";
    let graph = graph(&[("a.toml", agent), ("x.toml", tool), ("o.toml", own)]);
    let graph = graph.unwrap_or_else(|problems| panic!("{}", shown(&problems)));
    let way = ("x o x".to_owned(), vec!["network the host's".to_owned()]);
    assert_eq!(reached(&graph, &Target::Network), [way]);
}

/// What each process of a chain is started under, by the names of the profiles.
fn started(graph: &Graph, chain: &[&str]) -> Vec<String> {
    let plan = graph.plan("case").unwrap();
    let mut standing = graph.first();
    let mut under = Vec::new();
    for name in chain {
        let caller = graph.name(&standing).to_owned();
        let edge = plan
            .edges
            .iter()
            .position(|edge| edge.caller.as_str() == caller && edge.name.as_str() == *name);
        let launch = graph.launch(&standing, edge.unwrap()).unwrap();
        under = launch.under.iter().map(|one| one.label().to_owned()).collect();
        standing = launch.standing;
    }
    under
}

#[test]
fn a_process_is_started_under_every_edge_of_its_chain() {
    let per_caller = through("", "\"per-caller\"");
    assert_eq!(started(&per_caller, &["hub"]), ["a"], "no grant: what its caller may do itself");
    assert_eq!(started(&per_caller, &["hub", "web"]), ["a", "hub-web"]);
    for shared in ["\"serial\"", "\"attenuate\""] {
        let shared = through("", shared);
        assert_eq!(started(&shared, &["hub"]), [""; 0], "several callers: its own profile alone");
        let first = shared.launch(&shared.first(), 0).unwrap();
        assert!(first.shared && first.standing.hops() == 1);
        assert_eq!(started(&shared, &["hub", "web"]), ["a", "hub-web"]);
    }
    let own = through("", "{ own = \"has an account\" }");
    assert_eq!(started(&own, &["hub", "web"]), ["hub-web"], "a chain of its own");
}

#[test]
fn everything_that_can_be_started_is_found_once() {
    let found = |graph: &Graph| {
        let launches = graph.launches().into_iter();
        let mut found: Vec<_> = launches
            .map(|launch| {
                let under: Vec<_> = launch.under.iter().map(|one| one.label().to_owned()).collect();
                (launch.profile.label().to_owned(), under.join(" "))
            })
            .collect();
        found.sort();
        found
    };
    let pair = |name: &str, under: &str| (name.to_owned(), under.to_owned());
    assert_eq!(
        found(&through("", "\"per-caller\"")),
        [pair("hub", "a"), pair("web", "a hub-web")],
        "each under its chain"
    );
    assert_eq!(found(&through("", "\"serial\"")), [pair("hub", ""), pair("web", "a hub-web")]);
}

#[test]
fn what_is_kept_ready_is_kept_for_its_own_caller() {
    let ready = |agent: &str| {
        let graph = with(agent).unwrap_or_else(|problems| panic!("{}", shown(&problems)));
        let kept: Vec<_> = graph.kept_ready(&graph.first()).collect();
        let called = graph.launch(&graph.first(), 0).unwrap().standing;
        assert_eq!(graph.kept_ready(&called).count(), 0);
        kept
    };
    let edge = "[call.fs]\nprofile = \"fs.toml\"\ntools = [\"read\"]\n";
    assert_eq!(ready(edge), []);
    assert_eq!(ready(&format!("{edge}ready = 0")), []);
    assert_eq!(ready(&format!("{edge}ready = 16")), [(0, 16)]);
    assert_eq!(ready(&format!("limits.processes = 8\n{edge}ready = 3")), [(0, 3)]);
}

#[test]
fn nobody_calls_over_an_edge_of_somebody_else() {
    let graph = through("", "\"per-caller\"");
    let plan = graph.plan("case").unwrap();
    for (place, edge) in plan.edges.iter().enumerate() {
        let own = edge.caller.as_str() == "a";
        assert_eq!(graph.launch(&graph.first(), place).is_some(), own, "{place}");
    }
    assert!(graph.launch(&graph.first(), plan.edges.len()).is_none());
    assert!(graph.launch(&graph.first(), usize::MAX).is_none());
}

fn changes(old: &str, new: &str) -> Vec<String> {
    let [old, new] =
        [old, new].map(|edges| with(edges).unwrap_or_else(|e| panic!("{}", shown(&e))));
    let told = |change: &graph::Change| {
        let word = if change.direction == Direction::Widened { "+" } else { "-" };
        format!("{word} {}: {}", change.of, change.what)
    };
    old.changes(&new).iter().map(told).collect()
}

const EDGE: &str = "[call.fs]\nprofile = \"fs.toml\"\ntools = [\"read\"]\n";

#[test]
fn what_widens_is_told_from_what_narrows() {
    let edge = |more: &str| format!("{EDGE}{more}");
    assert_eq!(changes(EDGE, EDGE), [""; 0]);
    assert_eq!(changes("", EDGE), ["+ a -> fs: an edge", "+ fs: a profile"]);
    assert_eq!(changes(EDGE, ""), ["- a -> fs: an edge", "- fs: a profile"]);
    let more = EDGE.replace("\"read\"", "\"*\"");
    assert_eq!(changes(EDGE, &more), ["+ a -> fs: tools: list"]);
    assert_eq!(changes(&more, EDGE), ["- a -> fs: tools: list"]);
    let table = [
        ("approval = \"ask\"", "approval: ask -> never"),
        ("durable = true", "durable: true -> false"),
        ("deadline = \"1s\"", "deadline, ms: 1000 -> 60000"),
        ("approval_within = \"1s\"", "approval_within, ms: 1000 -> 210000"),
        ("expires = \"1h\"", "expires, ms: 3600000 -> unlimited"),
        ("in_flight = 1", "in_flight: 1 -> 8"),
        ("max_result = 0", "max_result: 0 -> 16777216"),
        ("rate = \"120/min burst 1\"", "calls at once: 1 -> 20"),
        ("rate = \"119/min burst 20\"", "calls a day: 171360 -> 172800"),
        (
            "arguments.read.required = [\"path\"]",
            "arguments of read: no longer {\"required\":[\"path\"]}",
        ),
    ];
    for (narrow, said) in table {
        assert_eq!(changes(&edge(narrow), EDGE), [format!("+ a -> fs: {said}")]);
        let back = changes(EDGE, &edge(narrow));
        assert!(back.len() == 1 && back[0].starts_with("- a -> fs: "), "{back:?}");
    }
    let given = "grant.files = { execute = [\"/usr\"], read = [\"/srv\"] }";
    let part = "grant.files = { execute = [\"/usr\"], read = [\"/srv/a\"] }";
    assert_eq!(
        changes(&edge(part), &edge(given)),
        ["+ a -> fs: on the caller's behalf: read /srv"]
    );
    assert_eq!(
        changes(&edge(given), &edge(part)),
        ["- a -> fs: on the caller's behalf: read /srv"]
    );
    assert_eq!(changes(&edge("reverse = [\"sampling\"]"), EDGE), ["- a -> fs: reverse: sampling"]);
}

#[test]
fn an_edge_says_how_long_it_is_for() {
    for (written, told) in [("8h", "8h"), ("90m", "90m"), ("7200s", "2h"), ("1500ms", "1500ms")] {
        let graph = with(&format!("{EDGE}expires = \"{written}\"")).unwrap();
        let line = format!("           until {told} after the start of the run\n");
        assert!(graph.text().contains(&line), "{}", graph.text());
        assert_eq!(graph.expires().count(), 1);
    }
    let graph = with(EDGE).unwrap();
    assert!(graph.json()["edges"][0]["expires_ms"].is_null());
    assert_eq!(graph.expires().count(), 0);
}

#[test]
fn what_may_be_used_up_is_among_what_widens() {
    let budget = |words: &str| format!("{EDGE}[budget]\n{words}");
    let price = "prices.small = { input = 0.25, output = 1.25 }";
    for (narrow, wide, said) in [
        ("calls = 7", "", "calls: 7 -> 10000"),
        ("calls = 0", "calls = \"unlimited\"", "calls: 0 -> unlimited"),
        ("rate = \"600/min burst 7\"", "", "calls at once: 7 -> 60"),
        ("connections = 2", "", "connections: 2 -> 16"),
        ("tokens = 50_000", "", "tokens: 50000 -> unlimited"),
        ("bytes = \"1M\"", "bytes = \"2M\"", "bytes: 1048576 -> 2097152"),
        (&format!("cost = 0.5\n{price}"), &format!("cost = 2.5\n{price}"), "cost: 0.5 -> 2.5"),
        (
            &format!("cost = 2\n{price}"),
            &format!("cost = 2\n{}", price.replace("1.25", "1")),
            "prices.small output: 1.25 -> 1",
        ),
    ] {
        let (narrow, wide) = (budget(narrow), budget(wide));
        assert_eq!(changes(&narrow, &wide), [format!("+ a: budget {said}")]);
        let back = changes(&wide, &narrow);
        assert!(back.len() == 1 && back[0].starts_with("- a: budget "), "{back:?}");
    }
    let one = budget(&format!("cost = 2\n{price}"));
    let two = format!("{one}\nprices.large = {{ input = 5, output = 5 }}");
    assert_eq!(changes(&one, &two), ["+ a: budget prices: large, from now on"]);
    assert_eq!(changes(&two, &one), ["+ a: budget prices: large, no longer"]);
    let free = [price, ""].map(budget);
    assert_eq!(changes(&free[0], &free[1]), [""; 0], "nothing is limited by it");
}

#[test]
fn a_broker_is_told_all_of_the_graph_with_every_default_written_out() {
    let edge = format!(
        "{EDGE}arguments.read.required = [\"path\"]\napproval = \"ask\"\n\
        grant.files = {{ execute = [\"/usr\"], read = [\"/srv/a b\"] }}\n[budget]\ncalls = 0"
    );
    let graph = with(&edge).unwrap();
    let plan = graph.plan("test-1").unwrap();
    let bytes = sandboxd_broker_plan::wire::encode(&plan).unwrap();
    assert_eq!(sandboxd_broker_plan::wire::decode(&bytes).unwrap(), plan);
    assert_eq!(plan.callers[0].calls, sandboxd_broker_plan::Bound::AtMost(0));
    let told = serde_json::to_value(&plan.edges[0]).unwrap();
    assert_eq!(told["caller"], "a");
    assert_eq!(told["callee"], "fs");
    assert_eq!(told["reach"]["tools"], serde_json::json!(["read"]));
    assert_eq!(told["arguments"][0]["schema"], "{\"required\":[\"path\"]}");
    assert_eq!(told["deadline"], 60_000);
    assert_eq!(told["approval"]["ask"]["expires"], 210_000);
    assert_eq!(told["durability"], "grouped");
    assert_eq!(told["roots"][0]["uri"], "file:///srv/a%20b");
    assert_eq!(plan.callees[0].name.as_str(), "fs");
}

#[test]
fn how_often_a_caller_calls_bounds_its_lists_and_the_whole_run() {
    let said = |written: &str| {
        let plan = with(&format!("{EDGE}[budget]\n{written}")).unwrap().plan("test-1").unwrap();
        let caller = &plan.callers[0];
        let rates = [caller.rate, caller.lists, plan.limits.rate];
        (rates.map(|rate| (rate.a_day() / 1440, rate.at_once())), caller.connections)
    };
    assert_eq!(said(""), ([(600, 60), (60, 60), (6000, 600)], 16));
    let written = "rate = \"1200/min burst 30\"\nconnections = 64";
    assert_eq!(said(written), ([(1200, 30), (120, 30), (12_000, 300)], 64));
    assert_eq!(said("rate = \"0\"\nconnections = 0"), ([(0, 0); 3], 0));
    let (rates, connections) = said("rate = \"unlimited\"\nconnections = \"unlimited\"");
    assert!(rates.iter().all(|(_, at_once)| *at_once == u64::MAX), "{rates:?}");
    assert_eq!(connections, u32::MAX);
}

/// The example, drawn; `SANDBOXD_BLESS=1` writes it anew.
#[test]
fn the_example_is_drawn_as_it_was() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let example = root.join("../examples/who-may-call-whom");
    let mut read = |path: &HostPath| {
        let name = path.as_str().trim_start_matches("/example/");
        let text =
            std::fs::read_to_string(example.join(name)).map_err(|error| error.to_string())?;
        Ok(Document { name: name.into(), folder: Some(self::path("/example")), text })
    };
    let documents = ["clerk.toml", "desk.toml"]
        .map(|name| read(&self::path(&format!("/example/{name}"))).unwrap());
    let folders = Folders { cwd: Some(path("/example")), ..Folders::default() };
    let graph = graph::load(documents.into(), &folders, &mut read).unwrap();
    assert_eq!(graph.ways("desk", &Target::Network).unwrap().ways, []);
    let clerk = graph.ways("clerk", &Target::Network).unwrap();
    let asked = serde_json::to_string_pretty(&clerk).unwrap();
    let json = serde_json::to_string_pretty(&graph.json()).unwrap();
    let drawn = format!("{}\n{}\n{asked}\n\n{json}\n", graph.text(), graph.dot());
    let golden = root.join("tests/golden/graph.txt");
    if std::env::var_os("SANDBOXD_BLESS").is_some() {
        std::fs::write(&golden, &drawn).unwrap();
    }
    let as_it_was = std::fs::read_to_string(&golden).unwrap();
    assert!(drawn == as_it_was, "tests/golden/graph.txt changed; SANDBOXD_BLESS=1 accepts it");
}

#[test]
fn what_a_callee_asks_about_is_asked_about_on_every_edge() {
    let ask = |ask: &str, edge: &str| {
        let agent = format!("name = \"a\"\nfiles.execute = [\"/usr\"]\n{EDGE}{edge}");
        let fs = format!("{FS}\nserve.ask = {ask}");
        graph(&[("a.toml", &agent), ("fs.toml", &fs)]).unwrap()
    };
    let told = |graph: &Graph| {
        serde_json::to_value(&graph.plan("test-1").unwrap().edges[0].approval).unwrap()
    };
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(told(&ask("[]", "")), json("\"never\""));
    let some = ask("[\"re*\"]", "approval_within = \"1s\"");
    assert_eq!(told(&some), json(r#"{"ask-for":{"names":["re*"],"expires":1000}}"#));
    let all = ask("[\"re*\"]", "approval = \"ask\"");
    assert_eq!(told(&all), json(r#"{"ask":{"expires":210000}}"#));
    let said = |old: &Graph, new: &Graph| -> Vec<(bool, String)> {
        let told = |it: &graph::Change| (it.direction == Direction::Widened, it.what.clone());
        old.changes(new).iter().map(told).collect()
    };
    let (less, more) = (ask("[\"read\"]", ""), ask("[\"read\", \"list\"]", ""));
    assert_eq!(said(&more, &less), [(true, "no approval needed for tools: list".to_owned())]);
    assert_eq!(said(&less, &more), [(false, "approval needed for tools: list".to_owned())]);
}

/// A profile that lets this out, as it lies beside the others of a graph.
fn lets_out(entries: &str, more: &str) -> String {
    format!("[network]\nmode = \"egress\"\negress = [{entries}]\n{more}")
}

#[test]
fn what_a_network_names_that_it_lies_in_is_among_what_widens() {
    let told = |old: &str, new: &str| changes(&lets_out(old, ""), &lets_out(new, ""));
    for (wide, named) in [
        ("tcp://0.0.0.0/0:80", "tcp://169.254.169.254:80"),
        ("tcp://0.0.0.0/0:80", "tcp://10.0.0.0/8:80"),
        ("tcp://8.8.8.0/24:80", "tcp://8.8.8.8:80"),
    ] {
        let both = format!("\"{wide}\", \"{named}\"");
        let wide = format!("\"{wide}\"");
        assert_eq!(told(&wide, &both), [format!("+ a: network {named}")]);
        assert_eq!(told(&both, &wide), [format!("- a: network {named}")]);
    }
    let narrower = ["\"tcp://0.0.0.0/0:80\"", "\"tcp://8.0.0.0/8:80\""];
    assert_eq!(told(narrower[0], narrower[1]), ["- a: network tcp://0.0.0.0/0:80"]);
    let lies = |within: &str| format!("{{ to = \"x.example:443\", within = [{within}] }}");
    let (all, part) = (lies("\"10.0.0.0/8\", \"192.168.0.0/16\""), lies("\"10.1.0.0/16\""));
    assert_eq!(told(&all, &part), ["- a: network x.example:443"]);
    assert_eq!(told(&part, &all), ["+ a: network x.example:443"]);
    assert_eq!(told(&all, &lies("\"192.168.0.0/16\", \"10.0.0.0/8\"")), [""; 0]);
    // What is written exactly may be the host's own.
    let one = told(&all, &lies("\"10.1.0.1/32\""));
    assert_eq!(one, ["+ a: network x.example:443", "- a: network x.example:443"]);
}

#[test]
fn what_is_let_out_uncounted_or_without_a_limit_is_among_what_widens() {
    let entry = |more: &str| lets_out(&format!("{{ to = \"http://x.example\"{more} }}"), "");
    let network = |more: &str| lets_out("\"http://x.example\"", more);
    for (narrow, wide, said) in [
        (entry(", model = true"), entry(""), "http://x.example"),
        (entry(", up = 1000"), entry(""), "http://x.example up: 1000 -> unlimited"),
        (entry(", connections = 3"), entry(""), "http://x.example connections: 3 -> unlimited"),
        (entry(", total = \"1s\""), entry(""), "http://x.example total, ms: 1000 -> unlimited"),
        (entry(", idle = \"1s\""), entry(""), "http://x.example idle, ms: 1000 -> 3600000"),
        (
            entry(", rate = \"6000/min burst 7\""),
            entry(", rate = \"6000/min burst 8\""),
            "http://x.example rate, at once: 7 -> 8",
        ),
        (network("down = 5"), network("down = 6"), "down: 5 -> 6"),
        (network("total = \"1s\""), network(""), "http://x.example total, ms: 1000 -> unlimited"),
        (
            network("idle = \"1s\""),
            network("idle = \"2s\""),
            "http://x.example idle, ms: 1000 -> 2000",
        ),
        (network("connections = 2"), network(""), "connections: 2 -> 256"),
        (network("rate = \"6000/min burst 7\""), network(""), "rate, at once: 7 -> 600"),
    ] {
        assert_eq!(changes(&narrow, &wide), [format!("+ a: network {said}")]);
        let back = changes(&wide, &narrow);
        assert!(back.len() == 1 && back[0].starts_with("- a: network "), "{back:?}");
    }
    // A limit is one of what is granted too, and of what another entry leads to.
    let many = lets_out("{ to = \"http://*.example\", up = 1000 }", "");
    let one = lets_out("{ to = \"http://*.example\", up = 1000 }, \"http://x.example\"", "");
    assert_eq!(changes(&many, &one), ["+ a: network http://x.example up: 1000 -> unlimited"]);
    let given = |limit: &str| {
        format!(
            "{EDGE}grant.files.execute = [\"/usr\"]\ngrant.network = {{ mode = \"egress\", egress = [\"x.example:443\"]{limit} }}"
        )
    };
    let fs = format!("{FS}\n{}", lets_out("\"x.example:443\"", ""));
    let told = |old: &str, new: &str| -> Vec<String> {
        let [old, new] = [old, new].map(|edge| {
            let agent = format!("name = \"a\"\nfiles.execute = [\"/usr\"]\n{}", given(edge));
            graph(&[("a.toml", &agent), ("fs.toml", &fs)])
                .unwrap_or_else(|e| panic!("{}", shown(&e)))
        });
        old.changes(&new).into_iter().map(|change| change.what).collect()
    };
    assert_eq!(told(", up = 7", ""), ["on the caller's behalf: network up: 7 -> unlimited"]);
}

#[test]
fn what_a_profile_says_of_its_own_layers_and_of_who_calls_it_is_among_what_widens() {
    let profile = |more: &str| {
        let text = format!("name = \"a\"\n{more}");
        graph(&[("a.toml", &text)]).unwrap_or_else(|problems| panic!("{}", shown(&problems)))
    };
    let said = |old: &str, new: &str| -> Vec<String> {
        let sign = |it: &graph::Change| if it.direction == Direction::Widened { "+" } else { "-" };
        let told = |it: &graph::Change| format!("{} {}: {}", sign(it), it.of, it.what);
        profile(old).changes(&profile(new)).iter().map(told).collect()
    };
    let serve = "serve.tools = [\"a\"]\n";
    for (narrow, wide, what) in [
        ("", "files.protect = { off = \"x\" }\n", "files.protect: default -> off"),
        ("files.protect = \"strict\"\n", "", "files.protect: strict -> default"),
        ("", "isolation = \"landlock\"\n", "isolation: namespaces -> landlock"),
        ("", "require.audit = \"if-available\"\n", "require.audit: always -> if-available"),
        ("", "require.cgroup = \"if-available\"\n", "require.cgroup: always -> if-available"),
        (
            "require.cgroup = \"always\"\n",
            "require.cgroup.io = \"if-available\"\n",
            "require.cgroup.io: always -> if-available",
        ),
        ("", "serve.tools = [\"b\"]\n", "serves tools: b"),
        ("serve.ask = [\"*\"]\n", "serve.ask = [\"a*\"]\n", "no approval needed for tools: *"),
        ("serve.rate = \"200/min burst 200\"\n", "", "serves calls a day: 288000 -> 1728000"),
        ("", "serve.rate = \"1200/min burst 201\"\n", "serves calls at once: 200 -> 201"),
        ("", "serve.in_flight = \"unlimited\"\n", "serves in_flight: 32 -> unlimited"),
        ("serve.durable = true\n", "", "serves durable: true -> false"),
        ("", "serve.instances = \"serial\"\n", "instances: per-caller -> serial"),
        ("", "serve.client.deadline = \"2m\"\n", "client outside: deadline, ms: 60000 -> 120000"),
        ("", "serve.client.reverse = [\"sampling\"]\n", "client outside: reverse: sampling"),
        ("", "serve.client.instructions = true\n", "client outside: instructions: false -> true"),
        (
            "serve.client.arguments.a = { required = [\"b\"] }\n",
            "",
            "client outside: arguments of a: no longer {\"required\":[\"b\"]}",
        ),
        // What everybody may by itself is more than a client may.
        (
            "",
            "serve.rate = \"1200/min burst 200\"\n",
            "client outside: calls a day: 172800 -> 1728000",
        ),
    ] {
        let with = |more: &str| {
            let tools = more
                .strip_prefix("serve.tools = [")
                .map(|rest| format!("serve.tools = [\"a\", {rest}"));
            tools.unwrap_or_else(|| format!("{serve}{more}"))
        };
        let (narrow, wide) = (with(narrow), with(wide));
        let told = said(&narrow, &wide);
        assert!(told.contains(&format!("+ a: {what}")), "{what}: {told:?}");
        let back = said(&wide, &narrow);
        let narrowed = |one: &String| one.starts_with("- a: ");
        assert!(back.iter().any(narrowed), "{what}: {back:?}");
        // How often and how much at once is said of everybody, and holds for a client by itself.
        let several = ["no approval", "serves calls", "serves in_flight", "client outside: calls"];
        assert!(told.len() == 1 || several.iter().any(|of| what.starts_with(of)), "{told:?}");
    }
    let calls = "[call.fs]\nprofile = \"fs.toml\"\ntools = [\"read\"]";
    let caller = |serve: &str| with(&format!("{serve}{calls}")).unwrap();
    let told = caller("").changes(&caller(serve));
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].direction, told[0].what.as_str()), (Direction::Widened, "serves others"));
}
