//! Start and stop. Start: database, schema, feeds, listener, in this order, so that who can connect is
//! served. Stop: not serving any more, streams end with a cursor (F12), open calls finish or run into the
//! grace, then the writer drains, and last the database stops.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::TcpListener, sync::Notify};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::service::Routes;
use tonic_health::{ServingStatus, server::HealthReporter};
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
    sweeper,
};
use crate::{
    access::Gate,
    feed::Feed,
    proto::{
        DESCRIPTOR_BYTES,
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
    tracing::info!(%address, "serving");
    let grace = config.shutdown_grace;
    let (limits, reflection) = (config.limits, config.reflection);
    let serving = tokio::spawn({
        let stop = stop.clone();
        async move {
            parts.serve(edge, &limits, reflection, grace, stop).await;
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

    async fn serve(
        self,
        edge: Edge,
        limits: &Limits,
        reflection: bool,
        grace: Duration,
        stop: CancellationToken,
    ) {
        let Self {
            store,
            committer,
            feed,
            gate,
            tasks,
            tasks_stop,
        } = self;
        let (health, health_service) = tonic_health::server::health_reporter();
        tasks.spawn(report_health(
            health.clone(),
            store.clone(),
            tasks_stop.clone(),
        ));
        let streams_stop = CancellationToken::new();
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
        let editorial = EditorialServiceServer::new(Editorial { committer })
            .max_decoding_message_size(limits.batch_bytes);
        let exports = ExportServiceServer::new(Exports {
            feed: feed.clone(),
            stop: streams_stop.clone(),
        })
        .max_decoding_message_size(limits.message_bytes);
        let feeds = Feeds {
            feed,
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
        let dress = DressLayer {
            deadline: limits.deadline,
        };
        let door = DoorLayer::new(gate, store.clone(), limits);
        let paced = BackpressureLayer::new(limits).layer(routes.prepare());
        let service = dress.layer(door.layer(paced));
        let stopping = {
            let (stop, streams_stop) = (stop.clone(), streams_stop.clone());
            async move {
                stop.cancelled().await;
                tracing::info!("stopping: streams end with a cursor, open calls finish");
                set_health(&health, ServingStatus::NotServing).await;
                streams_stop.cancel();
            }
        };
        let deadline = async {
            stop.cancelled().await;
            tokio::time::sleep(grace).await;
        };
        tokio::select! {
            () = edge.serve(service, streams_stop, stopping) => {}
            () = deadline => {
                tracing::warn!("the grace of {grace:?} has passed; open connections are dropped");
            }
        }
        // The services are gone, and with them every way into the committer: it ends when it has drained.
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

async fn set_health(health: &HealthReporter, status: ServingStatus) {
    for service in [
        "",
        "dateline.v1.RecordService",
        "dateline.v1.EditorialService",
        "dateline.v1.FeedService",
        "dateline.v1.AdminService",
    ] {
        health.set_service_status(service, status).await;
    }
}

/// Health tells whether the database answers, for without it nothing does.
async fn report_health(health: HealthReporter, store: Store, stop: CancellationToken) {
    let mut known = None;
    let looking = async {
        loop {
            let status = if store.ping().await.is_ok() {
                ServingStatus::Serving
            } else {
                ServingStatus::NotServing
            };
            if known != Some(status) {
                set_health(&health, status).await;
                known = Some(status);
            }
            tokio::time::sleep(HEALTH_INTERVAL).await;
        }
    };
    stop.run_until_cancelled(looking).await;
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
