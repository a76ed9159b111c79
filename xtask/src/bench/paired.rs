//! Runs in turn, and what comes of them.

use anyhow::{Context as _, Result, ensure};
use std::{
    process::{Command, Stdio},
    time::Instant,
};

/// Something that is run and takes a time, in nanoseconds.
pub(crate) struct Runner<'a> {
    pub(crate) name: &'static str,
    pub(crate) once: Box<dyn FnMut() -> Result<f64> + 'a>,
}

/// The time each took in each round.
pub(crate) struct Rounds {
    names: Vec<&'static str>,
    times: Vec<Vec<f64>>,
}

/// One of each in every round, the first of them another each time: a disturbance hits all alike.
pub(crate) fn run(runners: &mut [Runner<'_>], rounds: usize) -> Result<Rounds> {
    let names = runners.iter().map(|runner| runner.name).collect();
    let mut times = vec![Vec::with_capacity(rounds); runners.len()];
    for round in 0..rounds + WARM_UP {
        for turn in 0..runners.len() {
            let which = (round + turn) % runners.len();
            let took = (runners[which].once)().with_context(|| runners[which].name)?;
            if round >= WARM_UP {
                times[which].push(took);
            }
        }
    }
    Ok(Rounds { names, times })
}

const WARM_UP: usize = 5;

/// The wall time of a program that must succeed.
pub(crate) fn wall_time(command: &mut Command) -> Result<f64> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let from = Instant::now();
    let status = command.status()?;
    let took = from.elapsed();
    ensure!(status.success(), "{status}");
    Ok(took.as_secs_f64() * 1e9)
}

impl Rounds {
    /// A line for each, with its ratio to the one at `reference`.
    pub(crate) fn print(&self, reference: usize) {
        println!("{:<34}{:>10}{:>10}{:>10}{:>12}", "", "min", "median", "p99", "ratio");
        for (which, name) in self.names.iter().enumerate() {
            println!(
                "{:<34}{:>10}{:>10}{:>10}{:>12.3}",
                name,
                micros(quantile(&self.times[which], 0.0)),
                micros(quantile(&self.times[which], 0.5)),
                micros(quantile(&self.times[which], 0.99)),
                self.ratio(which, reference),
            );
        }
    }

    /// The median of the ratios of each round.
    pub(crate) fn ratio(&self, which: usize, reference: usize) -> f64 {
        let pairs = self.times[which].iter().zip(&self.times[reference]);
        let ratios: Vec<f64> = pairs.map(|(one, other)| one / other).collect();
        quantile(&ratios, 0.5)
    }
}

fn micros(nanos: f64) -> String {
    format!("{:.0} µs", nanos / 1e3)
}

fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    // An index: values are few enough for a float to count.
    let at = (last as f64 * part).round() as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_sorted_values() {
        let values = [5.0, 1.0, 3.0, 2.0, 4.0];
        assert_eq!(quantile(&values, 0.0), 1.0);
        assert_eq!(quantile(&values, 0.5), 3.0);
        assert_eq!(quantile(&values, 1.0), 5.0);
    }

    #[test]
    fn every_runner_runs_once_a_round() {
        let mut runners = ["one", "other"].map(|name| Runner { name, once: Box::new(|| Ok(2.0)) });
        let rounds = run(&mut runners, 7).unwrap();
        assert!(rounds.times.iter().all(|times| times.len() == 7));
        assert_eq!(rounds.ratio(1, 0), 1.0);
    }
}
