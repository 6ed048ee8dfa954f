//! The job that lets projections follow the log, and reports how far behind they are.

use std::{sync::Arc, time::Duration};

use dateline_store::{ProjectionStatus, Store};
use tokio::{sync::Notify, time::Instant};

/// Interval at which new changes are looked for. Changes of this time are written as one group.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Pause after the store was unavailable.
const UNAVAILABLE_BACKOFF: Duration = Duration::from_secs(1);

/// Projects until it is stopped. A call that waits for a projection wakes it.
pub async fn run(store: Store, wanted: Arc<Notify>) {
    let mut projector = store.projector();
    let mut is_away = false;
    loop {
        let began_at = Instant::now();
        let stepped = projector.step().await;
        let pause = match &stepped {
            // Calls come first: behind many changes it works half of the time.
            Ok(statuses) if statuses.iter().any(|status| status.has_more) => {
                began_at.elapsed().min(POLL_INTERVAL)
            }
            Ok(_) => POLL_INTERVAL,
            Err(_) => UNAVAILABLE_BACKOFF,
        };
        match stepped {
            Ok(statuses) => {
                is_away = false;
                statuses.iter().for_each(report);
            }
            Err(error) if !is_away => {
                is_away = true;
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "projections cannot follow the log; trying again"
                );
            }
            Err(_) => {}
        }
        // Woken or not, a step that was taken is behind.
        drop(tokio::time::timeout(pause, wanted.notified()).await);
    }
}

fn report(status: &ProjectionStatus) {
    metrics::gauge!("dateline_projection_lag", "projection" => status.name)
        .set(status.changes_behind as f64);
    metrics::gauge!("dateline_projection_lag_seconds", "projection" => status.name)
        .set(status.seconds_behind);
}
