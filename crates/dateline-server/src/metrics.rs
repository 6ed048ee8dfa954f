//! Metrics in Prometheus' text format, on an address of their own. Labels are methods and codes, never names
//! or titles.

use metrics_exporter_prometheus::PrometheusBuilder;

use super::{listen::Listen, run::Error};

/// Serves metrics at `http://address/metrics` for as long as the process lives.
///
/// # Errors
/// When the address cannot be had, or metrics are served already.
pub fn serve(listen: &Listen) -> Result<(), Error> {
    // One address, and of a name that stands for several the one that everybody can reach.
    let Some(address) = listen.addresses().first().copied() else {
        return Ok(());
    };
    PrometheusBuilder::new()
        .with_http_listener(address)
        .install()
        .map_err(|error| Error::Metrics(format!("{address}: {error}")))?;
    describe();
    tracing::info!(%address, "serving metrics");
    Ok(())
}

/// Counts a limit that bit.
pub(crate) fn limit_hit(limit: &'static str) {
    metrics::counter!("dateline_limits", "limit" => limit).increment(1);
}

fn describe() {
    metrics::describe_counter!("dateline_limits", "Times that a limit bit, by limit");
    metrics::describe_gauge!("dateline_connections", "Open connections");
    metrics::describe_counter!(
        "dateline_handshake_failures",
        "TLS handshakes of which no connection came"
    );
    metrics::describe_counter!("dateline_requests", "Calls, by method and gRPC code");
    metrics::describe_histogram!(
        "dateline_request_seconds",
        metrics::Unit::Seconds,
        "Time to the first byte of the answer"
    );
    metrics::describe_counter!("dateline_panics", "Handlers that panicked; each is a bug");
    metrics::describe_gauge!("dateline_watch_streams", "Open streams");
    metrics::describe_counter!(
        "dateline_watch_messages",
        "Messages with changes sent on streams"
    );
    metrics::describe_counter!(
        "dateline_watch_log_pages",
        "Pages that streams read from the log, being too far behind for memory"
    );
    metrics::describe_counter!(
        "dateline_tail_reconnects",
        "Times the tail lost the database"
    );
    metrics::describe_gauge!("dateline_head_sequence", "Newest sequence, by feed");
    metrics::describe_gauge!(
        "dateline_embargo_overdue",
        "Records whose embargo has ended and which are not published"
    );
    metrics::describe_gauge!(
        "dateline_embargo_overdue_seconds",
        metrics::Unit::Seconds,
        "Time that the first of them has waited; 0 if there is none"
    );
    metrics::describe_gauge!(
        "dateline_embargo_stuck",
        "Those of them that could not be published, each alone"
    );
    metrics::describe_counter!(
        "dateline_job_restarts",
        "Background jobs that panicked or ended and were started again; each is a bug"
    );
    metrics::describe_counter!(
        "dateline_database_silences",
        "Times that a connection of the database was found dead without a word"
    );
    metrics::describe_histogram!(
        "dateline_commit_group_requests",
        "Requests committed together"
    );
    metrics::describe_counter!(
        "dateline_commit_decided_again",
        "Requests decided again, because what they looked at had moved"
    );
}
