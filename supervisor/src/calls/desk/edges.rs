//! Edges that are taken back while the run goes on: by somebody outside, or because their time is over. That is written
//! down first; from then on nothing is started over one, whatever the broker asks for, and what runs for it alone ends.
//! The broker refuses what is called, and says once nothing goes over it any more. Nobody else could keep it from what
//! several share, so one that does not say so in time is ended, and with it the run.

use super::{Clerk, Closed};
use crate::control::Approver;
use crate::control::revocation::{answer, name, refused, revoked};
use crate::sandbox::StartError;
use crate::service::channel::Told;
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use sandboxd_audit::record::{Actor, CallOf};
use sandboxd_audit::{Kind, Record};
use sandboxd_broker::io::now;
use sandboxd_broker::limit::Moment;
use sandboxd_broker_plan::{BrokerPlan, Millis, Name};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// How long a broker may take to say that it holds, on a machine that is busy.
const WITHIN: Millis = Millis(20_000);

/// How soon it is told again, where it had no room for it.
const AGAIN: Millis = Millis(20);

/// Those of a run, by their places in the plan.
pub(in crate::calls) struct Edges {
    /// The run's id, and the profile that is run.
    run: String,
    first: String,
    all: Vec<Edge>,
    /// Those that are taken back.
    revoked: BTreeMap<usize, State>,
    /// When something is to be done about one.
    due: BTreeSet<(Moment, usize)>,
    /// On the clock that goes on while the machine sleeps.
    timer: OwnedFd,
}

struct Edge {
    caller: Name,
    name: Name,
    callee: Name,
    /// As people name it.
    shown: String,
}

enum State {
    /// The broker is to say that it holds.
    Told {
        /// It had room for it.
        heard: bool,
        until: Moment,
        /// Those who wait for that.
        by: Vec<OwnedFd>,
    },
    /// Nothing goes over it any more.
    Holds,
}

impl Edges {
    /// Those of this plan, none of which is taken back; the run of this id begins, and some of them end with their time.
    ///
    /// # Errors
    /// Where there is no clock, or no descriptor to be had.
    pub(in crate::calls) fn new(
        run: &str,
        first: &str,
        plan: &BrokerPlan,
        expires: impl Iterator<Item = (usize, u64)>,
    ) -> Result<Self, StartError> {
        let failed = |call| move |errno| StartError::call(call, "calls", errno);
        let began = now().map_err(|error| StartError::io("clock_gettime", "calls", &error))?;
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer =
            timerfd_create(TimerfdClockId::Boottime, flags).map_err(failed("timerfd_create"))?;
        let all = plan.edges.iter().map(|edge| Edge {
            caller: edge.caller.clone(),
            name: edge.name.clone(),
            callee: edge.callee.clone(),
            shown: name(edge),
        });
        let edges = Self {
            run: run.to_owned(),
            first: first.to_owned(),
            all: all.collect(),
            revoked: BTreeMap::new(),
            due: expires.map(|(edge, after)| (began.after(Millis(after)), edge)).collect(),
            timer,
        };
        edges.wind().map_err(failed("timerfd_settime"))?;
        Ok(edges)
    }

    /// Can be read from once it is time.
    pub(super) const fn timer(&self) -> &OwnedFd {
        &self.timer
    }

    /// Whether it is taken back: nothing is started over it.
    pub(super) fn is_revoked(&self, edge: usize) -> bool {
        self.revoked.contains_key(&edge)
    }

    /// Whether the broker has said that nothing goes over it any more.
    pub(super) fn holds(&self, edge: usize) -> bool {
        matches!(self.revoked.get(&edge), Some(State::Holds))
    }

    /// Sets the timer to what is due first.
    fn wind(&self) -> rustix::io::Result<()> {
        let Some((at, _)) = self.due.first() else { return Ok(()) };
        // A time that is 0 would be none.
        let nanos = at.0.max(1);
        let it_value = Timespec {
            tv_sec: i64::try_from(nanos / 1_000_000_000).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(nanos % 1_000_000_000).unwrap_or(0),
        };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        let spec = Itimerspec { it_interval, it_value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &spec).map(drop)
    }

    /// Who is called by nobody any more, now that this edge is taken back.
    fn unreached(&self, edge: usize) -> Option<&str> {
        let callee = &self.all.get(edge)?.callee;
        let mut others = self.all.iter().enumerate().filter(|(_, other)| other.callee == *callee);
        others.all(|(place, _)| self.is_revoked(place)).then_some(callee.as_str())
    }

    /// That it is taken back, by whoever this is or because its time is over.
    fn record(&self, edge: &Edge, by: Option<Approver>) -> Record {
        let mut record = Record::of(Kind::Revoked);
        let is_first = edge.caller.as_str() == self.first;
        record.actor = Some(Actor {
            agent: edge.caller.to_string(),
            instance: is_first.then(|| self.run.clone()),
            ..Actor::default()
        });
        record.edge = Some(edge.name.to_string());
        record.call = Some(CallOf { callee: Some(edge.callee.to_string()), ..CallOf::default() });
        record.rule = Some(String::from(if by.is_some() { "revoked" } else { "expired" }));
        let by = by.map(|who| json!({ "uid": who.uid, "pid": who.pid }));
        record.result = json!({ "run": self.run, "by": by });
        record
    }
}

impl Clerk {
    /// Takes an edge back, for whoever this is, who is answered once that holds; or because its time is over.
    ///
    /// # Errors
    /// Where no time can be told.
    pub(super) fn revoke(
        &mut self,
        edge: usize,
        who: Option<(Approver, OwnedFd)>,
    ) -> Result<(), Closed> {
        let Some(known) = self.edges.all.get(edge) else { return Ok(()) };
        let (by, stream) = who.unzip();
        match self.edges.revoked.get_mut(&edge) {
            None => {}
            Some(State::Told { by, .. }) => {
                by.extend(stream);
                return Ok(());
            }
            Some(State::Holds) => {
                let told = revoked(&self.edges.run, &known.shown);
                stream.iter().for_each(|stream| answer(stream, &told));
                return Ok(());
            }
        }
        // It is taken back all the same where that cannot be written down, which is said.
        self.records.write(self.edges.record(known, by));
        let now = clock()?;
        let (until, by) = (now.after(WITHIN), stream.into_iter().collect());
        self.edges.revoked.insert(edge, State::Told { heard: false, until, by });
        // The broker first, where it has room: an end that it hears before is one of a tool that crashed.
        self.press(edge, now)?;
        self.end_over(edge);
        self.wind()
    }

    /// Ends what runs for this edge alone, and what nobody may call any more.
    fn end_over(&mut self, edge: usize) {
        let unreached = self.edges.unreached(edge);
        for instance in self.instances.values_mut() {
            let own = instance.caller.is_some() && usize::try_from(instance.edge) == Ok(edge);
            if own || unreached == Some(instance.callee.as_str()) {
                instance.end();
            }
        }
        self.ready.revoked(edge);
    }

    /// Whether somebody may still call what this edge leads to.
    pub(super) fn is_reached(&self, edge: u64) -> bool {
        usize::try_from(edge).is_ok_and(|place| self.edges.unreached(place).is_none())
    }

    /// Whether something may be started over this edge. What the broker asked for before it knew is refused.
    ///
    /// # Errors
    /// Where it had said that nothing goes over it any more.
    pub(super) fn may_start(&self, edge: u64) -> Result<bool, Closed> {
        let place = usize::try_from(edge).unwrap_or(usize::MAX);
        if self.edges.holds(place) {
            return Err(Closed::Violated(format!("asked for edge {edge}, which is revoked")));
        }
        Ok(!self.edges.is_revoked(place))
    }

    /// The broker says that nothing goes over this edge any more.
    ///
    /// # Errors
    /// Where nobody has told it to.
    pub(super) fn obeyed(&mut self, edge: u64) -> Result<(), Closed> {
        let place = usize::try_from(edge).unwrap_or(usize::MAX);
        let known = self.edges.all.get(place).zip(self.edges.revoked.get_mut(&place));
        let Some((known, state @ State::Told { heard: true, .. })) = known else {
            return Err(Closed::Violated(format!("revoked edge {edge} on its own")));
        };
        if let State::Told { by, .. } = std::mem::replace(state, State::Holds) {
            let told = revoked(&self.edges.run, &known.shown);
            by.iter().for_each(|stream| answer(stream, &told));
        }
        Ok(())
    }

    /// It is time for something about an edge: it is to be taken back, or the broker to be told, or late.
    ///
    /// # Errors
    /// Where the broker does not take one back, or no time can be told.
    pub(super) fn time_is_over(&mut self) -> Result<(), Closed> {
        // It only wakes.
        rustix::io::read(&self.edges.timer, &mut [0; 8]).ok();
        let now = clock()?;
        while let Some((at, edge)) = self.edges.due.pop_first() {
            if at > now {
                self.edges.due.insert((at, edge));
                break;
            }
            if self.edges.is_revoked(edge) {
                self.press(edge, now)?;
            } else {
                self.revoke(edge, None)?;
            }
        }
        self.wind()
    }

    fn wind(&self) -> Result<(), Closed> {
        self.edges.wind().map_err(|errno| untimed(&errno))
    }

    /// Tells the broker, where it had no room before; ends one that takes too long.
    pub(super) fn press(&mut self, edge: usize, now: Moment) -> Result<(), Closed> {
        let Some(State::Told { heard, until, by }) = self.edges.revoked.get_mut(&edge) else {
            return Ok(());
        };
        if now >= *until {
            let why = "its broker did not revoke it in time, so the broker and the run were ended";
            let told =
                refused(&self.edges.run, why, "check that nothing of it is left: sandboxd ps");
            by.iter().for_each(|stream| answer(stream, &told));
            return Err(Closed::Unreliable(format!("did not revoke edge {edge} in time")));
        }
        if !*heard {
            let told = Told::Revoked(u64::try_from(edge).unwrap_or(u64::MAX));
            // Of one that is gone, the end is heard next.
            let said = told.say(self.shared.line.as_fd(), &[]);
            *heard = matches!(said, Ok(()) | Err(Errno::PIPE | Errno::CONNRESET));
        }
        let next = if *heard { *until } else { now.after(AGAIN).min(*until) };
        self.edges.due.insert((next, edge));
        Ok(())
    }
}

fn clock() -> Result<Moment, Closed> {
    now().map_err(|error| untimed(&error))
}

/// A broker that cannot be held to a time is not relied on.
fn untimed(error: &dyn std::fmt::Display) -> Closed {
    Closed::Unreliable(format!("cannot be given a deadline: {error}"))
}
