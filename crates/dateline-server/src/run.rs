//! Start and stop. The start opens the listener, the database, the schema and the feeds, in this order; until the feeds
//! are open, every call is answered with UNAVAILABLE and health with `NOT_SERVING` (`starting`). The stop reports
//! `NOT_SERVING`, ends streams with a cursor (F12), lets open calls finish within the grace period, drains the
//! committer, and stops the database last.

use std::{net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use dateline_access::Authenticator;
use dateline_feed::Feed;
use dateline_proto::DESCRIPTOR_BYTES;
use dateline_store::{Committer, Store};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_health::{pb::health_server, server::HealthReporter};

use super::{
    bootstrap_token,
    config::{Config, Database, Limits},
    embargo_status::EmbargoTracker,
    embargo_sweeper,
    health::{self, HealthChecker, HealthState},
    jobs::Jobs,
    lockout_warning,
    matcher::Matcher,
    mention_index::MentionIndex,
    metrics,
    middleware::{self, ProtectedServices},
    projections,
    services::admin_service::AdminHandler,
    services::editorial_service::EditorialHandler,
    services::export_service::ExportHandler,
    services::feed_service::{FeedHandler, FeedServer},
    services::match_service::MatchHandler,
    services::record_service::RecordHandler,
    services::search_service::SearchHandler,
    startup::StartupService,
    transport::listen::Listen,
    transport::{TlsError, Transport},
};
use crate::servers::{
    admin_service_server::AdminServiceServer, editorial_service_server::EditorialServiceServer,
    export_service_server::ExportServiceServer, match_service_server::MatchServiceServer,
    record_service_server::RecordServiceServer, search_service_server::SearchServiceServer,
};

/// Interval at which expired request ids are deleted.
const REQUEST_EXPIRY_INTERVAL: Duration = Duration::from_mins(10);

/// Reasons for which a server cannot start, or has failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address cannot be bound.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address as configured.
        address: Listen,
        /// The error of the system.
        source: std::io::Error,
    },
    /// The embedded database does not start.
    #[error(transparent)]
    Embedded(#[from] dateline_embedded_postgres::Error),
    /// The database cannot be used.
    #[error("{}", with_source(.0))]
    Store(#[from] dateline_store::Error),
    /// Keys or roles cannot be loaded, or the first token cannot be created.
    #[error("{0:#}")]
    Access(anyhow::Error),
    /// TLS is configured and cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The metrics cannot be served.
    #[error(transparent)]
    Metrics(#[from] metrics::Error),
}

/// Adds the driver's text: it helps the operator, and holds no password.
fn with_source(error: &dateline_store::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// A running server.
pub struct Running {
    /// The address that it listens on; the first of several.
    pub address: SocketAddr,
    stop: CancellationToken,
    serving: tokio::task::JoinHandle<Result<(), Error>>,
}

impl Running {
    /// Stops gracefully, and waits for the end.
    ///
    /// # Errors
    /// If the server had failed.
    pub async fn stop(self) -> Result<(), Error> {
        self.stop.cancel();
        self.wait().await
    }

    /// Waits until the server has ended.
    ///
    /// # Errors
    /// If the server failed.
    pub async fn wait(self) -> Result<(), Error> {
        // The task neither panics nor is aborted; otherwise there would be nothing left to wait for.
        self.serving.await.unwrap_or(Ok(()))
    }
}

/// Starts a server, which stops when `stop` is cancelled.
///
/// The future is a boxed trait object, so that this crate compiles it: the body of an `async fn` is compiled by each
/// crate that awaits it, and this one contains the whole server.
///
/// # Errors
/// If the database or an address cannot be used.
#[must_use]
pub fn start(
    config: Config,
    stop: CancellationToken,
) -> Pin<Box<dyn Future<Output = Result<Running, Error>>>> {
    Box::pin(start_server(config, stop))
}

async fn start_server(config: Config, stop: CancellationToken) -> Result<Running, Error> {
    // The listener is opened first: of two servers on one port, the second must fail before it opens the database.
    let cannot_listen = |source| Error::Listen {
        address: config.listen.clone(),
        source,
    };
    let listeners = config.listen.bind().await.map_err(cannot_listen)?;
    let mut addresses = Vec::with_capacity(listeners.len());
    for listener in &listeners {
        addresses.push(listener.local_addr().map_err(cannot_listen)?);
    }
    let transport = Transport::new(listeners, &config.limits.connections, config.tls)?;
    if let Some(listen) = &config.metrics {
        metrics::serve(listen)?;
    }
    for address in &addresses {
        tracing::info!(%address, "listening; calls are answered as soon as the database is reached");
    }
    let (reporter, health_service) = tonic_health::server::health_reporter();
    health::report_status(&reporter, false, false).await;
    let streams_stop = CancellationToken::new();
    let (starting, started) = StartupService::new(Routes::new(health_service.clone()).prepare());
    let jobs = Jobs::new(CancellationToken::new());
    transport.spawn_jobs(&jobs);
    let transport = tokio::spawn(transport.serve(
        middleware::around(starting, config.limits.request_timeout),
        streams_stop.clone(),
        announce_stop(stop.clone(), streams_stop.clone(), reporter.clone()),
    ));
    let opened = Box::pin(async {
        let (cluster, url) = open_database(config.database).await?;
        let store = connect(&url, &config.store, &stop).await?;
        if let Some(path) = &config.bootstrap_token_file {
            bootstrap_token::ensure_admin_token(&store, path)
                .await
                .map_err(Error::Access)?;
        }
        let authenticator = Authenticator::open(store.clone(), config.access).await;
        let authenticator = Arc::new(authenticator.map_err(Error::Access)?);
        let feed = Feed::open(
            store.clone(),
            config.checkpoint_interval,
            config.record_cache_bytes,
        );
        let feed = feed.await.inspect_err(|_| stop.cancel())?;
        let parts = Components::start(store, authenticator, feed, jobs.clone());
        Ok((cluster, parts))
    });
    let (cluster, parts) = match opened.await {
        Ok(opened) => opened,
        Err(error) => {
            transport.abort();
            jobs.stop(config.shutdown_grace_period).await;
            return Err(error);
        }
    };
    started.set_services(parts.routes(
        &config.limits,
        config.reflection,
        health_service,
        &streams_stop,
    ));
    parts.report_health(reporter, stop.clone()).await;
    for address in &addresses {
        tracing::info!(%address, "serving");
    }
    let grace = config.shutdown_grace_period;
    let serving = tokio::spawn({
        let stop = stop.clone();
        async move {
            wait_for_connections(transport, &stop, grace).await;
            parts.shut_down(grace).await;
            if let Some(cluster) = cluster {
                cluster.stop().await?;
            }
            tracing::info!("stopped");
            Ok(())
        }
    });
    Ok(Running {
        // `bind` yields at least one.
        address: addresses
            .first()
            .copied()
            .unwrap_or_else(|| ([0; 4], 0).into()),
        stop,
        serving,
    })
}

/// Announces the stop: to health checks first, then to streams.
async fn announce_stop(
    stop: CancellationToken,
    streams_stop: CancellationToken,
    reporter: HealthReporter,
) {
    stop.cancelled().await;
    tracing::info!("stopping: streams end with a cursor, open calls finish");
    health::report_status(&reporter, false, false).await;
    streams_stop.cancel();
}

/// Waits until the last connection has ended, after `stop` no longer than the grace period.
async fn wait_for_connections(
    mut transport: tokio::task::JoinHandle<()>,
    stop: &CancellationToken,
    grace: Duration,
) {
    let deadline = async {
        stop.cancelled().await;
        tokio::time::sleep(grace).await;
    };
    tokio::select! {
        _ = &mut transport => {}
        () = deadline => {
            tracing::warn!("the grace of {grace:?} has passed; open connections are dropped");
            transport.abort();
            // Once aborted or ended, its connections and services are dropped.
            drop(transport.await);
        }
    }
}

async fn open_database(
    database: Database,
) -> Result<(Option<dateline_embedded_postgres::Cluster>, String), Error> {
    match database {
        Database::Url(url) => Ok((None, url)),
        Database::Embedded(options) => {
            let cluster = dateline_embedded_postgres::Cluster::start(options).await?;
            cluster
                .ensure_database(dateline_embedded_postgres::DATABASE)
                .await?;
            let url = cluster.url(dateline_embedded_postgres::DATABASE);
            Ok((Some(cluster), url))
        }
    }
}

/// Connects to the database. Retries while it is unavailable; any other error is final.
async fn connect(
    url: &str,
    settings: &dateline_store::Settings,
    stop: &CancellationToken,
) -> Result<Store, Error> {
    let mut pause = Duration::from_millis(100);
    loop {
        match Store::connect(url, settings).await {
            Err(error @ dateline_store::Error::Unavailable(_)) if !stop.is_cancelled() => {
                tracing::warn!("waiting for the database: {}", with_source(&error));
                stop.run_until_cancelled(tokio::time::sleep(pause)).await;
                pause = (pause * 2).min(Duration::from_secs(5));
            }
            answer => return Ok(answer?),
        }
    }
}

/// The parts of a running server: the handles, and the jobs behind them.
struct Components {
    store: Store,
    committer: Committer,
    feed: Feed,
    authenticator: Arc<Authenticator>,
    /// Background jobs, which end after the last call.
    jobs: Jobs,
    health_state: HealthState,
    embargoes: EmbargoTracker,
    mention_index: MentionIndex,
    matcher: Matcher,
    /// Wakes the projections.
    projections: Arc<Notify>,
}

impl Components {
    fn start(store: Store, authenticator: Arc<Authenticator>, feed: Feed, jobs: Jobs) -> Self {
        let committed = Arc::new(Notify::new());
        let (committer, writing) = Committer::new(store.clone(), committed.clone());
        jobs.spawn_once(writing);
        jobs.spawn("tail", {
            let feed = feed.clone();
            // Boxed: the large future lives as long as the process and need not be moved.
            move || Box::pin(feed.clone().follow(committed.clone()))
        });
        let embargoes = EmbargoTracker::default();
        jobs.spawn("embargoes", {
            let (store, committer) = (store.clone(), committer.clone());
            let embargoes = embargoes.clone();
            move || embargo_sweeper::run(store.clone(), committer.clone(), embargoes.clone())
        });
        let wanted = Arc::new(Notify::new());
        jobs.spawn("projections", {
            let (store, wanted) = (store.clone(), wanted.clone());
            move || projections::run(store.clone(), wanted.clone())
        });
        let mention_index = MentionIndex::new(store.clone());
        jobs.spawn("names of actors", {
            let (mention_index, feed) = (mention_index.clone(), feed.clone());
            move || mention_index.clone().follow(feed.clone())
        });
        jobs.spawn("request expiry", {
            let store = store.clone();
            move || expire_requests(store.clone())
        });
        jobs.spawn("ways in", {
            let (store, authenticator) = (store.clone(), authenticator.clone());
            move || lockout_warning::watch(store.clone(), authenticator.clone())
        });
        jobs.spawn("credentials", {
            let authenticator = authenticator.clone();
            move || {
                let authenticator = authenticator.clone();
                async move { authenticator.watch(CancellationToken::new()).await }
            }
        });
        Self {
            matcher: Matcher::new(store.clone()),
            store,
            committer,
            feed,
            authenticator,
            jobs,
            health_state: HealthState::default(),
            embargoes,
            mention_index,
            projections: wanted,
        }
    }

    /// Returns all services, behind admission and backpressure.
    fn routes<H: health_server::Health>(
        &self,
        limits: &Limits,
        reflection: bool,
        health_service: health_server::HealthServer<H>,
        streams_stop: &CancellationToken,
    ) -> ProtectedServices {
        let (store, feed, committer) = (&self.store, &self.feed, &self.committer);
        let records = RecordServiceServer::new(RecordHandler {
            store: store.clone(),
            committer: committer.clone(),
            matcher: self.matcher.clone(),
            feed: feed.clone(),
        })
        .max_decoding_message_size(limits.max_request_bytes);
        let admin = AdminServiceServer::new(AdminHandler {
            store: store.clone(),
            feed: feed.clone(),
            committer: committer.clone(),
            health_state: self.health_state.clone(),
            embargoes: self.embargoes.clone(),
        })
        .max_decoding_message_size(limits.max_batch_request_bytes);
        let editorial = EditorialServiceServer::new(EditorialHandler {
            committer: committer.clone(),
            matcher: self.matcher.clone(),
        })
        .max_decoding_message_size(limits.max_batch_request_bytes);
        let exports = ExportServiceServer::new(ExportHandler {
            feed: feed.clone(),
            stop: streams_stop.clone(),
        })
        .max_decoding_message_size(limits.max_request_bytes);
        let matching = MatchServiceServer::new(MatchHandler {
            store: store.clone(),
            feed: feed.clone(),
            mention_index: self.mention_index.clone(),
            cores: self.matcher.cores.clone(),
        })
        .max_decoding_message_size(limits.max_request_bytes);
        let search = SearchServiceServer::new(SearchHandler {
            store: store.clone(),
            index: store.search_index(),
            feed: feed.clone(),
            projections: self.projections.clone(),
        })
        .max_decoding_message_size(limits.max_request_bytes);
        let feeds = FeedHandler {
            feed: feed.clone(),
            store: store.clone(),
            stop: streams_stop.clone(),
        };
        let feeds = FeedServer::new(feeds, limits.max_request_bytes);
        let routes = Routes::new(health_service)
            .add_service(records)
            .add_service(editorial)
            .add_service(feeds)
            .add_service(admin)
            .add_service(exports)
            .add_service(matching)
            .add_service(search);
        let routes = if reflection {
            with_reflection(routes)
        } else {
            routes
        };
        let authenticator = self.authenticator.clone();
        middleware::protect(routes.prepare(), authenticator, store.clone(), limits)
    }

    /// Sets the health status once, before the server is announced, and keeps it current until `stop`.
    async fn report_health(&self, reporter: HealthReporter, stop: CancellationToken) {
        let health = HealthChecker {
            reporter,
            health_state: self.health_state.clone(),
            store: self.store.clone(),
            committer: self.committer.clone(),
            feed: self.feed.clone(),
            embargoes: self.embargoes.clone(),
            jobs: self.jobs.clone(),
            stopping: stop,
        };
        health.check_once().await;
        self.jobs.spawn("health", move || health.clone().run());
    }

    /// Ends the jobs behind the services, after the last call.
    async fn shut_down(self, grace: Duration) {
        let Self {
            store,
            committer,
            feed,
            authenticator,
            jobs,
            ..
        } = self;
        // The services are gone, so these and the jobs hold the last senders of the committer: it ends once it has
        // drained.
        drop((committer, feed, authenticator));
        if !jobs.stop(grace).await {
            tracing::warn!("background work did not end in time");
        }
        if tokio::time::timeout(grace, store.close()).await.is_err() {
            tracing::warn!("connections of the database did not end in time");
        }
    }
}

/// Adds reflection v1, and v1alpha, which most clients still use.
fn with_reflection(routes: Routes) -> Routes {
    use tonic_reflection::server::Builder;
    let builder = || {
        Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTOR_BYTES)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    match (builder().build_v1(), builder().build_v1alpha()) {
        (Ok(newer), Ok(older)) => routes.add_service(newer).add_service(older),
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!(error = &error as &dyn std::error::Error, "no reflection");
            routes
        }
    }
}

async fn expire_requests(store: Store) {
    loop {
        if let Err(error) = store.expire_requests().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "old answers could not be forgotten"
            );
        }
        tokio::time::sleep(REQUEST_EXPIRY_INTERVAL).await;
    }
}
