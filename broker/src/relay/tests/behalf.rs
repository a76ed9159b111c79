//! For whom a process for several calls when nothing waits for its answer.

use super::world::{World, behalf, caller, chain, edge, hang, onward, patterns, serve};
use crate::{
    json::text,
    relay::{ConnectionId, Input, InstanceId},
};
use sandboxd_broker_plan::{Approval, BrokerPlan, Instances, Millis, Reverse, Speaks};

/// The same as [`chain`], where `mid` has methods: `a` may call what it calls, and `b` may not.
fn by_methods(mode: Instances) -> BrokerPlan {
    let mut plan = chain(mode);
    plan.callees[1].speaks = Speaks::JsonRpc;
    plan.callees[1].serves.methods = patterns(&["sum", "tick"]);
    plan.edges[0].reach.methods = patterns(&["sum", "tick"]);
    plan.edges[1].reach.methods = patterns(&["sum", "tick"]);
    plan
}

/// Both are connected, and `mid` runs: it has served nobody yet where nothing was asked of it.
fn by_both(plan: BrokerPlan) -> World {
    let mut world = World::new(plan);
    world.connect(1, "a", "mid");
    world.connect(2, "b", "mid");
    world.serve = |method, body| if method == "sum" { None } else { serve(method, body) };
    world
}

fn note(world: &mut World, connection: u64) {
    assert!(world.say(connection, r#"{"jsonrpc":"2.0","method":"sum","params":{}}"#).is_empty());
}

/// `mid` answers what it was asked last.
fn answer(world: &mut World, mid: InstanceId) {
    let id = text(world.got("sum").last().unwrap().get("id").unwrap());
    world.tell_as(mid, &format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#));
}

const HIDDEN: &str = "Unknown tool: list";

#[test]
fn a_notification_makes_one_for_several_do_nothing_that_its_caller_may_not() {
    let mut plan = by_methods(Instances::Attenuate);
    plan.edges[3].approval = Approval::Ask { expires: Millis(1000) };
    let mut world = by_both(plan);
    note(&mut world, 1);
    let (mid, _) = world.started[0];
    behalf(&mut world, 3, mid);
    assert_eq!(onward(&mut world), "");
    assert_eq!(world.asks.pop().unwrap().chains, [["a", "mid"]]);
    world.wait(1000);
    assert!(world.hear(3).concat().contains("not approved"));
    note(&mut world, 2);
    assert!(onward(&mut world).contains(HIDDEN));
}

#[test]
fn whoever_notified_counts_for_a_minute_beside_those_who_wait() {
    let mut plan = by_methods(Instances::Attenuate);
    plan.edges[0].deadline = Millis(600_000);
    let mut world = by_both(plan);
    note(&mut world, 2);
    let (mid, _) = world.started[0];
    behalf(&mut world, 3, mid);
    world.request(1, "1", "sum", "{}");
    assert!(onward(&mut world).contains(HIDDEN), "it may be at what it was notified of");
    world.wait(50_000);
    assert!(onward(&mut world).contains(HIDDEN));
    note(&mut world, 2);
    world.wait(59_999);
    assert!(onward(&mut world).contains(HIDDEN), "it was notified again");
    world.wait(1);
    assert!(onward(&mut world).contains("content"));
    let id = text(world.got("sum")[1].get("id").unwrap());
    world.tell_as(mid, &format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#));
    assert!(onward(&mut world).contains(HIDDEN), "nobody waits, and it has served b");
}

#[test]
fn one_that_has_answered_calls_for_all_whom_it_has_served() {
    let mut world = by_both(by_methods(Instances::Attenuate));
    world.request(1, "1", "sum", "{}");
    let (mid, _) = world.started[0];
    behalf(&mut world, 3, mid);
    answer(&mut world, mid);
    assert!(onward(&mut world).contains("content"));
    assert_eq!(world.relay.spent(), [2, 0, 1], "it is charged to whom it served");
    world.request(2, "1", "sum", "{}");
    answer(&mut world, mid);
    assert!(onward(&mut world).contains(HIDDEN), "it may be at what b wanted");
    world.request(1, "2", "sum", "{}");
    assert!(onward(&mut world).contains("content"), "a alone waits");
    answer(&mut world, mid);
    assert!(onward(&mut world).contains(HIDDEN));
}

#[test]
fn before_it_has_served_anybody_one_for_several_acts_by_its_own_right() {
    for mode in [Instances::Serial, Instances::Attenuate] {
        let mut world = by_both(by_methods(mode));
        world.starts = false;
        world.request(2, "1", "sum", "{}");
        let (mid, _) = world.started[0];
        world.starts = true;
        behalf(&mut world, 3, mid);
        assert!(onward(&mut world).contains("content"));
        assert_eq!(world.relay.spent(), [0, 0, 1], "b has asked, but is not served yet");
    }
}

#[test]
fn one_at_a_time_calls_for_the_last_until_the_next() {
    let mut world = by_both(by_methods(Instances::Serial));
    note(&mut world, 1);
    let (mid, _) = world.started[0];
    behalf(&mut world, 3, mid);
    assert!(onward(&mut world).contains("content"));
    assert_eq!(world.relay.spent(), [2, 0, 1]);
    world.wait(60_000);
    assert!(onward(&mut world).contains("content"));
    assert_eq!(world.relay.spent(), [3, 0, 2], "however long ago it was");
    world.request(2, "1", "sum", "{}");
    answer(&mut world, mid);
    assert!(onward(&mut world).contains("content"));
    assert_eq!(world.relay.spent(), [3, 2, 3]);
}

#[test]
fn what_the_broker_asks_by_itself_is_for_nobody() {
    let mut world = by_both(chain(Instances::Serial));
    world.call_as(1, "1", "list", "{}");
    let (mid, _) = world.started[0];
    behalf(&mut world, 3, mid);
    world.tell_as(mid, r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#);
    world.serve = |method, body| if method == "tools/list" { None } else { serve(method, body) };
    world.call_as(2, "1", "list", "{}");
    assert_eq!(world.got("tools/list").len(), 2);
    assert!(onward(&mut world).contains("content"));
    assert_eq!(world.relay.spent(), [2, 0, 1], "b is not served yet");
}

#[test]
fn one_at_a_time_that_was_notified_may_be_at_that_and_tells_nobody_else() {
    let mut world = by_both(by_methods(Instances::Serial));
    note(&mut world, 1);
    let (mid, _) = world.started[0];
    behalf(&mut world, 3, mid);
    world.request(2, "1", "sum", "{}");
    assert!(onward(&mut world).contains("content"));
    assert_eq!(world.relay.spent(), [2, 2, 1], "it is charged to both");
    let tick = r#"{"jsonrpc":"2.0","method":"tick"}"#;
    world.tell_as(mid, tick);
    assert!(world.hear(1).is_empty() && world.hear(2).is_empty());
    world.wait(59_000);
    answer(&mut world, mid);
    world.hear(2);
    world.wait(1000);
    world.request(2, "2", "sum", "{}");
    world.tell_as(mid, tick);
    assert_eq!((world.hear(1).len(), world.hear(2).len()), (0, 1));
}

#[test]
fn a_subscription_is_not_what_one_for_several_is_at() {
    let mut world = by_both(chain(Instances::Attenuate));
    world.call_as(2, "1", "list", "{}");
    let (mid, _) = world.started[0];
    behalf(&mut world, 3, mid);
    world.serve = |method, body| {
        if method == "subscriptions/listen" { None } else { serve(method, body) }
    };
    let modern = r#"{"notifications":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",
        "io.modelcontextprotocol/clientCapabilities":{}}}"#;
    assert!(world.request(1, "1", "subscriptions/listen", modern).is_empty());
    assert_eq!(world.got("subscriptions/listen").len(), 1);
    assert!(onward(&mut world).contains(HIDDEN), "it may be at what b wanted");
}

#[test]
fn a_process_that_was_stopped_calls_nothing_any_more() {
    for mode in [Instances::PerCaller, Instances::Attenuate] {
        let mut world = by_both(by_methods(mode));
        note(&mut world, 1);
        let (mid, _) = world.started[0];
        behalf(&mut world, 3, mid);
        world.step(Input::Closed(ConnectionId(1)));
        world.step(Input::Ended(mid));
        // Its connections end with it: nobody answers, and nothing is called.
        assert_eq!(onward(&mut world), "");
        assert_eq!(world.relay.spent()[2], 0);
    }
}

#[test]
fn more_than_are_looked_at_stay_too_many() {
    let mut plan = by_methods(Instances::Attenuate);
    let callers: Vec<String> = (0..70).map(|number| format!("c{number}")).collect();
    for one in &callers {
        plan.callers.push(caller(one));
        plan.edges.push(edge(one, "fs"));
        let mut to_mid = edge(one, "mid");
        to_mid.reach.methods = patterns(&["sum"]);
        plan.edges.push(to_mid);
    }
    let mut world = by_both(plan);
    for (connection, one) in (10_u64..).zip(&callers) {
        world.connect(connection, one, "mid");
        note(&mut world, connection);
        if connection == 10 {
            let (mid, _) = world.started[0];
            behalf(&mut world, 3, mid);
            assert!(onward(&mut world).contains("content"));
        }
    }
    assert!(onward(&mut world).contains("chain"));
    world.wait(60_000);
    assert!(onward(&mut world).contains("chain"), "it has served them");
    world.request(1, "1", "sum", "{}");
    assert!(onward(&mut world).contains("content"), "a alone waits");
}

/// What `b`, who has no edge to `fs`, would have `mid` do.
const WORDS: &str = "call fs";

#[test]
fn of_a_list_that_the_broker_asks_for_itself_no_word_is_a_callers() {
    let meta = r#"{"note":"call fs","progressToken":"call fs","dev.sandboxd/note":"call fs",
        "io.modelcontextprotocol/protocolVersion":"call fs",
        "io.modelcontextprotocol/logLevel":"call fs",
        "io.modelcontextprotocol/clientInfo":{"name":"call fs"},
        "io.modelcontextprotocol/clientCapabilities":{"elicitation":{"call fs":1},"call fs":{}}}"#;
    let asked = |plan: BrokerPlan, tool: &str| {
        let mut world = by_both(plan);
        let params = format!(r#"{{"name":"{tool}","arguments":{{}},"_meta":{meta}}}"#);
        world.request(2, "1", "tools/call", &params);
        let asked = world.got("tools/list")[0].get("params").unwrap();
        let lines: Vec<String> = world.served.iter().map(|(_, line)| text(line)).collect();
        (text(asked), lines.concat().contains(WORDS))
    };
    let version = env!("CARGO_PKG_VERSION");
    let said = |name: &str, capabilities: &str| {
        format!(
            r#"{{"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{{"name":"{name}","version":"{version}"}},"io.modelcontextprotocol/clientCapabilities":{capabilities}}}}}"#
        )
    };
    for mode in [Instances::Attenuate, Instances::Serial] {
        // Whether it goes on, is not there or waits for somebody.
        let plan = chain(mode);
        assert_eq!(asked(plan.clone(), "list"), (said("sandboxd", "{}"), true));
        assert_eq!(asked(plan.clone(), "write"), (said("sandboxd", "{}"), false));
        let mut plan = plan;
        plan.edges[1].approval = Approval::Ask { expires: Millis(1000) };
        assert_eq!(asked(plan, "list"), (said("sandboxd", "{}"), false));
    }
    let mut plan = chain(Instances::PerCaller);
    plan.edges[1].reverse = vec![Reverse::Elicitation, Reverse::Sampling];
    let all = r#"{"elicitation":{"form":{},"url":{}},"sampling":{"context":{},"tools":{}}}"#;
    assert_eq!(asked(plan, "write"), (said("b", all), false));
}

#[test]
fn a_process_that_takes_anothers_place_hears_no_word_of_whoever_greeted_that_one() {
    let greeted = |said: &str, reverse: Vec<Reverse>| {
        let mut plan = chain(Instances::Attenuate);
        plan.edges[1].reverse = reverse;
        let mut world = by_both(plan);
        let line = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","beside":"call fs","params":{said}}}"#
        );
        assert!(world.say(2, &line).concat().contains("serverInfo"));
        let (mid, _) = world.started[0];
        behalf(&mut world, 3, mid);
        assert!(onward(&mut world).contains(HIDDEN), "what b said to it is for b");
        world.step(Input::Ended(mid));
        world.call_as(1, "1", "list", "{}");
        assert_eq!(world.got("initialize").len(), 2);
        let mut again = world.got("initialize")[1].clone();
        again.remove("id");
        text(&again.into())
    };
    let version = env!("CARGO_PKG_VERSION");
    let says = |date: &str, capabilities: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","method":"initialize","params":{{"protocolVersion":"{date}","capabilities":{capabilities},"clientInfo":{{"name":"sandboxd","version":"{version}"}}}}}}"#
        )
    };
    let words = r#"{"protocolVersion":"call fs","note":"call fs","_meta":{"note":"call fs"},
        "capabilities":{"elicitation":{"url":{"note":"call fs"},"note":1},"roots":{"note":1},"sampling":7},
        "clientInfo":{"name":"call fs","version":"call fs","title":"call fs"}}"#;
    assert_eq!(greeted(words, vec![]), says("2025-11-25", "{}"));
    let all = vec![Reverse::Elicitation, Reverse::Sampling];
    let kept = r#"{"elicitation":{"url":{}},"sampling":{}}"#;
    assert_eq!(greeted(words, all.clone()), says("2025-11-25", kept));
    let plain = r#"{"protocolVersion":"2025-06-18","capabilities":{"elicitation":{}}}"#;
    assert_eq!(greeted(plain, all), says("2025-06-18", r#"{"elicitation":{}}"#));
}

#[test]
fn whoever_gave_up_a_handshake_counts_for_a_minute_beside_those_who_wait() {
    let mut plan = chain(Instances::Attenuate);
    plan.edges[0].deadline = Millis(600_000);
    let mut world = by_both(plan);
    world.serve = |method, body| if method == "initialize" { None } else { hang(method, body) };
    world.request(2, "1", "initialize", r#"{"note":"call fs"}"#);
    let (mid, _) = world.started[0];
    behalf(&mut world, 3, mid);
    world.call_as(1, "1", "list", "{}");
    assert!(onward(&mut world).contains(HIDDEN));
    world.step(Input::Closed(ConnectionId(2)));
    world.wait(5000);
    assert!(onward(&mut world).contains(HIDDEN), "it may be at it still");
    world.wait(60_000);
    assert!(onward(&mut world).contains("content"), "a alone waits");
}

#[test]
fn a_question_is_answered_while_it_is_asked_for_whoever_answers() {
    let question = r#"{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{}}"#;
    let answered = |world: &mut World, connection: u64, asked: &str| {
        let number = text(
            crate::json::parse(asked.as_bytes()).unwrap().as_object().unwrap().get("id").unwrap(),
        );
        let before = world.served.len();
        world.say(
            connection,
            &format!(r#"{{"jsonrpc":"2.0","id":{number},"result":{{"content":"call fs"}}}}"#),
        );
        let told: Vec<String> = world.served[before..].iter().map(|(_, line)| text(line)).collect();
        told.concat()
    };
    let not_asked =
        r#"{"jsonrpc":"2.0","id":"q","error":{"code":-32601,"message":"Method not found"}}"#;

    let mut plan = chain(Instances::Serial);
    plan.edges[1].reverse = vec![Reverse::Elicitation];
    let mut world = by_both(plan);
    world.serve = hang;
    for late in [false, true] {
        world.call_as(2, "1", "list", "{}");
        let (mid, _) = world.started[0];
        world.tell_as(mid, question);
        let asked = world.hear(2).concat();
        if late {
            let id = text(world.got("tools/call").last().unwrap().get("id").unwrap());
            world.tell_as(mid, &format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#));
            world.call_as(1, "1", "list", "{}");
            assert_eq!(answered(&mut world, 2, &asked), not_asked, "it works for a now");
        } else {
            assert!(answered(&mut world, 2, &asked).contains(WORDS));
            let id = text(world.got("tools/call").last().unwrap().get("id").unwrap());
            world.tell_as(mid, &format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#));
            world.hear(2);
        }
    }

    // One that asks for `a` is told nothing by somebody who has begun to work for `b` too.
    for others in [false, true] {
        let mut plan = chain(Instances::Attenuate);
        plan.callees[0].instances = Instances::Serial;
        plan.edges[2].reverse = vec![Reverse::Elicitation];
        let mut world = by_both(plan);
        world.serve = hang;
        world.call_as(1, "1", "list", "{}");
        let (mid, _) = world.started[0];
        behalf(&mut world, 3, mid);
        world.call_as(3, "1", "list", "{}");
        let (fs, _) = world.started[1];
        world.tell_as(fs, question);
        let asked = world.hear(3).concat();
        if others {
            world.call_as(2, "1", "list", "{}");
        }
        let told = answered(&mut world, 3, &asked);
        assert_eq!((told.contains(WORDS), told == not_asked), (!others, others), "{told}");
    }
}
