//! What the benchmarks have in common: sides that are measured in turns, and ratios between them. A ratio is
//! taken within a round, so what slows the machine for a while slows both of its sides. Knows nothing of what
//! is measured.

use std::{future::Future, time::Instant};

use anyhow::Result;

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Seconds: to see that it runs.
    Short,
    /// Minutes: for figures.
    Full,
}

impl Form {
    /// Short with `--short` or `DATELINE_BENCH=short`.
    pub fn chosen() -> Self {
        let by_flag = std::env::args().any(|argument| argument == "--short");
        let by_variable = std::env::var("DATELINE_BENCH").is_ok_and(|form| form == "short");
        if by_flag || by_variable {
            Self::Short
        } else {
            Self::Full
        }
    }

    /// One of two sizes.
    pub fn pick<T>(self, short: T, full: T) -> T {
        match self {
            Self::Short => short,
            Self::Full => full,
        }
    }
}

/// Whether a part of a benchmark is to be run: it is named among the arguments, or none is.
pub fn is_wanted(part: &str) -> bool {
    let mut named = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .peekable();
    named.peek().is_none() || named.any(|argument| argument == part)
}

/// Sides that do the same in different ways, and what each made per second, round by round.
pub struct Comparison {
    title: String,
    unit: &'static str,
    sides: Vec<Side>,
    in_turn: bool,
    load: String,
}

impl Comparison {
    /// The first side is ours; the others are limits.
    pub fn new(title: impl Into<String>, unit: &'static str, sides: &[&'static str]) -> Self {
        Self {
            title: title.into(),
            unit,
            sides: sides.iter().map(|side| (*side, Vec::new())).collect(),
            in_turn: false,
            load: load(),
        }
    }

    /// Ours does what the limits do, one after the other: that is a limit as well.
    pub fn in_turn(self) -> Self {
        Self {
            in_turn: true,
            ..self
        }
    }

    /// Runs every side once per round, in an order that moves on, and prints what came of it. `measure` is
    /// told the side and the round, and answers how many of the unit it made per second.
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
            let Spread { median, low, high } = Spread::of(rates.clone());
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
    let Spread { median, low, high } = Spread::of(ratios.collect());
    println!("  {ours} / {limit:<34} {median:>9.3}   ({low:.3} to {high:.3})");
}

/// Median, least and most.
pub struct Spread {
    /// The middle.
    pub median: f64,
    /// The least.
    pub low: f64,
    /// The most.
    pub high: f64,
}

impl Spread {
    /// Of some values, at least one.
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let last = values.len() - 1;
        Self {
            median: f64::midpoint(values[last / 2], values[last.div_ceil(2)]),
            low: values[0],
            high: values[last],
        }
    }
}

/// Load average of the last minute.
pub fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("unknown").to_owned()
}

/// How many per second, if `work` does `count`.
pub async fn rate(count: usize, work: impl Future<Output = Result<()>>) -> Result<f64> {
    let started = Instant::now();
    work.await?;
    Ok(count as f64 / started.elapsed().as_secs_f64())
}
