//! Metrics in Prometheus' text format, on an address of their own. `docs/limits.md` lists them. Labels are methods,
//! codes and names of limits and jobs, never names or titles of records.

use std::net::SocketAddr;

use metrics::Unit;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder};

use super::transport::listen::Listen;

/// Buckets of `grpc_server_handling_seconds`: the defaults of Prometheus' client libraries.
const SECONDS_BUCKETS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Buckets of `dateline_commit_group_requests`.
const REQUESTS_BUCKETS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// The metrics cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("cannot serve metrics: {address}: {source}")]
pub struct Error {
    address: SocketAddr,
    source: BuildError,
}

/// Serves metrics at `http://address/metrics` for as long as the process lives.
///
/// # Errors
/// If the address cannot be bound, or the process serves metrics already.
pub fn serve(listen: &Listen) -> Result<(), Error> {
    // One address: of a name that stands for several, the one that everybody can reach.
    let Some(address) = listen.addresses().first().copied() else {
        return Ok(());
    };
    exporter()
        .and_then(|exporter| exporter.with_http_listener(address).install())
        .map_err(|source| Error { address, source })?;
    describe_metrics();
    tracing::info!(%address, "serving metrics");
    Ok(())
}

/// Returns an exporter whose histograms have buckets: summaries cannot be aggregated over servers.
fn exporter() -> Result<PrometheusBuilder, BuildError> {
    let of = |name: &str| Matcher::Full(name.to_owned());
    PrometheusBuilder::new()
        .set_buckets_for_metric(of("grpc_server_handling_seconds"), &SECONDS_BUCKETS)?
        .set_buckets_for_metric(of("dateline_commit_group_requests"), &REQUESTS_BUCKETS)
}

fn describe_metrics() {
    for (name, help) in COUNTERS {
        metrics::describe_counter!(name, help);
    }
    for (name, help) in GAUGES {
        metrics::describe_gauge!(name, help);
    }
    metrics::describe_gauge!(
        "dateline_embargo_overdue_seconds",
        Unit::Seconds,
        "Time since the first overdue embargo ended; 0 if none is overdue"
    );
    metrics::describe_gauge!(
        "dateline_projection_lag_seconds",
        Unit::Seconds,
        "Time since the first change was accepted that is not projected; 0 if all are"
    );
    metrics::describe_histogram!(
        "grpc_server_handling_seconds",
        Unit::Seconds,
        "Time until a response begins, by method"
    );
    metrics::describe_histogram!(
        "dateline_commit_group_requests",
        "Number of requests in one group commit"
    );
}

const COUNTERS: [(&str, &str); 14] = [
    (
        "grpc_server_handled_total",
        "Calls whose response has begun, by method and gRPC code",
    ),
    (
        "dateline_limit_hits_total",
        "Times that a limit was hit, by limit",
    ),
    (
        "dateline_auth_denied_total",
        "Calls denied by authentication or authorization, by reason",
    ),
    (
        "dateline_tls_handshake_failures_total",
        "Failed TLS handshakes",
    ),
    (
        "dateline_panics_total",
        "Handlers and commits that panicked; each is a bug",
    ),
    (
        "dateline_record_cache_reads_total",
        "Records read by name, from memory or from the database",
    ),
    ("dateline_exports_total", "Exports that were opened"),
    (
        "dateline_watch_messages_total",
        "Messages with changes sent on Watch streams",
    ),
    (
        "dateline_watch_backfill_pages_total",
        "Pages that Watch streams read from the log because they lag behind the ring",
    ),
    (
        "dateline_tail_reconnects_total",
        "Times that the tail lost the database",
    ),
    (
        "dateline_job_restarts_total",
        "Background jobs that panicked or ended and were restarted, by job; each is a bug",
    ),
    (
        "dateline_database_dead_connections_total",
        "Database connections that stopped answering without being closed",
    ),
    (
        "dateline_commit_retries_total",
        "Requests decided again because a record that they read had changed",
    ),
    (
        "dateline_match_warnings_skipped_total",
        "Writes that create actors and were not compared with known ones in time",
    ),
];

const GAUGES: [(&str, &str); 9] = [
    (
        "dateline_record_cache_bytes",
        "Memory that records for reads by name take",
    ),
    ("dateline_connections", "Open connections"),
    ("dateline_watch_streams", "Open Watch streams"),
    ("dateline_head_sequence", "Newest sequence, by feed"),
    (
        "dateline_embargo_overdue",
        "Records whose embargo has ended and which are not published",
    ),
    (
        "dateline_embargo_stuck",
        "Overdue records that could not be published, each tried alone",
    ),
    (
        "dateline_projection_lag",
        "Changes that are not projected yet, by projection",
    ),
    (
        "dateline_mention_index_lag",
        "Changes that the names of actors in memory do not have yet",
    ),
    ("dateline_mention_index_names", "Names of actors in memory"),
];
