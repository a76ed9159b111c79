//! Secrets that stand in arguments: who gets them, and that nobody else hears of them.

use super::world::{World, callee, caller, edge, hang, name, patterns, plan};
use crate::{
    json::{Value, text},
    relay::{ConnectionId, Endpoint, Input, InstanceId, Verdict},
    secret::Secrets,
};
use sandboxd_broker_plan::record::{Event, Rule};
use sandboxd_broker_plan::{Approval, BrokerPlan, Bytes, Instances, Millis, Placeholder, Speaks};

const SECRET: &str = "s3cr3t/\"va?lue+";
const BASE64: &str = "czNjcjN0LyJ2YT9sdWUr";

fn placing(tool: &str, argument: &str) -> BrokerPlan {
    let mut plan = plan();
    plan.callers[0].secrets = vec![name("api"), name("db")];
    plan.edges[0].max_request = Bytes(1 << 20);
    plan.edges[0].max_result = Bytes(1 << 20);
    plan.edges[0].placeholders =
        vec![Placeholder { secret: 1, tools: vec![tool.into()], arguments: vec![argument.into()] }];
    plan
}

fn secrets(values: &[&str]) -> Secrets {
    let mut secrets = Secrets::default();
    values.iter().for_each(|value| secrets.push(value.as_bytes()).unwrap());
    secrets
}

fn keep(world: &mut World, of: &str, behalf: Option<InstanceId>, values: &[&str]) {
    world.relay.keep_secrets(&name(of), behalf, &secrets(values)).unwrap();
}

fn world(plan: BrokerPlan) -> World {
    let mut world = World::open(plan);
    world.serve = hang;
    keep(&mut world, "a", None, &["another-key", SECRET]);
    world
}

/// The arguments that a callee got last.
fn got(world: &World) -> String {
    let body = world.got("tools/call").pop().unwrap();
    text(body.get("params").unwrap().as_object().unwrap().get("arguments").unwrap())
}

/// Answers the last call with this result.
fn answer(world: &mut World, connection: u64, result: &str) -> String {
    let (instance, message) = world.served.last().unwrap();
    let (instance, id) = (*instance, text(message.as_object().unwrap().get("id").unwrap()));
    world.tell_as(instance, &format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#));
    world.hear(connection).concat()
}

fn quoted(text: &str) -> String {
    crate::json::text(&Value::from(text))
}

#[test]
fn it_stands_in_the_argument_of_the_tool_that_is_named_and_the_record_has_the_call_as_it_was_written()
 {
    let mut world = world(placing("list", "/dsn"));
    let arguments = r#"{"dsn":"p://app:{{secret:db}}@db","note":"x"}"#;
    assert_eq!(world.call("list", arguments), "");
    assert_eq!(
        got(&world),
        format!(r#"{{"dsn":{},"note":"x"}}"#, quoted(&format!("p://app:{SECRET}@db")))
    );
    let what = |world: &World| {
        let mut allowed = world.records.iter().rev().filter_map(|record| {
            if let Event::Allowed(what) = record.event { Some(what) } else { None }
        });
        allowed.next().unwrap()
    };
    assert_eq!(what(&world).secrets, 0b10);
    // The same call where nothing stands for it has the same digest and size.
    let mut plain = World::open(plan());
    plain.call("list", arguments);
    let (written, swapped) = (what(&plain), what(&world));
    assert_eq!((written.digest, written.bytes), (swapped.digest, swapped.bytes));
    // It reads no better where braces come by their numbers, and what a result says is no placeholder.
    let heard = answer(&mut world, 1, r#"{"content":["{{secret:db}}"]}"#);
    assert!(heard.contains("{{secret:db}}"), "{heard}");
    world.call("list", r#"{"dsn":"\u007b\u007bsecret:db}}"}"#);
    assert_eq!(got(&world), format!(r#"{{"dsn":{}}}"#, quoted(SECRET)));
    assert_eq!(world.swapped, 2);
}

#[test]
fn elsewhere_what_was_written_goes_on_and_beside_its_place_it_is_refused() {
    let mut plan = placing("list", "/dsn");
    plan.edges[0].reach.resources = patterns(&["*"]);
    plan.edges[0].reach.prompts = patterns(&["*"]);
    let mut world = world(plan);
    // Another tool, another method, and what is beside the arguments.
    world.call("read", r#"{"path":"{{secret:db}}"}"#);
    assert_eq!(got(&world), r#"{"path":"{{secret:db}}"}"#);
    world.request(1, "2", "resources/read", r#"{"uri":"{{secret:db}}"}"#);
    assert!(text(&world.served.last().unwrap().1).contains("{{secret:db}}"));
    let meta = r#"{"name":"list","arguments":{"dsn":"{{secret:db}}"},"_meta":{"x":"{{secret:db}}"},"task":{"{{secret:db}}":1}}"#;
    world.request(1, "3", "tools/call", meta);
    let sent = text(&world.served.last().unwrap().1);
    assert_eq!((sent.matches("{{secret:db}}").count(), sent.matches("s3cr3t").count()), (2, 1));
    // Whatever else, in the tool that may have it: with the same words.
    let served = world.served.len();
    let mut said = Vec::new();
    for arguments in [
        r#"{"note":"{{secret:db}}"}"#,
        r#"{"dsn":"{{secret:api}}"}"#,
        r#"{"dsn":"{{secret:none}}"}"#,
        r#"{"dsn":"{{secret:none}} {{secret:db}}"}"#,
        r#"{"{{secret:db}}":"x"}"#,
        r#"{"dsn":"{{secret:db"}"#,
    ] {
        said.push(world.call_as(1, "4", "list", arguments).concat());
    }
    assert!(said.iter().all(|one| *one == said[0] && one.contains("isError")), "{said:?}");
    assert!(
        said[0].contains("placeholder is not allowed") && !said[0].contains("db"),
        "{}",
        said[0]
    );
    assert_eq!(world.served.len(), served);
    assert!(matches!(world.records.last().unwrap().event, Event::Refused(_, Rule::Secret)));
}

#[test]
fn how_long_it_is_cannot_be_found_out() {
    let mut plan = placing("list", "/dsn");
    plan.edges[0].max_request = Bytes(20_000);
    let mut short = world(plan.clone());
    let mut long = world(plan);
    keep(&mut long, "a", None, &["another-key", &"x".repeat(8000)]);
    let call = |filler: usize, count: usize| {
        format!(r#"{{"dsn":"{}","x":"{}"}}"#, "{{secret:db}}".repeat(count), "y".repeat(filler))
    };
    for (filler, count) in [(10, 1), (11_000, 1), (12_000, 1), (10, 2), (4000, 2), (10, 3)] {
        let [one, two] = [&mut short, &mut long].map(|world| {
            let said = world.call_as(1, "1", "list", &call(filler, count)).concat();
            if said.is_empty() {
                answer(world, 1, "{}");
            }
            said
        });
        assert_eq!(one, two, "{filler} {count}");
        assert_eq!(one.is_empty(), 8192 * count + filler < 19_700, "{filler} {count}: {one}");
    }
}

#[test]
fn an_approval_is_of_what_was_written() {
    let mut plan = placing("list", "/dsn");
    plan.edges[0].approval = Approval::Ask { expires: Millis(60_000) };
    let mut world = world(plan.clone());
    world.call("list", r#"{"dsn":"{{secret:db}}"}"#);
    let ask = world.asks.pop().unwrap();
    assert!(ask.parameters.contains("{{secret:db}}") && !ask.parameters.contains("s3cr3t"));
    // Renewed meanwhile: what is approved is the same.
    keep(&mut world, "a", None, &["another-key", "renewed-value"]);
    let (call, digest) = (ask.call, ask.digest);
    world.step(Input::Decided { call, digest, verdict: &Verdict::Approved, by: Some(1) });
    assert_eq!(got(&world), r#"{"dsn":"renewed-value"}"#);
    // The old one is still nobody's.
    let heard =
        answer(&mut world, 1, &format!(r#"{{"a":{},"b":"renewed-value"}}"#, quoted(SECRET)));
    assert!(!heard.contains("s3cr3t") && !heard.contains("renewed"), "{heard}");
}

#[test]
fn whatever_comes_from_a_callee_that_may_have_it_is_covered() {
    let mut plan = placing("list", "/dsn");
    plan.edges[0].reverse = vec![sandboxd_broker_plan::Reverse::Elicitation];
    let mut world = world(plan);
    let say = [
        quoted(SECRET),
        quoted(BASE64),
        quoted("s3cr3t%2F%22va%3Flue%2B"),
        quoted(&quoted(SECRET)),
    ];
    let all = format!(r#"{{"content":[{}],{}:1,"n":[12]}}"#, say.join(","), say[0]);
    let clean = |heard: &str| {
        assert!(heard.contains("«secret:db»"), "{heard}");
        for form in ["s3cr3t", "czNj"] {
            assert!(!heard.contains(form), "{heard}");
        }
    };
    let meta =
        r#"{"name":"list","arguments":{"dsn":"{{secret:db}}"},"_meta":{"progressToken":"p"}}"#;
    world.request(1, "1", "tools/call", meta);
    let number = text(world.served.last().unwrap().1.as_object().unwrap().get("id").unwrap());
    world.tell(&format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{number},"progress":1,"message":{}}}}}"#, say[0]));
    clean(&world.hear(1).concat());
    world.tell(&format!(r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"level":"info","data":{}}}}}"#, say[1]));
    clean(&world.hear(1).concat());
    world.tell(&format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"elicitation/create","params":{{"message":{}}}}}"#,
        say[2]
    ));
    clean(&world.hear(1).concat());
    clean(&answer(&mut world, 1, &all));
    // Later, of another tool; and an error.
    world.call_as(1, "2", "read", r#"{"path":"x"}"#);
    clean(&answer(&mut world, 1, &all));
    world.call_as(1, "3", "read", r#"{"path":"x"}"#);
    let number = text(world.served.last().unwrap().1.as_object().unwrap().get("id").unwrap());
    world.tell(&format!(
        r#"{{"jsonrpc":"2.0","id":{number},"error":{{"code":1,"message":{}}}}}"#,
        say[3]
    ));
    clean(&world.hear(1).concat());
    // In pieces that split it.
    world.call_as(1, "4", "read", r#"{"path":"x"}"#);
    let (instance, message) = world.served.last().unwrap();
    let (instance, id) = (*instance, text(message.as_object().unwrap().get("id").unwrap()));
    let line = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{all}}}\n");
    for piece in line.as_bytes().chunks(3) {
        world.step(Input::FromCallee(instance, piece));
    }
    clean(&world.hear(1).concat());
    // Another instance, which was told nothing: what one wrote down, the other may read.
    world.connect(2, "a", "fs");
    world.call_as(2, "1", "read", r#"{"path":"x"}"#);
    clean(&answer(&mut world, 2, &all));
}

#[test]
fn no_spelling_of_json_hides_it() {
    let mut world = world(placing("list", "/dsn"));
    keep(&mut world, "a", None, &["another-key", "31415926535"]);
    world.call("list", r#"{"dsn":"{{secret:db}}"}"#);
    assert_eq!(got(&world), r#"{"dsn":"31415926535"}"#);
    let heard = answer(
        &mut world,
        1,
        r#"{"a":31415926535,"b":-31415926535e1,"c":"\u0033\u0031415926535","\u00331415926535":[{"d":"x31415926535y"}]}"#,
    );
    assert!(!heard.contains("31415926535") && heard.matches("«secret:db»").count() == 5, "{heard}");
}

#[test]
fn a_tool_that_says_it_in_its_definition_is_not_there_and_is_not_kept() {
    fn renamed(
        method: &str,
        body: &crate::json::Object,
    ) -> Option<Result<&'static str, &'static str>> {
        match method {
            "tools/list" => Some(Ok(r#"{"tools":[
                {"name":"list","inputSchema":{"type":"object"}},
                {"name":"read","inputSchema":{"enum":["another-key"]}},
                {"name":"list2","description":"another-key","inputSchema":{}}]}"#)),
            _ => hang(method, body),
        }
    }
    let mut world = world(placing("list", "/dsn"));
    world.serve = renamed;
    let listed = world.request(1, "1", "tools/list", "{}").concat();
    assert!(listed.contains("\"list\"") && !listed.contains("read") && !listed.contains("another"));
    let said = world.call_as(1, "2", "read", r#"{"path":"x"}"#).concat();
    assert!(said.contains("Unknown tool: read"), "{said}");
    assert!(world.words.iter().all(|words| !words.contains("another")), "{:?}", world.words);
}

#[test]
fn an_edge_without_placeholders_is_not_looked_through() {
    let mut plan = plan();
    plan.callees.push(callee("other"));
    plan.edges.push(edge("a", "other"));
    plan.edges[1].placeholders = placing("list", "/dsn").edges[0].placeholders.clone();
    plan.callers[0].secrets = vec![name("api"), name("db")];
    let mut world = world(plan);
    world.call("list", r#"{"dsn":"{{secret:db}} {{secret:"}"#);
    assert_eq!(got(&world), r#"{"dsn":"{{secret:db}} {{secret:"}"#);
    let heard = answer(&mut world, 1, &format!(r#"{{"a":{}}}"#, quoted(SECRET)));
    assert!(heard.contains("s3cr3t"), "{heard}");
}

#[test]
fn methods_of_json_rpc_swap_nothing() {
    let mut plan = placing("list", "/dsn");
    plan.callees[0].speaks = Speaks::JsonRpc;
    plan.callees[0].serves.methods = patterns(&["*"]);
    plan.edges[0].reach.methods = patterns(&["*"]);
    let mut world = world(plan);
    let params = r#"{"name":"list","arguments":{"dsn":"{{secret:db}}"}}"#;
    for method in ["deploy", "tools/call"] {
        world.request(1, "1", method, params);
        assert!(text(&world.served.last().unwrap().1).contains("{{secret:db}}"));
        answer(&mut world, 1, "{}");
    }
    assert_eq!(world.swapped, 0);
}

/// `a` calls `mid`, which calls `fs`; each has a secret of this name, and may put it into the same argument.
fn through(instances: Instances) -> BrokerPlan {
    let mut plan = placing("list", "/dsn");
    plan.callers = vec![caller("a"), caller("b"), caller("mid")];
    for caller in [0, 2] {
        plan.callers[caller].secrets = vec![name("db")];
    }
    plan.callees = vec![callee("mid"), callee("fs")];
    plan.callees[0].instances = instances;
    let mut place = plan.edges[0].placeholders[0].clone();
    place.secret = 0;
    plan.edges = vec![edge("a", "mid"), edge("mid", "fs"), edge("b", "mid")];
    for edge in &mut plan.edges {
        (edge.max_request, edge.max_result) = (Bytes(1 << 20), Bytes(1 << 20));
    }
    for edge in [0, 1] {
        plan.edges[edge].placeholders = vec![place.clone()];
    }
    plan
}

fn connect(world: &mut World, connection: u64, instance: InstanceId) {
    let (mid, fs) = (name("mid"), name("fs"));
    world.step(Input::Opened {
        connection: ConnectionId(connection),
        caller: &mid,
        endpoint: Endpoint::Edge(&fs),
        behalf: Some(instance),
    });
}

#[test]
fn whoever_answers_a_caller_has_its_own_secrets_and_not_its_callers() {
    let mut world = World::new(through(Instances::PerCaller));
    world.serve = hang;
    keep(&mut world, "a", None, &["of-the-first"]);
    world.connect(1, "a", "mid");
    world.call_as(1, "1", "list", "{}");
    let (mid, _) = world.started[0];
    connect(&mut world, 2, mid);
    let call =
        |world: &mut World| world.call_as(2, "1", "list", r#"{"dsn":"{{secret:db}}"}"#).concat();
    assert!(call(&mut world).contains("placeholder is not allowed"), "it has none of its own yet");
    keep(&mut world, "mid", Some(mid), &["of-the-middle"]);
    assert_eq!(call(&mut world), "");
    assert_eq!(got(&world), r#"{"dsn":"of-the-middle"}"#);
    // Those of an instance that is over are let go of, and none are taken for it.
    assert_eq!(world.relay.keyrings.len(), 2);
    world.step(Input::Closed(ConnectionId(2)));
    world.step(Input::Ended(mid));
    assert_eq!(world.relay.keyrings.len(), 1);
    keep(&mut world, "mid", Some(mid), &["of-the-middle"]);
    assert_eq!(world.relay.keyrings.len(), 1);
}

#[test]
fn one_that_answers_several_tells_it_to_none_of_them() {
    let mut world = World::new(through(Instances::Attenuate));
    world.serve = hang;
    keep(&mut world, "a", None, &["of-the-first"]);
    world.connect(1, "a", "mid");
    world.connect(2, "b", "mid");
    world.call_as(1, "1", "list", r#"{"dsn":"{{secret:db}}"}"#);
    assert_eq!(got(&world), r#"{"dsn":"of-the-first"}"#);
    world.call_as(2, "1", "list", r#"{"dsn":"{{secret:db}}"}"#);
    assert_eq!(got(&world), r#"{"dsn":"{{secret:db}}"}"#, "over its own edge there is none");
    let heard = answer(&mut world, 2, r#"{"a":"of-the-first"}"#);
    assert!(heard.contains("«secret:db»"), "{heard}");
}

#[test]
fn whoever_is_asked_about_a_call_of_a_callee_is_not_shown_what_that_was_given() {
    let mut plan = through(Instances::PerCaller);
    plan.edges[1].approval = Approval::Ask { expires: Millis(60_000) };
    plan.edges[1].reach.resources = patterns(&["*"]);
    let mut world = World::new(plan);
    world.serve = hang;
    keep(&mut world, "a", None, &["of-the-first"]);
    world.connect(1, "a", "mid");
    world.call_as(1, "1", "list", r#"{"dsn":"{{secret:db}}"}"#);
    let (mid, _) = world.started[0];
    connect(&mut world, 2, mid);
    world.call_as(2, "1", "list", r#"{"x":"of-the-first"}"#);
    let one = world.asks.pop().unwrap();
    assert!(one.parameters.contains("«secret:db»") && !one.parameters.contains("first"));
    world.call_as(2, "2", "list", r#"{"x":"«secret:db»"}"#);
    let other = world.asks.pop().unwrap();
    assert_ne!(one.digest, other.digest, "what looks alike is not the same call");
    let twice = r#"{"/of-the-first/x":"evil","/«secret:db»/x":"harmless"}"#;
    world.call_as(2, "4", "list", twice);
    let both = world.asks.pop().unwrap().parameters;
    assert!(both.contains("evil") && both.contains("harmless"), "all of it is shown: {both}");
    world.request(2, "3", "resources/read", r#"{"uri":"x://of-the-first"}"#);
    let read = world.asks.pop().unwrap();
    assert_eq!(read.name, "x://«secret:db»");
    assert!(!format!("{read:?}").contains("of-the-first"), "{read:?}");
}

#[test]
fn of_many_that_are_over_what_they_were_is_kept_once_and_as_long_as_somebody_may_tell_it() {
    let mut plan = through(Instances::PerCaller);
    plan.callees[1].instances = Instances::Attenuate;
    let mut world = World::new(plan);
    world.serve = hang;
    let mut shared = None;
    for round in 0..20 {
        let (first, second) = (10 + 2 * round, 11 + 2 * round);
        world.connect(first, "a", "mid");
        world.call_as(first, "1", "list", "{}");
        answer(&mut world, first, "{}");
        let (mid, _) = *world.started.last().unwrap();
        keep(&mut world, "mid", Some(mid), &["of-the-middle"]);
        connect(&mut world, second, mid);
        world.call_as(second, "1", "list", r#"{"dsn":"{{secret:db}}"}"#);
        assert_eq!(got(&world), r#"{"dsn":"of-the-middle"}"#);
        let heard = answer(&mut world, second, r#"{"a":"x of-the-middle"}"#);
        assert!(heard.contains("«secret:db»") && !heard.contains("of-the"), "{round} {heard}");
        shared = shared.or(world.started.last().map(|(instance, _)| *instance));
        world.step(Input::Closed(ConnectionId(second)));
        world.step(Input::Ended(mid));
    }
    assert_eq!(world.relay.keyrings.len(), 0);
    let kept: Vec<usize> = world.relay.over.values().map(Vec::len).collect();
    assert_eq!(kept, [1]);
    // One that was never told it there is told nothing of it by the one that was.
    world.connect(1, "a", "mid");
    world.call_as(1, "1", "list", "{}");
    let (mid, _) = *world.started.last().unwrap();
    keep(&mut world, "mid", Some(mid), &["renewed-since"]);
    connect(&mut world, 2, mid);
    world.call_as(2, "1", "list", "{}");
    let heard = answer(&mut world, 2, r#"{"a":"of-the-middle"}"#);
    assert!(heard.contains("«secret:db»"), "{heard}");
    world.step(Input::Ended(shared.unwrap()));
    assert!(world.relay.over.is_empty());
}

#[test]
fn the_record_of_a_tool_that_says_it_is_no_way_to_guess_it() {
    fn telling(
        method: &str,
        body: &crate::json::Object,
    ) -> Option<Result<&'static str, &'static str>> {
        match method {
            "tools/list" => Some(Ok(r#"{"tools":[{"name":"list","inputSchema":{}},
                {"name":"read","description":"another-key","inputSchema":{}}]}"#)),
            _ => hang(method, body),
        }
    }
    let digest = |value: &str| {
        let entry = format!(r#"{{"name":"read","description":"{value}","inputSchema":{{}}}}"#);
        let entry = crate::json::parse(entry.as_bytes()).unwrap();
        crate::mcp::pins::digest(entry.as_object().unwrap())
    };
    let mut world = world(placing("list", "/dsn"));
    world.serve = telling;
    world.call("read", r#"{"path":"x"}"#);
    let tells = |event: &Event| {
        if let Event::ToolTells(tool) = event { Some(tool.digest) } else { None }
    };
    let told: Vec<[u8; 32]> =
        world.records.iter().filter_map(|record| tells(&record.event)).collect();
    assert_eq!(told, [digest("«secret:api»")]);
    assert_ne!(told, [digest("another-key")]);
}

#[test]
fn a_question_whose_key_is_a_secret_is_refused_since_nobody_could_answer_it() {
    const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"elicitation":{"form":{}}}}"#;
    let mut plan = placing("list", "/dsn");
    plan.edges[0].reverse = vec![sandboxd_broker_plan::Reverse::Elicitation];
    let mut world = world(plan);
    for (key, asked) in [("another-key", false), ("who", true)] {
        let params = format!(r#"{{"name":"list","arguments":{{}},{META}}}"#);
        world.request(1, "1", "tools/call", &params);
        let result = format!(
            r#"{{"resultType":"input_required","inputRequests":{{"{key}":{{"method":"elicitation/create","params":{{"message":"another-key?"}}}}}}}}"#
        );
        let heard = answer(&mut world, 1, &result);
        assert_eq!(heard.contains("inputRequests"), asked, "{heard}");
        assert!(!heard.contains("another-key"), "{heard}");
        assert_eq!(heard.contains("does not follow the protocol"), !asked, "{heard}");
    }
}
