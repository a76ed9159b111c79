//! What is drawn for each kill.

use super::profiles::Has;
use crate::Program;
use std::collections::BTreeMap;
use std::time::Duration;

/// How many calls the two programs make in a run that nobody disturbs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Calls {
    pub(super) supervisor: usize,
    pub(super) shim: usize,
}

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whom {
    Supervisor,
    /// The shim's first process, later PID 1.
    Init,
    /// The command, or the shim's half that becomes it.
    Command,
    /// A process of sandboxd's own that serves the run, in a sandbox of its own.
    Service,
    /// The supervisor and everything in the sandbox, one after another without a pause.
    Everything,
}

/// When.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// So long after `sandboxd` was started.
    After(Duration),
    /// At the n-th call, counted from 1, that this program makes.
    AtCall { of: Program, nth: usize },
    /// So long after the command was seen to live.
    Living(Duration),
}

/// What the command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// It ends at once.
    End,
    /// It sleeps.
    Sleep,
    /// It leaves daemons of two forks in sessions of their own, deaf to every signal, and sleeps.
    Daemons,
    /// It and its children fork as fast as they may.
    Storm,
}

impl Life {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::End => "end",
            Self::Sleep => "sleep",
            Self::Daemons => "daemons",
            Self::Storm => "storm",
        }
    }
}

/// One kill.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) index: usize,
    pub(super) has: Has,
    pub(super) whom: Whom,
    pub(super) when: When,
    pub(super) life: Life,
    /// Whether its cgroup is frozen first, where it has one by then.
    pub(super) frozen: bool,
}

impl Plan {
    pub(super) fn draw(seed: u64, index: usize, calls: &BTreeMap<Has, Calls>) -> Self {
        let place = u64::try_from(index).unwrap_or(u64::MAX);
        let mut dice = Dice(seed ^ place.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let has = match dice.below(6) {
            0 => Has::Calls,
            1 => Has::WayOut,
            2 => Has::Terminal,
            _ => Has::Nothing,
        };
        let bare = has == Has::Nothing;
        let calls = calls.get(&has).copied().unwrap_or(Calls { supervisor: 1, shim: 1 });
        let whom = match dice.below(10) {
            0..=3 => Whom::Supervisor,
            4 if !bare => Whom::Service,
            4..=5 => Whom::Init,
            6..=7 => Whom::Command,
            _ => Whom::Everything,
        };
        let micros = |most: usize, dice: &mut Dice| {
            Duration::from_micros(u64::try_from(dice.below(most)).unwrap_or(0))
        };
        let when = match dice.below(10) {
            0..=2 => When::After(micros(if bare { 60_000 } else { 150_000 }, &mut dice)),
            3..=4 => {
                let nth = 1 + dice.below(calls.supervisor);
                When::AtCall { of: Program::Supervisor, nth }
            }
            5..=6 => When::AtCall { of: Program::Shim, nth: 1 + dice.below(calls.shim) },
            // What is called takes a while to be there.
            _ if has == Has::Calls => When::Living(micros(120_000, &mut dice)),
            _ => When::Living(micros(20_000, &mut dice)),
        };
        let life = match (when, dice.below(8)) {
            // One whose turn never comes must end by itself.
            (When::AtCall { .. }, _) => Life::End,
            (_, 0..=1) => Life::Storm,
            (_, 2..=4) => Life::Daemons,
            _ => Life::Sleep,
        };
        // Whoever listens to every call would wait for those of a frozen one. And a supervisor that lives waits for what
        // is called, frozen in its start, as long as a start may take.
        let waits = has == Has::Calls && !matches!(whom, Whom::Supervisor | Whom::Everything);
        let frozen = dice.below(5) == 0 && !matches!(when, When::AtCall { .. }) && !waits;
        Self { index, has, whom, when, life, frozen }
    }

    /// Whether the supervisor may be among those who are killed, so that what only it removes stays.
    pub(super) fn may_end_supervisor(&self) -> bool {
        let maker = matches!(self.when, When::AtCall { of: Program::Supervisor, .. });
        // So soon after the start there may be nobody else yet.
        maker
            || matches!(self.whom, Whom::Supervisor | Whom::Everything)
            || matches!(self.when, When::After(_))
    }

    /// What its id begins with, and the names of its control sockets.
    pub(super) fn id(&self) -> String {
        format!("k{}-", self.index)
    }

    /// What the name of its cgroup begins with.
    pub(super) fn group(&self) -> String {
        format!("{GROUP}{}", self.id())
    }
}

/// What the names of sandboxes' cgroups begin with.
pub(super) const GROUP: &str = "sandboxd.";

/// `splitmix64`, Steele, Lea and Flood 2014.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let most = u64::try_from(most.max(1)).unwrap_or(1);
        usize::try_from(mixed % most).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_again_and_everything_there_is() {
        let calls = Has::ALL.map(|has| (has, Calls { supervisor: 300, shim: 300 })).into();
        let draw = |index| format!("{:?}", Plan::draw(7, index, &calls));
        let all: Vec<String> = (0..500).map(draw).collect();
        assert_eq!(all, (0..500).map(draw).collect::<Vec<_>>());
        for word in [
            "Nothing",
            "Calls",
            "WayOut",
            "has: Terminal",
            "Service",
            "Supervisor",
            "Init",
            "Command",
            "Everything",
            "After",
            "AtCall",
            "Living",
            "Storm",
            "Daemons",
            "Sleep",
            "frozen: true",
        ] {
            assert!(all.iter().any(|plan| plan.contains(word)), "{word}");
        }
    }
}
