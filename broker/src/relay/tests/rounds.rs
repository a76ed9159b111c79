//! What a callee of the newer era asks by a result, and who may answer that.

use super::world::{World, callee, caller, edge, name, patterns, plan, reach, serve};
use crate::{
    json::{Object, Value, text},
    relay::{ConnectionId, Endpoint, Input, InstanceId, Verdict},
};
use sandboxd_broker_plan::record::{Event, Outcome, Rule};
use sandboxd_broker_plan::{Approval, Bound, BrokerPlan, Instances, Millis, Reverse, Root};

/// With this, a request is one of the newer era.
const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"elicitation":{"form":{}},"sampling":{},"roots":{"listChanged":true},"extensions":{}}}"#;

/// Asks for a name and keeps a secret; is content with any state.
fn ask(method: &str, body: &Object) -> Option<Result<&'static str, &'static str>> {
    let params = body.get("params").and_then(Value::as_object);
    let known = params.is_some_and(|params| params.get("requestState").is_some());
    match method {
        "tools/call" | "resources/read" | "prompts/get" if !known => Some(Ok(
            r#"{"resultType":"input_required","requestState":"the callee's own","inputRequests":{
                "who":{"method":"elicitation/create","params":{"message":"Who?"}}}}"#,
        )),
        "tools/call" => Some(Ok(r#"{"resultType":"complete","content":["done"]}"#)),
        "resources/read" | "prompts/get" => Some(Ok(r#"{"resultType":"complete"}"#)),
        "prompts/list" => Some(Ok(r#"{"prompts":[{"name":"hello"},{"name":"bye"}]}"#)),
        _ => serve(method, body),
    }
}

fn asking() -> BrokerPlan {
    let mut plan = plan();
    plan.edges[0].reverse = vec![Reverse::Elicitation];
    plan.edges[0].reach.resources = patterns(&["file:///srv/*"]);
    plan.edges[0].reach.prompts = patterns(&["*"]);
    plan
}

fn world(plan: BrokerPlan) -> World {
    let mut world = World::open(plan);
    world.serve = ask;
    world
}

/// Makes a request of the newer era.
fn make(world: &mut World, connection: u64, method: &str, params: &str) -> String {
    let era = if params.contains("_meta") { String::new() } else { format!(",{META}") };
    world.request(connection, "1", method, &format!("{{{params}{era}}}")).concat()
}

const LIST: &str = r#""name":"list","arguments":{"a":1}"#;

/// The word that stands for what the callee wants back.
fn word(heard: &str) -> String {
    let Ok(Value::Object(heard)) = crate::json::parse(heard.as_bytes()) else { panic!("{heard}") };
    let result = heard.get("result").and_then(Value::as_object);
    let word = result.and_then(|result| result.str("requestState"));
    word.unwrap_or_else(|| panic!("{}", text(&Value::Object(heard.clone())))).to_owned()
}

fn again(params: &str, word: &str) -> String {
    format!(
        r#"{params},"requestState":"{word}","inputResponses":{{"who":{{"action":"accept","content":{{"n":1.0}}}}}}"#
    )
}

fn refused(heard: &str) -> bool {
    heard.contains("-32602") && heard.contains("requestState and inputResponses do not belong")
}

#[test]
fn a_callee_asks_by_a_result_and_its_caller_never_sees_what_it_keeps() {
    for (method, params) in [
        ("tools/call", LIST),
        ("resources/read", r#""uri":"file:///srv/a""#),
        ("prompts/get", r#""name":"hello""#),
    ] {
        let mut world = world(asking());
        let heard = make(&mut world, 1, method, params);
        assert!(
            heard.contains(r#""who":{"method":"elicitation/create","params":{"message":"Who?"}}"#)
        );
        assert!(!heard.contains("own"), "{heard}");
        let heard = make(&mut world, 1, method, &again(params, &word(&heard)));
        assert!(heard.contains(r#""resultType":"complete""#), "{method}: {heard}");
        let sent = text(world.got(method)[1].get("params").unwrap());
        assert!(sent.contains(r#""requestState":"the callee's own""#), "{sent}");
        assert!(sent.contains(r#""who":{"action":"accept","content":{"n":1.0}}"#), "{sent}");
        let asked = world.records.iter().filter(|it| it.event == Event::AskedBack).count();
        assert_eq!(asked, 1);
    }
}

#[test]
fn a_callee_is_told_what_it_has_leave_to_ask() {
    let told = |plan| {
        let mut world = world(plan);
        make(&mut world, 1, "tools/call", LIST);
        let sent = text(world.got("tools/call")[0].get("params").unwrap());
        let (_, rest) = sent.split_once("clientCapabilities\":").unwrap();
        rest.split_once(",\"io.model").map_or(rest, |(told, _)| told).to_owned()
    };
    assert_eq!(told(asking()), r#"{"elicitation":{"form":{}}}"#);
    assert!(told(plan()).starts_with("{}"));
    let mut plan = asking();
    plan.edges[0].roots = vec![Root { uri: "file:///srv".into(), name: "srv".into() }];
    plan.edges[0].reverse.push(Reverse::Sampling);
    assert_eq!(told(plan), r#"{"elicitation":{"form":{}},"sampling":{},"roots":{}}"#);
}

#[test]
fn what_a_callee_may_not_ask_its_caller_does_not_hear() {
    let mut world = world(plan());
    let heard = make(&mut world, 1, "tools/call", LIST);
    assert!(heard.contains(r#""isError":true"#) && heard.contains("elicitation/create"), "{heard}");
    assert!(!heard.contains("own") && !heard.contains("Who?"), "{heard}");
    let told: Vec<Event> = world.records.iter().map(|record| record.event).collect();
    assert!(told.contains(&Event::AskedInVain));
    let ended = |event: &Event| {
        matches!(event, Event::Finished { outcome: Outcome::By(Rule::Reverse), .. })
    };
    assert!(told.iter().any(ended), "{told:?}");
    // The older era has no such result, and what answers neither a tool, a resource nor a prompt has none either.
    let mut world = self::world(asking());
    let heard = world.request(1, "1", "tools/call", &format!("{{{LIST}}}")).concat();
    assert!(heard.contains("not allowed") && !heard.contains("own"), "{heard}");
    let mut plan = asking();
    plan.edges[0].reach.methods = patterns(&["x/*"]);
    plan.callees[0].serves.methods = patterns(&["x/*"]);
    let mut world = self::world(plan);
    world.serve = |_, _| Some(Ok(r#"{"resultType":"input_required","requestState":"own"}"#));
    for (method, params) in [
        ("x/y", r#""a":1"#),
        ("tools/list", r#""a":1"#),
        ("resources/subscribe", r#""uri":"file:///srv/a""#),
        ("completion/complete", r#""ref":{"type":"ref/resource","uri":"file:///srv/a"}"#),
    ] {
        let heard = make(&mut world, 1, method, params);
        assert!(heard.contains("not allowed") && !heard.contains("own"), "{method}: {heard}");
    }
}

#[test]
fn a_state_is_good_once_for_the_same_request_on_the_same_connection() {
    let mut plan = asking();
    plan.callers.push(caller("b"));
    plan.edges.push(edge("b", "fs"));
    plan.edges[1].reverse = vec![Reverse::Elicitation];
    for mode in [Instances::PerCaller, Instances::Serial, Instances::Attenuate] {
        plan.callees[0].instances = mode;
        let mut world = world(plan.clone());
        world.connect(2, "a", "fs");
        world.connect(3, "b", "fs");
        let mine = word(&make(&mut world, 1, "tools/call", LIST));
        // The others have a process of theirs, or the same.
        world.call_as(2, "1", "read", "{}");
        world.call_as(3, "1", "read", "{}");
        let served = world.got("tools/call").len();
        for connection in [2, 3] {
            assert!(refused(&make(&mut world, connection, "tools/call", &again(LIST, &mine))));
        }
        let other = r#""name":"list","arguments":{"a":2}"#;
        for (method, params) in [
            ("tools/call", other),
            ("tools/call", r#""name":"read","arguments":{"path":"x"}"#),
            ("tools/call", r#""name":"list","arguments":{"a":1},"more":1"#),
            ("prompts/get", r#""name":"list""#),
            ("resources/read", r#""uri":"file:///srv/a""#),
        ] {
            let mine = word(&make(&mut world, 1, "tools/call", LIST));
            assert!(refused(&make(&mut world, 1, method, &again(params, &mine))), "{params}");
            assert!(refused(&make(&mut world, 1, "tools/call", &again(LIST, &mine))), "said once");
        }
        assert_eq!(world.got("tools/call").len(), served + 5);
        assert!(make(&mut world, 1, "tools/call", &again(LIST, &mine)).contains("done"));
        assert!(refused(&make(&mut world, 1, "tools/call", &again(LIST, &mine))), "replayed");
        assert_eq!(world.got("tools/call").len(), served + 6);
    }
}

#[test]
fn what_was_not_given_is_not_taken() {
    let mut world = world(asking());
    let first = word(&make(&mut world, 1, "tools/call", LIST));
    let number: u64 = first.strip_prefix("sandboxd-").unwrap().parse().unwrap();
    for forged in ["the callee's own", "", "1", "sandboxd-", "sandboxd-01", "sandboxd-+1"] {
        assert!(refused(&make(&mut world, 1, "tools/call", &again(LIST, forged))), "{forged}");
    }
    let next = format!("sandboxd-{}", number + 1);
    assert!(refused(&make(&mut world, 1, "tools/call", &again(LIST, &next))));
    for odd in [
        format!(r#"{LIST},"requestState":{number}"#),
        format!(r#"{LIST},"inputResponses":{{"who":{{}}}}"#),
        format!(r#"{LIST},"requestState":"{first}","inputResponses":{{"who":{{}},"more":{{}}}}"#),
    ] {
        assert!(refused(&make(&mut world, 1, "tools/call", &odd)), "{odd}");
    }
    // Not by the older era, and not after a while.
    let mine = word(&make(&mut world, 1, "tools/call", LIST));
    let params = format!("{{{}}}", again(LIST, &mine));
    assert!(refused(&world.request(1, "1", "tools/call", &params).concat()));
    let mine = word(&make(&mut world, 1, "tools/call", LIST));
    world.wait(59_000);
    assert!(make(&mut world, 1, "tools/call", &again(LIST, &mine)).contains("done"));
    let mine = word(&make(&mut world, 1, "tools/call", LIST));
    world.wait(60_000);
    assert!(refused(&make(&mut world, 1, "tools/call", &again(LIST, &mine))));
}

#[test]
fn a_state_ends_with_the_process_that_it_is_of() {
    let mut plan = asking();
    plan.callees[0].instances = Instances::Serial;
    let mut world = world(plan);
    let mine = word(&make(&mut world, 1, "tools/call", LIST));
    let (instance, _) = world.started[0];
    world.step(Input::Ended(instance));
    assert!(refused(&make(&mut world, 1, "tools/call", &again(LIST, &mine))));
    // Whoever connects anew begins anew.
    let mine = word(&make(&mut world, 1, "tools/call", LIST));
    world.step(Input::Closed(ConnectionId(1)));
    world.connect(1, "a", "fs");
    assert!(refused(&make(&mut world, 1, "tools/call", &again(LIST, &mine))));
}

#[test]
fn only_so_many_are_held() {
    let mut world = world(asking());
    let words: Vec<String> =
        (0..9).map(|_| word(&make(&mut world, 1, "tools/call", LIST))).collect();
    assert!(refused(&make(&mut world, 1, "tools/call", &again(LIST, &words[0]))));
    for word in &words[1..] {
        assert!(make(&mut world, 1, "tools/call", &again(LIST, word)).contains("done"));
    }
    world.serve = |method, body| match method {
        "tools/call" => Some(Ok(r#"{"resultType":"input_required","inputRequests":{
            "1":{"method":"elicitation/create"},"2":{"method":"elicitation/create"},
            "3":{"method":"elicitation/create"},"4":{"method":"elicitation/create"},
            "5":{"method":"elicitation/create"}}}"#)),
        _ => serve(method, body),
    };
    assert!(make(&mut world, 1, "tools/call", LIST).contains("more questions at once"));
}

#[test]
fn what_is_kept_for_a_callee_is_held_for_whoever_was_asked_and_no_longer_than_it_is_good_for() {
    let mut world = world(asking());
    let held = |world: &World| {
        let instance = world.relay.instance(ConnectionId(1));
        let of = |instance| world.relay.held_of(instance);
        world.relay.held_for(ConnectionId(1)) + instance.map_or(0, of)
    };
    assert!(make(&mut world, 1, "tools/call", r#""name":"read","arguments":{}"#).contains("path"));
    let before = held(&world);
    assert!(before > 100, "what it has, by name");
    world.serve = |method, body| match method {
        "tools/call" => Some(Ok(Box::leak(
            format!(r#"{{"resultType":"input_required","requestState":"{}"}}"#, "s".repeat(5000))
                .into_boxed_str(),
        ))),
        _ => serve(method, body),
    };
    for round in 1..=12 {
        make(&mut world, 1, "tools/call", LIST);
        let kept = (held(&world) - before) / round.min(8);
        assert!((5000..8000).contains(&kept), "{round}: {kept}");
    }
    assert!(world.relay.weighed() >= 12 * 5000);
    // Nobody does anything more, and it is let go of.
    assert_eq!(world.relay.timers.len(), 8);
    world.wait(60_000);
    assert_eq!((held(&world), world.relay.wakes_at()), (before, None));
    // Neither does it outlive a word that is said, its connection or its process.
    let mine = word(&make(&mut world, 1, "tools/call", LIST));
    make(&mut world, 1, "tools/call", LIST);
    world.serve = ask;
    make(&mut world, 1, "tools/call", &again(LIST, &mine));
    assert_eq!(world.relay.timers.len(), 1);
    world.step(Input::Closed(ConnectionId(1)));
    assert_eq!((held(&world), world.relay.wakes_at()), (0, None));
}

#[test]
fn the_broker_says_what_the_roots_are() {
    let mut plan = plan();
    plan.edges[0].roots = vec![Root { uri: "file:///srv".into(), name: "srv".into() }];
    let mut world = world(plan);
    world.serve = |method, body| {
        let params = body.get("params").and_then(Value::as_object);
        let answered = params.is_some_and(|params| params.get("inputResponses").is_some());
        match method {
            "tools/call" if answered => serve(method, body),
            "tools/call" => Some(Ok(r#"{"resultType":"input_required","inputRequests":{
                "where":{"method":"roots/list"}}}"#)),
            _ => serve(method, body),
        }
    };
    let heard = make(&mut world, 1, "tools/call", LIST);
    assert!(heard.contains("input_required") && !heard.contains("inputRequests"), "{heard}");
    let params = format!(r#"{LIST},"requestState":"{}""#, word(&heard));
    assert!(make(&mut world, 1, "tools/call", &params).contains("content"));
    let sent = world.got("tools/call")[1].get("params").unwrap().as_object().unwrap();
    let told = text(sent.get("inputResponses").unwrap());
    assert_eq!(told, r#"{"where":{"roots":[{"uri":"file:///srv","name":"srv"}]}}"#);
    assert!(sent.get("requestState").is_none(), "the callee had none");
    // An agent does not say them itself.
    let heard = make(&mut world, 1, "tools/call", LIST);
    let lie = format!(
        r#"{LIST},"requestState":"{}","inputResponses":{{"where":{{"roots":[]}}}}"#,
        word(&heard)
    );
    assert!(refused(&make(&mut world, 1, "tools/call", &lie)));
}

#[test]
fn a_request_that_is_made_again_is_a_call_of_its_own() {
    let mut plan = asking();
    plan.callers[0].calls = Bound::AtMost(3);
    plan.edges[0].approval = Approval::Ask { expires: Millis(600_000) };
    let mut world = world(plan);
    let approve = |world: &mut World| {
        let ask = world.asks.last().unwrap().clone();
        world.step(Input::Decided {
            call: ask.call,
            digest: ask.digest,
            verdict: &Verdict::Approved,
            by: Some(0),
        });
        ask
    };
    make(&mut world, 1, "tools/call", LIST);
    let first = approve(&mut world);
    let mine = word(&world.hear(1).concat());
    assert!(make(&mut world, 1, "tools/call", &again(LIST, &mine)).is_empty(), "it is held");
    let second = approve(&mut world);
    assert!(world.hear(1).concat().contains("done"));
    assert_ne!(first.digest, second.digest);
    // Who approves sees what the caller says, and nothing that means nothing.
    assert!(second.parameters.contains(r#""inputResponses":{"who":{"action":"accept""#));
    assert!(!second.parameters.contains("requestState"), "{}", second.parameters);
    make(&mut world, 1, "tools/call", LIST);
    approve(&mut world);
    let mine = word(&world.hear(1).concat());
    assert!(make(&mut world, 1, "tools/call", &again(LIST, &mine)).contains("budget of calls"));
    assert_eq!(world.relay.spent(), [3]);
}

#[test]
fn what_was_asked_for_one_caller_is_not_answered_for_another() {
    let mut plan = plan();
    plan.callers = vec![caller("a"), caller("b"), caller("mid")];
    plan.callees = vec![callee("fs"), callee("mid")];
    plan.callees[1].instances = Instances::Serial;
    plan.edges = vec![edge("a", "mid"), edge("b", "mid"), edge("mid", "fs")];
    plan.edges.iter_mut().for_each(|edge| edge.reach = reach(&["*"]));
    plan.edges[2].reverse = vec![Reverse::Elicitation];
    let mut world = World::new(plan);
    world.serve = super::world::hang;
    world.connect(1, "a", "mid");
    world.connect(2, "b", "mid");
    world.call_as(1, "1", "list", "{}");
    let (mid, _) = world.started[0];
    let (name_of, fs) = (name("mid"), name("fs"));
    world.step(Input::Opened {
        connection: ConnectionId(3),
        caller: &name_of,
        endpoint: Endpoint::Edge(&fs),
        behalf: Some(mid),
    });
    world.serve = ask;
    let mine = word(&make(&mut world, 3, "tools/call", LIST));
    end(&mut world, mid);
    world.serve = super::world::hang;
    world.call_as(2, "1", "list", "{}");
    world.serve = ask;
    assert!(refused(&make(&mut world, 3, "tools/call", &again(LIST, &mine))));
}

/// The instance answers what it was asked last.
fn end(world: &mut World, instance: InstanceId) {
    let mut calls = world.served.iter().rev().filter(|(to, _)| *to == instance);
    let id = calls.find_map(|(_, body)| body.as_object().unwrap().get("id").map(text)).unwrap();
    world.tell_as(instance, &format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#));
}

#[test]
fn an_error_that_has_an_address_opened_needs_leave_too() {
    let mut world = world(plan());
    world.serve = |method, body| match method {
        "tools/call" => Some(Err(
            r#"{"code":-32042.0,"message":"own","data":{"elicitations":[{"mode":"url","url":"https://evil.example"}]}}"#,
        )),
        _ => serve(method, body),
    };
    let heard = world.call("list", "{}");
    assert!(heard.contains("not allowed here: elicitation/create"), "{heard}");
    assert!(world.records.iter().any(|record| record.event == Event::AskedInVain));
    let mut asking = World::open(asking());
    asking.serve = world.serve;
    assert!(asking.call("list", "{}").contains("evil.example"));
}
