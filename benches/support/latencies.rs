//! Work at an even pace, independent of unfinished work, and its latency from when it was due. A caller that waits for
//! a slow answer before the next call would not measure the calls that it delayed.

use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::JoinSet;

/// Starts `count` pieces of work, `per_second`. Returns the result of each with its due time.
pub async fn run_at_rate<Work, Answer>(
    count: usize,
    per_second: u32,
    mut begin: impl FnMut(usize) -> Work,
) -> Result<Vec<(Instant, Answer)>>
where
    Work: Future<Output = Result<Answer>> + Send + 'static,
    Answer: Send + 'static,
{
    let started = Instant::now();
    let mut begun = JoinSet::new();
    let mut due = started;
    for number in 0..count {
        tokio::time::sleep_until(due.into()).await;
        let work = begin(number);
        begun.spawn(async move { anyhow::Ok((due, work.await?)) });
        due += Duration::from_secs(1) / per_second;
    }
    let mut answers = Vec::with_capacity(count);
    while let Some(done) = begun.join_next().await {
        answers.push(done??);
    }
    Ok(answers)
}

/// Sorted times in milliseconds.
pub struct Latencies(Vec<f64>);

impl Latencies {
    /// Makes them from durations in any order.
    pub fn from_durations(times: impl IntoIterator<Item = Duration>) -> Self {
        let mut times: Vec<_> = times
            .into_iter()
            .map(|time| time.as_secs_f64() * 1000.0)
            .collect();
        times.sort_by(f64::total_cmp);
        Self(times)
    }

    /// Merges several.
    pub fn merged<'a>(all: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut times: Vec<_> = all
            .into_iter()
            .flat_map(|it| it.0.iter().copied())
            .collect();
        times.sort_by(f64::total_cmp);
        Self(times)
    }

    /// The value that `percent` % of the times do not exceed; 0 if there are none.
    pub fn percentile(&self, percent: usize) -> f64 {
        let place = (self.0.len() * percent).div_ceil(100).saturating_sub(1);
        self.0.get(place).copied().unwrap_or(0.0)
    }
}
