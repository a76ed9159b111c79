//! What all connections share.

use super::{Handed, ended::Ending, host::Host, keeper::Lender, splice::Pipes, tell::Teller};
use crate::{
    limit::{Fuses, Ledger},
    mask::Mask,
    names::Names,
    purse::Purses,
    rule::Place,
    secret::{self, SecretError, Secrets},
    ssh::agent::Agent,
};
use sandboxd_broker::limit::{Gcra, Moment};
use sandboxd_egress_plan::{EgressPlan, Inject, Record, Rule, Signing, Use, Verdict};
use std::{
    cell::{Cell, Ref, RefCell, RefMut},
    io,
    os::fd::OwnedFd,
    rc::Rc,
};

/// What all connections share. A borrow of its parts is never held over a wait.
#[derive(Debug)]
pub(super) struct World {
    pub(super) plan: EgressPlan,
    pub(super) pipes: Pipes,
    pub(super) host: Host,
    names: RefCell<Names>,
    ledger: RefCell<Ledger>,
    fuses: RefCell<Fuses>,
    purses: RefCell<Purses>,
    secrets: RefCell<Secrets>,
    mask: RefCell<Rc<Mask>>,
    ending: Option<Ending>,
    agent: RefCell<Agent>,
    lender: Option<Lender>,
    /// When as much may be signed at once as at all.
    rested: Cell<Moment>,
    asking: Cell<u32>,
    pending: Cell<u32>,
    teller: Teller,
}

/// Whether it goes to a host, which may then say it.
fn goes_out(plan: &EgressPlan, secret: usize) -> bool {
    plan.injects.iter().any(|inject| usize::try_from(inject.secret) == Ok(secret))
}

impl World {
    pub(super) fn new(plan: EgressPlan, control: OwnedFd, handed: Handed) -> io::Result<Self> {
        let Handed { secrets, ends, renewals: _, lender } = handed;
        let mask =
            Mask::of(&secrets, |secret| goes_out(&plan, secret), None).map_err(io::Error::other)?;
        Ok(Self {
            pipes: Pipes::default(),
            host: Host::default(),
            names: RefCell::new(Names::new(&plan.fakes)),
            ledger: RefCell::new(Ledger::new(&plan)),
            fuses: RefCell::new(Fuses::new(plan.breaker)),
            purses: RefCell::new(Purses::new(&plan.budgets)),
            mask: RefCell::new(Rc::new(mask)),
            agent: RefCell::new(Agent::new(&plan, &secrets).map_err(io::Error::other)?),
            lender: lender.map(Lender::new),
            rested: Cell::new(Moment(0)),
            asking: Cell::new(0),
            secrets: RefCell::new(secrets),
            ending: ends.map(Ending::new).transpose()?,
            pending: Cell::new(0),
            teller: Teller::new(control)?,
            plan,
        })
    }

    pub(super) fn names(&self) -> RefMut<'_, Names> {
        self.names.borrow_mut()
    }

    pub(super) fn ledger(&self) -> RefMut<'_, Ledger> {
        self.ledger.borrow_mut()
    }

    pub(super) fn fuses(&self) -> RefMut<'_, Fuses> {
        self.fuses.borrow_mut()
    }

    pub(super) fn purses(&self) -> RefMut<'_, Purses> {
        self.purses.borrow_mut()
    }

    pub(super) fn agent(&self) -> Ref<'_, Agent> {
        self.agent.borrow()
    }

    /// Where connections to agents come from that keep keys.
    pub(super) const fn lender(&self) -> Option<&Lender> {
        self.lender.as_ref()
    }

    /// Whether something may be signed now, which is then counted.
    pub(super) fn signs(&self) -> bool {
        let next = now()
            .ok()
            .and_then(|now| Gcra::from(self.plan.agent.rate).next(self.rested.get(), now).ok());
        next.is_some_and(|rested| {
            self.rested.set(rested);
            true
        })
    }

    /// One more that asks the agent, where that is not too many.
    pub(super) fn ask(self: &Rc<Self>) -> Option<Asking> {
        let more = self.asking.get() < self.plan.agent.connections;
        more.then(|| {
            self.asking.set(self.asking.get() + 1);
            Asking(Rc::clone(self))
        })
    }

    /// What is put into requests now.
    pub(super) fn secrets(&self) -> Ref<'_, Secrets> {
        self.secrets.borrow()
    }

    /// Has these put into requests, and this agent of theirs sign, from now on. What was put in before stays
    /// covered in answers.
    ///
    /// # Errors
    /// Where they are not what the plan wants, or no more memory can be locked; then nothing is changed.
    pub(super) fn renew(&self, secrets: Secrets, agent: Agent) -> Result<(), SecretError> {
        secret::check(&secrets, &self.plan)?;
        let mask =
            Mask::of(&secrets, |secret| goes_out(&self.plan, secret), Some(&self.mask.borrow()))?;
        *self.mask.borrow_mut() = Rc::new(mask);
        *self.agent.borrow_mut() = agent;
        *self.secrets.borrow_mut() = secrets;
        Ok(())
    }

    /// What covers secrets in what comes back from there, where any goes to that host: what one of its ports was
    /// told, another may say.
    pub(super) fn mask(&self, place: &Place) -> Option<Rc<Mask>> {
        let name = place.whom.name()?;
        let goes = |inject: &Inject| inject.host == *name;
        self.plan.injects.iter().any(goes).then(|| Rc::clone(&self.mask.borrow()))
    }

    /// What TLS is ended with.
    pub(super) fn ends(&self) -> Result<&Ending, Verdict> {
        self.ending.as_ref().ok_or(Verdict::Broke)
    }

    pub(super) fn rule(&self, number: usize) -> Result<&Rule, Verdict> {
        self.plan.rules.get(number).ok_or(Verdict::NoRule)
    }

    pub(super) fn tell(&self, record: Record) {
        self.tell_levels();
        self.teller.tell(record);
    }

    pub(super) fn tell_signing(&self, signing: &Signing) {
        self.teller.tell_signing(signing);
    }

    pub(super) fn tell_use(&self, used: &Use) {
        self.teller.tell_use(used);
        self.tell_levels();
    }

    /// Tells what was used of the budgets, where that is more than was told. What is not taken now is told
    /// with what is counted next.
    pub(super) fn tell_levels(&self) {
        let untold = self.purses().untold();
        for level in untold.into_iter().filter(|level| self.teller.tell_level(level)) {
            self.purses().told(level);
        }
    }

    /// Hears what others use, and tells what waits for the supervisor to take it; returns when that is gone.
    pub(super) async fn gone(&self) -> io::Result<()> {
        let heard = async {
            while let Some(level) = self.teller.hear().await? {
                self.purses().hear(level);
            }
            Ok(())
        };
        tokio::select! {
            heard = heard => heard,
            never = self.teller.catch_up() => match never {},
        }
    }

    /// One more that has not said yet what it wants.
    pub(super) fn pend(self: &Rc<Self>) -> Result<Pending, Verdict> {
        if self.pending.get() >= self.plan.pending {
            return Err(Verdict::Pending);
        }
        self.pending.set(self.pending.get() + 1);
        Ok(Pending(Rc::clone(self)))
    }

    /// A connection under this rule, until it is let go of.
    pub(super) fn open(self: &Rc<Self>, rule: usize) -> Result<Open, Verdict> {
        if self.purses().bytes_left() == 0 {
            return Err(Verdict::Budget);
        }
        self.ledger().open(rule, now()?)?;
        Ok(Open { world: Rc::clone(self), rule: Cell::new(rule) })
    }
}

/// Now, on the clock of the limits. Without one no limit can be held to, and nothing goes through.
pub(super) fn now() -> Result<Moment, Verdict> {
    sandboxd_broker::io::now().map_err(|_| Verdict::Broke)
}

/// A place among those that have not said yet what they want.
#[derive(Debug)]
pub(super) struct Pending(Rc<World>);

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.pending.set(self.0.pending.get().saturating_sub(1));
    }
}

/// A place among those that ask the agent.
#[derive(Debug)]
pub(super) struct Asking(Rc<World>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.asking.set(self.0.asking.get().saturating_sub(1));
    }
}

/// A place among the connections of a rule.
#[derive(Debug)]
pub(super) struct Open {
    world: Rc<World>,
    rule: Cell<usize>,
}

impl Open {
    /// The rule.
    pub(super) fn rule(&self) -> usize {
        self.rule.get()
    }

    /// Makes way for one under this rule, which may be the same; stays where there is no room.
    pub(super) fn pass(&self, rule: usize) -> Result<(), Verdict> {
        self.world.ledger().pass(self.rule.get(), rule, now()?)?;
        self.rule.set(rule);
        Ok(())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.world.ledger().close(self.rule.get());
    }
}
