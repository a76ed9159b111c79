//! A line of a caller: what comes through, what does not, and what is said about it.

use super::world::{World, callee, caller, edge, hang, patterns, plan, serve};
use crate::{
    json::{Value, text},
    relay::{ConnectionId, Endpoint, Input, Verdict},
};
use sandboxd_broker_plan::record::{Event, Method, Outcome, Rule};
use sandboxd_broker_plan::{Approval, Arguments, Bound, Durability, Millis, Name, Speaks};

#[test]
fn a_call_goes_through_and_its_answer_comes_back_under_the_callers_own_id() {
    let mut world = World::open(plan());
    let heard = world.call_as(1, "\"x\"", "read", r#"{"path":"/a"}"#);
    assert_eq!(heard, [r#"{"jsonrpc":"2.0","id":"x","result":{"content":[],"new":1.50}}"#]);
    let sent = world.got("tools/call")[0];
    assert!(matches!(sent.get("id"), Some(Value::Number(_))), "a number of ours");
    let kinds: Vec<_> = world.records.iter().map(|record| &record.event).collect();
    assert!(kinds.iter().any(|event| matches!(event, Event::Allowed(what) if what.method == Method::ToolsCall && what.name == Some(0))));
    assert!(
        kinds
            .iter()
            .any(|event| matches!(event, Event::Finished { outcome: Outcome::Answered, .. }))
    );
}

#[test]
fn what_is_parsed_is_what_is_passed_on() {
    let mut world = World::open(plan());
    let line = r#"{"extra":[1.0],"jsonrpc":"2.0","id":1,"method":"tools/call","params":
        {"z":1e2,"name":"read","arguments":{"path":"/a","big":12345678901234567890123,"é":"\u00e9"}}}"#;
    world.say(1, line);
    let mut sent = world.got("tools/call")[0].clone();
    sent.set("id", 1_u64.into());
    assert_eq!(
        text(&sent.into()),
        r#"{"extra":[1.0],"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"z":1e2,"name":"read","arguments":{"path":"/a","big":12345678901234567890123,"é":"é"}}}"#
    );
}

#[test]
fn malformed_lines_are_answered_here_and_the_third_closes_the_connection() {
    for (line, code) in [
        ("{", -32700),
        ("\u{feff}{}", -32700),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, -32600),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}"#, -32600),
        (&("[".repeat(65) + &"]".repeat(65)), -32600),
        (&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{}"}}"#, "x".repeat(5000)), -32600),
    ] {
        let mut world = World::open(plan());
        for _ in 0..3 {
            let heard = world.say(1, line);
            assert!(heard.concat().contains(&format!("\"code\":{code}")), "{line}: {heard:?}");
        }
        assert_eq!(world.closed, [ConnectionId(1)]);
        assert!(world.served.is_empty(), "{line} reached a callee");
        assert!(world.say(1, r#"{"jsonrpc":"2.0","id":9,"method":"ping"}"#).is_empty());
    }
}

#[test]
fn bytes_that_are_no_utf8_and_empty_lines_reach_nobody() {
    let mut world = World::open(plan());
    world.step(Input::FromCaller(ConnectionId(1), b"\n  \r\n\"\xff\"\n"));
    assert!(world.hear(1).concat().contains("-32700"));
    assert!(world.served.is_empty());
}

#[test]
fn hidden_and_absent_are_answered_alike_byte_for_byte() {
    let mut world = World::open(plan());
    // `write` is there and not for this caller, `nothing` is not there, `odd` cannot be checked.
    let hidden = world.call("write", "{}");
    let absent = world.call("nothing", "{}");
    let odd = world.call("odd", "{}");
    assert_eq!(hidden.replace("write", "nothing"), absent);
    assert_eq!(odd.replace("odd", "nothing"), absent);
    assert_eq!(
        absent,
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"Unknown tool: nothing"}}"#
    );
    assert!(world.got("tools/call").is_empty());
    // Of the three, those that are there are told of, once: what a caller makes up is not.
    world.call("write", "{}");
    let meant: Vec<_> = world.meant.iter().map(|one| (one.tool.as_str(), one.refused)).collect();
    assert_eq!(meant, [("write", Some(Rule::Reach)), ("odd", Some(Rule::Reach))]);
    // A name that the edge would have, and the callee has not.
    let mut plan = plan();
    plan.edges[0].reach.tools = patterns(&["*"]);
    let mut world = World::open(plan);
    assert_eq!(world.call("nothing", "{}"), absent);
    assert!(world.got("tools/call").is_empty());
}

#[test]
fn arguments_are_held_to_the_tools_schema_and_then_to_the_edges() {
    let mut plan = plan();
    plan.edges[0].arguments = vec![Arguments {
        tool: "read".into(),
        schema: r#"{"properties":{"path":{"pattern":"^/srv/data/"}}}"#.into(),
    }];
    let mut world = World::open(plan);
    for (arguments, says) in [
        ("{}", "\\\"path\\\" is missing"),
        (r#"{"path":7}"#, "/path: must be of type string"),
        (r#"{"path":"/etc/passwd"}"#, "does not match the pattern"),
    ] {
        let heard = world.call("read", arguments);
        assert!(heard.contains(says) && heard.contains("\"isError\":true"), "{heard}");
    }
    assert!(world.got("tools/call").is_empty());
    assert!(world.call("read", r#"{"path":"/srv/data/x"}"#).contains("content"));
    assert!(world.call("read", r#"{"path":"/srv/data/x","PATH":"/etc"}"#).contains("-32602"));
}

#[test]
fn a_key_of_meta_that_differs_in_case_from_one_of_the_brokers_is_refused() {
    let mut world = World::open(plan());
    for key in ["IO.modelcontextprotocol/clientInfo", "dev.Sandboxd/caller", "ProgressToken"] {
        let params =
            format!(r#"{{"name":"list","arguments":{{}},"_meta":{{"{key}":{{"name":"admin"}}}}}}"#);
        let heard = world.request(1, "1", "tools/call", &params).concat();
        assert!(heard.contains("-32602") && heard.contains("_meta"), "{heard}");
    }
    assert!(world.served.is_empty());
}

#[test]
fn a_method_that_is_in_no_table_is_none() {
    let mut world = World::open(plan());
    for method in ["tasks/get", "dev.sandboxd/connect", "tools/Call", "sampling/createMessage", ""]
    {
        let heard = world.request(1, "1", method, "{}").concat();
        assert!(heard.contains("-32601"), "{method}: {heard}");
    }
    assert!(world.served.is_empty());
    let mut plan = plan();
    plan.edges[0].reach.methods = patterns(&["x/*"]);
    plan.callees[0].serves.methods = patterns(&["x/get"]);
    let mut world = World::open(plan);
    world.request(1, "1", "x/get", "{}");
    world.request(1, "2", "x/set", "{}");
    assert_eq!((world.got("x/get").len(), world.got("x/set").len()), (1, 0));
}

#[test]
fn an_id_that_is_in_use_is_no_second_request() {
    let mut world = World::open(plan());
    world.serve = hang;
    assert!(world.call("list", "{}").is_empty());
    let heard = world.call("list", "{}");
    assert!(heard.contains("\"id\":null") && heard.contains("-32600"), "{heard}");
    assert_eq!(world.got("tools/call").len(), 1);
}

#[test]
fn a_held_call_goes_on_once_for_the_exact_digest() {
    let mut plan = plan();
    plan.edges[0].approval = Approval::Ask { expires: Millis(1000) };
    let mut world = World::open(plan);
    assert!(world.call("list", r#"{"b":1,"a":2}"#).is_empty());
    let ask = world.asks.remove(0);
    assert_eq!(ask.parameters, r#"{"arguments":{"a":2,"b":1},"name":"list"}"#);
    world.step(Input::Decided {
        call: ask.call,
        digest: [0; 32],
        verdict: &Verdict::Approved,
        by: Some(3),
    });
    assert!(world.got("tools/call").is_empty(), "another digest approves nothing");
    let decided = Input::Decided {
        call: ask.call,
        digest: ask.digest,
        verdict: &Verdict::Approved,
        by: Some(3),
    };
    world.step(decided);
    assert_eq!(world.hear(1).len(), 1);
    world.step(decided);
    assert_eq!(world.got("tools/call").len(), 1, "an approval is for once");

    world.call("list", r#"{"a":3}"#);
    let other = world.asks.remove(0);
    assert_ne!(other.digest, ask.digest);
    let no = Verdict::Denied(String::from("the answer was no"));
    world.step(Input::Decided {
        call: other.call,
        digest: other.digest,
        verdict: &no,
        by: Some(4),
    });
    assert!(world.hear(1).concat().contains("not approved: the answer was no."));

    world.call("list", "{}");
    world.wait(1001);
    assert!(world.hear(1).concat().contains("not approved"));
    assert_eq!(world.withdrawn.len(), 2);
    assert_eq!(world.got("tools/call").len(), 1);
}

#[test]
fn whoever_asked_for_progress_hears_that_its_call_waits_and_it_rises() {
    let mut plan = plan();
    plan.edges[0].approval = Approval::Ask { expires: Millis(25_500) };
    let mut world = World::open(plan);
    world.serve = hang;
    let with = |id: &str, token: &str| {
        format!(r#"{{"name":"list","arguments":{{"n":{id}}},"_meta":{{"progressToken":{token}}}}}"#)
    };
    assert!(world.request(1, "1", "tools/call", &with("1", "\"mine\"")).is_empty());
    assert!(world.request(1, "2", "tools/call", r#"{"name":"list","arguments":{}}"#).is_empty());
    world.wait(9_999);
    assert!(world.hear(1).is_empty());
    world.wait(1);
    let left = |seconds: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":"mine","progress":-{seconds},"message":"waits for approval"}}}}"#
        )
    };
    assert_eq!(world.hear(1), [left("16")]);
    // However late it is asked, once.
    world.wait(14_500);
    assert_eq!(world.hear(1), [left("1")]);
    let ask = world.asks.remove(0);
    let (call, digest, verdict) = (ask.call, ask.digest, &Verdict::Approved);
    world.step(Input::Decided { call, digest, verdict, by: Some(3) });
    let sent = text(world.got("tools/call")[0].get("id").unwrap());
    world.tell(&format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{sent},"progress":0}}}}"#
    ));
    let heard = world.hear(1);
    assert!(heard.len() == 1 && heard[0].contains(r#""progress":0"#), "{heard:?}");
    // The other one is denied at its time, and with no word before.
    world.wait(1_000);
    assert!(world.hear(1).concat().contains("nobody answered in time"));
    world.wait(20_000);
    assert!(world.hear(1).is_empty(), "what was approved waits no more");
}

#[test]
fn a_method_of_another_protocol_hears_of_no_progress() {
    let mut plan = plan();
    plan.callees[0].speaks = Speaks::JsonRpc;
    plan.callees[0].serves.methods = patterns(&["go"]);
    plan.edges[0].reach.methods = patterns(&["go"]);
    plan.edges[0].approval = Approval::Ask { expires: Millis(25_000) };
    let mut world = World::open(plan);
    assert!(world.request(1, "1", "go", r#"{"_meta":{"progressToken":1}}"#).is_empty());
    assert_eq!(world.asks.len(), 1);
    world.wait(24_000);
    assert!(world.hear(1).is_empty());
}

#[test]
fn a_durable_call_waits_for_its_record_and_is_refused_without() {
    let mut plan = plan();
    plan.edges[0].durability = Durability::Durable;
    let mut world = World::open(plan);
    assert!(world.call("list", "{}").is_empty() && world.got("tools/call").is_empty());
    let call = world.durable.remove(0);
    world.step(Input::Recorded { call, written: true });
    assert_eq!(world.hear(1).len(), 1);
    world.call("list", "{}");
    let call = world.durable.remove(0);
    world.step(Input::Recorded { call, written: false });
    assert!(world.hear(1).concat().contains("cannot be recorded"));
    world.step(Input::Recorded { call, written: true });
    assert_eq!(world.got("tools/call").len(), 1);
}

#[test]
fn the_first_line_names_an_edge_of_this_caller_and_may_only_narrow() {
    let connect = |world: &mut World, line: &str| {
        let caller = Name::try_from("a").unwrap();
        world.step(Input::Opened {
            connection: ConnectionId(1),
            caller: &caller,
            endpoint: Endpoint::FirstLine,
            behalf: None,
        });
        world.say(1, line)
    };
    let wish = |params: &str| {
        format!(r#"{{"jsonrpc":"2.0","method":"dev.sandboxd/connect","params":{params}}}"#)
    };
    let mut other = plan();
    other.callers.push(caller("b"));
    other.callees.push(callee("secret"));
    other.edges.push(edge("b", "secret"));
    let mut world = World::new(other.clone());
    assert!(connect(&mut world, &wish(r#"{"name":"fs"}"#)).is_empty());
    assert!(world.call("read", r#"{"path":"/"}"#).contains("content"));
    // That of another caller and that of nobody are answered alike.
    let mut heard = Vec::new();
    for name in ["secret", "nothing"] {
        let mut world = World::new(other.clone());
        heard.push(connect(&mut world, &wish(&format!(r#"{{"name":"{name}"}}"#))));
        assert_eq!(world.closed, [ConnectionId(1)]);
        assert!(world.started.is_empty());
    }
    assert_eq!(heard[0], heard[1]);
    let mut world = World::new(plan());
    connect(&mut world, &wish(r#"{"name":"fs","only":["list","write"]}"#));
    assert!(world.call("list", "{}").contains("content"));
    assert!(world.call("read", r#"{"path":"/"}"#).contains("Unknown tool"));
    assert!(world.call("write", "{}").contains("Unknown tool"), "nothing widens");
    for params in [r#"{"name":"fs","only":"list"}"#, r#"{"name":"fs","only":["a*b"]}"#, "{}"] {
        let mut world = World::new(plan());
        connect(&mut world, &wish(params));
        assert_eq!(world.closed, [ConnectionId(1)], "{params}");
    }
}

#[test]
fn who_calls_is_what_the_kernel_says() {
    let mut world = World::open(plan());
    for meta in ["", r#","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#] {
        let hello = format!(
            r#"{{"protocolVersion":"2025-11-25","clientInfo":{{"name":"root","version":"9"}},
            "capabilities":{{"roots":{{"listChanged":true}},"sampling":{{}},"elicitation":{{}},"x":{{}}}}{meta}}}"#
        );
        world.request(1, "1", "initialize", &hello);
        let sent = text(world.got("initialize").pop().unwrap().get("params").unwrap());
        assert!(sent.contains(r#""clientInfo":{"name":"a","version""#), "{sent}");
        assert!(sent.contains(r#""capabilities":{}"#), "{sent}");
    }
    let params = r#"{"name":"list","arguments":{},"_meta":{"dev.sandboxd/caller":"root","keep":1,
        "io.modelcontextprotocol/protocolVersion":"2026-07-28",
        "io.modelcontextprotocol/clientInfo":{"name":"root","version":"1"},
        "io.modelcontextprotocol/clientCapabilities":{"sampling":{},"roots":{}}}}"#;
    world.request(1, "2", "tools/call", params);
    let sent = text(&world.got("tools/call")[0].get("params").unwrap().clone());
    assert!(!sent.contains("root") && sent.contains(r#""keep":1"#), "{sent}");
    assert!(sent.contains(r#""io.modelcontextprotocol/clientInfo":{"name":"a""#), "{sent}");
}

#[test]
fn json_rpc_methods_go_over_the_same_edges_and_name_the_caller() {
    let mut plan = plan();
    plan.callees[0].speaks = Speaks::JsonRpc;
    plan.callees[0].serves.methods = patterns(&["*"]);
    plan.edges[0].reach.methods = patterns(&["sum", "note"]);
    let mut world = World::open(plan);
    world.serve = |method, _| (method == "sum").then_some(Ok("3"));
    let heard = world.request(1, "1", "sum", r#"{"_meta":{"dev.sandboxd/caller":"root"},"a":1}"#);
    assert_eq!(heard, [r#"{"jsonrpc":"2.0","id":1,"result":3}"#]);
    let sent = text(&world.got("sum")[0].get("params").unwrap().clone());
    assert_eq!(sent, r#"{"_meta":{"dev.sandboxd/caller":"a","dev.sandboxd/chain":["a"]},"a":1}"#);
    let hidden = world.request(1, "1", "secret", "{}").concat();
    world.serve = |_, _| Some(Err(r#"{"code":-32601,"message":"no method sum here"}"#));
    let absent = world.request(1, "1", "sum", "{}").concat();
    assert_eq!(hidden, absent);
    assert!(world.request(1, "2", "sum", "[1,2]").concat().contains("must be an object"));
    world.say(1, r#"{"jsonrpc":"2.0","method":"note"}"#);
    world.say(1, r#"{"jsonrpc":"2.0","method":"secret"}"#);
    assert_eq!((world.got("note").len(), world.got("secret").len()), (1, 0));
    assert!(world.got("note")[0].get("id").is_none());
}

#[test]
fn a_caller_that_is_not_in_the_plan_or_has_too_many_connections_is_closed() {
    let mut plan = plan();
    plan.callers[0].connections = 2;
    let mut world = World::new(plan);
    world.connect(1, "b", "fs");
    world.connect(2, "a", "nothing");
    for connection in 3..6 {
        world.connect(connection, "a", "fs");
    }
    assert_eq!(world.closed, [ConnectionId(1), ConnectionId(2), ConnectionId(5)]);
    world.step(Input::Closed(ConnectionId(3)));
    world.connect(6, "a", "fs");
    assert_eq!(world.closed.len(), 3);
}

#[test]
fn zero_in_flight_lets_nothing_through() {
    let mut plan = plan();
    plan.edges[0].in_flight = Bound::AtMost(0);
    plan.edges[0].queue.length = 0;
    let mut world = World::open(plan);
    world.serve = serve;
    assert!(world.call("list", "{}").contains("Too many calls"));
}

#[test]
fn only_calls_of_the_named_tools_are_asked_about() {
    let mut plan = plan();
    plan.edges[0].approval = Approval::AskFor { names: patterns(&["li*"]), expires: Millis(1000) };
    let mut world = World::open(plan);
    assert!(world.call("list", "{}").is_empty());
    let heard = world.call_as(1, "2", "read", r#"{"path":"x"}"#).concat();
    assert!(heard.contains("result") && !heard.contains("isError"), "{heard}");
    assert_eq!((world.asks.len(), world.got("tools/call").len()), (1, 1));
}

#[test]
fn methods_that_a_callee_asks_about_are_held_too() {
    let mut plan = plan();
    plan.callees[0].speaks = Speaks::JsonRpc;
    plan.callees[0].serves.methods = patterns(&["*"]);
    plan.edges[0].reach.methods = patterns(&["*"]);
    plan.edges[0].approval =
        Approval::AskFor { names: patterns(&["deploy"]), expires: Millis(1000) };
    let mut world = World::open(plan);
    world.serve = |_, _| Some(Ok("1"));
    assert!(world.request(1, "1", "deploy", "{}").is_empty());
    world.say(1, r#"{"jsonrpc":"2.0","method":"deploy"}"#);
    assert_eq!(world.request(1, "2", "sum", "{}").len(), 1);
    assert_eq!((world.asks.len(), world.served.len()), (2, 1));
}

#[test]
fn all_that_a_caller_wrote_is_shown_and_nothing_else_is_passed_on() {
    const MODERN: &str = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"x"}"#;
    let mut plan = plan();
    plan.edges[0].approval = Approval::Ask { expires: Millis(1000) };
    let mut world = World::open(plan);
    let mut asked = |id: &str, meta: &str, beside: &str| {
        let line = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call",{beside}"params":{{"name":"list","arguments":{{}},"_meta":{{{meta}}}}}}}"#
        );
        world.say(1, &line);
        let ask = world.asks.pop().unwrap();
        let (call, digest) = (ask.call, ask.digest);
        world.step(Input::Decided { call, digest, verdict: &Verdict::Approved, by: Some(1) });
        let sent = world.got("tools/call").pop().unwrap().clone();
        (ask.parameters, digest, text(&sent.into()))
    };
    let (plain, digest, _) = asked("1", "", "");
    assert_eq!(plain, r#"{"arguments":{},"name":"list"}"#);
    let ours = format!(r#"{MODERN},"dev.sandboxd/caller":"root","progressToken":7"#);
    let (shown, same, _) = asked("2", &ours, "");
    assert_eq!((shown, same), (plain, digest), "what the broker writes nobody has to look at");
    // A version is one that there is, and no number of a caller's choice.
    for version in ["202607280123456789", "2026-07-28-1", "4111-11-11", "-", ""] {
        let meta = format!(r#""io.modelcontextprotocol/protocolVersion":"{version}""#);
        let (shown, other, sent) = asked("3", &meta, "");
        assert!(shown.contains(&meta) && sent.contains(&meta), "{shown} {sent}");
        assert_ne!(other, digest, "{meta}");
    }
    for meta in [
        r#""example.com/target":"production""#,
        &format!(r#"{MODERN},"example.com/target":"production""#),
        // Here it is no word of the broker's.
        r#""io.modelcontextprotocol/protocolVersion":"production""#,
    ] {
        let (shown, other, sent) = asked("3", meta, "");
        assert!(shown.contains("production") && sent.contains("production"), "{shown} {sent}");
        assert_ne!(other, digest, "{meta}");
    }
    // A client's name of its own making goes nowhere.
    let (_, _, sent) = asked("4", r#""io.modelcontextprotocol/clientInfo":{"name":"admin"}"#, "");
    assert!(!sent.contains("admin"), "{sent}");
    let (_, _, sent) = asked("5", "", r#""target":"production","#);
    assert!(!sent.contains("production"), "{sent}");
}
