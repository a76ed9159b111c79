//! Edges that are taken back: what is called over them from then on, and what was.

use super::world::{World, behalf, chain, hang, onward, plan, serve};
use crate::{
    json::text,
    relay::{ConnectionId, Input, Verdict},
};
use sandboxd_broker_plan::record::{Event, Outcome, Rule};
use sandboxd_broker_plan::{Approval, Bound, Durability, Instances, Millis};

const TAKEN: &str = "it was revoked";

fn refusals(world: &World) -> usize {
    let is_it = |event: &Event| matches!(event, Event::Refused(_, Rule::Revoked));
    world.records.iter().filter(|record| is_it(&record.event)).count()
}

#[test]
fn what_is_revoked_is_called_no_more_and_nothing_else_is_touched() {
    let mut plan = chain(Instances::PerCaller);
    plan.callers[0].quarantine.denials = 2;
    let mut world = World::new(plan);
    world.connect(1, "a", "fs");
    world.connect(2, "a", "mid");
    for connection in [1, 2] {
        assert!(world.call_as(connection, "1", "list", "{}").concat().contains("content"));
    }
    let (ended, _) = world.started[0];
    world.step(Input::Revoked(3));
    assert_eq!((world.revoked.as_slice(), world.stopped.as_slice()), (&[3][..], &[ended][..]));
    assert!(world.hear(1).is_empty() && world.closed.is_empty());
    // What is there, what is hidden and what never was are answered alike, and none of it is a denial.
    let answers: Vec<String> = ["list", "write", "nothing"]
        .iter()
        .map(|tool| world.call_as(1, "2", tool, "{}").concat())
        .collect();
    assert!(answers[0].contains(TAKEN) && answers[0].contains(r#""isError":true"#), "{answers:?}");
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(refusals(&world), 3);
    for (method, key) in [
        ("tools/list", "tools"),
        ("resources/list", "resources"),
        ("resources/templates/list", "resourceTemplates"),
        ("prompts/list", "prompts"),
    ] {
        let listed = world.request(1, "3", method, "{}").concat();
        assert_eq!(listed, format!(r#"{{"jsonrpc":"2.0","id":3,"result":{{"{key}":[]}}}}"#));
    }
    for method in ["initialize", "ping", "resources/read"] {
        let said = world.request(1, "4", method, r#"{"uri":"x"}"#).concat();
        assert!(said.contains(TAKEN) && said.contains("-31001"), "{said}");
    }
    // Neither does another connection help, nor time, nor that it is said again.
    world.wait(600_000);
    world.step(Input::Revoked(3));
    assert_eq!(world.revoked, [3, 3]);
    world.connect(3, "a", "fs");
    assert!(world.call_as(3, "1", "list", "{}").concat().contains(TAKEN));
    assert_eq!((world.started.len(), world.stopped.len()), (2, 1));
    assert!(world.call_as(2, "2", "list", "{}").concat().contains("content"));
    // Of an edge that is not there nothing is said.
    world.step(Input::Revoked(4));
    assert_eq!(world.revoked.len(), 2);
}

#[test]
fn what_is_under_way_ends_and_what_waits_behind_it_never_begins() {
    let mut plan = plan();
    plan.edges[0].in_flight = Bound::AtMost(1);
    let mut world = World::open(plan);
    world.connect(2, "a", "fs");
    world.serve = hang;
    assert!(world.call_as(1, "1", "list", "{}").is_empty());
    assert!(world.call_as(2, "1", "list", "{}").is_empty());
    world.step(Input::Revoked(0));
    for connection in [1, 2] {
        let heard = world.hear(connection).concat();
        assert!(heard.contains(TAKEN), "{connection}: {heard}");
    }
    assert_eq!(world.got("tools/call").len(), 1, "it had the place of the one before it");
    assert_eq!(world.got("notifications/cancelled").len(), 1);
    assert_eq!((refusals(&world), world.stopped.len()), (1, 2));
    let ended = Outcome::By(Rule::Revoked);
    let is_it =
        |event: &Event| matches!(event, Event::Finished { outcome, .. } if *outcome == ended);
    assert_eq!(world.records.iter().filter(|record| is_it(&record.event)).count(), 1);
    // What it answers all the same is nobody's.
    let (instance, _) = world.started[0];
    world.tell_as(instance, r#"{"jsonrpc":"2.0","id":4,"result":{"content":[]}}"#);
    assert!(world.hear(1).is_empty());
}

#[test]
fn a_call_that_waits_for_somebody_is_over_and_no_yes_brings_it_back() {
    let mut plan = plan();
    plan.edges[0].approval = Approval::Ask { expires: Millis(60_000) };
    let mut world = World::open(plan);
    world.call("list", "{}");
    let ask = world.asks.remove(0);
    world.step(Input::Revoked(0));
    assert_eq!(world.withdrawn, [ask.call]);
    assert!(world.hear(1).concat().contains(TAKEN));
    let verdict = Verdict::Approved;
    world.step(Input::Decided {
        call: ask.call,
        digest: ask.digest,
        verdict: &verdict,
        by: Some(1),
    });
    assert!(world.got("tools/call").is_empty() && world.hear(1).is_empty());
}

#[test]
fn what_is_for_several_goes_on_for_the_others_and_ends_with_the_last() {
    for mode in [Instances::Attenuate, Instances::Own { reason: "x".into() }] {
        let mut world = World::new(chain(mode));
        world.connect(1, "a", "mid");
        world.connect(2, "b", "mid");
        for connection in [1, 2] {
            world.request(connection, "1", "initialize", "{}");
            world.say(connection, r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        }
        world.serve = hang;
        world.call_as(1, "2", "list", "{}");
        world.call_as(2, "2", "list", "{}");
        let theirs = world.got("tools/call")[1].get("id").cloned().unwrap();
        world.step(Input::Revoked(0));
        let heard = world.hear(1).concat();
        assert!(heard.contains(TAKEN) && heard.contains("notifications/tools/list_changed"));
        assert!(world.stopped.is_empty() && world.hear(2).is_empty());
        // What it tells all from then on is for the others.
        world.tell(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#);
        let id = crate::json::text(&theirs);
        world.tell(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[]}}}}"#));
        assert!(world.hear(1).is_empty());
        let heard = world.hear(2).concat();
        assert!(heard.contains("list_changed") && heard.contains("content"), "{heard}");
        world.step(Input::Revoked(1));
        assert_eq!(world.stopped, [world.started[0].0]);
    }
}

#[test]
fn what_an_instance_had_called_ends_with_it_and_it_calls_nobody_again() {
    let mut world = World::new(chain(Instances::PerCaller));
    world.serve = hang;
    world.connect(1, "a", "mid");
    world.call_as(1, "1", "list", "{}");
    let (mid, _) = world.started[0];
    behalf(&mut world, 2, mid);
    world.call_as(2, "1", "list", "{}");
    let (fs, _) = world.started[1];
    world.step(Input::Revoked(0));
    assert_eq!(world.closed, [ConnectionId(2)]);
    assert_eq!(world.stopped, [fs, mid]);
    // However long its processes take to end.
    behalf(&mut world, 3, mid);
    assert_eq!(world.closed, [ConnectionId(2), ConnectionId(3)]);
}

#[test]
fn one_process_for_several_has_no_more_than_each_of_them_still_has() {
    let mut world = World::new(chain(Instances::Attenuate));
    world.connect(1, "a", "mid");
    world.serve = hang;
    world.call_as(1, "1", "list", "{}");
    let (mid, _) = world.started[0];
    behalf(&mut world, 2, mid);
    world.serve = serve;
    assert!(world.call_as(2, "1", "list", "{}").concat().contains("content"));
    world.step(Input::Revoked(3));
    let answer = world.call_as(2, "2", "list", "{}").concat();
    assert!(answer.contains("Unknown tool: list"), "{answer}");
}

#[test]
fn what_waits_for_the_disk_is_not_done_for_whom_it_was_taken_back_meanwhile() {
    let mut plan = chain(Instances::Serial);
    plan.edges[2].durability = Durability::Durable;
    let mut world = World::new(plan);
    world.connect(1, "a", "mid");
    world.call_as(1, "1", "list", "{}");
    let (mid, _) = world.started[0];
    behalf(&mut world, 3, mid);
    world.call_as(3, "1", "list", "{}");
    let call = world.durable.remove(0);
    let asked = world.got("tools/call").len();
    world.step(Input::Revoked(0));
    world.step(Input::Recorded { call, written: true });
    let heard = world.hear(3).concat();
    assert!(heard.contains(TAKEN), "{heard}");
    assert_eq!(world.got("tools/call").len(), asked, "it was done all the same");
}

#[test]
fn nothing_goes_on_for_whom_it_was_taken_back() {
    for mode in [Instances::Serial, Instances::Attenuate] {
        let mut world = World::new(chain(mode));
        world.connect(1, "a", "mid");
        world.call_as(1, "1", "list", "{}");
        let (mid, _) = world.started[0];
        behalf(&mut world, 3, mid);
        assert!(onward(&mut world).contains("content"), "it is still at what a wanted");
        let spent = world.relay.spent()[0];
        world.step(Input::Revoked(0));
        let told = onward(&mut world);
        assert!(told.contains(TAKEN), "{told}");
        assert_eq!(world.relay.spent()[0], spent, "a is charged for no more");
    }
}

#[test]
fn what_waits_for_its_turn_is_not_done_for_whom_it_was_taken_back_meanwhile() {
    let mut plan = chain(Instances::Serial);
    plan.edges[2].in_flight = Bound::AtMost(1);
    let mut world = World::new(plan);
    world.connect(1, "a", "mid");
    world.call_as(1, "1", "list", "{}");
    let (mid, _) = world.started[0];
    behalf(&mut world, 3, mid);
    world.serve = hang;
    for id in ["1", "2"] {
        assert!(world.call_as(3, id, "list", "{}").is_empty(), "{id}");
    }
    let asked = world.got("tools/call").len();
    let last = world.got("tools/call").last().unwrap().get("id").unwrap().clone();
    world.step(Input::Revoked(0));
    let (fs, _) = *world.started.last().unwrap();
    world.tell_as(
        fs,
        &format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{"content":[]}}}}"#, text(&last)),
    );
    let heard = world.hear(3).concat();
    assert!(heard.contains(TAKEN), "{heard}");
    assert_eq!(world.got("tools/call").len(), asked, "it was done all the same");
}
