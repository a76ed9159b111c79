//! What a run and all that acts for it use up together. Each egress process holds to the budgets of its
//! plan by itself; what one has used of a budget the others that bear it are told here.

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{SendFlags, Shutdown, send, shutdown};
use sandboxd_egress_plan::{Budget, Level, Spent, Tokens, Use, money};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

/// So many models are told apart in what is told at the end.
const TOLD_APART: usize = 64;
/// How long one may take nothing of what it is told. Whoever shares a budget with it can fill its queue, and it may be
/// kept from its CPU: neither is to end a run at once.
const PATIENCE: Duration = Duration::from_secs(1);
/// How soon it is told again.
const AGAIN: Duration = Duration::from_millis(10);

/// The budgets of a run, and of whatever it calls.
#[derive(Debug, Clone, Default)]
pub struct Purses(Arc<Mutex<All>>);

#[derive(Debug, Default)]
struct All {
    purses: Vec<Purse>,
    last: u64,
    /// A thread tells those that are behind.
    telling: bool,
}

#[derive(Debug)]
struct Purse {
    budget: Budget,
    members: Vec<Member>,
    /// What those have used that are gone.
    gone: Spent,
    models: BTreeMap<String, Model>,
}

/// An egress process that bears a budget.
#[derive(Debug)]
struct Member {
    number: u64,
    control: Arc<OwnedFd>,
    /// The budget's place in its plan.
    place: u32,
    spent: Spent,
    /// It has what it is told first, and takes in what others use.
    listens: bool,
    /// Since when it took nothing of what it was to be told.
    behind: Option<Instant>,
}

/// What was used of a model.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Model {
    /// Calls.
    pub calls: u64,
    /// Calls whose tokens are estimated, because the API did not say.
    pub estimated: u64,
    /// Tokens that went in, those of a cache among them.
    pub input_tokens: u64,
    /// Those of them that the API had in a cache.
    pub cached_tokens: u64,
    /// Tokens that came out.
    pub output_tokens: u64,
    /// What they cost; nothing where no prices are known.
    pub cost: Option<String>,
    /// A price names it; else it cost what the dearest does.
    pub priced: bool,
    #[serde(skip)]
    pub(crate) billionths: u64,
}

/// What was used of a budget.
#[derive(Debug, Clone, Serialize)]
pub struct UsedUp {
    /// Tokens.
    pub tokens: u64,
    /// As many as there were; nothing where that has no limit.
    pub tokens_limit: Option<u64>,
    /// What they cost; nothing where no prices are known.
    pub cost: Option<String>,
    /// What they could have cost; nothing where that has no limit.
    pub cost_limit: Option<String>,
    /// Bytes, both ways.
    pub bytes: u64,
    /// As many as there were; nothing where that has no limit.
    pub bytes_limit: Option<u64>,
    /// By the names of models.
    pub models: BTreeMap<String, Model>,
}

impl Purses {
    fn all(&self) -> MutexGuard<'_, All> {
        // A thread that panicked ends the process.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An egress process bears these, and is told of them by this.
    pub(crate) fn join(&self, budgets: &[Budget], control: OwnedFd) -> Membership {
        let mut all = self.all();
        all.last += 1;
        let (number, control) = (all.last, Arc::new(control));
        for (place, budget) in (0..).zip(budgets) {
            let (control, spent) = (Arc::clone(&control), Spent::default());
            let member = Member { number, control, place, spent, listens: false, behind: None };
            let known = all.purses.iter().position(|purse| purse.budget == *budget);
            let purse = known.and_then(|at| all.purses.get_mut(at));
            match purse {
                Some(purse) => purse.members.push(member),
                None => all.purses.push(Purse {
                    budget: budget.clone(),
                    members: vec![member],
                    gone: Spent::default(),
                    models: BTreeMap::new(),
                }),
            }
        }
        Membership { purses: self.clone(), number }
    }

    /// Somebody is behind: it is told until it has heard, or hears its end.
    fn tell_later(&self, all: &mut All) {
        if all.telling {
            return;
        }
        let own = self.clone();
        let thread = Builder::new().name(String::from("budgets")).spawn(move || own.tell_again());
        all.telling = thread.is_ok();
        if !all.telling {
            let members = all.purses.iter_mut().flat_map(|purse| &mut purse.members);
            members.filter(|member| member.behind.is_some()).for_each(Member::end);
        }
    }

    fn tell_again(&self) {
        loop {
            std::thread::sleep(AGAIN);
            let mut all = self.all();
            let again = |purse: &mut Purse| purse.tell(|member| member.behind.is_some());
            // Each of them, and not only the first.
            all.telling = all.purses.iter_mut().map(again).fold(false, |any, behind| any | behind);
            if !all.telling {
                return;
            }
        }
    }

    /// What was used of this one; nothing where nobody could use any of it.
    pub(crate) fn used(&self, budget: &Budget) -> Option<UsedUp> {
        let all = self.all();
        let purse = all.purses.iter().find(|purse| purse.budget == *budget)?;
        let spent = purse.spent();
        let priced = !budget.prices.is_empty();
        Some(UsedUp {
            tokens: spent.tokens,
            tokens_limit: budget.tokens.most(),
            cost: priced.then(|| money(spent.cost)),
            cost_limit: budget.cost.most().map(money),
            bytes: spent.bytes,
            bytes_limit: budget.bytes.most(),
            models: purse.models.clone(),
        })
    }
}

impl Member {
    /// Tells it what the others have used. Where it takes nothing now, that is told later: what was used only grows,
    /// so that the last says all that those before it would have.
    fn tell(&mut self, spent: Spent) {
        let level = Level { budget: self.place, spent }.encode();
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        match send(&*self.control, &level, flags) {
            Ok(_) => self.behind = None,
            Err(Errno::AGAIN | Errno::INTR | Errno::NOBUFS | Errno::NOMEM) => {
                let since = *self.behind.get_or_insert_with(Instant::now);
                if since.elapsed() > PATIENCE {
                    self.end();
                }
            }
            // Where it has ended already, there is nobody to tell.
            Err(_) => self.end(),
        }
    }

    /// One that does not listen does not know when to stop: it hears its end.
    fn end(&mut self) {
        shutdown(&*self.control, Shutdown::Write).ok();
        (self.listens, self.behind) = (false, None);
    }
}

impl Purse {
    fn spent(&self) -> Spent {
        self.members.iter().map(|member| member.spent).fold(self.gone, Spent::and)
    }

    /// Tells those what the others have used; whether one of all is behind now.
    fn tell(&mut self, to: impl Fn(&Member) -> bool) -> bool {
        let spent: Vec<(u64, Spent)> =
            self.members.iter().map(|member| (member.number, member.spent)).collect();
        for member in self.members.iter_mut().filter(|member| member.listens && to(member)) {
            let others = spent.iter().filter(|(number, _)| *number != member.number);
            member.tell(others.map(|(_, spent)| *spent).fold(self.gone, Spent::and));
        }
        self.members.iter().any(|member| member.behind.is_some())
    }

    fn used(&mut self, used: &Use) {
        if self.models.len() >= TOLD_APART && !self.models.contains_key(&used.model) {
            return;
        }
        let Tokens { cached, output, .. } = used.tokens;
        let model = self.models.entry(used.model.clone()).or_default();
        model.calls += 1;
        model.estimated += u64::from(used.estimated);
        model.input_tokens = model.input_tokens.saturating_add(used.tokens.into_model());
        model.cached_tokens = model.cached_tokens.saturating_add(cached);
        model.output_tokens = model.output_tokens.saturating_add(output);
        let cost = self.budget.cost(&used.model, &used.tokens);
        model.billionths = model.billionths.saturating_add(cost);
        model.cost = (!self.budget.prices.is_empty()).then(|| money(model.billionths));
        model.priced = self.budget.knows(&used.model);
    }
}

/// That an egress process bears budgets. It is none of those once this is let go of; what it used stays
/// used.
#[derive(Debug)]
pub(crate) struct Membership {
    purses: Purses,
    number: u64,
}

impl Membership {
    /// It listens from now on, and is told what others have used until now.
    pub(crate) fn listens(&self) {
        let (mut all, mut behind) = (self.purses.all(), false);
        for purse in &mut all.purses {
            let mut own = purse.members.iter_mut();
            if let Some(member) = own.find(|member| member.number == self.number) {
                member.listens = true;
                behind |= purse.tell(|_| true);
            }
        }
        if behind {
            self.purses.tell_later(&mut all);
        }
    }

    /// So much it has used of one.
    pub(crate) fn level(&self, level: Level) {
        let (mut all, mut behind) = (self.purses.all(), false);
        for purse in &mut all.purses {
            let mut own = purse.members.iter_mut();
            let own = own.find(|one| (one.number, one.place) == (self.number, level.budget));
            if let Some(member) = own {
                member.spent = member.spent.or(level.spent);
                behind |= purse.tell(|member| member.number != self.number);
            }
        }
        if behind {
            self.purses.tell_later(&mut all);
        }
    }

    /// This was answered.
    pub(crate) fn used(&self, used: &Use) {
        let bears = |purse: &&mut Purse| purse.members.iter().any(|one| one.number == self.number);
        self.purses.all().purses.iter_mut().filter(bears).for_each(|purse| purse.used(used));
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        for purse in &mut self.purses.all().purses {
            let own = purse.members.iter().find(|member| member.number == self.number);
            let spent = own.map(|member| member.spent).unwrap_or_default();
            purse.gone = purse.gone.and(spent);
            purse.members.retain(|member| member.number != self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, recv, socketpair};
    use sandboxd_egress_plan::Bound;

    fn budget(of: &str) -> Budget {
        Budget {
            of: of.to_owned(),
            tokens: Bound::AtMost(100),
            cost: Bound::Unlimited,
            bytes: Bound::Unlimited,
            prices: Vec::new(),
        }
    }

    fn pair() -> (OwnedFd, OwnedFd) {
        let flags = SocketFlags::CLOEXEC;
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap()
    }

    fn heard(from: &OwnedFd) -> Option<(u32, u64)> {
        let mut bytes = [0; Level::SIZE];
        match recv(from, &mut bytes, RecvFlags::DONTWAIT) {
            Ok((Level::SIZE, _)) => {
                let level = Level::decode(&bytes);
                Some((level.budget, level.spent.tokens))
            }
            Ok(_) => panic!("its end"),
            Err(errno) => {
                assert_eq!(errno, Errno::AGAIN);
                None
            }
        }
    }

    fn tokens(budget: u32, tokens: u64) -> Level {
        Level { budget, spent: Spent { tokens, ..Spent::default() } }
    }

    #[test]
    fn what_one_uses_of_a_budget_the_others_that_bear_it_hear() {
        let purses = Purses::default();
        let ((own, agents), (other, tools)) = (pair(), pair());
        let agent = purses.join(&[budget("agent")], own);
        agent.listens();
        agent.level(tokens(0, 30));
        let tool = purses.join(&[budget("tool"), budget("agent")], other);
        agent.level(tokens(0, 30));
        assert_eq!((heard(&agents), heard(&tools)), (Some((0, 0)), None));
        tool.listens();
        let mut both = [heard(&tools), heard(&tools)];
        both.sort();
        assert_eq!((heard(&agents), both), (Some((0, 0)), [Some((0, 0)), Some((1, 30))]));
        tool.level(tokens(1, 20));
        tool.level(tokens(0, 20));
        assert_eq!((heard(&agents), heard(&agents), heard(&tools)), (Some((0, 20)), None, None));
        // It only grows, and what was used stays used.
        tool.level(tokens(1, 10));
        drop(tool);
        agent.level(tokens(0, 31));
        assert_eq!(purses.used(&budget("agent")).unwrap().tokens, 51);
        assert_eq!(purses.used(&budget("tool")).unwrap().tokens, 20);
        assert!(purses.used(&budget("another")).is_none());
    }

    #[test]
    fn one_that_does_not_listen_hears_its_end() {
        let purses = Purses::default();
        let ((own, _agents), (other, tools)) = (pair(), pair());
        let agent = purses.join(&[budget("agent")], own);
        let tool = purses.join(&[budget("agent")], other);
        tool.listens();
        (0..10_000).for_each(|spent| agent.level(tokens(0, spent)));
        std::thread::sleep(PATIENCE + PATIENCE / 2);
        let mut bytes = [0; Level::SIZE];
        while recv(&tools, &mut bytes, RecvFlags::DONTWAIT).unwrap().0 > 0 {}
    }

    #[test]
    fn one_whose_queue_another_fills_hears_the_newest_once_there_is_room() {
        let purses = Purses::default();
        let ((own, _agents), (other, tools)) = (pair(), pair());
        let agent = purses.join(&[budget("agent")], own);
        let tool = purses.join(&[budget("agent")], other);
        tool.listens();
        (0..10_000).for_each(|spent| agent.level(tokens(0, spent)));
        let mut last = 0;
        while last < 9_999 {
            let mut bytes = [0; Level::SIZE];
            let (length, _) = recv(&tools, &mut bytes, RecvFlags::empty()).unwrap();
            assert_eq!(length, Level::SIZE, "its end, after {last}");
            last = Level::decode(&bytes).spent.tokens;
        }
        // Nobody is behind any more, which the thread that tells them sees when it looks next.
        let until = Instant::now() + PATIENCE * 10;
        while purses.all().telling {
            assert!(Instant::now() < until, "somebody is told for ever");
            std::thread::sleep(AGAIN);
        }
        assert_eq!(heard(&tools), None);
    }

    #[test]
    fn models_are_told_apart_and_cost_what_they_cost() {
        let purses = Purses::default();
        let agent = purses.join(&[budget("agent")], pair().0);
        let tokens = Tokens { input: 1, cached: 2, written: 3, output: 4 };
        let used = Use { rule: 0, model: "m".to_owned(), tokens, estimated: true };
        agent.used(&used);
        agent.used(&Use { estimated: false, ..used });
        let used = purses.used(&budget("agent")).unwrap();
        let model = &used.models["m"];
        assert_eq!((model.calls, model.estimated), (2, 1));
        assert_eq!((model.input_tokens, model.cached_tokens, model.output_tokens), (12, 4, 8));
        assert!(model.cost.is_none() && used.cost.is_none());
    }
}
