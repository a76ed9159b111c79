//! What is written down of a sandbox's way out: each connection that was let out or refused, and each name
//! that was, at its end.
//!
//! The egress process's word is all there is about it, and goes into a record in the supervisor's words: the
//! entry as the profile has it, a name that has only the letters of one, numbers. A command can bring
//! these about as often as it likes, so they are written down only so often, and then counted.

use super::audit::Audit;
use super::unawaited::Unawaited;
use crate::pace::Pace;
use sandboxd_audit::record::Actor;
use sandboxd_audit::{Kind, Record};
use sandboxd_egress_plan::record::Way;
use sandboxd_egress_plan::{Record as Told, Rule, Verdict};
use serde_json::{Map, Value, json};
use std::time::Instant;

/// Writes them down.
pub(super) struct Decisions {
    log: Unawaited,
    actor: Actor,
    rules: Vec<Rule>,
    /// What secrets are called that are put into requests.
    secrets: Vec<String>,
    carried: Kept,
    refused: Kept,
    signed: Kept,
    unsigned: Kept,
    /// The egress process could not tell so many, of either kind.
    untold: u64,
}

/// One kind of them, which must not keep the other from being written down.
pub(super) struct Kept {
    of: &'static str,
    decision: &'static str,
    pace: Pace,
    /// Those that came too often.
    left_out: u64,
    up: u64,
    down: u64,
}

impl Kept {
    const fn new(of: &'static str, decision: &'static str, pace: Pace) -> Self {
        Self { of, decision, pace, left_out: 0, up: 0, down: 0 }
    }

    /// Whether one more is written down; else it is counted.
    pub(super) fn admits(&mut self, now: Instant) -> bool {
        let admits = self.pace.admits(now);
        self.left_out = self.left_out.saturating_add(u64::from(!admits));
        admits
    }
}

impl Decisions {
    /// Of the sandbox with this id, whose profile is this agent's, and which has these entries and secrets.
    pub(super) fn new(
        audit: Audit,
        agent: &str,
        id: &str,
        (rules, secrets): (&[Rule], &[String]),
    ) -> Self {
        let instance = Some(id.to_owned());
        Self {
            log: Unawaited::new(audit, "the way out"),
            actor: Actor { agent: agent.to_owned(), instance, ..Actor::default() },
            rules: rules.to_vec(),
            secrets: secrets.to_vec(),
            carried: Kept::new("egress", "allowed", Pace::of_connections()),
            refused: Kept::new("egress", "refused", Pace::of_refusals()),
            signed: Kept::new("signature", "allowed", Pace::of_connections()),
            unsigned: Kept::new("signature", "refused", Pace::of_refusals()),
            untold: 0,
        }
    }

    /// Writes down what the egress process told; false where that cannot be.
    pub(super) fn told(&mut self, told: &Told) -> bool {
        let Ok(rule) = rule(&self.rules, told) else { return false };
        let Ok(secrets) = secrets(&self.secrets, told) else { return false };
        let refused = is_refused(told.verdict);
        if !refused && rule.is_none() {
            // It was given up before it said whom it was for, so that nothing was decided.
            return true;
        }
        let kept = if refused { &mut self.refused } else { &mut self.carried };
        let admits = kept.admits(Instant::now());
        if !admits {
            kept.up = kept.up.saturating_add(told.up);
            kept.down = kept.down.saturating_add(told.down);
            // What a secret was put into counts all the same.
            if secrets.is_empty() {
                return true;
            }
        }
        let mut record = Record::of(Kind::Egress);
        record.decision = Some(kept.decision);
        record.rule = rule.map(|rule| rule.written.clone());
        record.result = result(told, &secrets);
        self.keep(record, admits);
        true
    }

    /// The signatures that are, or are not, refused.
    pub(super) const fn of_signatures(&mut self, refused: bool) -> &mut Kept {
        if refused { &mut self.unsigned } else { &mut self.signed }
    }

    /// Counts one more, and writes it down behind those that were only counted, where it is to be.
    pub(super) fn keep(&mut self, mut record: Record, admits: bool) {
        if admits {
            self.tell_left_out();
            self.write(record);
        } else {
            record.actor = Some(self.actor.clone());
            self.log.audit().count(&record);
        }
    }

    /// The egress process had no room for so many.
    pub(super) fn untold(&mut self, lost: u32) {
        self.untold = self.untold.saturating_add(lost.into());
    }

    /// What cannot be written down any more, of which somebody must know.
    pub(super) fn close(&mut self) -> Option<String> {
        self.tell_left_out();
        self.log.close()
    }

    fn tell_left_out(&mut self) {
        let untold = std::mem::take(&mut self.untold);
        let untold = (untold > 0).then(|| (None, json!({ "of": "egress", "records": untold })));
        let mut left_out: Vec<_> = untold.into_iter().collect();
        let Self { carried, refused, signed, unsigned, .. } = self;
        for kept in [carried, refused, signed, unsigned] {
            let Kept { of, left_out: records, up, down, .. } = kept;
            if *records > 0 {
                let result = json!({
                    "of": of, "records": *records, "up_bytes": *up, "down_bytes": *down,
                });
                (*records, *up, *down) = (0, 0, 0);
                left_out.push((Some(kept.decision), result));
            }
        }
        for (decision, result) in left_out {
            let mut record = Record::of(Kind::LeftOut);
            (record.decision, record.result) = (decision, result);
            self.write(record);
        }
    }

    fn write(&mut self, mut record: Record) {
        record.actor = Some(self.actor.clone());
        self.log.audit().count(&record);
        self.log.write(record);
    }
}

/// That cannot be.
#[derive(Debug, PartialEq, Eq)]
struct Impossible;

/// The entry that it was under, where one has it.
fn rule<'r>(rules: &'r [Rule], told: &Told) -> Result<Option<&'r Rule>, Impossible> {
    let Some(place) = told.rule else { return Ok(None) };
    let rule = usize::try_from(place).ok().and_then(|place| rules.get(place));
    let has = |rule: &&Rule| {
        let named = told.name.as_ref().is_none_or(|name| rule.target.has_name(name));
        rule.port == told.port && named
    };
    rule.filter(has).map(Some).ok_or(Impossible)
}

/// The secrets that were put into its requests.
fn secrets<'n>(names: &'n [String], told: &Told) -> Result<Vec<&'n str>, Impossible> {
    let known = u32::try_from(names.len()).unwrap_or(u32::MAX);
    let all = 1_u64.checked_shl(known).map_or(u64::MAX, |bit| bit - 1);
    if told.secrets & !all != 0 || (told.secrets != 0 && told.puts == 0) {
        return Err(Impossible);
    }
    let is_in = |at: &usize| told.secrets & (1 << (at & 63)) != 0;
    let named = names.iter().take(64).enumerate().filter(|(at, _)| is_in(at));
    Ok(named.map(|(_, name)| name.as_str()).collect())
}

/// Whether somebody was kept from something. One that was let out, and then said nothing or lasted for too
/// long, was let out.
pub(super) const fn is_refused(verdict: Verdict) -> bool {
    verdict.is_refusal() && !matches!(verdict, Verdict::Idle | Verdict::Total)
}

/// What became of it.
fn result(told: &Told, secrets: &[&str]) -> Value {
    let way = match told.way {
        Way::Dns => "dns",
        Way::Transparent => "redirect",
        Way::Proxy => "proxy",
    };
    let mut result = Map::new();
    let mut put = |key: &str, value: Value| result.insert(key.to_owned(), value);
    put("verdict", told.verdict.text().into());
    put("way", way.into());
    if let Some(name) = &told.name {
        put("name", name.to_string().into());
    }
    if let Some(address) = told.address {
        put("address", address.to_string().into());
    }
    if told.port > 0 {
        put("port", told.port.into());
    }
    if told.way != Way::Dns {
        put("up_bytes", told.up.into());
        put("down_bytes", told.down.into());
        put("ms", told.millis.into());
    }
    if told.puts > 0 {
        put("secrets", secrets.into());
        put("puts", told.puts.into());
    }
    result.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::audit::{counted, nowhere};
    use sandboxd_egress_plan::{Bound, Carries, Deadlines, Target};

    fn told(rule: Option<u32>, name: &str, port: u16) -> Told {
        Told {
            verdict: Verdict::Carried,
            way: Way::Proxy,
            rule,
            name: Some(name.try_into().unwrap()),
            address: Some([203, 0, 113, 7].into()),
            port,
            up: 1,
            down: 2,
            millis: 3,
            secrets: 0,
            puts: 0,
        }
    }

    #[test]
    fn what_is_told_of_an_entry_must_fit_it() {
        let deadlines = Deadlines { idle: Bound::Unlimited, total: Bound::Unlimited };
        let only = [Rule {
            written: "*.example:443".into(),
            target: Target::Below("example".try_into().unwrap()),
            port: 443,
            carries: Carries::Tls,
            within: Vec::new(),
            own: Vec::new(),
            accounts: vec![0],
            deadlines,
            model: false,
        }];
        let fits = rule(&only, &told(Some(0), "a.example", 443)).unwrap();
        assert_eq!(fits.map(|rule| rule.written.as_str()), Some("*.example:443"));
        assert_eq!(rule(&only, &told(None, "b.test", 80)), Ok(None));
        for (place, name, port) in [(1, "a.example", 443), (0, "a.example", 80), (0, "b.test", 443)]
        {
            assert_eq!(rule(&only, &told(Some(place), name, port)), Err(Impossible), "{name}");
        }
    }

    #[test]
    fn only_secrets_that_there_are_were_put_into_requests() {
        let names = ["one", "two"].map(str::to_owned);
        let of = |bits, puts| {
            let told = Told { secrets: bits, puts, ..told(Some(0), "a.example", 443) };
            secrets(&names, &told).map(|named| named.join(" "))
        };
        assert_eq!(of(0, 0), Ok(String::new()));
        assert_eq!(of(2, 5), Ok("two".to_owned()));
        assert_eq!(of(3, 1), Ok("one two".to_owned()));
        assert_eq!((of(4, 1), of(1, 0)), (Err(Impossible), Err(Impossible)));
        let many = Told { secrets: u64::MAX, puts: 1, ..told(None, "a.example", 443) };
        assert!(secrets(&vec!["x".to_owned(); 70], &many).is_ok_and(|named| named.len() == 64));
        let shown = Told { secrets: 1, puts: 2, ..told(Some(0), "a.example", 443) };
        let shown = result(&shown, &["one"]);
        assert_eq!((&shown["secrets"], &shown["puts"]), (&json!(["one"]), &json!(2)));
    }

    #[test]
    fn what_a_secret_was_put_into_counts_where_it_came_too_often_to_be_written() {
        let deadlines = Deadlines { idle: Bound::Unlimited, total: Bound::Unlimited };
        let rule = Rule {
            written: "a.example:443".into(),
            target: Target::Name("a.example".try_into().unwrap()),
            port: 443,
            carries: Carries::Tls,
            within: Vec::new(),
            own: Vec::new(),
            accounts: vec![0],
            deadlines,
            model: false,
        };
        let audit = nowhere();
        let names = ["model".to_owned()];
        let mut decisions = Decisions::new(audit.clone(), "agent", "agent-1", (&[rule], &names));
        let put = Told { secrets: 1, puts: 2, ..told(Some(0), "a.example", 443) };
        // What was left out is written down, and counted anew, with the next that may be written.
        let left_out = (0..3000).map(|_| {
            assert!(decisions.told(&put));
            decisions.carried.left_out
        });
        assert!(left_out.max().is_some_and(|most| most > 0), "all of it was written");
        let uses = "sandboxd_secrets_uses_total{profile=\"agent\",secret=\"model\"} 3000";
        assert!(counted(&audit).lines().any(|line| line == uses));
    }

    #[test]
    fn who_was_let_out_and_said_nothing_more_was_let_out() {
        for (verdict, refused) in [
            (Verdict::Carried, false),
            (Verdict::Idle, false),
            (Verdict::Ended, false),
            (Verdict::NoRule, true),
            (Verdict::Unreachable, true),
            (Verdict::Budget, true),
        ] {
            assert_eq!(is_refused(verdict), refused, "{verdict:?}");
        }
        let carried = json!({
            "verdict": "carried", "way": "proxy", "name": "a.example", "address": "203.0.113.7",
            "port": 443, "up_bytes": 1, "down_bytes": 2, "ms": 3,
        });
        assert_eq!(result(&told(Some(0), "a.example", 443), &[]), carried);
        let asked = Told { way: Way::Dns, address: None, ..told(None, "b.test", 0) };
        assert_eq!(
            result(&asked, &[]),
            json!({ "verdict": "carried", "way": "dns", "name": "b.test" })
        );
    }
}
