//! Runs in turn, and what comes of them.

use anyhow::{Context as _, Result, ensure};
use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Rounds that are run and not counted.
pub(super) const WARM_UP: usize = 5;

/// Something that is run, and the time it took in each round.
pub(crate) struct Runner<'a> {
    name: &'static str,
    once: Box<dyn FnMut() -> Result<Duration> + 'a>,
    times: Vec<Duration>,
}

impl<'a> Runner<'a> {
    pub(crate) fn new(name: &'static str, once: impl FnMut() -> Result<Duration> + 'a) -> Self {
        Self { name, once: Box::new(once), times: Vec::new() }
    }

    /// The median of the times.
    pub(super) fn median(&self) -> Duration {
        let mut sorted = self.times.clone();
        sorted.sort();
        at(&sorted, 500).copied().unwrap_or_default()
    }

    /// The median of the ratios of each round to another's.
    pub(crate) fn ratio(&self, other: &Self) -> f64 {
        let pairs = self.times.iter().zip(&other.times);
        let mut ratios: Vec<f64> = pairs.map(|(one, other)| one.div_duration_f64(*other)).collect();
        ratios.sort_by(f64::total_cmp);
        at(&ratios, 500).copied().unwrap_or(f64::NAN)
    }

    /// A line, with the ratio to a reference.
    fn print(&self, reference: &Self) {
        let mut sorted = self.times.clone();
        sorted.sort();
        let micros = |permille| {
            let time = at(&sorted, permille).copied().unwrap_or_default();
            format!("{} µs", time.as_micros())
        };
        println!(
            "{:<34}{:>11}{:>11}{:>11}{:>9.3}",
            self.name,
            micros(0),
            micros(500),
            micros(990),
            self.ratio(reference),
        );
    }
}

/// One of each in every round, another one first each time: a disturbance hits all alike.
pub(crate) fn run(runners: &mut [Runner<'_>], rounds: usize) -> Result<()> {
    for round in 0..rounds + WARM_UP {
        let (later, first) = runners.split_at_mut(round % runners.len().max(1));
        for runner in first.iter_mut().chain(later) {
            let took = (runner.once)().with_context(|| runner.name)?;
            if round >= WARM_UP {
                runner.times.push(took);
            }
        }
    }
    Ok(())
}

/// A line for each, with its ratio to the reference.
pub(crate) fn print(runners: &[Runner<'_>], reference: &Runner<'_>) {
    println!("{:<34}{:>11}{:>11}{:>11}{:>9}", "", "min", "median", "p99", "ratio");
    for runner in runners {
        runner.print(reference);
    }
}

/// The wall time of a program that must succeed.
pub(crate) fn wall_time(command: &mut Command) -> Result<Duration> {
    // Whatever the bench itself is run with: what says something into a pipe is carried, which takes threads.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let from = Instant::now();
    let status = command.status()?;
    let took = from.elapsed();
    ensure!(status.success(), "{status}");
    Ok(took)
}

/// The value below which that many thousandths of the sorted values lie.
pub(super) fn at<T>(sorted: &[T], permille: usize) -> Option<&T> {
    sorted.get(sorted.len().saturating_sub(1) * permille / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_sorted_values() {
        let values = [1, 2, 3, 4, 5];
        assert_eq!(
            [0, 500, 1000].map(|permille| at(&values, permille)),
            [Some(&1), Some(&3), Some(&5)]
        );
        assert_eq!(at::<u8>(&[], 500), None);
    }

    #[test]
    fn every_runner_runs_once_a_round() {
        let once = || Ok(Duration::from_micros(2));
        let mut runners = [Runner::new("one", once), Runner::new("other", once)];
        run(&mut runners, 7).unwrap();
        assert!(runners.iter().all(|runner| runner.times.len() == 7));
        let [one, other] = &runners;
        assert!((one.ratio(other) - 1.0).abs() < f64::EPSILON);
    }
}
