//! Secrets that stand in the arguments of calls.

use crate::support::*;
use sandboxd_profiles::{
    Document, Folders, Graph, Invocation, Placeholder, Problem, Resolved, graph,
};

const CALL: &str = "[call.db]\nprofile = \"db.toml\"\ntools = [\"query\", \"write_*\"]\n";
const PLACED: &str = "{ call = \"db\", tools = [\"query\"], arguments = [\"/dsn\", \"/a~1b/0\"] }";

fn text(placed: &str) -> String {
    format!("{CALL}[secrets.db-key]\nfrom = \"file:/k/db\"\nplaceholder = {placed}\n")
}

/// Where something carries calls, as `sandboxd run` does.
fn carried(text: &str) -> Result<Resolved, Vec<Problem>> {
    let program = Some(path("/usr/bin/sandboxd"));
    let invocation = Invocation { program, ..Invocation::default() };
    invoked(text, typical(), &overrides("/usr/bin/true"), &invocation)
}

fn run(text: &str) -> Resolved {
    carried(text).unwrap_or_else(|problems| panic!("{}", shown(&problems)))
}

fn wrong(placed: &str) -> String {
    shown(&carried(&text(placed)).unwrap_err())
}

#[test]
fn it_stands_in_the_arguments_that_are_named() {
    let resolved = run(&text(PLACED));
    let placed = |tools: &[&str], arguments: &[&str]| {
        let texts = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect();
        let (secret, call) = ("db-key".to_owned(), "db".to_owned());
        Placeholder { secret, call, tools: texts(tools), arguments: texts(arguments) }
    };
    assert_eq!(resolved.outside.placeholders, [placed(&["query"], &["/dsn", "/a~1b/0"])]);
    assert_eq!(resolved.outside.secrets.len(), 1);
    let several = format!("[{PLACED}, {}]", PLACED.replace("query", "write_all"));
    assert_eq!(run(&text(&several)).outside.placeholders.len(), 2);
    let whole = PLACED.replace("\"/dsn\", \"/a~1b/0\"", "\"\"");
    assert_eq!(run(&text(&whole)).outside.placeholders, [placed(&["query"], &[""])]);
}

#[test]
fn what_is_left_out_means_nothing_and_no_place_is_beyond_its_call() {
    for (placed, says) in [
        ("{ tools = [\"query\"], arguments = [\"/dsn\"] }", "names no call"),
        ("{ call = \"db\", arguments = [\"/dsn\"] }", "names no tool"),
        ("{ call = \"db\", tools = [], arguments = [\"/dsn\"] }", "names no tool"),
        ("{ call = \"db\", tools = [\"query\"] }", "names no argument"),
        ("{ call = \"db\", tools = [\"query\"], arguments = [] }", "names no argument"),
        (
            "{ call = \"Db\", tools = [\"query\"], arguments = [\"/dsn\"] }",
            "a name has the letters",
        ),
        ("{ call = \"db\", tools = [\"*\"], arguments = [\"/dsn\"] }", "not the name of one tool"),
        (
            "{ call = \"db\", tools = [\"write_*\"], arguments = [\"/dsn\"] }",
            "not the name of one tool",
        ),
        ("{ call = \"db\", tools = [\"query\"], arguments = [\"dsn\"] }", "not a JSON pointer"),
        ("{ call = \"db\", tools = [\"query\"], arguments = [\"/a~b\"] }", "not a JSON pointer"),
        ("{ call = \"db\", tools = [\"query\"], arguments = [\"/\"] }", "not a JSON pointer"),
        (
            "{ call = \"db\", tools = [\"read\"], arguments = [\"/dsn\"] }",
            "does not allow \"read\"",
        ),
        ("{ call = \"fs\", tools = [\"query\"], arguments = [\"/dsn\"] }", "has no [call.fs]"),
        (
            "{ call = \"db\", tools = [\"query\"], arguments = [\"/dsn\"], all = true }",
            "unknown key",
        ),
    ] {
        let said = wrong(placed);
        assert!(said.contains(says) && said.contains("remedy"), "{placed}: {said}");
    }
    let short = text(PLACED).replace("profile =", "max_request = \"10K\"\nprofile =");
    assert!(shown(&carried(&short).unwrap_err()).contains("counts as 8192 bytes"));
}

#[test]
fn it_is_laid_over_and_shown_as_it_was_written() {
    let profile = read(&text(PLACED)).unwrap();
    let again = read(&profile.to_toml()).unwrap();
    let placed = |profile: &sandboxd_profiles::Profile| {
        let all = profile.placed().flat_map(|(_, secret)| secret.placeholder.clone());
        all.map(|one| {
            let texts = |all: &[sandboxd_profiles::Written<String>]| {
                all.iter().map(|one| one.value.clone()).collect::<Vec<_>>()
            };
            (one.value.call.value, texts(&one.value.tools), texts(&one.value.arguments))
        })
        .collect::<Vec<_>>()
    };
    assert_eq!((placed(&profile), placed(&profile).len()), (placed(&again), 1));
}

/// An agent with these secrets, and what it calls, which has a secret of that name and calls nobody.
fn with(secrets: &str) -> Graph {
    let agent = format!("name = \"a\"\nfiles.execute = [\"/usr\"]\n{CALL}{secrets}");
    let db = "name = \"db\"\ncommand.exec = [\"/usr/bin/db\"]\nfiles.execute = [\"/usr\"]\n\
              serve.tools = [\"*\"]\n[secrets.z]\nfrom = \"file:/k/z\"\ncredential = true\n";
    let document = |name: &str, text: &str| Document {
        name: name.into(),
        folder: Some(path("/p")),
        text: text.into(),
    };
    let mut read = |_: &_| Ok(document("db.toml", db));
    graph::load(vec![document("a.toml", &agent)], &Folders::default(), &mut read)
        .unwrap_or_else(|problems| panic!("{}", shown(&problems)))
}

#[test]
fn the_broker_is_told_where_and_never_what_and_who_reads_the_graph_sees_it() {
    let secrets = format!(
        "[secrets.db-key]\nfrom = \"file:/k/db\"\nplaceholder = {PLACED}\n\
         [secrets.a-file]\nfrom = \"file:/k/a\"\ncredential = true\n\
         [secrets.other]\nfrom = \"file:/k/o\"\nplaceholder = {}\n",
        PLACED.replace("query", "write_all"),
    );
    let graph = with(&secrets);
    let plan = graph.plan("test-1").unwrap();
    let names: Vec<&str> = plan.callers[0].secrets.iter().map(|name| name.as_str()).collect();
    assert_eq!(names, ["db-key", "other"]);
    let placed: Vec<_> =
        plan.edges[0].placeholders.iter().map(|one| (one.secret, one.tools.concat())).collect();
    assert_eq!(placed, [(0, "query".to_owned()), (1, "write_all".to_owned())]);
    let text = serde_json::to_string(&plan).unwrap();
    assert!(!text.contains("/k/"), "{text}");
    assert!(graph.text().contains("{{secret:db-key}} in /dsn of query"), "{}", graph.text());
    assert_eq!(graph.json()["edges"][0]["placeholders"].as_array().map(Vec::len), Some(4));
    let changes: Vec<String> =
        with("").changes(&graph).into_iter().map(|change| change.what).collect();
    assert_eq!(changes.len(), 4, "{changes:?}");
    assert!(changes[0].contains("a secret: {{secret:db-key}} in"), "{changes:?}");
}
