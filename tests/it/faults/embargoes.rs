//! Embargoes that end during faults: records of mixed sizes, embargoed by requests of mixed sizes, come due while two
//! servers and Postgres are killed, frozen, cut off, given a wrong time, or silently disconnected. Each is published
//! once, none early, none later than 5 s after its time while a server is up, and each request as a whole.
//! `DATELINE_EMBARGOES=5000` is the long form.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use dateline_client::{Event, Subscriber};
use dateline_proto::v1::{
    Change, PublishRecordsRequest, Record, View, change::Type, record::Kind as Body,
};
use nix::sys::signal::Signal;
use prost_types::Timestamp;
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom, seq::SliceRandom};
use time::OffsetDateTime;
use tokio::task::JoinHandle;

use super::deployment::{Deployment, PROCESS_TIMEOUT};
use crate::support::{
    builders::version,
    editing::{create_base, create_drafts},
    records::{actor, article, as_event, event, evidence_quoting, name, with_evidence},
    watch::watch_from_beginning,
};

/// Records in the form that CI runs.
const RECORDS: usize = 250;
/// Maximum delay of a record while a server is up.
const LATEST: Duration = Duration::from_secs(5);
/// Bytes of one request that creates drafts.
const MADE_BYTES: usize = 2_500_000;

/// The faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum EmbargoFault {
    KillServer,
    KillBoth,
    StopServer,
    FreezeServer,
    KillPostgres,
    Silence,
    CutConnections,
    ClockAhead,
}

const FAULTS: [EmbargoFault; 8] = [
    EmbargoFault::KillServer,
    EmbargoFault::KillBoth,
    EmbargoFault::StopServer,
    EmbargoFault::FreezeServer,
    EmbargoFault::KillPostgres,
    EmbargoFault::Silence,
    EmbargoFault::CutConnections,
    EmbargoFault::ClockAhead,
];
/// The faults of the short form: each takes a second or two.
const QUICK: [EmbargoFault; 4] = [
    EmbargoFault::KillBoth,
    EmbargoFault::Silence,
    EmbargoFault::KillPostgres,
    EmbargoFault::ClockAhead,
];

/// Time in nanoseconds since 1970.
fn now() -> i128 {
    OffsetDateTime::now_utc().unix_timestamp_nanos()
}

fn nanos(time: Timestamp) -> i128 {
    i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos)
}

/// The random records of each request, with bodies of various sizes; in some, facts cite the article.
fn drawn(random: &mut StdRng, count: usize) -> Vec<Vec<Record>> {
    let (mut requests, mut left) = (Vec::new(), count);
    while left > 0 {
        let number = requests.len();
        let members = *[1, 1, 1, 2, 5, 20, 60].choose(random).unwrap();
        let bytes = *[100, 100, 2_000, 20_000, 190_000, 570_000]
            .choose(random)
            .unwrap();
        let mut first = article(&format!("hidden-{number}"));
        if let Some(Body::Article(article)) = &mut first.kind {
            // A body has at most 200,000 characters.
            article.body = if bytes > 190_000 {
                "世".repeat(bytes / 3)
            } else {
                "Ten words.\n".repeat(bytes / 11)
            };
        }
        let source = name(&first).to_owned();
        let mut request = vec![first];
        for member in 1..members.min(left) {
            let id = format!("hidden-{number}-{member}");
            request.push(match member % 3 {
                0 => {
                    let mut meeting = event(&id);
                    as_event(&mut meeting).participants[0].actor =
                        format!("actors/hidden-{number}-{}", member - 1);
                    meeting
                }
                1 => actor(&id),
                _ => with_evidence(&actor(&id), vec![evidence_quoting(&source)]),
            });
        }
        left -= request.len();
        requests.push(request);
    }
    requests
}

/// The embargoed records and their due times.
#[derive(Default)]
struct Hidden {
    /// Due time and number of the request, by name.
    due: BTreeMap<String, (i128, usize)>,
}

/// Creates drafts, and puts each request under embargo until a time within `window`.
async fn hide(
    deployment: &Deployment,
    random: &mut StdRng,
    requests: Vec<Vec<Record>>,
    window: Duration,
) -> Hidden {
    let client = deployment.servers[0].client().await;
    let mut drafts = Vec::new();
    let mut open: Vec<Vec<Record>> = Vec::new();
    let bytes = |request: &[Record]| {
        request
            .iter()
            .map(prost::Message::encoded_len)
            .sum::<usize>()
    };
    let mut flush = async |open: &mut Vec<Vec<Record>>| {
        let all: Vec<_> = open.iter().flatten().cloned().collect();
        let mut made = create_drafts(&client, &all).await.into_iter();
        for request in open.drain(..) {
            drafts.push(made.by_ref().take(request.len()).collect::<Vec<_>>());
        }
    };
    for request in requests {
        let together: usize = open.iter().map(|request| bytes(request)).sum();
        let count: usize = open.iter().map(Vec::len).sum();
        if together + bytes(&request) > MADE_BYTES || count + request.len() > 400 {
            flush(&mut open).await;
        }
        open.push(request);
    }
    flush(&mut open).await;
    let first = now() + 2_000_000_000;
    let mut dues: Vec<_> = (0..drafts.len())
        .map(|_| first + i128::from(random.random_range(0..window.as_secs() * 1_000_000)) * 1000)
        .collect();
    // Some are due at the same moment.
    for place in (3..dues.len()).step_by(7) {
        dues[place] = dues[place - 3];
    }
    let mut order: Vec<_> = (0..drafts.len()).collect();
    order.sort_by_key(|place| dues[*place]);
    let mut hidden = Hidden::default();
    for place in order {
        let due = dues[place];
        let request = PublishRecordsRequest {
            records: drafts[place].iter().map(version).collect(),
            embargo_time: Some(Timestamp {
                seconds: (due / 1_000_000_000).try_into().unwrap(),
                nanos: (due % 1_000_000_000).try_into().unwrap(),
            }),
            omit_content: true,
            ..PublishRecordsRequest::default()
        };
        client.publish(request).await.unwrap();
        let names = drafts[place].iter().map(|draft| name(draft).to_owned());
        hidden.due.extend(names.map(|name| (name, (due, place))));
    }
    hidden
}

/// Arrival time of each publication at a watcher.
type ArrivalTimes = Arc<Mutex<BTreeMap<String, i128>>>;

/// Follows the wire feed at a server through all faults.
async fn watch(deployment: &Deployment, server: usize, seen: ArrivalTimes) -> JoinHandle<()> {
    let address = deployment.servers[server].address().to_owned();
    let mut subscriber = Subscriber::open(&address, watch_from_beginning(View::Published), None)
        .await
        .unwrap();
    tokio::spawn(async move {
        loop {
            let (event, _) = subscriber.next(&mut |_| {}).await.unwrap();
            if let Event::Change(change) = event {
                let (mut seen, at) = (seen.lock().unwrap(), now());
                seen.entry(change.name).or_insert(at);
            }
        }
    })
}

/// Waits until a server serves.
async fn serves(deployment: &Deployment, server: usize) {
    let address = deployment.servers[server].address().to_owned();
    let serving = async {
        while crate::support::cli::dateline(&address, &["health"])
            .await
            .code
            != 0
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PROCESS_TIMEOUT, serving)
        .await
        .expect("it serves again");
}

/// Inflicts a fault. Returns the period in which no server could publish, if any.
async fn inflict(
    deployment: &mut Deployment,
    fault: EmbargoFault,
    random: &mut StdRng,
) -> Option<(i128, i128)> {
    let (begun, number) = (now(), random.random_range(0..2));
    match fault {
        EmbargoFault::KillServer => deployment.servers[number].restart(Signal::SIGKILL).await,
        EmbargoFault::StopServer => deployment.servers[number].restart(Signal::SIGTERM).await,
        EmbargoFault::KillBoth => {
            for server in &mut deployment.servers {
                server.end(Signal::SIGKILL).await;
            }
            tokio::time::sleep(Duration::from_millis(1500)).await;
            for server in &mut deployment.servers {
                server.start_again().await;
            }
            return Some((begun, now()));
        }
        EmbargoFault::FreezeServer => {
            deployment.servers[number]
                .freeze(Duration::from_secs(3))
                .await;
        }
        EmbargoFault::KillPostgres => {
            deployment.kill_postgres().await;
            for server in 0..2 {
                serves(deployment, server).await;
            }
            return Some((begun, now()));
        }
        EmbargoFault::Silence => deployment.silence(),
        EmbargoFault::CutConnections => drop(deployment.cut(false).await),
        EmbargoFault::ClockAhead => {
            if deployment.servers[1].set_clock(3600) {
                tokio::time::sleep(Duration::from_secs(1)).await;
                deployment.servers[1].set_clock(0);
            }
        }
    }
    None
}

/// The latest moment for a publication: counted from the end of the last outage that delayed it.
fn latest(due: i128, outages: &[(i128, i128)]) -> i128 {
    let bound = i128::try_from(LATEST.as_nanos()).unwrap();
    let mut from = due;
    for (begun, ended) in outages {
        if *begun <= from + bound && *ended > from {
            from = *ended;
        }
    }
    from + bound
}

/// A fault, and its beginning and end.
struct InflictedFault {
    fault: EmbargoFault,
    begun: i128,
    ended: i128,
}

/// The faults between two moments, in milliseconds from the first.
fn faults_between(faults: &[InflictedFault], from: i128, to: i128) -> String {
    let between = faults
        .iter()
        .filter(|it| it.begun <= to && it.ended >= from);
    let ms = |at: i128| (at - from) / 1_000_000;
    let told = between.map(|it| format!("{:?} {}..{}", it.fault, ms(it.begun), ms(it.ended)));
    told.collect::<Vec<_>>().join(", ")
}

/// Compares the embargoed records with the published ones.
fn judge(
    hidden: &Hidden,
    seen: &BTreeMap<String, i128>,
    wire: &[Change],
    outages: &[(i128, i128)],
    faults: &[InflictedFault],
) {
    let mut published: BTreeMap<&str, usize> = BTreeMap::new();
    let mut batches: BTreeMap<usize, BTreeSet<i64>> = BTreeMap::new();
    let mut times: BTreeMap<&str, i128> = BTreeMap::new();
    for change in wire.iter().filter(|it| it.r#type() == Type::Published) {
        if let Some((_, request)) = hidden.due.get(&change.name) {
            *published.entry(&change.name).or_default() += 1;
            times.extend(change.time.map(|time| (change.name.as_str(), nanos(time))));
            batches.entry(*request).or_default().insert(change.batch);
        }
    }
    let mut lateness = Vec::new();
    for (name, (due, _)) in &hidden.due {
        assert_eq!(published.get(name.as_str()), Some(&1), "{name} is out once");
        let at = seen[name];
        assert!(
            at >= *due,
            "{name} came {} ms early",
            (due - at) / 1_000_000
        );
        // A disconnected watcher receives it later; a server with a wrong clock records a wrong time.
        let at = times
            .get(name.as_str())
            .copied()
            .filter(|time| (*due..=at).contains(time));
        let at = at.unwrap_or(seen[name]);
        let latest = latest(*due, outages);
        assert!(
            at <= latest,
            "{name} came {} ms too late, {} ms after its time, {}; meanwhile: {}",
            (at - latest) / 1_000_000,
            (at - due) / 1_000_000,
            OffsetDateTime::from_unix_timestamp_nanos(*due).unwrap(),
            faults_between(faults, *due, at)
        );
        lateness.push((at - due) / 1_000_000);
    }
    for (request, batches) in &batches {
        assert_eq!(batches.len(), 1, "request {request} came out in parts");
    }
    lateness.sort_unstable();
    let of = |share: usize| lateness[(lateness.len() - 1) * share / 100];
    println!(
        "{} records of {} requests out once each, none early; ms after their time: p50 {}, p99 {}, longest {} (outages included)",
        hidden.due.len(),
        batches.len(),
        of(50),
        of(99),
        of(100)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn w5_f10_embargoes_end_once_and_in_time_whatever_fails() {
    let count = std::env::var("DATELINE_EMBARGOES").map_or(RECORDS, |text| text.parse().unwrap());
    let seed = std::env::var("DATELINE_SEED")
        .map_or_else(|_| rand::random(), |text| text.parse().unwrap());
    println!("embargoes: seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let is_long = count > RECORDS;
    let window = Duration::from_secs(if is_long { 120 } else { 7 });
    let mut deployment = Deployment::start().await;
    create_base(&deployment.servers[0].client().await).await;
    let seen = ArrivalTimes::default();
    let watchers = [
        watch(&deployment, 0, seen.clone()).await,
        watch(&deployment, 1, seen.clone()).await,
    ];
    let requests = drawn(&mut random, count);
    let bytes: usize = requests
        .iter()
        .flatten()
        .map(prost::Message::encoded_len)
        .sum();
    let hidden = hide(&deployment, &mut random, requests, window).await;
    println!("{} records, {bytes} bytes", hidden.due.len());
    let last = hidden.due.values().map(|(due, _)| *due).max().unwrap();
    let (mut outages, mut inflicted) = (Vec::new(), Vec::new());
    loop {
        let mut faults = if is_long {
            FAULTS.to_vec()
        } else {
            QUICK.to_vec()
        };
        faults.shuffle(&mut random);
        for fault in faults {
            let begun = now();
            outages.extend(inflict(&mut deployment, fault, &mut random).await);
            let ended = now();
            inflicted.push(InflictedFault {
                fault,
                begun,
                ended,
            });
            tokio::time::sleep(Duration::from_millis(if is_long { 1500 } else { 300 })).await;
        }
        if now() >= last {
            break;
        }
    }
    let all_out = async {
        while !hidden
            .due
            .keys()
            .all(|name| seen.lock().unwrap().contains_key(name))
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let out = tokio::time::timeout(PROCESS_TIMEOUT, all_out).await;
    if out.is_err() {
        let seen = seen.lock().unwrap();
        let missing: Vec<_> = hidden
            .due
            .keys()
            .filter(|name| !seen.contains_key(*name))
            .collect();
        panic!("{} never came out: {missing:?}", missing.len());
    }
    // A second publication would be on the wire feed by now.
    tokio::time::sleep(Duration::from_secs(1)).await;
    for watcher in watchers {
        watcher.abort();
    }
    let wire = whole_wire(&deployment).await;
    let logs = deployment.write_logs("embargoes");
    println!("logs: {}", logs.display());
    judge(&hidden, &seen.lock().unwrap(), &wire, &outages, &inflicted);
    let mut done = BTreeMap::<EmbargoFault, usize>::new();
    for it in &inflicted {
        *done.entry(it.fault).or_default() += 1;
    }
    let done: Vec<_> = done
        .iter()
        .map(|(what, count)| format!("{count} {what:?}"))
        .collect();
    println!("faults: {}", done.join(", "));
    deployment.stop().await;
}

/// Reads the wire feed from its beginning to its head.
async fn whole_wire(deployment: &Deployment) -> Vec<Change> {
    let mut sql = deployment.sql().await;
    let head: i64 = sqlx::query_scalar("SELECT wire_head FROM feed")
        .fetch_one(&mut sql)
        .await
        .unwrap();
    let address = deployment.servers[1].address().to_owned();
    let mut subscriber = Subscriber::open(&address, watch_from_beginning(View::Published), None)
        .await
        .unwrap();
    let mut wire: Vec<Change> = Vec::new();
    while wire.last().is_none_or(|change| change.sequence < head) {
        let (event, _) = subscriber.next(&mut |_| {}).await.unwrap();
        if let Event::Change(change) = event {
            wire.push(*change);
        }
    }
    wire
}
