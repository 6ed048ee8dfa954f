//! Answers that nobody reads: many calls of every method, on connections that do not read the answers. The server's
//! memory stays bounded, and a well-behaved client is served all the while.
//!
//! This runs two connections and the methods with the largest answers; `DATELINE_UNREAD=all cargo test unread --
//! --nocapture` runs five connections and every method, and prints a table.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use dateline_client::Client;
use dateline_proto::v1::{
    BatchGetRecordsRequest, CommitRequest, CreateRecordRequest, DiffRevisionsRequest,
    GetRecordRequest, ListAuditEntriesRequest, ListRecordsRequest, ListRevisionsRequest,
    LoadRecordsRequest, Record, RetractRecordsRequest, SubmitRecordsRequest, UpdateRecordRequest,
    View,
};
use prost::Message;
use tokio::{net::TcpStream, task::JoinHandle};

use crate::{
    response_sizes::reads::{AUDIT, TOKENS},
    support::{
        builders::{create, publish, update, versions},
        editing,
        editing::execute_sql,
        large_records::{unchecked, wire},
        process::{Process, serve_on},
        raw_grpc::frame,
        records::{meta, name, with_etag, with_text},
        server::{TIMEOUT, create_database},
    },
};

/// Calls on each connection: the maximum of concurrent streams.
const CALLS: usize = 256;
/// Maximum memory of the server.
const MOST_BYTES: u64 = 512 * 1024 * 1024;
/// Maximum latency of another client, on a machine that runs other tests at the same time.
const NEIGHBOURLY: Duration = Duration::from_secs(15);
/// The methods whose answers use most memory, one for each way of pacing.
const LARGEST: [&str; 2] = ["BatchGetRecords", "GetRecord"];

/// The records and ids that the calls refer to.
struct Stored {
    published: Vec<Record>,
    drafts: Vec<Record>,
    large: Record,
}

async fn store(url: &str, client: &Client) -> Stored {
    let all = |from, to| -> Vec<_> {
        (from..to)
            .map(|number| create(&wire(number, 6500)))
            .collect()
    };
    let drafts = editing::commit_ok(client, all(0, 620)).await.records;
    let shown = drafts.iter().map(publish).collect();
    let published = editing::commit_ok(client, shown).await.records;
    let drafts = editing::commit_ok(client, all(1000, 1620)).await.records;
    let mut large = Record::default();
    for letter in ["\u{20001}", "\u{20002}"] {
        let record = unchecked("large", 300, letter);
        let write = if letter == "\u{20001}" {
            create(&record)
        } else {
            update(&with_etag(&record, &meta(&large).etag), &[])
        };
        large = editing::commit_one(client, write).await;
    }
    let small = editing::actor("small");
    let mut stored = editing::commit_one(client, create(&small)).await;
    for number in 0..60 {
        let write = update(&with_text(&stored, &format!("{number}")), &[]);
        stored = editing::commit_one(client, write).await;
    }
    let notes = "UPDATE changes SET note = repeat('ж', 60000) WHERE name = 'actors/small'";
    for statements in [notes, TOKENS, AUDIT] {
        execute_sql(url, statements).await;
    }
    Stored {
        published,
        drafts,
        large,
    }
}

/// The largest request of a method that can be repeated; an empty one of a method that has effects.
fn request(method: &str, stored: &Stored) -> Bytes {
    let view = View::Desk.into();
    let names = || stored.published.iter().map(|it| name(it).to_owned());
    let message = match method {
        "GetRecord" => GetRecordRequest {
            name: "actors/large".to_owned(),
            view,
            ..GetRecordRequest::default()
        }
        .encode_to_vec(),
        "BatchGetRecords" => BatchGetRecordsRequest {
            names: names().collect(),
            view,
            min_sequence: 0,
        }
        .encode_to_vec(),
        "ListRecords" => ListRecordsRequest {
            view,
            page_size: 1000,
            ..ListRecordsRequest::default()
        }
        .encode_to_vec(),
        "ListRevisions" => ListRevisionsRequest {
            name: "actors/small".to_owned(),
            view,
            page_size: 1000,
            page_token: String::new(),
        }
        .encode_to_vec(),
        "DiffRevisions" => DiffRevisionsRequest {
            name: "actors/large".to_owned(),
            view,
            from_revision: 1,
            to_revision: 2,
        }
        .encode_to_vec(),
        "ListAuditEntries" => ListAuditEntriesRequest {
            page_size: 1000,
            ..ListAuditEntriesRequest::default()
        }
        .encode_to_vec(),
        "CreateRecord" => CreateRecordRequest {
            record: Some(unchecked("other", 255, "\u{20001}")),
            validate_only: true,
            ..CreateRecordRequest::default()
        }
        .encode_to_vec(),
        "UpdateRecord" => UpdateRecordRequest {
            record: Some(with_etag(
                &unchecked("large", 255, "\u{20003}"),
                &meta(&stored.large).etag,
            )),
            validate_only: true,
            ..UpdateRecordRequest::default()
        }
        .encode_to_vec(),
        "Commit" => CommitRequest {
            writes: (5000..5620)
                .map(|number| create(&wire(number, 6500)))
                .collect(),
            validate_only: true,
            ..CommitRequest::default()
        }
        .encode_to_vec(),
        "SubmitRecords" => SubmitRecordsRequest {
            records: versions(&stored.drafts),
            validate_only: true,
            ..SubmitRecordsRequest::default()
        }
        .encode_to_vec(),
        "PublishRecords" => dateline_proto::v1::PublishRecordsRequest {
            records: versions(&stored.drafts),
            validate_only: true,
            ..Default::default()
        }
        .encode_to_vec(),
        "RetractRecords" => RetractRecordsRequest {
            records: versions(&stored.published),
            note: "Nothing of it is true.".to_owned(),
            validate_only: true,
            ..RetractRecordsRequest::default()
        }
        .encode_to_vec(),
        "LoadRecords" => LoadRecordsRequest {
            records: stored.published.clone(),
            validate_only: true,
            ..LoadRecordsRequest::default()
        }
        .encode_to_vec(),
        // From the beginning.
        "Watch" => vec![0x08, 0x02, 0x20, 0x02],
        "Export" => vec![0x08, 0x02],
        _ => Vec::new(),
    };
    frame(&message)
}

/// A connection that calls and reads nothing; dropping it closes the connection.
struct NonReadingClient {
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for NonReadingClient {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn hoard(
    address: &str,
    path: &str,
    body: &Bytes,
    begun: &Arc<AtomicUsize>,
) -> NonReadingClient {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    let mut tasks = vec![tokio::spawn(async move { drop(connection.await) })];
    let uri = format!("http://{address}{path}");
    for _ in 0..CALLS {
        let asked = http::Request::post(&uri)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .unwrap();
        let mut sender = sender.clone().ready().await.unwrap();
        let (answer, mut stream) = sender.send_request(asked, false).unwrap();
        let _ = stream.send_data(body.clone(), true);
        let begun = begun.clone();
        tasks.push(tokio::spawn(async move {
            let answer = answer.await;
            begun.fetch_add(1, Ordering::Relaxed);
            // Kept open, and never read.
            let _kept = (answer, stream);
            std::future::pending::<()>().await;
        }));
    }
    NonReadingClient { tasks }
}

/// Memory of a process: now, and the maximum since the last call.
fn resident(server: &Process) -> (u64, u64) {
    let pid = server.child.id().unwrap();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let of = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kilobytes.unwrap() * 1024
    };
    (of("VmRSS:"), of("VmHWM:"))
}

fn forget_peak(server: &Process) {
    let pid = server.child.id().unwrap();
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
}

/// Waits until the server has settled: no call begins any more, and memory does not grow.
async fn settled(server: &Process, begun: &AtomicUsize, calls: usize) {
    let started = Instant::now();
    let mut seen = (0, 0);
    let mut since = Instant::now();
    while started.elapsed() < TIMEOUT {
        let now = (begun.load(Ordering::Relaxed), resident(server).1);
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
        let is_quiet = since.elapsed() > Duration::from_millis(700);
        if is_quiet && now.0 > 0 || now.0 >= calls {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A well-behaved client: it reads a small record repeatedly, and a large answer now and then.
struct ReadingClient {
    done: Arc<AtomicBool>,
    calling: JoinHandle<(usize, Duration)>,
}

impl ReadingClient {
    async fn start(address: &str, stored: &Stored) -> Self {
        let client = Client::connect(address).await.unwrap();
        let done = Arc::new(AtomicBool::new(false));
        let until = done.clone();
        let names: Vec<_> = stored
            .published
            .iter()
            .map(|it| name(it).to_owned())
            .collect();
        let calling = tokio::spawn(async move {
            let (mut count, mut slowest) = (0, Duration::ZERO);
            while !until.load(Ordering::Relaxed) {
                let started = Instant::now();
                let mut records = client.records.clone();
                let small = editing::get_request("articles/wire-1", View::Published);
                let small = records.get_record(small).await;
                small.expect("the neighbour is served");
                if count % 50 == 0 {
                    let request = BatchGetRecordsRequest {
                        names: names.clone(),
                        ..BatchGetRecordsRequest::default()
                    };
                    let large = records.batch_get_records(request).await;
                    let large = large.expect("the neighbour is served").into_inner();
                    assert!(large.records.len() > 500);
                }
                count += 1;
                slowest = slowest.max(started.elapsed());
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            (count, slowest)
        });
        Self { done, calling }
    }

    async fn stop(self) -> (usize, Duration) {
        self.done.store(true, Ordering::Relaxed);
        self.calling.await.expect("the neighbour is served")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f9_answers_that_nobody_takes_exhaust_no_memory() {
    let is_full = std::env::var("DATELINE_UNREAD").is_ok();
    let connections = if is_full { 5 } else { 2 };
    let url = create_database().await;
    let server = serve_on(&url, &[]).await;
    let client = Client::connect(&server.address).await.unwrap();
    let stored = store(&url, &client).await;
    println!(
        "{connections} connections of {CALLS} calls each; MiB before, at most, after; calls of the neighbour, slowest"
    );
    let mut largest = 0;
    for (path, _) in dateline_access::METHODS {
        let method = path.rsplit('/').next().unwrap();
        if !is_full && !LARGEST.contains(&method) {
            continue;
        }
        let neighbour = ReadingClient::start(&server.address, &stored).await;
        let (before, _) = resident(&server);
        forget_peak(&server);
        let (body, begun) = (request(method, &stored), Arc::default());
        let mut hoarders = Vec::new();
        for _ in 0..connections {
            hoarders.push(hoard(&server.address, path, &body, &begun).await);
        }
        settled(&server, &begun, connections * CALLS).await;
        let (now, peak) = resident(&server);
        let (count, slowest) = neighbour.stop().await;
        drop(hoarders);
        let mib = |bytes: u64| bytes / 1024 / 1024;
        println!(
            "{method:<18} {:>5} {:>5} {:>5}   {count:>5}  {:>6} ms   {} begun",
            mib(before),
            mib(peak),
            mib(now),
            slowest.as_millis(),
            begun.load(Ordering::Relaxed),
        );
        assert!(count > 0 && slowest < NEIGHBOURLY, "{method}: {slowest:?}");
        largest = largest.max(peak);
        assert!(is_full || peak < MOST_BYTES, "{method}: {} MiB", mib(peak));
    }
    assert!(largest < MOST_BYTES, "{} MiB", largest / 1024 / 1024);
}
