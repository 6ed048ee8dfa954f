//! Start and stop. Start: listener, database, schema, feeds, in this order; until the feeds are open every call is
//! answered with UNAVAILABLE and health with `NOT_SERVING` (`starting`). Stop: not serving any more, streams end with a
//! cursor (F12), open calls finish or run into the grace, then the writer drains, and last the database stops.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::TcpListener, sync::Notify};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::service::Routes;
use tonic_health::{
    ServingStatus,
    pb::health_server::{Health, HealthServer},
    server::HealthReporter,
};
use tower::Layer;

use super::{
    admin_service::Admin,
    backpressure::BackpressureLayer,
    config::{Config, Database, Limits},
    door::DoorLayer,
    dress::DressLayer,
    edge::{Edge, TlsError},
    editorial_service::Editorial,
    export_service::Exports,
    feed_service::{FeedServer, Feeds},
    first_token,
    record_service::Records,
    starting::{Routed, Starting},
    sweeper,
};
use crate::{
    access::Gate,
    feed::Feed,
    proto::{
        DESCRIPTOR_BYTES, DESCRIPTORS,
        servers::{
            admin_service_server::AdminServiceServer,
            editorial_service_server::EditorialServiceServer,
            export_service_server::ExportServiceServer, record_service_server::RecordServiceServer,
        },
    },
    store::{self, Committer, Store, embedded},
};

/// How often old answers to request ids are forgotten.
const HOUSEKEEPING: Duration = Duration::from_mins(10);
/// How often health looks at the database.
const HEALTH_INTERVAL: Duration = Duration::from_secs(1);

/// Why a server cannot start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be had.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// As configured.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The embedded database does not start.
    #[error(transparent)]
    Embedded(#[from] embedded::Error),
    /// The database cannot be used.
    #[error("{}", tell(.0))]
    Store(#[from] store::Error),
    /// Who may do what cannot be read.
    #[error("{0:#}")]
    Access(anyhow::Error),
    /// TLS is wanted and cannot be had.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The metrics endpoint cannot be had.
    #[error("cannot serve metrics: {0}")]
    Metrics(String),
}

/// To whoever starts a server, the driver's own words are of use; they hold no password.
fn tell(error: &store::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// A server that serves.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    stop: CancellationToken,
    serving: tokio::task::JoinHandle<Result<(), Error>>,
}

impl Running {
    /// Stops, gracefully at first, and waits for the end.
    ///
    /// # Errors
    /// When serving had failed.
    pub async fn stop(self) -> Result<(), Error> {
        self.stop.cancel();
        self.wait().await
    }

    /// Waits until the server ends.
    ///
    /// # Errors
    /// When serving failed.
    pub async fn wait(self) -> Result<(), Error> {
        // The task neither panics nor is aborted; if it were, there would be nothing left to wait for.
        self.serving.await.unwrap_or(Ok(()))
    }
}

/// Starts a server. It stops when `stop` is cancelled.
///
/// # Errors
/// When the database or the address cannot be had.
pub async fn start(config: Config, stop: CancellationToken) -> Result<Running, Error> {
    // The address first: two servers on one port should not fight over a database before they notice.
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|source| Error::Listen {
            address: config.listen,
            source,
        })?;
    let address = listener.local_addr().map_err(|source| Error::Listen {
        address: config.listen,
        source,
    })?;
    let edge = Edge::new(listener, &config.limits, config.tls)?;
    if let Some(metrics) = config.metrics {
        super::metrics::serve(metrics)?;
    }
    tracing::info!(%address, "listening; calls are answered as soon as the database is reached");
    let (health, health_service) = tonic_health::server::health_reporter();
    set_health(&health, ServingStatus::NotServing).await;
    let streams_stop = CancellationToken::new();
    let (starting, started) = Starting::new(Routes::new(health_service.clone()).prepare());
    let dress = DressLayer {
        deadline: config.limits.deadline,
    };
    let edge = tokio::spawn(edge.serve(
        dress.layer(starting),
        streams_stop.clone(),
        stopping(stop.clone(), streams_stop.clone(), health.clone()),
    ));
    let opened = async {
        let (cluster, url) = open_database(config.database).await?;
        let store = connect(&url, &config.store, &stop).await?;
        if let Some(path) = &config.first_token_file {
            first_token::provide(&store, path)
                .await
                .map_err(Error::Access)?;
        }
        let gate = Gate::open(store.clone(), config.access).await;
        let gate = Arc::new(gate.map_err(Error::Access)?);
        let parts = Parts::start(store, gate, config.checkpoint_interval, &stop).await?;
        Ok((cluster, parts))
    };
    let (cluster, parts) = match opened.await {
        Ok(opened) => opened,
        Err(error) => {
            edge.abort();
            return Err(error);
        }
    };
    started.with(parts.routes(
        &config.limits,
        config.reflection,
        health_service,
        &streams_stop,
    ));
    parts.report_health(health, stop.clone()).await;
    tracing::info!(%address, "serving");
    let grace = config.shutdown_grace;
    let serving = tokio::spawn({
        let stop = stop.clone();
        async move {
            until_served(edge, &stop, grace).await;
            parts.end(grace).await;
            if let Some(cluster) = cluster {
                cluster.stop().await?;
            }
            tracing::info!("stopped");
            Ok(())
        }
    });
    Ok(Running {
        address,
        stop,
        serving,
    })
}

/// Announces the end when it has come: to health checks first, then to streams.
async fn stopping(
    stop: CancellationToken,
    streams_stop: CancellationToken,
    health: HealthReporter,
) {
    stop.cancelled().await;
    tracing::info!("stopping: streams end with a cursor, open calls finish");
    set_health(&health, ServingStatus::NotServing).await;
    streams_stop.cancel();
}

/// Waits for the last connection to end, and after `stop` no longer than the grace.
async fn until_served(
    mut edge: tokio::task::JoinHandle<()>,
    stop: &CancellationToken,
    grace: Duration,
) {
    let deadline = async {
        stop.cancelled().await;
        tokio::time::sleep(grace).await;
    };
    tokio::select! {
        _ = &mut edge => {}
        () = deadline => {
            tracing::warn!("the grace of {grace:?} has passed; open connections are dropped");
            edge.abort();
            // Cancelled or ended: either way its connections and services are gone.
            drop(edge.await);
        }
    }
}

async fn open_database(database: Database) -> Result<(Option<embedded::Cluster>, String), Error> {
    match database {
        Database::Url(url) => Ok((None, url)),
        Database::Embedded(options) => {
            let cluster = embedded::Cluster::start(options).await?;
            cluster.ensure_database(embedded::DATABASE).await?;
            let url = cluster.url(embedded::DATABASE);
            Ok((Some(cluster), url))
        }
    }
}

/// A database that is away may come; one that refuses us will not change its mind.
async fn connect(
    url: &str,
    settings: &store::Settings,
    stop: &CancellationToken,
) -> Result<Store, Error> {
    let mut pause = Duration::from_millis(100);
    loop {
        match Store::connect(url, settings).await {
            Err(error @ store::Error::Unavailable(_)) if !stop.is_cancelled() => {
                tracing::warn!("waiting for the database: {}", tell(&error));
                stop.run_until_cancelled(tokio::time::sleep(pause)).await;
                pause = (pause * 2).min(Duration::from_secs(5));
            }
            answer => return Ok(answer?),
        }
    }
}

/// What serves: the handles, and the tasks behind them.
struct Parts {
    store: Store,
    committer: Committer,
    feed: Feed,
    gate: Arc<Gate>,
    tasks: TaskTracker,
    /// Ends the tail and housekeeping, after the last call.
    tasks_stop: CancellationToken,
}

impl Parts {
    async fn start(
        store: Store,
        gate: Arc<Gate>,
        checkpoint_interval: Duration,
        stop: &CancellationToken,
    ) -> Result<Self, Error> {
        let committed = Arc::new(Notify::new());
        let tasks = TaskTracker::new();
        let tasks_stop = CancellationToken::new();
        let (committer, writing) = Committer::new(store.clone(), committed.clone());
        tasks.spawn(writing);
        let opened = Feed::open(
            store.clone(),
            committed,
            checkpoint_interval,
            tasks_stop.clone(),
        )
        .await;
        let (feed, tail) = opened.inspect_err(|_| stop.cancel())?;
        tasks.spawn(tail);
        tasks.spawn(sweeper::run(
            store.clone(),
            committer.clone(),
            tasks_stop.clone(),
        ));
        tasks.spawn(housekeeping(store.clone(), tasks_stop.clone()));
        tasks.spawn({
            let (gate, stop) = (gate.clone(), tasks_stop.clone());
            async move { gate.watch(stop).await }
        });
        Ok(Self {
            store,
            committer,
            feed,
            gate,
            tasks,
            tasks_stop,
        })
    }

    /// Everything that is served, behind the door.
    fn routes<H: Health>(
        &self,
        limits: &Limits,
        reflection: bool,
        health_service: HealthServer<H>,
        streams_stop: &CancellationToken,
    ) -> Routed {
        let (store, feed, committer) = (&self.store, &self.feed, &self.committer);
        let records = RecordServiceServer::new(Records {
            store: store.clone(),
            committer: committer.clone(),
            feed: feed.clone(),
        })
        .max_decoding_message_size(limits.message_bytes);
        let admin = AdminServiceServer::new(Admin {
            store: store.clone(),
            feed: feed.clone(),
            committer: committer.clone(),
        })
        .max_decoding_message_size(limits.batch_bytes);
        let editorial = EditorialServiceServer::new(Editorial {
            committer: committer.clone(),
        })
        .max_decoding_message_size(limits.batch_bytes);
        let exports = ExportServiceServer::new(Exports {
            feed: feed.clone(),
            stop: streams_stop.clone(),
        })
        .max_decoding_message_size(limits.message_bytes);
        let feeds = Feeds {
            feed: feed.clone(),
            store: store.clone(),
            stop: streams_stop.clone(),
        };
        let feeds = FeedServer::new(feeds, limits.message_bytes);
        let routes = Routes::new(health_service)
            .add_service(records)
            .add_service(editorial)
            .add_service(feeds)
            .add_service(admin)
            .add_service(exports);
        let routes = if reflection {
            with_reflection(routes)
        } else {
            routes
        };
        let paced = BackpressureLayer::new(limits).layer(routes.prepare());
        DoorLayer::new(self.gate.clone(), store.clone(), limits).layer(paced)
    }

    /// Sets health once, before anybody is told that the server serves, and keeps it true until `stop`.
    async fn report_health(&self, health: HealthReporter, stop: CancellationToken) {
        let known = health_of(&self.store).await;
        if !stop.is_cancelled() {
            set_health(&health, known).await;
        }
        self.tasks
            .spawn(report_health(health, self.store.clone(), known, stop));
    }

    /// Ends what runs behind the services, after the last call.
    async fn end(self, grace: Duration) {
        let Self {
            store,
            committer,
            feed,
            gate,
            tasks,
            tasks_stop,
        } = self;
        // With the services these are the last ways into the committer: it ends when it has drained.
        drop((committer, feed, gate));
        tasks_stop.cancel();
        tasks.close();
        if tokio::time::timeout(grace, tasks.wait()).await.is_err() {
            tracing::warn!("background work did not end in time");
        }
        store.close().await;
    }
}

/// Adds reflection as today's clients ask for it (v1) and as most of them still do (v1alpha).
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

/// Sets the status of the server and of each of its services, by the schema: none can be forgotten.
async fn set_health(health: &HealthReporter, status: ServingStatus) {
    health.set_service_status("", status).await;
    let services = DESCRIPTORS.services();
    for service in services.filter(|service| service.package_name() == "dateline.v1") {
        health.set_service_status(service.full_name(), status).await;
    }
}

/// The status by whether the database answers, for without it nothing does.
async fn health_of(store: &Store) -> ServingStatus {
    if store.ping().await.is_ok() {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    }
}

/// Follows the database until the server stops: what has been announced as going away is not called back.
async fn report_health(
    health: HealthReporter,
    store: Store,
    mut known: ServingStatus,
    stop: CancellationToken,
) {
    let looking = async {
        loop {
            tokio::time::sleep(HEALTH_INTERVAL).await;
            let status = health_of(&store).await;
            // Between the answer and here the server may have begun to stop.
            if known != status && !stop.is_cancelled() {
                set_health(&health, status).await;
                known = status;
            }
        }
    };
    stop.run_until_cancelled(looking).await;
    // Whatever was being set when the end came, this is set after it.
    set_health(&health, ServingStatus::NotServing).await;
}

async fn housekeeping(store: Store, stop: CancellationToken) {
    let tidying = async {
        loop {
            if let Err(error) = store.forget_requests().await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "old answers could not be forgotten"
                );
            }
            tokio::time::sleep(HOUSEKEEPING).await;
        }
    };
    stop.run_until_cancelled(tidying).await;
}
