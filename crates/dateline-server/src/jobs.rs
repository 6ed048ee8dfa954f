//! Background jobs under supervision. A job that panics or ends before it was stopped is logged, counted, reported by
//! health, and started again with back-off.

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::FutureExt;
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// First pause before a job is started again.
const RESTART_BACKOFF: Duration = Duration::from_secs(1);
/// Longest such pause.
const MAX_RESTART_BACKOFF: Duration = Duration::from_secs(30);
/// Time after which a job that was started again counts as running.
const PROBATION: Duration = Duration::from_secs(5);
/// Running time after which the pauses start at the shortest again.
const BACKOFF_RESET_AFTER: Duration = Duration::from_mins(1);

/// The background jobs of a server; cheap to clone.
#[derive(Debug, Clone)]
pub struct Jobs {
    tracker: TaskTracker,
    stop: CancellationToken,
    /// Pause before the first restart of a job; it doubles with each further one.
    pause: Duration,
    /// Time after which a job that was started again counts as running.
    probation: Duration,
    /// Jobs that ended by themselves, and when they count as running again.
    down: Arc<Mutex<BTreeMap<&'static str, Instant>>>,
}

impl Jobs {
    /// Creates an empty set of jobs, which `stop` stops.
    #[must_use]
    pub fn new(stop: CancellationToken) -> Self {
        Self {
            tracker: TaskTracker::new(),
            stop,
            pause: RESTART_BACKOFF,
            probation: PROBATION,
            down: Arc::default(),
        }
    }

    /// Spawns a job that runs until it is stopped.
    pub fn spawn<F>(&self, name: &'static str, job: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let jobs = self.clone();
        self.tracker
            .spawn(async move { jobs.supervise(name, job).await });
    }

    /// Spawns a task that ends by itself.
    pub fn spawn_once(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(task);
    }

    /// Returns the names of jobs that do not run although they should.
    #[must_use]
    pub fn not_running(&self) -> Vec<&'static str> {
        let now = Instant::now();
        let mut down = self.down.lock().unwrap_or_else(PoisonError::into_inner);
        down.retain(|_, up_at| now < *up_at);
        down.keys().copied().collect()
    }

    /// Stops all jobs, and waits until they have ended. Returns false if they did not within `grace`.
    pub async fn stop(&self, grace: Duration) -> bool {
        self.stop.cancel();
        self.tracker.close();
        let ended = tokio::time::timeout(grace, self.tracker.wait());
        ended.await.is_ok()
    }

    async fn supervise<F>(&self, name: &'static str, job: impl Fn() -> F + Send + Sync)
    where
        F: Future<Output = ()>,
    {
        let mut pause = self.pause;
        loop {
            let started_at = Instant::now();
            let running = AssertUnwindSafe(async { job().await }).catch_unwind();
            let Some(ended) = self.stop.run_until_cancelled(running).await else {
                return;
            };
            if self.stop.is_cancelled() {
                return;
            }
            if started_at.elapsed() > BACKOFF_RESET_AFTER {
                pause = self.pause;
            }
            let how = if ended.is_err() { "panicked" } else { "ended" };
            metrics::counter!("dateline_job_restarts_total", "job" => name).increment(1);
            tracing::error!(
                job = name,
                "a background job {how}; it is started again in {pause:?}"
            );
            self.down
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(name, Instant::now() + pause + self.probation);
            let pausing = tokio::time::sleep(pause);
            if self.stop.run_until_cancelled(pausing).await.is_none() {
                return;
            }
            pause = (pause * 2).min(MAX_RESTART_BACKOFF);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_job_that_panics_or_ends_is_noticed_and_started_again() {
        let jobs = Jobs {
            pause: Duration::from_millis(20),
            probation: Duration::from_millis(60),
            ..Jobs::new(CancellationToken::new())
        };
        let starts = Arc::new(AtomicU32::new(0));
        jobs.spawn("fragile", {
            let starts = starts.clone();
            move || {
                let start = starts.fetch_add(1, Ordering::Relaxed);
                async move {
                    match start {
                        0 => panic!("on purpose"),
                        1 => {}
                        _ => std::future::pending().await,
                    }
                }
            }
        });
        jobs.spawn("sound", std::future::pending);
        let until = async |started, down: &[&str]| {
            while starts.load(Ordering::Relaxed) != started || jobs.not_running() != down {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let noticed = async {
            until(1, &["fragile"]).await;
            until(2, &["fragile"]).await;
            until(3, &["fragile"]).await;
            until(3, &[]).await;
        };
        tokio::time::timeout(Duration::from_secs(10), noticed)
            .await
            .expect("it runs again");
        assert!(jobs.stop(Duration::from_secs(1)).await);
    }
}
