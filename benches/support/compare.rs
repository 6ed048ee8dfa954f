//! Sides that are measured in turns, and ratios between them. A ratio is taken within a round, so that whatever slows
//! the machine for a while slows both of its sides. Independent of what is measured.

use std::{future::Future, time::Instant};

use anyhow::Result;

/// The length of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BenchMode {
    /// Seconds: checks that the benchmark runs.
    Short,
    /// Minutes: for figures.
    Full,
}

impl BenchMode {
    /// Short with `--short` or `DATELINE_BENCH=short`.
    pub fn from_args() -> Self {
        let by_flag = std::env::args().any(|argument| argument == "--short");
        let by_variable = std::env::var("DATELINE_BENCH").is_ok_and(|form| form == "short");
        if by_flag || by_variable {
            Self::Short
        } else {
            Self::Full
        }
    }

    /// Selects one of two sizes.
    pub fn pick<T>(self, short: T, full: T) -> T {
        match self {
            Self::Short => short,
            Self::Full => full,
        }
    }
}

/// True if this part of a benchmark is named among the arguments, or no part is.
pub fn is_wanted(part: &str) -> bool {
    let mut named = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .peekable();
    named.peek().is_none() || named.any(|argument| argument == part)
}

/// Sides that do the same in different ways, and the rate of each per second, round by round.
pub struct Comparison {
    title: String,
    unit: &'static str,
    sides: Vec<Side>,
    in_turn: bool,
    load: String,
}

impl Comparison {
    /// Makes an empty comparison. The first side is ours; the others are limits.
    pub fn new(title: impl Into<String>, unit: &'static str, sides: &[&'static str]) -> Self {
        Self {
            title: title.into(),
            unit,
            sides: sides.iter().map(|side| (*side, Vec::new())).collect(),
            in_turn: false,
            load: load(),
        }
    }

    /// Adds one more limit: the work of all limits one after the other, which is what ours does.
    pub fn in_turn(self) -> Self {
        Self {
            in_turn: true,
            ..self
        }
    }

    /// Runs every side once per round, in a rotating order, and prints the results. `measure` gets the side and the
    /// round, and returns its rate in units per second.
    pub async fn run<Measured>(
        mut self,
        rounds: usize,
        mut measure: impl FnMut(usize, usize) -> Measured,
    ) -> Result<()>
    where
        Measured: Future<Output = Result<f64>>,
    {
        let count = self.sides.len();
        for round in 0..rounds {
            for turn in 0..count {
                let side = (round + turn) % count;
                let rate = measure(side, round).await?;
                self.sides[side].1.push(rate);
            }
        }
        self.print();
        Ok(())
    }

    #[expect(
        clippy::print_stdout,
        reason = "a benchmark's result is what it prints"
    )]
    fn print(&self) {
        let rounds = self.sides[0].1.len();
        println!("\n{} ({rounds} rounds)", self.title);
        let (ours, limits) = (&self.sides[0], &self.sides[1..]);
        for limit in limits {
            print_ratio(ours, limit);
        }
        if self.in_turn {
            let seconds = |round: usize| {
                limits
                    .iter()
                    .map(|(_, rates)| 1.0 / rates[round])
                    .sum::<f64>()
            };
            let rates = (0..rounds).map(|round| 1.0 / seconds(round)).collect();
            print_ratio(ours, &("these, one after the other", rates));
        }
        for (side, rates) in &self.sides {
            let Spread { median, low, high } = Spread::from_values(rates.clone());
            let unit = self.unit;
            println!("  {side:<40} {median:>11.0} {unit}   ({low:.0} to {high:.0})");
        }
        println!("  load average before {}, after {}", self.load, load());
    }
}

type Side = (&'static str, Vec<f64>);

#[expect(
    clippy::print_stdout,
    reason = "a benchmark's result is what it prints"
)]
fn print_ratio((ours, rates): &Side, (limit, limits): &Side) {
    let ratios = rates.iter().zip(limits).map(|(ours, limit)| ours / limit);
    let Spread { median, low, high } = Spread::from_values(ratios.collect());
    println!("  {ours} / {limit:<34} {median:>9.3}   ({low:.3} to {high:.3})");
}

/// Median, minimum and maximum.
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The minimum.
    pub low: f64,
    /// The maximum.
    pub high: f64,
}

impl Spread {
    /// The spread of at least one value.
    pub fn from_values(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let last = values.len() - 1;
        Self {
            median: f64::midpoint(values[last / 2], values[last.div_ceil(2)]),
            low: values[0],
            high: values[last],
        }
    }
}

/// The load average of the last minute.
pub fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("unknown").to_owned()
}

/// The rate per second of `work`, which does `count`.
pub async fn rate(count: usize, work: impl Future<Output = Result<()>>) -> Result<f64> {
    let started = Instant::now();
    work.await?;
    Ok(count as f64 / started.elapsed().as_secs_f64())
}
