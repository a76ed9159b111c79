//! A call to a model API while it is under way: whichever way it ends, what it used is counted.

use super::{story::Story, world::World};
use crate::{
    http::Reply,
    model::{api::Format, ask::Ask, count::Counter},
    purse::UnderWay,
};
use sandboxd_egress_plan::{Tokens, Use, Verdict};
use std::cell::{Cell, RefCell};

/// The most bytes of an event that wait for its end.
const EVENT: usize = 256 << 10;

/// What of an answer goes on.
pub(super) enum Goes {
    /// This.
    On(Vec<u8>),
    /// This, which ends it.
    Stopped(Vec<u8>),
}

/// A call.
pub(super) struct Counted<'a> {
    world: &'a World,
    story: &'a Story,
    format: Format,
    number: u64,
    ask: RefCell<Ask>,
    /// All of it was sent, and may have been heard.
    asked: Cell<bool>,
    answer: RefCell<Option<Counter>>,
    failed: Cell<bool>,
}

impl<'a> Counted<'a> {
    pub(super) fn begin(world: &'a World, story: &'a Story, format: Format) -> Self {
        let number = world.purses().begin();
        let (ask, answer) = (RefCell::default(), RefCell::default());
        let (asked, failed) = (Cell::new(false), Cell::new(false));
        Self { world, story, format, number, ask, asked, answer, failed }
    }

    /// This is about to be asked.
    pub(super) fn ask(&self, bytes: &[u8]) -> Result<(), Verdict> {
        self.ask.borrow_mut().push(bytes)
    }

    /// All is asked.
    pub(super) fn asked(&self) {
        self.asked.set(true);
    }

    /// It is answered; whether that is a stream which can be ended.
    pub(super) fn answered(&self, reply: &Reply) -> bool {
        self.failed.set(!(200..300).contains(&reply.status));
        let counter = Counter::new(self.format, reply);
        let stream = counter.is_stream();
        *self.answer.borrow_mut() = Some(counter);
        stream
    }

    /// This is part of the answer. Says where in it the last event ends, where one does.
    pub(super) fn hear(&self, bytes: &[u8]) -> Option<usize> {
        let mut answer = self.answer.borrow_mut();
        let counter = answer.as_mut()?;
        let last = counter.push(bytes);
        let now = UnderWay { model: self.model(counter), tokens: counter.so_far() };
        self.world.purses().goes_on(self.number, now);
        last
    }

    /// This is more of a stream of events: what of it goes on. It ends where there is no more of the
    /// budget: after a whole event, with one of ours.
    pub(super) fn events(&self, held: &mut Vec<u8>, heard: &[u8], whole: bool) -> Goes {
        let mut last = 0;
        for line in heard.split_inclusive(|byte| *byte == b'\n') {
            let before = held.len();
            held.extend_from_slice(line);
            let Some(at) = self.hear(line) else { continue };
            last = before + at;
            if let (Some(why), false) = (self.over(), whole) {
                held.truncate(last);
                held.extend(self.format.event(&format!("sandboxd: {why}")));
                return Goes::Stopped(std::mem::take(held));
            }
        }
        // One that is longer goes on before it is whole, and is none that can be the last.
        let ready = if whole || held.len() > EVENT { held.len() } else { last };
        Goes::On(held.drain(..ready).collect())
    }

    /// Why the answer goes no further, where that is so: there is no more, and more would come.
    fn over(&self) -> Option<String> {
        let done = self.answer.borrow().as_ref().is_some_and(Counter::is_done);
        if done { None } else { self.world.purses().over() }
    }

    fn model(&self, counter: &Counter) -> String {
        match counter.model() {
            "" => self.ask.borrow().model().to_owned(),
            model => model.to_owned(),
        }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let asked = self.ask.borrow().bytes();
        let (model, tokens, estimated) = match self.answer.borrow().as_ref() {
            Some(counter) => {
                let (tokens, estimated) = counter.total(self.failed.get(), asked);
                (self.model(counter), tokens, estimated)
            }
            // Nobody said anything to it; what was asked may be worked on all the same.
            None if self.asked.get() => {
                let tokens = Tokens { input: asked.div_ceil(4), ..Tokens::default() };
                (self.ask.borrow().model().to_owned(), tokens, true)
            }
            None => (String::new(), Tokens::default(), false),
        };
        let last = UnderWay { model, tokens };
        self.world.purses().end(self.number, &last);
        let rule = self.story.rule.get().and_then(|rule| u32::try_from(rule).ok());
        if let (Some(rule), true) = (rule, tokens != Tokens::default()) {
            self.world.tell_use(&Use { rule, model: last.model, tokens, estimated });
        }
    }
}
