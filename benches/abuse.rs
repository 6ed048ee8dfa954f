//! The cost of abuse: memory of the server and latency of a well-behaved client, before, while and after others misuse
//! the server. That client calls 100 times a second on a connection of its own; the benchmark fails if one of its calls
//! fails.
//!
//! Server, attackers, client and Postgres share the cores of one machine, so figures "during" include the attackers'
//! own CPU time.

mod support;

#[path = "../tests/it/support/raw_h2.rs"]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    dead_code,
    reason = "the tests' own way to speak frames; what it does not expect ends the benchmark"
)]
mod raw_h2;

use std::{
    io::Write,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use dateline_client::Client;
use dateline_proto::v1::{GetRecordRequest, Origin, View};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::{JoinHandle, JoinSet},
};

use raw_h2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, H2Connection, HEADERS, LIST, PING, PREFACE,
    PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE, call, frame, headers,
};
use support::{
    child::{Child, mib},
    compare::{BenchMode, is_wanted, load},
    latencies::Latencies,
    raw_client::RawClient,
    server::BenchServer,
    watchers::{WATCH, from},
};

/// Interval between two calls of the well-behaved client.
const PACE: Duration = Duration::from_millis(10);
/// Connections from one address: the server's limit, less the client's own and some to spare.
const PER_ADDRESS: usize = 200;
const COMMIT: &str = "/dateline.v1.EditorialService/Commit";
/// Frames per write.
const AT_ONCE: usize = 200;

#[derive(Debug, Clone, Copy)]
enum Attack {
    Connections,
    Streams,
    Garbage,
    Bomb,
    Nesting,
    Resets,
    Flood(u8),
    Headers,
}

const ATTACKS: [(&str, Attack); 14] = [
    ("connections", Attack::Connections),
    ("streams", Attack::Streams),
    ("garbage", Attack::Garbage),
    ("bomb", Attack::Bomb),
    ("nesting", Attack::Nesting),
    ("resets", Attack::Resets),
    ("ping", Attack::Flood(PING)),
    ("settings", Attack::Flood(SETTINGS)),
    ("priority", Attack::Flood(PRIORITY)),
    ("window-update", Attack::Flood(WINDOW_UPDATE)),
    ("unknown", Attack::Flood(0xf0)),
    ("continuation", Attack::Flood(CONTINUATION)),
    ("empty-data", Attack::Flood(DATA)),
    ("header-bomb", Attack::Headers),
];

#[tokio::main]
async fn main() -> Result<()> {
    let form = BenchMode::from_args();
    let mut bench_server = BenchServer::start().await?;
    bench_server.stop_server().await?;
    let server = Child::start(&bench_server.url).await?;
    let bystander = Bystander::start(&server.address).await?;
    head();
    for (name, attack) in ATTACKS.into_iter().filter(|(name, _)| is_wanted(name)) {
        measure(name, attack, &server, &bystander, form).await?;
    }
    let answered = bystander.stop().await?;
    tail(answered);
    drop(server);
    bench_server.stop().await
}

/// Measures before, during and after, each for some seconds.
async fn measure(
    name: &str,
    attack: Attack,
    server: &Child,
    bystander: &Bystander,
    form: BenchMode,
) -> Result<()> {
    let phase = Duration::from_secs(form.pick(1, 5));
    let resident = server.resident()?;
    let begin = Instant::now();
    tokio::time::sleep(phase).await;
    let peak = server.peak();
    let (cpu, attacked) = (server.cpu()?, Instant::now());
    let outcome = attack.run(&server.address, phase, form).await?;
    let (ended, most) = (Instant::now(), peak.stop());
    let cpu = (server.cpu()? - cpu) / (ended - attacked).as_secs_f64() * 100.0;
    // By now the server has closed what it cut, and its queues are empty.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = Instant::now();
    tokio::time::sleep(phase).await;
    let times = [
        bystander.between(begin, attacked),
        bystander.between(attacked, ended),
        bystander.between(after, Instant::now()),
    ];
    row(
        name,
        &times,
        [resident, most, server.resident()?],
        cpu,
        &outcome,
    );
    Ok(())
}

#[expect(
    clippy::print_stdout,
    reason = "a benchmark's result is what it prints"
)]
fn head() {
    println!(
        "\none GetRecord each {} ms, p50 / p99 in ms, before, during and after; resident MiB of the server before, at most, \
         after; CPU of the server during, of one core; load average {}\n",
        PACE.as_millis(),
        load()
    );
}

#[expect(
    clippy::print_stdout,
    reason = "a benchmark's result is what it prints"
)]
fn row(name: &str, times: &[Latencies; 3], resident: [u64; 3], cpu: f64, outcome: &str) {
    let times = times
        .each_ref()
        .map(|times| format!("{:.1} / {:.1}", times.percentile(50), times.percentile(99)));
    let resident = resident.map(|bytes| format!("{:.0}", mib(bytes)));
    println!(
        "{name:<14} {:>11} | {:>12} | {:>11} | {:>4} {:>4} {:>4} | {cpu:>3.0} % | {outcome}",
        times[0], times[1], times[2], resident[0], resident[1], resident[2]
    );
}

#[expect(
    clippy::print_stdout,
    reason = "a benchmark's result is what it prints"
)]
fn tail(answered: usize) {
    println!("\n{answered} calls, all answered; load average {}", load());
}

/// The well-behaved client.
struct Bystander {
    done: Arc<AtomicBool>,
    /// Due time of each call, and its latency from then.
    times: Arc<Mutex<Vec<(Instant, Duration)>>>,
    calling: JoinHandle<Result<()>>,
}

impl Bystander {
    async fn start(address: &str) -> Result<Self> {
        let client = Client::connect(address).await?;
        let done = Arc::new(AtomicBool::new(false));
        let times = Arc::new(Mutex::default());
        let calling = tokio::spawn(calls(client, done.clone(), times.clone()));
        Ok(Self {
            done,
            times,
            calling,
        })
    }

    fn between(&self, from: Instant, until: Instant) -> Latencies {
        let times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let within = times.iter().filter(|(due, _)| (from..until).contains(due));
        Latencies::from_durations(within.map(|(_, time)| *time))
    }

    /// Stops the calls. Fails if one of them failed.
    async fn stop(self) -> Result<usize> {
        self.done.store(true, Ordering::Relaxed);
        self.calling
            .await?
            .context("the bystander was not served")?;
        let times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(times.len())
    }
}

async fn calls(
    client: Client,
    done: Arc<AtomicBool>,
    times: Arc<Mutex<Vec<(Instant, Duration)>>>,
) -> Result<()> {
    let mut open = JoinSet::new();
    let mut due = Instant::now();
    while !done.load(Ordering::Relaxed) {
        tokio::time::sleep_until(due.into()).await;
        let (mut records, times) = (client.records.clone(), times.clone());
        open.spawn(async move {
            let request = GetRecordRequest {
                name: "actors/nato".to_owned(),
                ..GetRecordRequest::default()
            };
            records.get_record(request).await?;
            let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
            times.push((due, due.elapsed()));
            anyhow::Ok(())
        });
        while let Some(answered) = open.try_join_next() {
            answered??;
        }
        due += PACE;
    }
    while let Some(answered) = open.join_next().await {
        answered??;
    }
    Ok(())
}

impl Attack {
    /// Attacks for one phase; returns a summary of the result.
    async fn run(self, address: &str, phase: Duration, form: BenchMode) -> Result<String> {
        let since = Instant::now();
        let mut rounds = 0;
        loop {
            let outcome = self.once(address, phase, form).await?;
            rounds += 1;
            if since.elapsed() >= phase {
                return Ok(match rounds {
                    1 => outcome,
                    _ => format!("{rounds} times: {outcome}"),
                });
            }
        }
    }

    async fn once(self, address: &str, phase: Duration, form: BenchMode) -> Result<String> {
        match self {
            Attack::Connections => connections(address, form.pick(200, 2000), phase).await,
            Attack::Streams => streams(address, form.pick(500, 10_000), phase).await,
            Attack::Garbage => garbage(address, form.pick(20, 1000)).await,
            Attack::Bomb => bombs(address, form.pick(3, 30)).await,
            Attack::Nesting => nesting(address, form.pick(3, 30)).await,
            Attack::Resets => resets(address, 10_000).await,
            Attack::Flood(kind) => flood(address, kind, phase).await,
            Attack::Headers => header_bombs(address, form.pick(20, 200)).await,
        }
    }
}

/// Connects from one of this machine's loopback addresses, chosen in turn.
async fn from_another(address: &str, number: usize) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    let last = u8::try_from(2 + number / PER_ADDRESS)?;
    socket.bind(SocketAddr::from(([127, 0, 0, last], 0)))?;
    Ok(socket.connect(address.parse()?).await?)
}

async fn connections(address: &str, count: usize, phase: Duration) -> Result<String> {
    let mut open = Vec::with_capacity(count);
    for number in 0..count {
        let mut stream = from_another(address, number).await?;
        stream.write_all(PREFACE).await?;
        stream.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
        stream.write_all(&call(1, LIST, b"\x18\x01")).await?;
        open.push(stream);
    }
    tokio::time::sleep(phase).await;
    Ok(format!("{} opened, each with a call", open.len()))
}

async fn streams(address: &str, count: usize, phase: Duration) -> Result<String> {
    let clients = RawClient::connect_all(address, count.div_ceil(PER_ADDRESS)).await?;
    let mut open = JoinSet::new();
    for number in 0..count {
        let mut client = clients[number / PER_ADDRESS].clone();
        let request = from(View::Published, Origin::Now);
        let mut stream = client.stream(WATCH, request).await?;
        stream.message().await?.context("a first checkpoint")?;
        open.spawn(async move { while let Ok(Some(_)) = stream.message().await {} });
    }
    tokio::time::sleep(phase.max(Duration::from_secs(6))).await;
    ensure!(open.try_join_next().is_none(), "a stream ended");
    Ok(format!(
        "{} streams on {} connections",
        open.len(),
        clients.len()
    ))
}

/// Sends garbage: half of it is not HTTP at all, half are invalid messages in valid calls.
async fn garbage(address: &str, megabytes: usize) -> Result<String> {
    let noise: Vec<u8> = (0..1024 * 1024_u32)
        .map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect();
    let (mut sent, mut refused) = (0, 0);
    while sent < megabytes * noise.len() / 2 {
        let mut stream = TcpStream::connect(address).await?;
        for piece in noise.chunks(64 * 1024) {
            // Counts the bytes offered; the server closes after some of them.
            sent += piece.len();
            if stream.write_all(piece).await.is_err() {
                break;
            }
        }
    }
    let mut client = RawClient::connect(address).await?;
    for _ in 0..megabytes / 2 {
        let answer = client.call(COMMIT, noise.clone().into()).await;
        refused += usize::from(answer.is_err());
    }
    ensure!(refused == megabytes / 2, "garbage was taken for a message");
    Ok(format!(
        "{megabytes} MB offered; {refused} calls of 1 MB, all refused"
    ))
}

/// Sends messages of 64 MiB of zeros, compressed to 64 KiB.
async fn bombs(address: &str, count: usize) -> Result<String> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(&vec![0; 64 * 1024 * 1024])?;
    let packed = packed.finish()?;
    let bytes = packed.len();
    calls_of(
        address,
        COMMIT,
        1,
        &packed,
        &[("grpc-encoding", "gzip")],
        count,
    )
    .await?;
    Ok(format!("{count} calls of {bytes} bytes, all refused"))
}

/// Sends groups nested in groups.
async fn nesting(address: &str, count: usize) -> Result<String> {
    let deep = [0x7b].repeat(1_000_000);
    calls_of(address, COMMIT, 0, &deep, &[], count).await?;
    Ok(format!("{count} calls of 1,000,000 levels, all refused"))
}

/// Makes calls with one message each on one connection; each of them has to be refused.
async fn calls_of(
    address: &str,
    path: &str,
    flag: u8,
    message: &[u8],
    more: &[(&str, &str)],
    count: usize,
) -> Result<()> {
    let stream = TcpStream::connect(address).await?;
    let (sender, connection) = h2::client::handshake(stream).await?;
    let connection = tokio::spawn(connection);
    let mut body = vec![flag];
    body.extend(u32::try_from(message.len())?.to_be_bytes());
    body.extend(message);
    let body = bytes::Bytes::from(body);
    for _ in 0..count {
        let mut request = http::Request::post(format!("http://{address}{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        let mut sender = sender.clone().ready().await?;
        let (answer, mut sending) = sender.send_request(request.body(())?, false)?;
        let _ = sending.send_data(body.clone(), true);
        let answer = answer.await?;
        let status = answer.headers().get("grpc-status");
        ensure!(
            status.is_some_and(|status| status != "0"),
            "it was not refused: {answer:?}"
        );
    }
    connection.abort();
    Ok(())
}

async fn resets(address: &str, count: usize) -> Result<String> {
    let (mut sent, mut connections) = (0, 0);
    while sent < count {
        let mut talker = H2Connection::connect_with_preface(address).await;
        connections += 1;
        let mut next = 1;
        loop {
            let opened = frame(HEADERS, END_HEADERS, next, &headers(LIST));
            let reset = frame(RST_STREAM, 0, next, &[0, 0, 0, 8]);
            next += 2;
            if sent >= count || talker.is_closed() || !talker.send(&[opened, reset].concat()).await
            {
                break;
            }
            sent += 1;
        }
    }
    Ok(format!("{sent} calls reset, on {connections} connections"))
}

/// Floods a connection, and opens another one whenever the server cuts it.
async fn flood(address: &str, kind: u8, phase: Duration) -> Result<String> {
    let until = Instant::now() + phase;
    let (begin, payload, stream): (Vec<u8>, &[u8], u32) = match kind {
        PING => (Vec::new(), &[0; 8], 0),
        PRIORITY => (Vec::new(), &[0, 0, 0, 0, 1], 3),
        WINDOW_UPDATE => (Vec::new(), &[0, 0, 0, 1], 0),
        DATA => (frame(HEADERS, END_HEADERS, 1, &headers(LIST)), &[], 1),
        CONTINUATION => (frame(HEADERS, 0, 1, &headers(LIST)), b"\x00\x01a\x01b", 1),
        _ => (Vec::new(), &[], 0),
    };
    let bytes = frame(kind, 0, stream, payload).repeat(AT_ONCE);
    let (mut frames, mut connections) = (0_u32, 0);
    while Instant::now() < until {
        let mut talker = H2Connection::connect_with_preface(address).await;
        talker.send(&begin).await;
        let mut writes = 0_u32;
        while Instant::now() < until && !talker.is_closed() && talker.send(&bytes).await {
            writes += 1;
        }
        frames += writes * u32::try_from(AT_ONCE)?;
        connections += 1;
    }
    Ok(format!(
        "{:.1} M frames written, {connections} connections",
        f64::from(frames) / 1e6
    ))
}

/// Sends 14 kB that decompress to 40 MB of headers.
async fn header_bombs(address: &str, count: usize) -> Result<String> {
    let mut block = headers(LIST);
    block.extend([0x40, 1, b'a', 0x7f, 0xa1, 0x1e]);
    block.extend([b'x'; 4000]);
    block.extend([0xbe; 10_000]);
    let bomb = frame(HEADERS, END_HEADERS | END_STREAM, 1, &block);
    for _ in 0..count {
        let mut stream = TcpStream::connect(address).await?;
        let said = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &bomb].concat();
        stream.write_all(&said).await?;
        let mut scratch = [0; 1024];
        // The answer does not matter.
        let _ = stream.read(&mut scratch).await;
    }
    Ok(format!("{count} of 40 MB each"))
}
