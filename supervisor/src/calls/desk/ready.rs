//! What is kept ready, for whom and along which edge: instances that are started before anybody calls, up to
//! the word to go. Whoever calls along that edge claims one; nobody else can, since it lies in its caller's
//! cgroup, and under what is given along its caller's chain.

use super::Clerk;
use crate::calls::Connection;
use crate::calls::hold::{Claim, Hold};
use crate::calls::instance::{For, Instance};
use crate::sandbox::StartError;
use rustix::event::Timespec;
use sandboxd_profiles::Graph;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Whoever begins to run has the processors for so long, before the next one is started.
const AFTER: Duration = Duration::from_millis(20);

/// How long none is started after one that could not be kept; twice as long each time, until one is claimed.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);

/// The instance that calls, 0 where it is none, and the edge.
type Place = (u64, u64);

/// Everything that is kept ready.
#[derive(Default)]
pub(super) struct Ready {
    stocks: BTreeMap<Place, Stock>,
    /// Those that are to end, by their numbers.
    leaving: BTreeMap<u64, Leaving>,
    /// Numbers rise, and are not the broker's.
    newest: u64,
}

/// What is kept ready for one caller along one edge.
struct Stock {
    who: Connection,
    most: usize,
    kept: VecDeque<Kept>,
    /// None is started sooner.
    next: Instant,
    pause: Duration,
    /// Why some could not be kept. It is said once the next one is started, and not where the caller is over by
    /// then: then they ended with it, which may be heard before its own end.
    whys: Vec<(String, StartError)>,
}

/// One that nobody can claim any more.
struct Leaving {
    instance: Instance,
    /// Where it was kept, if it ended by itself.
    from: Option<Place>,
}

struct Kept {
    number: u64,
    hold: Arc<Hold>,
    instance: Instance,
}

impl Stock {
    fn lacks(&self) -> bool {
        self.kept.len() < self.most
    }

    /// Whether there is anything to be done once it is time.
    fn waits(&self) -> bool {
        self.lacks() || !self.whys.is_empty()
    }

    fn rest(&mut self) {
        self.next = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(LONGEST);
    }
}

impl Ready {
    /// How many there are, those that are to end among them.
    pub(super) fn len(&self) -> usize {
        self.leaving.len() + self.stocks.values().map(|stock| stock.kept.len()).sum::<usize>()
    }

    /// The command of whoever this is runs: from now on something is kept ready for it, where its profile says so.
    pub(super) fn keep(
        &mut self,
        graph: &Graph,
        who: &Connection,
        revoked: impl Fn(usize) -> bool,
    ) {
        let all = graph.kept_ready(&who.standing);
        for (edge, most) in all.filter(|(edge, _)| !revoked(*edge)) {
            let Ok(edge) = u64::try_from(edge) else { continue };
            let next = Instant::now() + AFTER;
            let (who, kept, whys) = (who.clone(), VecDeque::new(), Vec::new());
            let stock = Stock { who, most, kept, next, pause: PAUSE, whys };
            self.stocks.insert((stock.who.behalf, edge), stock);
        }
    }

    /// Gives the one that was started first of those that are ready there, which is whose the claim says.
    pub(super) fn claim(&mut self, place: Place, claim: &Claim) -> Option<Instance> {
        let stock = self.stocks.get_mut(&place)?;
        while let Some(Kept { number, hold, instance }) = stock.kept.pop_front() {
            if hold.claim(claim.clone()) {
                stock.next = Instant::now() + AFTER;
                stock.pause = PAUSE;
                return Some(instance);
            }
            // It has just ended; why will be heard.
            self.leaving.insert(number, Leaving { instance, from: Some(place) });
        }
        // One is started for it, and the next one after that.
        stock.next = stock.next.max(Instant::now() + AFTER);
        None
    }

    /// Ends one that is kept for nobody, so that somebody who called has its place.
    pub(super) fn give_way(&mut self) -> Option<Instance> {
        if let Some((_, leaving)) = self.leaving.pop_first() {
            return Some(leaving.instance);
        }
        let fullest = self.stocks.values_mut().max_by_key(|stock| stock.kept.len())?;
        let Kept { mut instance, .. } = fullest.kept.pop_back()?;
        instance.end();
        fullest.rest();
        Some(instance)
    }

    /// This caller is over: nothing is kept for it any more.
    pub(super) fn left(&mut self, caller: u64) {
        self.drop_those(|(behalf, _)| *behalf == caller);
    }

    /// Nobody calls over this edge any more: nothing is kept for it.
    pub(super) fn revoked(&mut self, edge: usize) {
        self.drop_those(|(_, along)| usize::try_from(*along) == Ok(edge));
    }

    fn drop_those(&mut self, gone: impl Fn(&Place) -> bool) {
        let places: Vec<Place> = self.stocks.keys().copied().filter(gone).collect();
        let gone = places.iter().filter_map(|place| self.stocks.remove(place));
        for Kept { number, mut instance, .. } in gone.flat_map(|stock| stock.kept) {
            instance.end();
            self.leaving.insert(number, Leaving { instance, from: None });
        }
    }

    /// Ends all of them.
    pub(super) fn end_all(&mut self) {
        for stock in self.stocks.values_mut() {
            stock.kept.iter_mut().for_each(|kept| kept.instance.end());
        }
    }

    /// Takes out one that is over and that nobody claimed, and the place where it was kept, if it ended by itself.
    fn take(&mut self, number: u64) -> Option<(Instance, Option<Place>)> {
        if let Some(Leaving { instance, from }) = self.leaving.remove(&number) {
            return Some((instance, from));
        }
        self.stocks.iter_mut().find_map(|(place, stock)| {
            let at = stock.kept.iter().position(|kept| kept.number == number)?;
            Some((stock.kept.remove(at)?.instance, Some(*place)))
        })
    }

    /// All of them.
    pub(super) fn rest(self) -> impl Iterator<Item = Instance> {
        let kept = self.stocks.into_values().flat_map(|stock| stock.kept);
        let leaving = self.leaving.into_values().map(|leaving| leaving.instance);
        kept.map(|kept| kept.instance).chain(leaving)
    }

    /// When the next one is to be started; nothing where none is.
    pub(super) fn wakes_in(&self) -> Option<Timespec> {
        let next =
            self.stocks.values().filter(|stock| stock.waits()).map(|stock| stock.next).min()?;
        Timespec::try_from(next.saturating_duration_since(Instant::now())).ok()
    }
}

impl Clerk {
    /// Starts what is lacking, where it is time and there is room, and says why what was there could not be kept.
    pub(super) fn refill(&mut self) {
        let now = Instant::now();
        let lacking = |(place, stock): (&Place, &Stock)| {
            (stock.waits() && stock.next <= now).then_some(*place)
        };
        let places: Vec<Place> = self.ready.stocks.iter().filter_map(lacking).collect();
        for place in places {
            let stock = self.ready.stocks.get_mut(&place);
            let whys = stock.map(|stock| std::mem::take(&mut stock.whys)).unwrap_or_default();
            whys.into_iter().for_each(|why| self.unkept(why));
            self.fill(place);
        }
    }

    fn fill(&mut self, place: Place) {
        let most = self.shared.most.instances;
        while self.ready.stocks.get(&place).is_some_and(Stock::lacks) {
            let full = self.instances.len() + self.ready.len() >= most;
            let kept = if full { Ok(None) } else { self.another(place).map(Some) };
            let Some(stock) = self.ready.stocks.get_mut(&place) else { return };
            match kept {
                Ok(Some(kept)) => stock.kept.push_back(kept),
                Ok(None) => return stock.next = Instant::now() + PAUSE,
                Err(why) => {
                    stock.rest();
                    return self.unkept(why);
                }
            }
        }
    }

    /// Begins to start one.
    fn another(&mut self, place: Place) -> Result<Kept, (String, StartError)> {
        let who = self.ready.stocks.get(&place).map(|stock| stock.who.clone());
        let launch = who.zip(usize::try_from(place.1).ok()).and_then(|(who, edge)| {
            let launch = self.shared.calls.graph.launch(&who.standing, edge)?;
            Some((who, launch))
        });
        let Some((who, launch)) = launch else {
            return Err((
                String::from("calls"),
                StartError::found("graph", "there is no such edge"),
            ));
        };
        let name = launch.profile.name().to_owned();
        self.ready.newest += 1;
        let (number, hold) = (self.ready.newest, Arc::new(Hold::new()));
        let begun = self
            .wanted(&who, (place.1, launch))
            .and_then(|wanted| Instance::begin(wanted, For::Nobody(Arc::clone(&hold), number)));
        match begun {
            Ok(instance) => Ok(Kept { number, hold, instance }),
            Err(why) => Err((name, why)),
        }
    }

    /// One is over that nobody claimed: it was told to end, or could not be kept, and then the next one is not
    /// started at once.
    pub(super) fn unused(&mut self, number: u64, why: Option<(String, StartError)>) {
        // Whoever gave way is waited for by the one that has its place.
        let Some((instance, from)) = self.ready.take(number) else { return };
        self.left.extend(instance.gone());
        if let Some(stock) = from.and_then(|place| self.ready.stocks.get_mut(&place)) {
            stock.rest();
            stock.whys.extend(why);
        }
    }

    fn unkept(&mut self, (name, why): (String, StartError)) {
        self.refused(&(format!("{name}, to be kept ready"), why));
    }
}
