//! What came of all kernels, as a table, and whether that is good.

use super::{
    found::{Found, Outcome, Part, Told},
    matrix::Offers,
};
use anyhow::{Result, bail};
use std::collections::{BTreeMap, BTreeSet};

/// A kernel and a user.
pub(super) struct Column<'a> {
    pub(super) name: String,
    /// None for this machine, of which nothing is wanted.
    pub(super) offers: Option<&'a Offers>,
    /// The cases that are to be run; none of a job that is something else.
    pub(super) wanted: Vec<Part>,
    pub(super) found: Found,
}

/// All of them.
#[derive(Default)]
pub(super) struct Report<'a>(pub(super) Vec<Column<'a>>);

impl Column<'_> {
    /// Of those that are wanted; of all where it is not said what is.
    fn told(&self) -> impl Iterator<Item = &Told> {
        let all = self.wanted.is_empty();
        self.found.cases.values().filter(move |told| all || self.wanted.contains(&told.part))
    }

    fn of(&self, outcome: Outcome) -> impl Iterator<Item = &Told> {
        self.told().filter(move |told| told.outcome == outcome)
    }

    fn left(&self) -> usize {
        self.wanted.iter().filter(|part| !self.found.cases.contains_key(part)).count()
    }

    fn sum(&self) -> String {
        let count = |outcome| self.of(outcome).count();
        let release = self.found.facts.as_ref().map_or("", |facts| &facts.release);
        let left = match self.left() {
            0 => String::new(),
            left => format!(", {left} without a result"),
        };
        format!(
            "{:<14} {release:<28} {} passed, {} failed, {} not run{left}",
            self.name,
            count(Outcome::Passed),
            count(Outcome::Failed),
            count(Outcome::NotRun),
        )
    }

    /// A word of the table.
    fn cell(&self, part: &Part) -> String {
        match self.found.cases.get(part) {
            Some(Told { outcome: Outcome::Passed, seconds, .. }) => format!("{seconds:.1} s"),
            Some(Told { outcome: Outcome::Failed, .. }) => "FAILED".to_owned(),
            Some(Told { outcome: Outcome::NotRun, .. }) => "not run".to_owned(),
            None if self.wanted.contains(part) => "-".to_owned(),
            None => String::new(),
        }
    }

    fn wrong(&self) -> Vec<String> {
        let nothing_yet = self.found.facts.is_none() && !self.wanted.is_empty();
        let offers = self.offers.filter(|_| !nothing_yet);
        let mut wrong = offers.map_or_else(Vec::new, |offers| self.found.differences(offers));
        wrong.extend(self.of(Outcome::Failed).map(|told| format!("{} failed", told.part)));
        if self.wanted.is_empty() {
            let failed = self.found.steps.iter().filter(|(_, status)| *status != 0);
            wrong.extend(failed.map(|(step, status)| format!("{step} ended with status {status}")));
        }
        wrong.iter().map(|what| format!("{}: {what}", self.name)).collect()
    }
}

impl Report<'_> {
    /// What was to run, and ran in no column.
    pub(super) fn nowhere(&self) -> Vec<Part> {
        let told = || self.0.iter().flat_map(Column::told);
        let ran: BTreeSet<&str> = told()
            .filter(|told| told.outcome != Outcome::NotRun)
            .map(|told| told.part.case.as_str())
            .collect();
        let nowhere = told().filter(|told| !ran.contains(told.part.case.as_str()));
        nowhere.map(|told| told.part.clone()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Every case on every kernel, and why what did not pass did not.
    pub(super) fn show(&self) {
        let parts: BTreeSet<&Part> = self.0.iter().flat_map(|column| &column.wanted).collect();
        let rows: Vec<(String, Vec<String>)> = parts
            .iter()
            .map(|part| (part.to_string(), self.0.iter().map(|one| one.cell(part)).collect()))
            .collect();
        let widest = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let print = |name: &str, cells: &[String]| {
            let cells: String = cells.iter().map(|cell| format!(" {cell:>15}")).collect();
            println!("{name:<widest$}{cells}");
        };
        print("", &self.0.iter().map(|column| column.name.clone()).collect::<Vec<_>>());
        rows.iter().for_each(|(name, cells)| print(name, cells));
        for (outcome, word) in [
            (Outcome::Passed, "not run in part:"),
            (Outcome::NotRun, "not run:"),
            (Outcome::Failed, "FAILED"),
        ] {
            println!();
            let mut places: BTreeMap<(String, &str), Vec<&str>> = BTreeMap::new();
            for column in &self.0 {
                // Of one that passed there is a reason where not all of it was run.
                for told in column.of(outcome).filter(|told| !told.why.is_empty()) {
                    let why = told.why.lines().next().unwrap_or_default();
                    places.entry((told.part.to_string(), why)).or_default().push(&column.name);
                }
            }
            for ((part, why), columns) in places {
                println!("{word} {part}: {why} ({})", columns.join(", "));
            }
        }
    }

    /// `whole` where everything there is was to be run: then all of it must have a result, and every
    /// case must have run somewhere.
    pub(super) fn judge(&self, whole: bool) -> Result<()> {
        println!();
        for column in &self.0 {
            println!("{}", column.sum());
        }
        let mut wrong: Vec<String> = self.0.iter().flat_map(Column::wrong).collect();
        if whole {
            for column in &self.0 {
                match column.left() {
                    0 => {}
                    left => wrong.push(format!("{}: {left} without a result", column.name)),
                }
            }
            let nowhere: BTreeSet<String> =
                self.nowhere().into_iter().map(|part| part.case).collect();
            wrong.extend(nowhere.iter().map(|case| format!("{case} ran nowhere")));
        }
        if wrong.is_empty() {
            return Ok(());
        }
        bail!("{}", wrong.join("\n  "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offers() -> Offers {
        toml::from_str(
            "release = '6.'\nlandlock = 2\ncgroups = 'v2'\ncontrollers = []\nmemfd_noexec = false\n\
             pidfd_process_group = false\nsystemd = 252",
        )
        .expect("offers")
    }

    fn column<'a>(name: &str, offers: &'a Offers, told: &[(&str, &str)]) -> Column<'a> {
        let part = |case: &str| {
            serde_json::from_str(&format!(r#"{{"case":"{case}","by":"root"}}"#)).expect("a part")
        };
        let mut found = Found::default();
        found
            .add(
                "{\"facts\":{\"release\":\"6.1\",\"landlock\":2,\"cgroups\":\"v2\",\"controllers\":[],\
                 \"memfd_noexec\":false,\"pidfd_process_group\":false,\"systemd\":252}}\n",
            )
            .expect("facts");
        for (case, outcome) in told {
            let line = format!(
                r#"{{"case":"{case}","by":"root","outcome":"{outcome}","why":"","seconds":1}}"#
            );
            found.add(&format!("{line}\n")).expect("a line");
        }
        Column {
            name: name.to_owned(),
            offers: Some(offers),
            wanted: vec![part("a"), part("b")],
            found,
        }
    }

    /// What is wrong with two kernels that told this.
    fn judged(one: &[(&str, &str)], other: &[(&str, &str)], whole: bool) -> String {
        let offers = offers();
        let report = Report(vec![column("one", &offers, one), column("other", &offers, other)]);
        report.judge(whole).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_case_has_to_run_somewhere_and_have_a_result_everywhere() {
        let (here, there) =
            ([("a", "passed"), ("b", "not run")], [("a", "not run"), ("b", "passed")]);
        assert_eq!(judged(&here, &there, true), "");
        assert_eq!(judged(&here, &here, true), "b ran nowhere");
        assert_eq!(judged(&here, &here, false), "");
        let offers = offers();
        let of = |name, told| column(name, &offers, told);
        let nowhere = Report(vec![of("one", &here), of("other", &here)]).nowhere();
        assert_eq!(nowhere.iter().map(|part| part.case.as_str()).collect::<Vec<_>>(), ["b"]);
        assert!(Report(vec![of("one", &here), of("this", &there)]).nowhere().is_empty());
        assert_eq!(judged(&here, &[("b", "passed")], true), "other: 1 without a result");
        assert_eq!(judged(&here, &[("b", "passed")], false), "");
        assert_eq!(judged(&[], &[("b", "failed")], false), "other: b failed");
    }
}
