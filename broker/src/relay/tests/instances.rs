//! Whose process it is, and on whose behalf a callee calls.

use super::world::{
    World, behalf, callee, caller, chain, edge, hang, name, onward, patterns, plan, reach, serve,
};
use crate::{
    json::text,
    relay::{ConnectionId, Endpoint, Input, held::OPEN},
};
use sandboxd_broker_plan::record::{Event, Rule};
use sandboxd_broker_plan::{
    Approval, Arguments, Bound, BrokerPlan, Instances, Instructions, Millis, Reverse, Speaks,
};

#[test]
fn each_connection_has_an_instance_of_its_own_that_ends_with_it() {
    let mut world = World::open(plan());
    world.connect(2, "a", "fs");
    world.call_as(1, "1", "list", "{}");
    world.call_as(2, "1", "list", "{}");
    assert_eq!(world.started.len(), 2);
    world.step(Input::Closed(ConnectionId(1)));
    assert_eq!(world.stopped, [world.started[0].0]);
    assert!(world.call_as(2, "2", "list", "{}").concat().contains("content"));
}

#[test]
fn a_connection_that_asks_for_nothing_starts_nothing() {
    let mut world = World::open(plan());
    world.say(1, r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    world.say(1, r#"{"jsonrpc":"2.0","id":1,"method":"tasks/list"}"#);
    world.step(Input::Closed(ConnectionId(1)));
    assert!(world.started.is_empty() && world.stopped.is_empty());
}

#[test]
fn an_instance_for_all_shakes_hands_once() {
    let mut plan = plan();
    plan.callees[0].instances = Instances::Attenuate;
    let mut world = World::open(plan);
    world.connect(2, "a", "fs");
    let first = world.request(1, "1", "initialize", "{}").concat();
    let second = world.request(2, "1", "initialize", "{}").concat();
    assert_eq!(first, second);
    assert_eq!((world.got("initialize").len(), world.started.len()), (1, 1));
    for connection in [1, 2] {
        world.say(connection, r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    }
    assert_eq!(world.got("notifications/initialized").len(), 1);
}

#[test]
fn what_a_callee_calls_is_on_behalf_of_whoever_it_works_for() {
    let mut world = World::new(chain(Instances::PerCaller));
    world.serve = hang;
    world.connect(1, "a", "mid");
    world.call_as(1, "1", "list", "{}");
    let (mid, _) = world.started[0];
    behalf(&mut world, 2, mid);
    world.serve = super::world::serve;
    assert!(world.call_as(2, "1", "list", "{}").concat().contains("content"));
    let record = world.records.iter().rev().find(|record| record.connection == 2).unwrap();
    assert_eq!(record.edge, Some(2), "the edge from mid to its tool");
    assert_eq!(world.relay.spent(), [2, 0, 1], "it is charged to both");
}

#[test]
fn a_chain_that_is_too_long_or_comes_back_is_refused() {
    let mut plan = chain(Instances::PerCaller);
    plan.limits.hops = 1;
    let mut world = World::new(plan);
    world.connect(1, "a", "mid");
    world.call_as(1, "1", "list", "{}");
    let (mid, _) = world.started[0];
    behalf(&mut world, 2, mid);
    assert!(world.call_as(2, "1", "list", "{}").concat().contains("chain"));
    let mut plan = chain(Instances::PerCaller);
    plan.callees.push(callee("a"));
    plan.edges.push(edge("mid", "a"));
    let mut world = World::new(plan);
    world.connect(1, "a", "mid");
    world.call_as(1, "1", "list", "{}");
    let (mid, _) = world.started[0];
    let (caller, back) = (name("mid"), name("a"));
    world.step(Input::Opened {
        connection: ConnectionId(2),
        caller: &caller,
        endpoint: Endpoint::Edge(&back),
        behalf: Some(mid),
    });
    assert!(world.call_as(2, "1", "list", "{}").concat().contains("chain"));
}

#[test]
fn one_process_for_several_may_call_what_all_of_them_may() {
    // `b` has no edge to `fs`.
    let mut world = World::new(chain(Instances::Attenuate));
    world.connect(1, "a", "mid");
    world.connect(2, "b", "mid");
    world.serve = hang;
    world.call_as(1, "1", "list", "{}");
    let (mid, _) = world.started[0];
    behalf(&mut world, 3, mid);
    world.serve = super::world::serve;
    assert!(world.call_as(3, "1", "list", "{}").concat().contains("content"));
    world.serve = hang;
    world.call_as(2, "1", "list", "{}");
    world.serve = super::world::serve;
    assert!(world.call_as(3, "1", "list", "{}").concat().contains("Unknown tool: list"));
}

#[test]
fn one_that_may_be_for_more_than_are_looked_at_is_refused() {
    let mut plan = chain(Instances::Attenuate);
    let callers: Vec<String> = (0..65).map(|number| format!("c{number}")).collect();
    for one in &callers {
        plan.callers.push(caller(one));
        plan.edges.extend([edge(one, "mid"), edge(one, "fs")]);
    }
    let mut world = World::new(plan);
    world.serve = hang;
    for (connection, one) in (10_u64..).zip(&callers) {
        world.connect(connection, one, "mid");
        world.call_as(connection, "1", "list", "{}");
        if connection == 10 {
            let (mid, _) = world.started[0];
            behalf(&mut world, 3, mid);
            assert!(onward(&mut world).contains("content"));
        }
    }
    assert!(onward(&mut world).contains("chain"));
}

#[test]
fn one_at_a_time_is_one_at_a_time() {
    let mut world = World::new(chain(Instances::Serial));
    world.connect(1, "a", "mid");
    world.connect(2, "b", "mid");
    world.serve = hang;
    world.call_as(1, "1", "list", "{}");
    world.call_as(2, "1", "list", "{}");
    assert_eq!(world.got("tools/call").len(), 1);
    let first = text(world.got("tools/call")[0].get("id").unwrap());
    let (mid, _) = world.started[0];
    world.tell_as(mid, &format!(r#"{{"jsonrpc":"2.0","id":{first},"result":{{}}}}"#));
    assert_eq!(world.got("tools/call").len(), 2);
}

#[test]
fn a_call_within_a_call_ends_no_later_than_that() {
    let mut plan = chain(Instances::PerCaller);
    plan.edges[0].deadline = Millis(1000);
    plan.edges[2].deadline = Millis(60_000);
    plan.edges[2].reach = reach(&["*"]);
    let mut world = World::new(plan);
    world.serve = hang;
    world.connect(1, "a", "mid");
    world.call_as(1, "1", "list", "{}");
    let (mid, _) = world.started[0];
    behalf(&mut world, 2, mid);
    world.call_as(2, "1", "list", "{}");
    world.wait(1000);
    assert!(world.hear(2).concat().contains("No answer came in time"));
}

fn cancel(world: &mut World, connection: u64, id: &str) {
    let line = format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#
    );
    world.say(connection, &line);
}

#[test]
fn whoever_cancels_is_still_one_of_those_that_it_is_for_until_there_is_an_answer() {
    // `b` has no edge to `fs`, and `a` has.
    let mut world = World::new(chain(Instances::Attenuate));
    world.connect(1, "a", "mid");
    world.connect(2, "b", "mid");
    world.serve = hang;
    world.call_as(1, "1", "list", "{}");
    let (mid, _) = world.started[0];
    behalf(&mut world, 3, mid);
    world.call_as(2, "1", "list", "{}");
    let late = text(world.got("tools/call")[1].get("id").unwrap());
    cancel(&mut world, 2, "1");
    world.wait(7000);
    assert!(onward(&mut world).contains("Unknown tool: list"));
    assert_eq!(world.relay.in_flight, 1, "it takes no place any more");
    assert!(world.stopped.is_empty(), "somebody else waits for an answer");
    world.tell_as(mid, &format!(r#"{{"jsonrpc":"2.0","id":{late},"result":{{}}}}"#));
    assert!(onward(&mut world).contains("content"));
    // Where none comes, it is stopped with the last answer that is awaited, and the next begins anew.
    world.call_as(2, "2", "list", "{}");
    cancel(&mut world, 2, "2");
    world.wait(7000);
    assert!(world.stopped.is_empty() && onward(&mut world).contains("Unknown tool: list"));
    let first = text(world.got("tools/call")[0].get("id").unwrap());
    world.tell_as(mid, &format!(r#"{{"jsonrpc":"2.0","id":{first},"result":{{}}}}"#));
    // And with it what it had called.
    assert_eq!(world.stopped, [world.started[1].0, mid]);
    assert!(world.relay.calls.is_empty());
    world.call_as(1, "3", "list", "{}");
    assert_eq!(world.started.len(), 3, "mid, fs and mid again");
}

#[test]
fn nobody_is_asked_what_was_asked_for_another_that_cancelled() {
    let mut plan = chain(Instances::Serial);
    plan.edges[1].reverse = vec![Reverse::Elicitation];
    plan.edges[1].queue.wait = Millis(60_000);
    let mut world = World::new(plan);
    world.connect(1, "a", "mid");
    world.connect(2, "b", "mid");
    world.serve = hang;
    world.call_as(1, "1", "list", "{}");
    let (mid, _) = world.started[0];
    cancel(&mut world, 1, "1");
    world.wait(4000);
    assert!(world.call_as(2, "1", "list", "{}").is_empty());
    world.wait(1000);
    assert_eq!(world.stopped, [mid]);
    let heard = world.hear(2).concat();
    assert!(
        heard.contains("not running"),
        "nothing of it went to the one that is stopped: {heard}"
    );
    assert_eq!(world.got("tools/call").len(), 1);
    world.tell_as(mid, r#"{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{}}"#);
    world.call_as(2, "2", "list", "{}");
    assert_eq!((world.started.len(), world.got("tools/call").len()), (2, 2));
    assert!(world.hear(2).is_empty(), "it heard no question");
}

#[test]
fn one_process_for_several_is_held_to_the_arguments_and_approvals_of_each_of_them() {
    let arguments = |schema: &str| Arguments { tool: "list".into(), schema: schema.into() };
    let through = |plan: BrokerPlan| {
        let mut world = World::new(plan);
        world.connect(1, "a", "mid");
        world.serve = hang;
        world.call_as(1, "1", "list", "{}");
        let (mid, _) = world.started[0];
        behalf(&mut world, 3, mid);
        world
    };
    let mut plan = chain(Instances::Attenuate);
    plan.edges[3].arguments = vec![arguments(r#"{"required":["ok"]}"#)];
    let mut world = through(plan.clone());
    assert!(onward(&mut world).contains("Unknown tool: list"));
    world.serve = super::world::serve;
    assert!(world.call_as(3, "2", "list", r#"{"ok":1}"#).concat().contains("content"));
    // One of several edges is enough.
    plan.edges.push(edge("a", "fs"));
    plan.edges[4].name = name("other");
    assert!(onward(&mut through(plan)).contains("content"));

    let mut plan = chain(Instances::Attenuate);
    plan.edges[3].approval = Approval::Ask { expires: Millis(1000) };
    let mut world = through(plan.clone());
    assert_eq!(onward(&mut world), "");
    let ask = world.asks.pop().unwrap();
    assert_eq!((ask.caller.as_str(), ask.chains), ("mid", vec![vec!["a".into(), "mid".into()]]));
    world.wait(1000);
    assert!(world.hear(3).concat().contains("not approved"));
    // Whoever may do it unasked is not asked about.
    plan.edges.push(edge("a", "fs"));
    plan.edges[4].name = name("other");
    assert!(onward(&mut through(plan)).contains("content"));
    // One that works for its caller alone acts by its own edge.
    let mut plan = chain(Instances::PerCaller);
    plan.edges[3].approval = Approval::Ask { expires: Millis(1000) };
    assert!(onward(&mut through(plan)).contains("content"));
}

#[test]
fn what_one_for_several_says_unasked_is_for_the_one_it_works_for_and_no_stray() {
    for (mode, hears) in [(Instances::Serial, 1), (Instances::Attenuate, 0)] {
        let mut plan = chain(mode);
        plan.callees[1].speaks = Speaks::JsonRpc;
        plan.callees[1].serves.methods = patterns(&["sum", "tick", "tock"]);
        for edge in [0, 1] {
            plan.edges[edge].reach.methods = patterns(&["sum"]);
        }
        plan.edges[1].reach.methods = patterns(&["sum", "tick"]);
        let mut world = World::new(plan);
        world.serve = |_, _| None;
        world.connect(1, "a", "mid");
        world.connect(2, "b", "mid");
        world.request(2, "1", "sum", "{}");
        for _ in 0..20 {
            world.tell(r#"{"jsonrpc":"2.0","method":"tock"}"#);
        }
        world.tell(r#"{"jsonrpc":"2.0","method":"tick"}"#);
        assert_eq!((world.hear(1).len(), world.hear(2).len()), (0, hears));
        assert!(world.stopped.is_empty());
        for _ in 0..4 {
            world.tell(r#"{"jsonrpc":"2.0","method":"boom"}"#);
        }
        assert_eq!(world.stopped.len(), 1, "what it does not serve is a stray");
    }
}

/// `a`, on connections 1 and 3, and `b`, on connection 2, of one process for all, whose handshake `a` has begun on its
/// first, and which the others wait for.
fn shaking() -> World {
    let mut plan = plan();
    plan.callers.push(caller("b"));
    plan.edges.push(edge("b", "fs"));
    plan.callees[0].instances = Instances::Attenuate;
    plan.edges[1].instructions = Instructions::Forwarded;
    plan.edges.iter_mut().for_each(|edge| edge.max_result.0 = 1 << 20);
    let mut world = World::open(plan);
    world.serve = |method, body| if method == "initialize" { None } else { serve(method, body) };
    world.connect(2, "b", "fs");
    world.connect(3, "a", "fs");
    for connection in [1, 2, 3] {
        assert!(world.request(connection, "1", "initialize", "{}").is_empty());
    }
    assert_eq!(world.got("initialize").len(), 1);
    world
}

fn answer_last(world: &mut World, key: &str, value: &str) {
    let last = text(world.got("initialize").last().unwrap().get("id").unwrap());
    world.tell(&format!(r#"{{"jsonrpc":"2.0","id":{last},"{key}":{value}}}"#));
}

#[test]
fn a_handshake_is_everybodys_whatever_becomes_of_whoever_began_it() {
    let cancelled =
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    let leaves: [fn(&mut World, &str); 3] = [
        |world, cancelled| drop(world.say(1, cancelled)),
        |world, _| world.step(Input::Closed(ConnectionId(1))),
        |world, _| world.wait(59_999),
    ];
    for leave in leaves {
        let mut world = shaking();
        leave(&mut world, cancelled);
        answer_last(&mut world, "result", r#"{"serverInfo":{},"instructions":"obey"}"#);
        let (b, a) = (world.hear(2).concat(), world.hear(3).concat());
        assert!(b.contains("serverInfo") && b.contains("obey"), "{b}");
        assert!(a.contains("serverInfo") && !a.contains("obey"), "{a}");
        assert_eq!(world.got("initialize").len(), 1);
    }
}

#[test]
fn a_handshake_that_comes_to_nothing_is_made_by_the_next_who_waits() {
    let mut world = shaking();
    world.step(Input::Closed(ConnectionId(1)));
    assert_eq!(world.got("initialize").len(), 1, "its answer may come yet");
    world.wait(5000);
    assert_eq!(world.got("initialize").len(), 2);
    answer_last(&mut world, "error", r#"{"code":-32600,"message":"not now"}"#);
    assert!(world.hear(2).concat().contains("not now"));
    assert_eq!(world.got("initialize").len(), 3);
    answer_last(&mut world, "result", "7");
    assert!(world.hear(3).concat().contains("does not follow the protocol"));
    world.serve = serve;
    for connection in [2, 3] {
        let heard = world.request(connection, "2", "initialize", "{}").concat();
        assert!(heard.contains("serverInfo"), "{heard}");
    }
    assert_eq!(world.got("initialize").len(), 4);
}

#[test]
fn a_handshake_that_is_told_to_all_is_short() {
    let mut world = shaking();
    answer_last(&mut world, "result", &format!(r#"{{"x":[{}1]}}"#, "1,".repeat(7000)));
    assert!(world.hear(1).concat().contains("too long"));
    assert!(world.hear(2).is_empty());
    assert_eq!(world.got("initialize").len(), 2, "the next who waits makes it");
}

#[test]
fn of_a_list_that_changed_everybody_is_told_that_and_no_more() {
    let mut world = shaking();
    world.tell(&format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{{"x":"{}"}}}}"#,
        "y".repeat(1000)
    ));
    for connection in [1, 2, 3] {
        let told = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
        assert_eq!(world.hear(connection), [told]);
    }
}

#[test]
fn what_waits_is_held_for_whoever_made_the_call_until_it_goes_on() {
    let mut plan = plan();
    plan.edges[0].max_request.0 = 1 << 20;
    let mut world = World::open(plan);
    world.starts = false;
    let held = |world: &World| world.relay.held_for(ConnectionId(1));
    let many = format!(r#"{{"path":"x","n":[{}1]}}"#, "1,".repeat(3000));
    for id in 1..=3 {
        world.call_as(1, &id.to_string(), "read", &many);
        assert!(held(&world) > id * 3000 * 40, "a number takes more than its text");
    }
    world
        .say(1, r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#);
    let two = held(&world);
    assert!((2 * 3000 * 40..3 * 3000 * 40).contains(&two), "{two}");
    world.step(Input::FromCaller(ConnectionId(1), br#"{"begun"#));
    assert_eq!(held(&world), two + 7);
    let (instance, _) = world.started[0];
    world.step(Input::Started(instance));
    assert_eq!((held(&world), world.hear(1).len()), (7, 2));
    let names = world.relay.held_of(instance);
    world.step(Input::FromCallee(instance, &[b' '; 1000]));
    assert_eq!(world.relay.held_of(instance), names + 1000);
    world.step(Input::CallerHolds(ConnectionId(1)));
    assert!(world.records.iter().any(|it| (it.event, it.connection) == (Event::Overfull, 1)));
    assert_eq!((world.closed, world.stopped), (vec![ConnectionId(1)], vec![instance]));
}

#[test]
fn a_call_is_held_until_it_is_forgotten_whatever_became_of_what_it_says() {
    let mut plan = plan();
    plan.edges[0].max_request.0 = 1 << 20;
    let mut world = World::open(plan);
    world.serve = hang;
    let many = format!(r#"{{"path":"x","n":[{}1]}}"#, "1,".repeat(3000));
    world.call_as(1, "1", "read", &many);
    let held = |world: &World| world.relay.held_for(ConnectionId(1));
    assert!((2048..3000).contains(&held(&world)), "{}", held(&world));
    assert!(world.relay.weighed() >= held(&world));
    // It waited for its instance, and then went on.
    world.starts = false;
    world.connect(2, "a", "fs");
    world.call_as(2, "1", "read", &many);
    assert!(world.relay.weighed() > 3000 * 40);
    let (instance, _) = world.started[1];
    world.step(Input::Started(instance));
    assert_eq!(world.relay.held_for(ConnectionId(2)), held(&world));
    cancel(&mut world, 1, "1");
    assert!(held(&world) > 0, "its callee may be at it");
    world.wait(5000);
    assert_eq!((held(&world), world.relay.weighed()), (0, 0));
}

#[test]
fn a_connection_has_no_more_calls_than_so_many_however_long_its_callee_takes_to_be_there() {
    let mut plan = plan();
    plan.edges[0].queue.length = u32::MAX;
    let mut world = World::open(plan);
    world.connect(2, "a", "fs");
    world.starts = false;
    for id in 0..OPEN {
        assert!(world.call_as(1, &id.to_string(), "list", "{}").is_empty());
    }
    let most = world.relay.held_for(ConnectionId(1));
    for id in ["\"x\"", "\"y\""] {
        let heard = world.call_as(1, id, "list", "{}").concat();
        assert!(heard.contains("Too many calls are in progress. Try again in 1 s."), "{heard}");
    }
    let heard = world.request(1, "\"z\"", "initialize", "{}").concat();
    assert!(heard.contains("-31003"), "{heard}");
    let told = world.records.last().unwrap().event;
    assert!(matches!(told, Event::Refused(_, Rule::Busy)), "{told:?}");
    assert!(world.call_as(2, "1", "list", "{}").is_empty(), "another has its own");
    assert_eq!(world.relay.calls.len(), OPEN + 1);
    assert_eq!(world.relay.held_for(ConnectionId(1)), most);
    // Each that ends makes room for another.
    cancel(&mut world, 1, "7");
    assert!(world.call_as(1, "\"x\"", "list", "{}").is_empty());
    assert!(!world.call_as(1, "\"y\"", "list", "{}").is_empty());
    world.step(Input::Closed(ConnectionId(1)));
    assert_eq!(world.relay.calls.len(), 1);
}

/// `a` on connection 1 and `b` on connection 2, of one process for all, who have both shaken hands with it.
fn shaken() -> World {
    let mut plan = plan();
    plan.callers.push(caller("b"));
    plan.edges.push(edge("b", "fs"));
    plan.callees[0].instances = Instances::Attenuate;
    plan.edges.iter_mut().for_each(|edge| edge.deadline = Millis(600_000));
    let mut world = World::open(plan);
    world.connect(2, "b", "fs");
    for connection in [1, 2] {
        let hello = r#"{"protocolVersion":"2025-06-18","capabilities":{},"x":7}"#;
        let heard = world.request(connection, "1", "initialize", hello).concat();
        assert!(heard.contains("serverInfo"), "{heard}");
    }
    world
}

#[test]
fn a_process_that_takes_anothers_place_is_greeted_as_that_one_was() {
    let mut world = shaken();
    world.serve = hang;
    world.call_as(1, "2", "list", "{}");
    cancel(&mut world, 1, "2");
    world.wait(7000);
    assert_eq!(world.stopped.len(), 1, "it does not answer what was cancelled");
    world.serve = serve;
    assert!(world.call_as(2, "2", "list", "{}").concat().contains("content"));
    let told = world.got("initialize");
    assert_eq!(told.len(), 2);
    let params = |place: usize| told[place].get("params").unwrap().as_object().unwrap();
    assert_eq!(params(0).get("capabilities"), params(1).get("capabilities"));
    assert_eq!(params(0).get("protocolVersion"), params(1).get("protocolVersion"));
    assert_eq!(world.got("notifications/initialized").len(), 1, "nobody said so of the first");
}

#[test]
fn a_process_that_answers_nothing_of_what_was_given_up_is_stopped_though_others_wait() {
    let mut world = shaken();
    world.serve = hang;
    world.call_as(1, "2", "list", "{}");
    cancel(&mut world, 1, "2");
    world.call_as(2, "2", "list", "{}");
    for millis in [6000, 55_000] {
        world.wait(millis);
        assert!(world.stopped.is_empty(), "somebody waits for it");
    }
    world.wait(6000);
    assert_eq!(world.stopped.len(), 1);
    assert!(world.relay.calls.is_empty());
}

#[test]
fn no_caller_ends_by_itself_a_process_that_others_wait_for() {
    let mut plan = plan();
    plan.callees[0].instances = Instances::Attenuate;
    for one in ["b", "c", "d", "e", "f"] {
        plan.callers.push(caller(one));
        plan.edges.push(edge(one, "fs"));
    }
    plan.edges[0].in_flight = Bound::AtMost(40);
    let mut world = World::open(plan);
    for (connection, one) in (2..).zip(["b", "c", "d", "e", "f"]) {
        world.connect(connection, one, "fs");
    }
    world.serve = hang;
    world.call_as(2, "1", "list", "{}");
    for id in 0..40 {
        world.call_as(1, &id.to_string(), "list", "{}");
        cancel(&mut world, 1, &id.to_string());
    }
    world.wait(5000);
    assert!(world.stopped.is_empty() && world.hear(2).is_empty());
    let served = world.got("tools/call").len();
    let heard = world.call_as(1, "50", "list", "{}").concat();
    assert!(heard.contains("Too many calls are in progress. Try again in 5 s."), "{heard}");
    assert_eq!(world.got("tools/call").len(), served);
    assert!(world.call_as(2, "2", "list", "{}").is_empty(), "another goes on");
    // Once what it gave up is answered, so does it.
    let called = world.got("tools/call");
    let owed = called[1..38].iter().map(|call| text(call.get("id").unwrap()));
    let owed: Vec<String> = owed.collect();
    for id in owed {
        world.tell(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#));
    }
    assert!(world.call_as(1, "51", "list", "{}").is_empty());
    cancel(&mut world, 1, "51");
    // All of them together end it.
    for connection in 3..=5 {
        for id in 0..4 {
            world.call_as(connection, &id.to_string(), "list", "{}");
            cancel(&mut world, connection, &id.to_string());
        }
    }
    world.wait(5000);
    assert!(world.stopped.is_empty(), "sixteen it may owe");
    world.call_as(6, "1", "list", "{}");
    cancel(&mut world, 6, "1");
    world.wait(5000);
    assert_eq!(world.stopped.len(), 1);
    assert!(world.hear(2).concat().contains("not running"));
}

#[test]
fn a_handshake_with_keys_that_differ_in_case_alone_is_nobodys_however_late_it_comes() {
    let mut world = shaking();
    world.step(Input::Closed(ConnectionId(1)));
    answer_last(&mut world, "result", r#"{"serverInfo":{},"Instructions":"obey"}"#);
    assert!(!world.hear(3).concat().contains("obey") && !world.hear(2).concat().contains("obey"));
}
