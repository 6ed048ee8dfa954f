//! `dateline demo`: the main job in one command, on real input. Starts a private Postgres and a server, sends an
//! article's 47 records as an editor would, publishes them, watches the wire feed, reads the records back and compares
//! them with those sent.

use std::{
    fmt::Display,
    io::Write,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use dateline_client::{
    Client, Failure, WatchStream,
    bulk::{BulkWriter, Outgoing, WriteOptions},
};
use dateline_proto::v1::{
    BatchGetRecordsRequest, Bundle, Change, Origin, Record, View, WatchRequest,
    record::Kind as Body, watch_request::Start,
};
use dateline_server::{Config, Database, Limits, Listen, Running};
use dateline_store::Settings;
use prost::Message;
use tokio_util::sync::CancellationToken;

use super::{
    DEFAULT_ADDRESS, json,
    output::print_message,
    serve::{self, ProgramsArgs, stop_on_signal},
    watch,
};

/// The article as received.
const ARTICLE: &str = include_str!("../seed/article.txt");
/// The records that an editor made of it.
const BUNDLE: &str = include_str!("../seed/gold.json");
/// Maximum wait for the wire feed before the demo gives up.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(30);

/// `dateline demo`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Address to serve on [default: 127.0.0.1:7400, or any free port with --once]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<Listen>,
    /// Stop after the round trip: exit 0 if the records come back as sent, 1 with the differences if not
    #[arg(long)]
    once: bool,
    /// Directory of the records [default: a temporary one, removed at the end]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<std::path::PathBuf>,
    #[command(flatten)]
    programs: ProgramsArgs,
}

/// Runs the demo. Without --data-dir its records live in a temporary directory, which is removed at the end.
pub(super) async fn run(args: Args) -> Result<ExitCode> {
    let scratch = Scratch::new(args.data_dir.clone());
    let stop = CancellationToken::new();
    tokio::spawn(stop_on_signal(stop.clone()));
    let running = start(&args, &scratch, &stop).await?;
    let address = running.address.to_string();
    let outcome = run_round_trip(&address, &stop).await;
    let code = match outcome {
        Ok(code) if args.once => code,
        Ok(code) => {
            print_next_steps(&address, &scratch.path);
            stop.cancelled().await;
            step("stopping");
            code
        }
        Err(error) => {
            running.stop().await?;
            return Err(error);
        }
    };
    running.stop().await?;
    Ok(code)
}

/// The directory of the demo's database.
struct Scratch {
    path: std::path::PathBuf,
    temporary: bool,
}

impl Scratch {
    fn new(wanted: Option<std::path::PathBuf>) -> Self {
        if let Some(path) = wanted {
            return Self {
                path,
                temporary: false,
            };
        }
        let path = std::env::temp_dir().join(format!("dateline-demo-{}", std::process::id()));
        Self {
            path,
            temporary: true,
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.temporary
            && let Err(error) = std::fs::remove_dir_all(&self.path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            print_message(format_args!(
                "{} could not be removed: {error}",
                self.path.display()
            ));
        }
    }
}

async fn start(args: &Args, scratch: &Scratch, stop: &CancellationToken) -> Result<Running> {
    let started = Instant::now();
    step("starting a private Postgres and a server");
    let listen = match &args.listen {
        Some(listen) => listen.clone(),
        None if args.once => ([127, 0, 0, 1], 0).into(),
        None => DEFAULT_ADDRESS.parse().map_err(anyhow::Error::msg)?,
    };
    let config = Config {
        listen,
        database: Database::Embedded(
            args.programs
                .options(scratch.path.clone(), "dateline demo")?,
        ),
        tls: None,
        metrics: None,
        store: Settings::default(),
        limits: Limits::default(),
        access: dateline_access::Settings::default(),
        bootstrap_token_file: None,
        reflection: true,
        record_cache_bytes: dateline_server::DEFAULT_RECORD_CACHE_BYTES,
        checkpoint_interval: Duration::from_secs(5),
        shutdown_grace_period: Duration::from_secs(5),
    };
    let running = serve::start(config, stop.clone()).await?;
    detail(&format!(
        "serving gRPC on {} after {:.1} s",
        running.address,
        started.elapsed().as_secs_f64()
    ));
    Ok(running)
}

/// Runs the round trip and prints each step.
async fn run_round_trip(address: &str, stop: &CancellationToken) -> Result<ExitCode> {
    let client = Client::connect(address).await?;
    let bundle: Bundle = json::read(BUNDLE).context("the seed's bundle cannot be read")?;
    let records = Vec::<Record>::from(bundle);
    let request = WatchRequest {
        view: View::Published.into(),
        filter: None,
        start: Some(Start::Origin(Origin::Now.into())),
        ..WatchRequest::default()
    };
    let mut wire = WatchStream::open(address, request).await?;
    // The first response is a checkpoint: no later change can be missed.
    wire.next(&mut |_| {}).await?;

    step(&format!(
        "an editor sends one article and what it tells of: {} records, one commit",
        records.len()
    ));
    let options = WriteOptions {
        publishes: true,
        ..WriteOptions::default()
    };
    let mut writer = BulkWriter::new(client.clone(), options);
    let outgoing = records.iter().map(|record| Outgoing {
        record: record.clone(),
        original: match &record.kind {
            Some(Body::Article(_)) => ARTICLE.as_bytes().to_vec(),
            _ => Vec::new(),
        },
        ..Outgoing::default()
    });
    writer.create(outgoing.collect()).await?;
    let published_at = Instant::now();
    writer.publish().await?;
    detail(&writer.report.to_string());

    step("the wire, as a service downstream sees it");
    let changes = await_changes(&mut wire, writer.report.published, stop).await?;
    detail(&format!(
        "{} changes of one batch, {:.0} ms after the request to publish",
        changes.len(),
        published_at.elapsed().as_secs_f64() * 1000.0
    ));

    step("the same records, read back and compared with what was sent");
    let differences = compare(&client, &records, &changes).await?;
    if differences.is_empty() {
        detail(&format!("all {} are equal, value for value", records.len()));
        return Ok(ExitCode::SUCCESS);
    }
    for difference in &differences {
        print_line(difference);
    }
    print_message(format_args!("{} differences", differences.len()));
    Ok(ExitCode::FAILURE)
}

async fn await_changes(
    wire: &mut WatchStream,
    expected: usize,
    stop: &CancellationToken,
) -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    let arriving = async {
        while changes.len() < expected {
            let response = wire
                .next(&mut |reason| print_message(format_args!("waiting: {reason}")))
                .await?;
            for change in response.changes {
                print_line(watch::line(&change));
                changes.push(change);
            }
        }
        Ok::<_, Failure>(())
    };
    tokio::select! {
        arrived = tokio::time::timeout(ARRIVAL_TIMEOUT, arriving) => match arrived {
            Ok(arrived) => arrived?,
            Err(_) => bail!("the wire stayed silent for {ARRIVAL_TIMEOUT:?}"),
        },
        () = stop.cancelled() => bail!("interrupted"),
    }
    Ok(changes)
}

/// Compares the records sent with those read and those streamed, except for `meta` and the article revision that
/// evidence cites: that is the published revision, which did not exist when the records were sent.
async fn compare(client: &Client, sent: &[Record], changes: &[Change]) -> Result<Vec<String>> {
    let names = sent
        .iter()
        .filter_map(|record| Some(record.kind.as_ref()?.name().to_owned()))
        .collect();
    let request = BatchGetRecordsRequest {
        names,
        view: View::Published.into(),
        min_sequence: 0,
    };
    let answer = client.batch_get(request).await.map_err(Failure::from)?;
    let read = answer
        .records
        .iter()
        .chain(changes.iter().filter_map(|change| change.record.as_ref()));
    let mut differences: Vec<_> = answer
        .missing
        .iter()
        .map(|name| format!("{name}: was sent, is not there"))
        .collect();
    for record in read {
        let name = record.kind.as_ref().map(Body::name).unwrap_or_default();
        let original = sent
            .iter()
            .find(|sent| sent.kind.as_ref().map(Body::name) == Some(name));
        if original.is_none_or(|original| bare(original) != bare(record)) {
            let text = |record: &Record| serde_json::to_string_pretty(&json::value(record)?);
            differences.push(format!(
                "{name}:\n- {}\n+ {}",
                original.map(text).transpose()?.unwrap_or_default(),
                text(record)?
            ));
        }
    }
    Ok(differences)
}

fn bare(record: &Record) -> Vec<u8> {
    let mut record = record.clone();
    record.kind.as_mut().and_then(Body::take_meta);
    record.kind = record.kind.map(Body::without_pins);
    record.encode_to_vec()
}

/// Prints to stdout. The demo continues if stdout is closed.
fn print_line(text: impl Display) {
    drop(writeln!(anstream::stdout(), "{text}"));
}

fn step(text: &str) {
    let bold = anstyle::Style::new().bold();
    print_line(format_args!("\n{bold}{text}{bold:#}"));
}

fn detail(text: &str) {
    let dim = anstyle::Style::new().dimmed();
    print_line(format_args!("  {dim}{text}{dim:#}"));
}

fn print_next_steps(address: &str, data_dir: &Path) {
    let program = std::env::args()
        .next()
        .unwrap_or_else(|| "dateline".to_owned());
    let server = if address == DEFAULT_ADDRESS {
        String::new()
    } else {
        format!(" --server {address}")
    };
    step("try, in another terminal");
    print_line(format_args!(
        "  {program} get{server} events/steppe-eagle
  {program} list{server} --kind event --actor actors/nato --from 2021-01-01 --to 2021-12-31
  {program} list{server} --kind actor --type person -o ndjson
  {program} watch{server} --from-beginning --kind relation
  npx --yes @bufbuild/buf@1.75.0 curl --protocol grpc --http2-prior-knowledge \\
    -d '{{\"name\": \"actors/nato\"}}' \\
    http://{address}/dateline.v1.RecordService/GetRecord"
    ));
    // If the path is too long for a socket, the socket is elsewhere, and this suggestion is omitted.
    let socket = data_dir.join("socket");
    if socket.join(".s.PGSQL.5432").exists() {
        let socket = socket.display();
        print_line(format_args!(
            "  psql -h {socket} -U postgres dateline -c 'TABLE relations'"
        ));
    }
    step("serving until Ctrl-C");
}
