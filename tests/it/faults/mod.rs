//! The feed under faults: two servers and a Postgres that are killed, frozen, cut off and given a wrong time, while
//! writers write and watchers come and go. Everything is recorded, and the validator decides. The seed is printed;
//! `DATELINE_SEED` repeats the choices of writers, watchers and faults, `DATELINE_FAULT_SECONDS` sets the duration.

mod deployment;
mod embargoes;
mod probes;
mod recorder;
mod watchers;
mod writers;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use dateline_client::Client;
use dateline_proto::v1::View;
use nix::sys::signal::Signal;
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use tokio::{sync::watch, task::JoinHandle};

use self::{
    deployment::{Deployment, PROCESS_TIMEOUT},
    recorder::Recorder,
    watchers::{FaultWatcher, WatchPlan, plans},
    writers::{Desk, Writer, prepare, write_much},
};
use crate::{
    validator::history::{Answer, Event, Start},
    validator::validate,
};

/// The servers' checkpoint interval in milliseconds.
const CHECKPOINT_MS: u64 = 1000;
/// Acknowledged requests between two faults: a service that does nothing would break no promise.
const FLOOR: usize = 40;

/// The faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    KillServer,
    StopServer,
    KillPostgres,
    FreezeServer,
    FreezePostgres,
    CutConnections,
    CutListeners,
    ClockJump,
    Silence,
}

const FAULTS: [Fault; 9] = [
    Fault::KillServer,
    Fault::StopServer,
    Fault::KillPostgres,
    Fault::FreezeServer,
    Fault::FreezePostgres,
    Fault::CutConnections,
    Fault::CutListeners,
    Fault::ClockJump,
    Fault::Silence,
];

/// A running campaign.
struct Campaign {
    deployment: Deployment,
    desk: Desk,
    recorder: Arc<Recorder>,
    seed: u64,
    heads: watch::Sender<Option<(i64, i64)>>,
    watchers: Vec<(String, JoinHandle<usize>)>,
    writers: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl Campaign {
    async fn begin(name: &str) -> Self {
        let seed = std::env::var("DATELINE_SEED")
            .map_or_else(|_| rand::random(), |text| text.parse().unwrap());
        println!("{name}: seed {seed}");
        let deployment = Deployment::start().await;
        let recorder = Arc::new(Recorder::new(seed, CHECKPOINT_MS));
        let clients = [
            deployment.servers[0].client().await,
            deployment.servers[1].client().await,
        ];
        let desk = Desk {
            clients,
            recorder: recorder.clone(),
        };
        prepare(&desk).await;
        Self {
            deployment,
            desk,
            recorder,
            seed,
            heads: watch::Sender::new(None),
            watchers: Vec::new(),
            writers: Vec::new(),
            stop: Arc::default(),
        }
    }

    fn watch(&mut self, plan: WatchPlan, leaves: bool) {
        let watcher = FaultWatcher {
            clients: self.desk.clients.clone(),
            recorder: self.recorder.clone(),
            heads: self.heads.subscribe(),
            leaves,
            plan,
        };
        let seed = self.seed + self.watchers.len() as u64;
        let name = watcher.plan.name.clone();
        self.watchers.push((name, tokio::spawn(watcher.run(seed))));
    }

    fn write(&mut self, writers: usize, rounds: usize, pause: Duration) {
        for number in 0..writers {
            let writer = Writer::new(number, self.desk.clone(), self.seed);
            let writing = writer.run(self.stop.clone(), rounds, pause);
            self.writers.push(tokio::spawn(writing));
        }
    }

    async fn written(&mut self) {
        for writer in self.writers.drain(..) {
            let ended = tokio::time::timeout(PROCESS_TIMEOUT, writer).await;
            ended.expect("every writer is answered").unwrap();
        }
    }

    /// Waits until `more` further requests are acknowledged.
    async fn floor(&self, more: usize) {
        let wanted = self.recorder.acknowledged() + more;
        let growing = async {
            while self.recorder.acknowledged() < wanted {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let grown = tokio::time::timeout(PROCESS_TIMEOUT, growing).await;
        grown.unwrap_or_else(|_| panic!("{more} more answers did not come"));
    }

    /// Cuts connections, waiting until there are some: after another fault they return one by one.
    async fn cut(&self, only_listeners: bool) {
        while self.deployment.cut(only_listeners).await == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Inflicts a fault, and waits until requests are acknowledged again; false if it is impossible here.
    async fn inflict(&mut self, fault: Fault, random: &mut StdRng, freeze: Duration) -> bool {
        let begun = self.recorder.now();
        let number = random.random_range(0..2);
        match fault {
            Fault::KillServer => {
                self.deployment.servers[number]
                    .restart(Signal::SIGKILL)
                    .await;
            }
            Fault::StopServer => {
                self.deployment.servers[number]
                    .restart(Signal::SIGTERM)
                    .await;
            }
            Fault::KillPostgres => self.deployment.kill_postgres().await,
            Fault::FreezeServer => self.deployment.servers[number].freeze(freeze).await,
            Fault::FreezePostgres => self.deployment.freeze_postgres(freeze / 4).await,
            Fault::CutConnections => self.cut(false).await,
            Fault::CutListeners => self.cut(true).await,
            Fault::Silence => self.deployment.silence(),
            Fault::ClockJump => {
                let offset = [-3600, 3600][random.random_range(0..2)];
                if !self.deployment.servers[1].set_clock(offset) {
                    return false;
                }
                self.floor(FLOOR).await;
                self.deployment.servers[1].set_clock(0);
            }
        }
        self.floor(FLOOR).await;
        self.recorder.add(|until| Event::Fault {
            at: begun,
            until,
            what: format!("{fault:?}"),
        });
        true
    }

    /// Lets all watchers read to the head; late ones are aborted, and the validator reports them. Returns the heads and
    /// the number of resumes.
    async fn converge(&mut self, timeout: Duration) -> ((i64, i64), usize) {
        let mut sql = self.deployment.sql().await;
        let heads: (i64, i64) = sqlx::query_as("SELECT desk_head, wire_head FROM feed")
            .fetch_one(&mut sql)
            .await
            .unwrap();
        self.heads.send_replace(Some(heads));
        let (until, mut resumes) = (Instant::now() + timeout, 0);
        for (name, mut watcher) in self.watchers.drain(..) {
            let left = until.saturating_duration_since(Instant::now());
            if let Ok(count) = tokio::time::timeout(left, &mut watcher).await {
                resumes += count.unwrap();
            } else {
                println!("{name} does not get to the head");
                watcher.abort();
            }
        }
        (heads, resumes)
    }

    /// Checks at rest: both feeds from their beginnings at both servers, lists under every filter, the feeds' own
    /// reports, and cursors that must be refused.
    async fn audit(&mut self, timeout: Duration) -> ((i64, i64), usize) {
        let (heads, resumes) = self.converge(timeout).await;
        for client in &self.desk.clients {
            watchers::settle(client).await;
        }
        for (view, word) in [(View::Desk, "desk"), (View::Published, "wire")] {
            for server in 0..2 {
                self.watch(auditor(word, view, server, Start::Beginning), false);
                probes::probe_all(&self.desk.clients[server], &self.recorder, view).await;
            }
        }
        self.converge(timeout).await;
        let mut asked = Vec::new();
        for (number, plan) in plans().into_iter().enumerate() {
            if !asked.contains(&(plan.view, plan.filter.clone())) {
                let client = &self.desk.clients[number % 2];
                watchers::list(client, plan.view, &plan.filter, &self.recorder).await;
                asked.push((plan.view, plan.filter));
            }
        }
        probes::compact(&self.desk.clients, &self.recorder).await;
        for (view, word) in [(View::Desk, "desk"), (View::Published, "wire")] {
            self.watch(auditor(word, view, 1, Start::Snapshot), false);
        }
        self.converge(timeout).await;
        (heads, resumes)
    }

    /// Validates the history.
    async fn end(mut self, name: &str, timeout: Duration) {
        let ((desk_head, wire_head), resumes) = self.audit(timeout).await;
        self.recorder.add(|at| Event::End {
            at,
            desk_head,
            wire_head,
        });
        self.deployment.stop().await;
        let (events, path) = self.recorder.finish(name);
        let report = validate(&events);
        println!("{name}: {}", summary(&events, resumes));
        println!(
            "{} digests and {} lists compared, {} violations; recorded in {}",
            report.digests,
            report.lists,
            report.violations.len(),
            path.file_name().unwrap().display()
        );
        report.assert_kept();
    }
}

fn auditor(word: &str, view: View, server: usize, start: Start) -> WatchPlan {
    WatchPlan {
        name: format!("audit of the {word} at {server}, {start:?}"),
        view,
        filter: dateline_proto::v1::RecordFilter::default(),
        start,
        loyal: Some(server),
    }
}

/// The history in numbers.
fn summary(events: &[Event], resumes: usize) -> String {
    let (mut requests, mut written, mut refused, mut seen, mut connections) = (0, 0, 0, 0, 0);
    let mut faults: BTreeMap<&str, usize> = BTreeMap::new();
    for event in events {
        match event {
            Event::Answered {
                answer: Answer::Acknowledged { records, .. },
                ..
            } => {
                requests += 1;
                written += records.len();
            }
            Event::Answered { .. } => refused += 1,
            Event::Received { response, .. } => {
                seen += response.0.changes.len() + response.0.records.len();
            }
            Event::Opened { .. } => connections += 1,
            Event::Fault { what, .. } => *faults.entry(what).or_default() += 1,
            _ => {}
        }
    }
    let faults: Vec<_> = faults
        .iter()
        .map(|(what, count)| format!("{count} {what}"))
        .collect();
    format!(
        "{requests} requests acknowledged with {written} changes, {refused} refused; {seen} changes and records seen \
         on {connections} connections, {resumes} resumes; faults: {}",
        faults.join(", ")
    )
}

/// Records the state of both feeds at intervals, while others write.
fn stand_now_and_then(campaign: &Campaign) -> JoinHandle<()> {
    let (clients, recorder): ([Client; 2], _) =
        (campaign.desk.clients.clone(), campaign.recorder.clone());
    tokio::spawn(async move {
        for number in 0.. {
            let view = [View::Desk, View::Published][number / 2 % 2];
            probes::read_feed(&clients[number % 2], view, &recorder).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    })
}

/// The small form, in which `.ci/mutate` looks for faults of the engine: servers have no faults, except that one
/// restarts and reads the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f1_to_f12_the_feed_keeps_its_promises_at_rest() {
    const NAME: &str = "at-rest";
    let mut campaign = Campaign::begin(NAME).await;
    for plan in plans() {
        campaign.watch(plan, true);
    }
    let standing = stand_now_and_then(&campaign);
    write_much(&campaign.desk, 6).await;
    campaign.write(8, 30, Duration::from_millis(5));
    campaign.floor(60).await;
    campaign.deployment.servers[1]
        .restart(Signal::SIGTERM)
        .await;
    campaign.written().await;
    standing.abort();
    // A last write at one server, which the other one has to notice.
    let last = Writer::new(99, campaign.desk.clone(), campaign.seed);
    last.run(Arc::default(), 3, Duration::ZERO).await;
    campaign.end(NAME, Duration::from_secs(12)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f1_to_f12_the_feed_keeps_its_promises_under_faults() {
    const NAME: &str = "under-faults";
    let seconds = std::env::var("DATELINE_FAULT_SECONDS").map_or(0, |text| text.parse().unwrap());
    let (until, freeze) = (
        Instant::now() + Duration::from_secs(seconds),
        Duration::from_secs(if seconds > 0 { 10 } else { 3 }),
    );
    let mut campaign = Campaign::begin(NAME).await;
    for plan in plans() {
        campaign.watch(plan, true);
    }
    write_much(&campaign.desk, 6).await;
    let standing = stand_now_and_then(&campaign);
    campaign.write(32, usize::MAX, Duration::from_millis(300));
    let mut random = StdRng::seed_from_u64(campaign.seed);
    loop {
        let mut faults = FAULTS;
        faults.shuffle(&mut random);
        for fault in faults {
            if !campaign.inflict(fault, &mut random, freeze).await {
                println!("{fault:?} cannot be done here");
            }
        }
        if Instant::now() >= until {
            break;
        }
    }
    campaign.stop.store(true, Ordering::Release);
    campaign.written().await;
    standing.abort();
    campaign.end(NAME, Duration::from_mins(1)).await;
}
