//! What is said about calls, and how they are laid over one another and shown.

use crate::support::*;
use sandboxd_profiles::{Document, graph, load};
use serde_json::json;

/// A text, and everything said about it.
const WRONG: &[(&str, &str)] = &[
    (
        "[call.fs]\ntool = [\"read\"]",
        "p.toml:2:1: call.fs.tool: unknown key\n  remedy  did you mean tools?",
    ),
    (
        "[call.Fs]\ntools = [\"*\"]",
        "p.toml:1:7: call.Fs: a name has the letters a-z, 0-9 and -, and begins with no -\n  \
         remedy  write the name by which the caller calls it: [call.fs]",
    ),
    (
        "call = 1",
        "p.toml:1:8: call: an integer; this is a table\n  remedy  write [call.NAME] and what may be \
         called there",
    ),
    (
        "[call.fs]\ntools = [\"re*ad\", \"\", 1]",
        "p.toml:2:10: call.fs.tools[0]: a * stands at the end of a pattern and nowhere else\n  \
         remedy  write a name, a prefix and * (\"read_*\"), or \"*\" for all\n\
         p.toml:2:19: call.fs.tools[1]: a pattern is a name, a beginning and *, or *\n  \
         remedy  write a name, a prefix and * (\"read_*\"), or \"*\" for all\n\
         p.toml:2:23: call.fs.tools[2]: an integer; this is a string\n  remedy  put it in quotes",
    ),
    (
        "[call.fs]\nresources = [\"file:///srv/../etc/*\", \"file:///srv/../etc/a\", \"note://*\", \"*\"]",
        "p.toml:2:14: call.fs.resources[0]: ambiguous prefixes of URIs are never allowed (\"..\", //, ;, \\, %2e, %2f, %5c, %25)\n  remedy  write a prefix without these, or the whole URI, or \"*\" for all",
    ),
    (
        "[call.fs]\nrate = \"120/min\"",
        "p.toml:2:8: call.fs.rate: no burst\n  remedy  add how many are allowed at once: \"120/min burst 20\"",
    ),
    (
        "[call.fs]\nrate = 120",
        "p.toml:2:8: call.fs.rate: 120 has no period\n  remedy  write a rate and a burst: \"120/min burst 20\", \"2/s burst 2\"",
    ),
    (
        "[call.fs]\napproval_within = \"61m\"",
        "p.toml:2:19: call.fs.approval_within: longer than a call may wait\n  remedy  write at most \"1h\"",
    ),
    (
        "[call.fs]\nexpires = \"999ms\"",
        "p.toml:2:11: call.fs.expires: ends before anything could be called\n  remedy  write at least \"1s\", \
         or remove the call",
    ),
    (
        "[call.fs]\nexpires = \"unlimited\"",
        "p.toml:2:11: call.fs.expires: longer than a year\n  remedy  remove it: without it, calls are \
         allowed as long as the run lasts",
    ),
    (
        "[call.fs]\ndeadline = \"unlimited\"",
        "p.toml:2:12: call.fs.deadline: longer than a call may take\n  remedy  write at most \"10m\"",
    ),
    (
        "[call.fs]\nmax_result = \"1G\"",
        "p.toml:2:14: call.fs.max_result: larger than a message may be\n  remedy  write at most \"64M\": \
         a message is held in memory",
    ),
    (
        "[call.fs]\nreverse = [\"roots\"]",
        "p.toml:2:12: call.fs.reverse[0]: \"roots\" is not a valid value\n  remedy  write \
         elicitation or sampling",
    ),
    (
        "[call.fs]\nprofile = \"builtin:mcp-server\"",
        "p.toml:2:11: call.fs.profile: a builtin profile names no command\n  remedy  write a profile \
         of your own that extends it, with a [command] and a [serve]",
    ),
    (
        "[call.fs]\nprofile = \"../fs.toml\"",
        "p.toml:2:11: call.fs.profile: ../fs.toml has an empty, `.` or `..` component\n  remedy  \
         write the path from / with no `..`",
    ),
    (
        "[call.fs]\ncycle = \" \"",
        "p.toml:2:9: call.fs.cycle: is empty\n  remedy  write a reason, for whoever reviews this profile",
    ),
    (
        "[call.fs]\ngrant.files.hide = []",
        "p.toml:2:13: call.fs.grant.files.hide: unknown key\n  remedy  the keys here are read, write, \
         execute",
    ),
    (
        "[call.fs]\nready = 17",
        "p.toml:2:9: call.fs.ready: more than may be kept ready\n  remedy  write at most 16: each takes two processes and a uid",
    ),
    (
        "[serve]\ninstances = \"own\"",
        "p.toml:2:13: serve.instances: own needs a reason\n  remedy  write instances = { own = \
         \"why\" }",
    ),
    (
        "[serve]\ninstances = \"shared\"",
        "p.toml:2:13: serve.instances: \"shared\" is not a valid value\n  remedy  write per-caller \
         or serial or attenuate",
    ),
    (
        "[serve.client]\ndeadlin = \"5m\"\nreverse = [\"roots\"]\ndeadline = \"11m\"",
        "p.toml:2:1: serve.client.deadlin: unknown key\n  remedy  did you mean deadline?\n\
         p.toml:3:12: serve.client.reverse[0]: \"roots\" is not a valid value\n  remedy  write \
         elicitation or sampling\n\
         p.toml:4:12: serve.client.deadline: longer than a call may take\n  remedy  write at most \"10m\"",
    ),
    (
        "[serve.client]\ntools = [\"*\"]\napproval = \"ask\"\nready = 1\ngrant = {}",
        "p.toml:2:1: serve.client.tools: does not apply to a client\n  remedy  write it into [serve], which applies to all callers, including a client\n\
         p.toml:3:1: serve.client.approval: does not apply to a client\n  remedy  list in [serve] ask what needs approval; \"*\" for all\n\
         p.toml:4:1: serve.client.ready: does not apply to a client\n  remedy  remove it: the one client is there from the start, and serves nothing\n\
         p.toml:5:1: serve.client.grant: does not apply to a client\n  remedy  remove it: this profile already says what the server may do, for a client, too",
    ),
    (
        "serve.client = true",
        "p.toml:1:16: serve.client: true or false; this is a table\n  remedy  its keys are arguments, deadline, \
         max_request, max_result, approval_within, reverse, instructions",
    ),
    (
        "[budget]\ntokens = -5",
        "p.toml:2:10: budget.tokens: -5 is negative\n  remedy  write an integer",
    ),
    (
        "[budget]\ncost = \"2 EUR\"",
        "p.toml:2:8: budget.cost: \"2 EUR\" is not an amount of money\n  remedy  write 2.50, without a currency: it is that of the prices",
    ),
    (
        "[budget.prices]\n\"a*b\" = { input = 1, output = 2 }\nb = { input = 1 }\nc = { input = 1, output = \"unlimited\" }",
        "p.toml:2:1: budget.prices.a*b: a * stands at the end of a pattern and nowhere else\n  \
         remedy  write prices.\"small-*\" = { input = 0.25, output = 1.25 }: the price of a million tokens\n\
         p.toml:3:5: budget.prices.b: has no price for input or output\n  \
         remedy  write prices.\"small-*\" = { input = 0.25, output = 1.25 }: the price of a million tokens\n\
         p.toml:4:27: budget.prices.c.output: is not a price\n  \
         remedy  write the price of a million tokens: 2.50",
    ),
    // A schema in which a word is misspelled would allow everything.
    (
        "[call.fs.arguments]\nread = { propertis = {} }",
        "p.toml:2:10: call.fs.arguments.read.propertis: not a supported keyword of JSON Schema\n  remedy  did you mean properties?",
    ),
    (
        "[call.fs.arguments]\nread = { properties = { path = { patern = \"^/srv/\" } } }",
        "p.toml:2:34: call.fs.arguments.read.properties.path.patern: not a supported keyword of JSON Schema\n  remedy  did you mean pattern?",
    ),
    (
        "[call.fs.arguments]\nread = { path = { type = \"string\" } }",
        "p.toml:2:10: call.fs.arguments.read.path: not a supported keyword of JSON Schema\n  \
         remedy  names of arguments belong in properties; a schema has keywords such as type, \
         properties, required, additionalProperties, enum, pattern, maximum, maxLength",
    ),
    (
        "[call.fs.arguments]\nread = { properties.path.format = \"uri\" }",
        "p.toml:2:26: call.fs.arguments.read.properties.path.format: not a supported keyword of JSON Schema\n  remedy  a format is not checked: write a pattern",
    ),
    (
        "[call.fs.arguments]\nread = { type = \"text\", maxProperties = -1, maximum = \"9\" }",
        "p.toml:2:17: call.fs.arguments.read.type: \"text\" is not a valid value\n  remedy  write \
         null or boolean or integer or number or string or array or object\n\
         p.toml:2:41: call.fs.arguments.read.maxProperties: an integer; this is a count: 0 or \
         more\n  remedy  correct the value\n\
         p.toml:2:55: call.fs.arguments.read.maximum: a string; this is a number\n  remedy  correct \
         the value",
    ),
    (
        "[call.fs.arguments]\nread = { \"$ref\" = \"https://example.com/s\", const = nan }",
        "p.toml:2:19: call.fs.arguments.read.$ref: refers to something outside this schema\n  remedy  write \
         \"#/$defs/NAME\"\n\
         p.toml:2:52: call.fs.arguments.read.const: JSON has no such value\n  remedy  write a number, or a string in quotes",
    ),
];

#[test]
fn every_wrong_call_has_its_problem() {
    for (text, wanted) in WRONG {
        let problems = read(text).expect_err(text);
        assert_eq!(shown(&problems), *wanted, "\n{text}");
    }
}

const BASE: &str = r#"
[call.fs]
profile = "fs.toml"
tools = ["read_text_file"]
arguments.read_text_file = { properties = { path = { pattern = "^/srv/" } } }
rate = "120/min burst 20"
grant.files.read = ["/srv/data"]
[serve]
tools = ["ask"]
instances = "serial"
client.deadline = "5m"
client.reverse = ["elicitation"]
[budget]
calls = 10
rate = "1200/min burst 30"
"#;

const OVER: &str = r#"
extends = ["base.toml"]
[call.fs]
tools = ["list_*"]
arguments.read_text_file = { required = ["path"], maxProperties = 0x10 }
rate = "0"
grant.network = { mode = "host", reason = "fetches" }
[call.mail]
profile = "/p/mail.toml"
tools = ["send"]
arguments."send now" = false
approval = "ask"
approval_within = "1m"
durable = true
deadline = "5m"
reverse = ["elicitation"]
grant = {}
ready = 2
expires = "8h"
[serve]
ask = ["a*"]
instances = { own = "keeps a cache" }
[serve.client]
deadline = "9m"
arguments.ask = { required = ["what"] }
[budget]
calls = "unlimited"
connections = 64
"#;

const LAID: &str = r#"[call.fs]
profile = "/p/fs.toml"  # base.toml:3
tools = [
    "read_text_file",  # base.toml:4
    "list_*",  # p.toml:4
]
arguments.read_text_file = { allOf = [{ properties = { path = { pattern = "^/srv/" } } }, { maxProperties = 16, required = ["path"] }] }  # base.toml:5
rate = "0"  # p.toml:6
grant.files.read = [
    "/srv/data",  # base.toml:7
]
grant.network.mode = "host"  # p.toml:7
grant.network.reason = "fetches"  # p.toml:7

[call.mail]
profile = "/p/mail.toml"  # p.toml:9
tools = [
    "send",  # p.toml:10
]
arguments."send now" = false  # p.toml:11
deadline = "300000ms"  # p.toml:15
approval = "ask"  # p.toml:12
approval_within = "60000ms"  # p.toml:13
expires = "28800000ms"  # p.toml:19
durable = true  # p.toml:14
reverse = [
    "elicitation",  # p.toml:16
]
ready = 2  # p.toml:18
grant = {}  # p.toml:17

[serve]
tools = [
    "ask",  # base.toml:9
]
ask = [
    "a*",  # p.toml:21
]
instances = { own = "keeps a cache" }  # p.toml:22

[serve.client]
arguments.ask = { required = ["what"] }  # p.toml:25
deadline = "540000ms"  # p.toml:24
reverse = [
    "elicitation",  # base.toml:12
]

[budget]
calls = "unlimited"  # p.toml:27
rate = "1200/min burst 30"  # base.toml:15
connections = 64  # p.toml:28
"#;

#[test]
fn calls_are_laid_over_one_another_and_what_is_shown_says_the_same() {
    let document = |name: &str, text: &str| Document {
        name: name.into(),
        folder: Some(path("/p")),
        text: text.into(),
    };
    let profile = load(document("p.toml", OVER), &mut |_| Ok(document("base.toml", BASE))).unwrap();
    assert_eq!(profile.to_toml(), LAID);
    let again = read(LAID).unwrap_or_else(|problems| panic!("{}", shown(&problems)));
    let plain = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split("  # ").next().unwrap().to_owned()).collect()
    };
    assert_eq!(plain(&again.to_toml()), plain(LAID));
    let told = profile.to_json();
    let at = |path: &str| told.pointer(path).unwrap_or_else(|| panic!("no {path} in {told}"));
    assert_eq!(*at("/profile/call/fs/tools"), json!(["read_text_file", "list_*"]));
    assert_eq!(at("/from")["call.fs.tools"], json!(["base.toml:4", "p.toml:4"]));
    assert_eq!(at("/from")["call.mail.arguments.\"send now\""], json!("p.toml:11"));
    assert_eq!(*at("/profile/serve/client/deadline"), json!("540000ms"));
    assert_eq!(at("/from")["serve.client.deadline"], json!("p.toml:24"));
}

#[test]
fn a_client_calls_as_the_profile_of_its_server_says() {
    let edge = |text: &str| {
        let profile = read(&format!("name = \"a\"\n[serve]\n{text}")).unwrap();
        serde_json::to_value(&graph::client(&profile).unwrap().edges[0]).unwrap()
    };
    let silent = edge("tools = [\"fetch\"]");
    let said = edge(
        "tools = [\"fetch\"]\nask = [\"*\"]\nrate = \"7/min burst 7\"\nclient = { deadline = \"5m\", max_request = 4096, \
         max_result = 8192, approval_within = \"1m\", reverse = [\"sampling\", \"elicitation\"], \
         instructions = true, arguments.fetch = { required = [\"url\"] } }",
    );
    for (key, by_itself, wanted) in [
        ("deadline", json!(60_000), json!(300_000)),
        ("max_request", json!(1 << 20), json!(4096)),
        ("max_result", json!(16 << 20), json!(8192)),
        ("approval", json!("never"), json!({ "ask-for": { "names": ["*"], "expires": 60_000 } })),
        ("reverse", json!([]), json!(["elicitation", "sampling"])),
        ("instructions", json!("dropped"), json!("forwarded")),
        (
            "arguments",
            json!([]),
            json!([{ "tool": "fetch", "schema": "{\"required\":[\"url\"]}" }]),
        ),
    ] {
        assert_eq!(silent[key], by_itself, "{key}");
        assert_eq!(said[key], wanted, "{key}");
    }
    assert_eq!(said["rate"]["per"]["count"], 7, "{said}");
    // How a client calls is no word about what.
    for text in ["serve.client.deadline = \"5m\"", "serve.tools = []"] {
        let problems = graph::client(&read(text).unwrap()).unwrap_err();
        assert!(shown(&problems).contains("it serves nothing"), "{}", shown(&problems));
    }
}

#[test]
fn where_nobody_carries_calls_nothing_that_calls_is_started() {
    let text = "[call.fs]\nprofile = \"fs.toml\"\ntools = [\"*\"]";
    let problems = on(text, typical()).unwrap_err();
    assert!(shown(&problems).contains("p.toml:1:7: call.fs: "), "{}", shown(&problems));
    assert!(shown(&problems).contains("there is no broker here to relay calls"));
}
