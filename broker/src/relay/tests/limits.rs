//! Rates, shares, deadlines, and what happens to those who fail or knock too often.

use super::world::{World, behalf, caller, chain, edge, hang, plan, reach, serve};
use crate::{
    json::text,
    limit::{Buckets, Moment, Position, Saved, kept::QUARANTINE},
    relay::{Ask, ConnectionId, Input, InstanceId, Load, Relay, Verdict},
};
use sandboxd_broker_plan::record::Event;
use sandboxd_broker_plan::{
    Approval, Bound, BrokerPlan, Durability, Instances, Millis, Quarantine, Rate, Repeats,
};

fn rate(count: u32, burst: u32) -> Rate {
    Rate::Per { count, period: Millis(60_000), burst }
}

#[test]
fn a_call_too_often_is_told_how_long_to_wait_and_a_restart_gives_nothing_back() {
    let mut limited = plan();
    limited.edges[0].rate = rate(60, 2);
    let mut world = World::open(limited.clone());
    assert!(world.call("list", "{}").contains("content"));
    assert!(world.call("list", "{}").contains("content"));
    assert!(world.call("list", "{}").contains("Called too often. Try again in 1 s."));
    let keys = Buckets::new(&limited).keys();
    let charged = world.relay.charged().into_iter();
    let saved: Vec<Saved> =
        charged.map(|(place, full)| Saved { key: keys[place].clone(), full }).collect();
    let mut again = World::open(limited.clone());
    again.relay = Relay::new(limited.clone(), again.now).unwrap();
    again.relay.restore(&saved);
    again.connect(1, "a", "fs");
    assert!(again.call("list", "{}").contains("too often"));
    again.relay = Relay::new(limited, again.now).unwrap();
    let rates = keys.into_iter().filter(|key| !key.starts_with(QUARANTINE));
    let lost: Vec<Saved> = rates.map(|key| Saved { key, full: Moment(u64::MAX) }).collect();
    again.relay.restore(&lost);
    again.connect(1, "a", "fs");
    assert!(again.call("list", "{}").contains("too often"));
    again.wait(1000);
    assert!(again.call("list", "{}").contains("content"));
}

#[test]
fn arguments_are_looked_at_for_whoever_has_a_call_left_and_are_charged_to_nobody() {
    let mut limited = plan();
    limited.callees[0].rate = rate(60, 2);
    let mut world = World::open(limited);
    for _ in 0..5 {
        assert!(world.call("read", "{}").contains("is missing"));
    }
    assert_eq!(world.relay.charged(), []);
    for _ in 0..2 {
        assert!(world.call("read", r#"{"path":"x"}"#).contains("1.50"));
    }
    assert!(world.call("read", "{}").contains("Called too often. Try again in 1 s."));
    assert!(world.call("write", "{}").contains("Unknown tool: write"), "that costs no look");
    world.wait(1000);
    assert!(world.call("read", "{}").contains("is missing"));
    assert!(world.call("read", r#"{"path":"x"}"#).contains("1.50"));
}

#[test]
fn zero_allows_nothing_by_each_limit() {
    let changes: [fn(&mut BrokerPlan); 8] = [
        |plan| plan.edges[0].rate = rate(0, 5),
        |plan| plan.callers[0].rate = rate(5, 0),
        |plan| plan.callees[0].rate = rate(0, 0),
        |plan| plan.limits.rate = rate(0, 1),
        |plan| plan.callers[0].calls = Bound::AtMost(0),
        |plan| plan.edges[0].repeats.most = Bound::AtMost(0),
        |plan| plan.limits.hops = 0,
        |plan| plan.callers[0].connections = 0,
    ];
    for change in changes {
        let mut plan = plan();
        change(&mut plan);
        let mut world = World::open(plan);
        world.call("list", "{}");
        assert!(world.got("tools/call").is_empty());
    }
}

#[test]
fn what_is_denied_is_charged_to_nobody_and_what_is_listed_to_another_bucket() {
    let mut plan = plan();
    plan.callees[0].rate = rate(1, 1);
    plan.callers[0].lists = rate(2, 2);
    let mut world = World::open(plan);
    for _ in 0..20 {
        assert!(world.call("write", "{}").contains("Unknown tool"));
    }
    assert!(world.request(1, "1", "tools/list", "{}").concat().contains("tools"));
    assert!(world.request(1, "1", "tools/list", "{}").concat().contains("tools"));
    let heard = world.request(1, "1", "tools/list", "{}").concat();
    assert!(heard.contains(r#""code":-31002"#) && heard.contains("retryAfterSeconds"), "{heard}");
    assert!(world.call("list", "{}").contains("content"));
}

#[test]
fn a_handshake_that_is_answered_by_the_broker_is_charged_as_the_first_was() {
    for mode in [Instances::Attenuate, Instances::Serial, Instances::PerCaller] {
        let mut plan = plan();
        plan.callees[0].instances = mode.clone();
        plan.callers[0].lists = rate(2, 2);
        let mut world = World::open(plan);
        for _ in 0..2 {
            let heard = world.request(1, "1", "initialize", "{}").concat();
            assert!(heard.contains("serverInfo"), "{mode:?}: {heard}");
        }
        for _ in 0..20 {
            let heard = world.request(1, "1", "initialize", "{}").concat();
            assert!(heard.contains(r#""code":-31002"#), "{mode:?}: {heard}");
        }
        world.wait(30_000);
        let heard = world.request(1, "1", "initialize", "{}").concat();
        assert!(heard.contains("serverInfo"), "{mode:?}: {heard}");
        assert!(
            world.call("list", "{}").contains("content"),
            "{mode:?}: calls are charged elsewhere"
        );
    }
}

#[test]
fn who_knocks_too_often_is_not_heard_for_a_while() {
    let mut plan = plan();
    plan.callers[0].quarantine =
        Quarantine { denials: 2, window: Millis(60_000), length: Millis(30_000) };
    let keys = Buckets::new(&plan).keys();
    let mut world = World::open(plan.clone());
    for _ in 0..3 {
        assert!(world.call("write", "{}").contains("Unknown tool"));
    }
    let charged = world.relay.charged();
    let held = charged.iter().find(|(place, _)| keys[*place] == format!("{QUARANTINE}a")).unwrap();
    let good = world.call("list", "{}");
    let bad = world.call("write", "{}");
    let none = world.call("nothing", "{}");
    assert!(good.contains("Try again in 30 s."), "{good}");
    assert!(good == bad && bad == none, "it tells nothing apart");
    assert!(world.records.iter().any(|record| record.event == Event::Quarantined));
    let mut again = World::open(plan.clone());
    again.relay = Relay::new(plan, again.now).unwrap();
    again.relay.restore(&[Saved { key: keys[held.0].clone(), full: held.1 }]);
    again.connect(1, "a", "fs");
    assert!(again.call("list", "{}").contains("Try again in"), "a restart ends no quarantine");
    world.wait(30_000);
    assert!(world.call("list", "{}").contains("content"));
}

#[test]
fn the_very_same_call_too_often_is_refused_however_it_is_written() {
    let mut plan = plan();
    plan.edges[0].repeats = Repeats { most: Bound::AtMost(2), window: Millis(60_000) };
    let mut world = World::open(plan);
    assert!(world.call("list", r#"{"a":1,"b":2}"#).contains("content"));
    assert!(world.call("list", r#"{"b":2, "a":1}"#).contains("content"));
    assert!(world.call("list", r#"{"a":1,"b":2}"#).contains("many times"));
    assert!(world.call("list", r#"{"a":1,"b":3}"#).contains("content"));
}

#[test]
fn a_budget_is_spent_once_and_for_all() {
    let mut plan = plan();
    plan.callers[0].calls = Bound::AtMost(2);
    let mut world = World::open(plan);
    world.call("list", "{}");
    world.call("write", "{}");
    world.call("list", "{}");
    assert!(world.call("list", "{}").contains("budget"));
    assert_eq!(world.relay.spent(), [2]);
    world.wait(10_000_000);
    assert!(world.call("list", "{}").contains("budget"));
}

#[test]
fn a_call_without_an_answer_ends_at_its_deadline_and_keeps_its_place_for_a_while() {
    let mut plan = plan();
    plan.edges[0].deadline = Millis(1000);
    plan.edges[0].in_flight = Bound::AtMost(1);
    plan.edges[0].queue.length = 0;
    let mut world = World::open(plan);
    world.serve = hang;
    world.call("list", "{}");
    assert_eq!(world.relay.wakes_at(), Some(world.now.after(Millis(1000))));
    world.wait(1000);
    assert!(world.hear(1).concat().contains("No answer came in time"));
    assert_eq!(world.got("notifications/cancelled").len(), 1);
    assert!(world.call("list", "{}").contains("Too many calls"), "it is still at it");
    world.wait(5000);
    assert!(world.call("list", "{}").is_empty(), "its place is free again");
    let late = text(world.got("tools/call")[0].get("id").unwrap());
    world.tell(&format!(r#"{{"jsonrpc":"2.0","id":{late},"result":{{"content":[]}}}}"#));
    assert!(world.hear(1).is_empty(), "a late answer is nobody's");
}

#[test]
fn five_failures_open_the_breaker_and_the_callee_gets_a_rest() {
    let mut plan = plan();
    plan.edges[0].deadline = Millis(10);
    let mut world = World::open(plan);
    world.serve = hang;
    for _ in 0..5 {
        world.call("list", "{}");
        world.wait(10);
        assert!(world.hear(1).concat().contains("No answer"));
    }
    assert!(world.call("list", "{}").contains("is paused. Try again in 5 s."));
    assert!(world.records.iter().any(|record| record.event == Event::BreakerOpened));
    assert_eq!(world.got("tools/call").len(), 5);
    let load = |breaker| vec![(0, Load { waiting: 0, breaker })];
    assert_eq!(world.relay.loads(), load(Position::Open));
    world.wait(5000);
    world.call("list", "{}");
    assert_eq!(world.relay.loads(), load(Position::Trying));
    world.wait(10);
    world.hear(1);
    assert_eq!(world.relay.loads(), load(Position::Open));
    world.wait(10_000);
    world.serve = serve;
    assert!(world.call("list", "{}").contains("content"));
    assert!(world.call("list", "{}").contains("content"));
    assert_eq!(world.relay.loads(), load(Position::Closed));
}

#[test]
fn an_instance_that_cannot_be_started_opens_the_breaker_too() {
    let mut world = World::new(plan());
    world.starts = false;
    for connection in 1..=5 {
        world.connect(connection, "a", "fs");
        assert!(world.call_as(connection, "1", "list", "{}").is_empty());
        let (instance, _) = *world.started.last().unwrap();
        world.step(Input::Ended(instance));
        assert!(world.hear(connection).concat().contains("not running"));
    }
    assert_eq!(world.closed.len(), 5, "as a client sees that its server did not start");
    world.connect(6, "a", "fs");
    assert!(world.call_as(6, "1", "list", "{}").concat().contains("is paused"));
    assert_eq!(world.started.len(), 5);
    world.wait(5000);
    assert!(world.call_as(6, "1", "list", "{}").is_empty());
    let (instance, _) = *world.started.last().unwrap();
    world.step(Input::Ended(instance));
    world.connect(7, "a", "fs");
    assert!(world.call_as(7, "1", "list", "{}").concat().contains("Try again in 10 s."));
    world.wait(10_000);
    world.starts = true;
    assert!(world.call_as(7, "1", "list", "{}").concat().contains("1.50"));
}

#[test]
fn calls_wait_for_their_turn_and_no_longer_than_they_may() {
    let mut plan = plan();
    plan.edges[0].in_flight = Bound::AtMost(1);
    plan.edges[0].queue.length = 2;
    let mut world = World::open(plan);
    world.serve = hang;
    for id in ["1", "2", "3"] {
        assert!(world.call_as(1, id, "list", "{}").is_empty());
    }
    let heard = world.call_as(1, "4", "list", "{}").concat();
    assert!(heard.contains("\"id\":4") && heard.contains("Try again in 2 s."), "{heard}");
    let load = |waiting| vec![(0, Load { waiting, breaker: Position::Closed })];
    assert_eq!(world.relay.loads(), load(2));
    assert_eq!(world.relay.loads(), [], "it is told once");
    assert_eq!(world.got("tools/call").len(), 1);
    let first = text(world.got("tools/call")[0].get("id").unwrap());
    world.tell(&format!(r#"{{"jsonrpc":"2.0","id":{first},"result":{{}}}}"#));
    assert_eq!(world.got("tools/call").len(), 2);
    world.hear(1);
    world.wait(2000);
    let heard = world.hear(1);
    assert!(heard.len() == 1 && heard[0].contains("\"id\":3"), "{heard:?}");
    assert_eq!(world.relay.loads(), load(0));
}

#[test]
fn one_that_floods_does_not_hold_up_another() {
    let mut plan = plan();
    plan.callers.push(caller("b"));
    plan.edges.push(edge("b", "fs"));
    plan.callees[0].instances = Instances::Attenuate;
    plan.callees[0].in_flight = Bound::AtMost(1);
    for edge in &mut plan.edges {
        edge.queue.length = 100;
        edge.queue.wait = Millis(600_000);
    }
    let mut world = World::open(plan);
    world.connect(2, "b", "fs");
    world.serve = hang;
    for id in 0..50 {
        world.call_as(1, &id.to_string(), "list", "{}");
    }
    world.call_as(2, "\"b\"", "list", "{}");
    for turn in 0..3 {
        let last = text(world.got("tools/call").last().unwrap().get("id").unwrap());
        let (instance, _) = world.started[0];
        world.tell_as(instance, &format!(r#"{{"jsonrpc":"2.0","id":{last},"result":{{}}}}"#));
        if world.hear(2).len() == 1 {
            return;
        }
        assert!(turn < 2, "behind the flood of another");
    }
}

#[test]
fn a_caller_that_leaves_takes_all_its_calls_with_it() {
    let mut plan = plan();
    plan.callers.push(caller("b"));
    plan.edges.push(edge("b", "fs"));
    plan.edges[1].reach = reach(&["list"]);
    plan.callees[0].instances = Instances::Attenuate;
    plan.callees[0].in_flight = Bound::AtMost(1);
    let mut world = World::open(plan);
    world.connect(2, "b", "fs");
    world.serve = hang;
    world.call_as(1, "1", "list", "{}");
    world.call_as(1, "2", "list", "{}");
    world.call_as(2, "1", "list", "{}");
    world.step(Input::Closed(ConnectionId(1)));
    assert_eq!(world.got("notifications/cancelled").len(), 1);
    assert!(world.stopped.is_empty(), "it is for others too");
    world.wait(1999);
    let first = text(world.got("tools/call")[0].get("id").unwrap());
    let (instance, _) = world.started[0];
    world.tell_as(instance, &format!(r#"{{"jsonrpc":"2.0","id":{first},"result":{{}}}}"#));
    assert_eq!(world.got("tools/call").len(), 2, "the one of the other, whose turn it is");
    let gone = sandboxd_broker_plan::Name::try_from("b").unwrap();
    world.step(Input::CallerGone(&gone));
    assert_eq!(world.closed, [ConnectionId(2)]);
}

#[test]
fn a_caller_that_writes_no_more_still_gets_its_answers() {
    let mut world = World::open(plan());
    world.serve = hang;
    world.call("list", "{}");
    world.step(Input::Finished(ConnectionId(1)));
    assert!(world.closed.is_empty() && world.stopped.is_empty());
    let id = text(world.got("tools/call")[0].get("id").unwrap());
    world.tell(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[]}}}}"#));
    assert!(world.hear(1).concat().contains("content"));
    assert_eq!(world.closed, [ConnectionId(1)]);
    assert_eq!(world.stopped.len(), 1);
}

#[test]
fn what_one_callers_process_does_wrong_costs_no_other_caller() {
    for mode in [Instances::PerCaller, Instances::Attenuate] {
        let mut plan = plan();
        plan.callers.push(caller("b"));
        plan.edges.push(edge("b", "fs"));
        plan.edges.iter_mut().for_each(|edge| edge.deadline = Millis(10));
        plan.callees[0].instances = mode.clone();
        let mut world = World::open(plan);
        world.serve = hang;
        for _ in 0..5 {
            world.call("list", "{}");
            world.wait(10);
        }
        world.hear(1);
        assert!(world.call("list", "{}").contains("is paused"));
        world.connect(3, "a", "fs");
        assert!(world.call_as(3, "1", "list", "{}").concat().contains("is paused"));
        world.serve = serve;
        world.connect(2, "b", "fs");
        let heard = world.call_as(2, "1", "list", "{}").concat();
        let own = mode == Instances::PerCaller;
        assert!(heard.contains(if own { "1.50" } else { "is paused" }), "{heard}");
        assert_eq!(world.relay.loads()[0].1.breaker, Position::Open, "it is shut for somebody");
    }
}

#[test]
fn who_gives_one_for_several_less_time_than_others_do_gives_it_no_rest() {
    let mut plan = plan();
    plan.callers.push(caller("b"));
    plan.edges.push(edge("b", "fs"));
    plan.edges[0].deadline = Millis(10);
    plan.callees[0].instances = Instances::Attenuate;
    let mut world = World::open(plan);
    world.serve = hang;
    for _ in 0..6 {
        world.call("list", "{}");
        world.wait(10);
        assert!(world.hear(1).concat().contains("No answer came in time"));
    }
    world.serve = serve;
    world.connect(2, "b", "fs");
    assert!(world.call_as(2, "1", "list", "{}").concat().contains("1.50"));
}

#[test]
fn what_hangs_for_several_is_given_a_rest_though_the_disk_was_waited_for() {
    let mut plan = plan();
    plan.edges[0].deadline = Millis(10);
    plan.edges[0].durability = Durability::Durable;
    plan.callees[0].instances = Instances::Attenuate;
    let mut world = World::open(plan);
    world.serve = hang;
    for _ in 0..5 {
        world.call("list", "{}");
        world.wait(1);
        let call = world.durable.remove(0);
        world.step(Input::Recorded { call, written: true });
        world.wait(9);
        assert!(world.hear(1).concat().contains("No answer came in time"));
    }
    assert!(world.call("list", "{}").contains("is paused"));
}

#[test]
fn one_for_several_that_had_what_was_left_of_anothers_time_is_given_no_rest() {
    let mut plan = chain(Instances::PerCaller);
    plan.callees[0].instances = Instances::Attenuate;
    plan.edges[0].deadline = Millis(9);
    plan.edges[2].deadline = Millis(10);
    plan.edges[3].deadline = Millis(10);
    let mut world = World::new(plan);
    world.connect(1, "a", "mid");
    world.serve = hang;
    for round in 0..5 {
        world.call_as(1, "1", "list", "{}");
        if round == 0 {
            let (mid, _) = world.started[0];
            behalf(&mut world, 3, mid);
        }
        world.call_as(3, "1", "list", "{}");
        world.wait(9);
        assert!(world.hear(3).concat().contains("No answer came in time"));
    }
    assert!(!world.call_as(3, "9", "list", "{}").concat().contains("is paused"));
}

/// `a` and `b` have each a process of `mid`, which calls `fs` on connection 3 for the one and 4 for the other.
fn by_each(plan: BrokerPlan) -> (World, [InstanceId; 2]) {
    let mut world = World::new(plan);
    world.serve = hang;
    for (connection, caller) in [(1, "a"), (2, "b")] {
        world.connect(connection, caller, "mid");
        world.call_as(connection, "1", "list", "{}");
    }
    world.serve = serve;
    let mids = [world.started[0].0, world.started[1].0];
    behalf(&mut world, 3, mids[0]);
    behalf(&mut world, 4, mids[1]);
    (world, mids)
}

#[test]
fn what_one_process_of_a_caller_does_wrong_costs_no_other_of_the_same() {
    type Wrong = (fn(&mut BrokerPlan), fn(&mut World), &'static str);
    let wrongs: [Wrong; 3] = [
        (
            |plan| plan.callers[2].quarantine.denials = 2,
            |world| (0..3).for_each(|_| drop(world.call_as(3, "1", "write", "{}"))),
            "were denied",
        ),
        (
            |plan| plan.edges[2].repeats.most = Bound::AtMost(2),
            |world| (0..2).for_each(|_| drop(world.call_as(3, "1", "list", "{}"))),
            "many times",
        ),
        (
            |plan| plan.edges[2].deadline = Millis(10),
            |world| {
                world.serve = hang;
                for _ in 0..5 {
                    world.call_as(3, "1", "list", "{}");
                    world.wait(10);
                }
                world.hear(3);
                world.serve = serve;
            },
            "is paused",
        ),
    ];
    for (change, wrong, refused) in wrongs {
        let mut plan = chain(Instances::PerCaller);
        change(&mut plan);
        let (mut world, mids) = by_each(plan);
        wrong(&mut world);
        let heard = world.call_as(3, "9", "list", "{}").concat();
        assert!(heard.contains(refused), "{heard}");
        let heard = world.call_as(4, "9", "list", "{}").concat();
        assert!(heard.contains("1.50"), "{heard}");
        world.wait(60_000);
        assert!(!world.call_as(3, "10", "list", "{}").concat().contains(refused));
        mids.into_iter().for_each(|mid| world.step(Input::Ended(mid)));
        assert!(world.relay.tripwires.is_empty(), "what a process did ends with it");
        assert!(world.relay.callees[0].fuses.is_empty());
    }
}

#[test]
fn each_process_of_a_caller_has_connections_of_its_own() {
    let mut plan = chain(Instances::PerCaller);
    plan.callers[2].connections = 2;
    let (mut world, [a, b]) = by_each(plan);
    behalf(&mut world, 5, a);
    behalf(&mut world, 6, a);
    assert_eq!(world.closed, [ConnectionId(6)], "it has two");
    behalf(&mut world, 7, b);
    assert!(world.call_as(7, "1", "list", "{}").concat().contains("1.50"));
    world.step(Input::Closed(ConnectionId(5)));
    behalf(&mut world, 8, a);
    assert!(world.call_as(8, "1", "list", "{}").concat().contains("1.50"));
}

#[test]
fn a_call_that_waits_for_somebody_keeps_no_breaker_shut() {
    let mut plan = plan();
    plan.edges[0].deadline = Millis(10);
    plan.edges.push(edge("a", "fs"));
    plan.edges[1].name = super::world::name("asks");
    plan.edges[1].approval = Approval::Ask { expires: Millis(3_600_000) };
    let mut world = World::open(plan);
    world.serve = hang;
    for _ in 0..5 {
        world.call("list", "{}");
        world.wait(10);
    }
    world.wait(5000);
    world.connect(2, "a", "asks");
    assert!(world.call_as(2, "1", "list", "{}").is_empty());
    assert_eq!(world.asks.len(), 1);
    // Another tries it meanwhile, and is the one that the others wait for.
    world.hear(1);
    assert!(world.call("list", "{}").is_empty());
    assert!(world.call_as(1, "2", "list", "{}").concat().contains("is paused"));
    let Ask { call, digest, .. } = world.asks[0].clone();
    let verdict = Verdict::Approved;
    world.step(Input::Decided { call, digest, verdict: &verdict, by: None });
    assert!(world.hear(2).concat().contains("is paused"));
    let tried = text(world.got("tools/call").last().unwrap().get("id").unwrap());
    world
        .tell_as(world.started[0].0, &format!(r#"{{"jsonrpc":"2.0","id":{tried},"result":{{}}}}"#));
    world.serve = serve;
    assert!(world.call_as(1, "3", "list", "{}").concat().contains("1.50"));
}

#[test]
fn who_listens_takes_nobodys_turn_and_listens_no_more_often_than_it_may() {
    let mut plan = plan();
    plan.edges[0].in_flight = Bound::AtMost(1);
    plan.callees[0].in_flight = Bound::AtMost(1);
    plan.limits.in_flight = Bound::AtMost(1);
    let mut world = World::open(plan);
    world.serve = |method, body| match method {
        "subscriptions/listen" => None,
        _ => serve(method, body),
    };
    for id in 0..8 {
        assert!(world.request(1, &id.to_string(), "subscriptions/listen", "{}").is_empty());
    }
    assert_eq!(world.got("subscriptions/listen").len(), 8);
    let heard = world.request(1, "8", "subscriptions/listen", "{}").concat();
    assert!(heard.contains("cancel one of them first") && heard.contains("-31003"), "{heard}");
    assert!(world.call_as(1, "9", "list", "{}").concat().contains("1.50"));
    // What is cancelled still takes its place for a moment.
    let cancelled =
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":3}}"#;
    world.say(1, cancelled);
    let heard = world.request(1, "10", "subscriptions/listen", "{}").concat();
    assert!(heard.contains("cancel one of them first"), "{heard}");
    world.wait(5000);
    assert!(world.request(1, "11", "subscriptions/listen", "{}").is_empty());
    assert_eq!(world.got("subscriptions/listen").len(), 9);
    world.step(Input::Closed(ConnectionId(1)));
    assert_eq!(world.relay.wakes_at(), None);
}

#[test]
fn an_answer_of_one_process_for_all_is_no_longer_than_the_edge_of_its_call_allows() {
    let mut plan = plan();
    plan.callers.push(caller("b"));
    plan.edges.push(edge("b", "fs"));
    plan.edges[1].max_result.0 = 1 << 20;
    plan.callees[0].instances = Instances::Attenuate;
    let mut world = World::open(plan);
    world.serve = hang;
    world.connect(2, "b", "fs");
    let many = std::iter::repeat_n((1, false), 6);
    for (connection, passes) in many.chain([(2, true)]) {
        world.call_as(connection, "1", "list", "{}");
        let id = text(world.got("tools/call").last().unwrap().get("id").unwrap());
        let long = "x".repeat(100_000);
        world.tell(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"text":"{long}"}}}}"#));
        let heard = world.hear(connection).concat();
        assert_eq!(heard.contains(&long), passes);
        assert_eq!(heard.contains("more bytes than this edge allows"), !passes);
    }
    assert!(world.stopped.is_empty());
}
