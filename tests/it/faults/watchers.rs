//! Watchers: each follows one view under one filter, disconnects at any point and resumes at either server, sometimes
//! with an older cursor, like a consumer that lost its latest state.

use std::{sync::Arc, time::Duration};

use dateline_client::{Client, Failure};
use dateline_proto::v1::{
    Kind, ListRecordsRequest, Record, RecordFilter, State, View, WatchRequest,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::sync::watch;

use super::{
    recorder::Recorder,
    writers::{ANCHOR, SOURCE},
};
use crate::{
    support::watch::{watch_from_beginning, watch_from_cursor, watch_from_now, watch_snapshot},
    validator::history::{Event, HexMessage, Start},
};

/// Number of older cursors to choose from.
const KEPT: usize = 8;

/// The view, filter and start of a watcher.
#[derive(Debug, Clone)]
pub struct WatchPlan {
    pub name: String,
    pub view: View,
    pub filter: RecordFilter,
    pub start: Start,
    /// The only server that it connects to, if any.
    pub loyal: Option<usize>,
}

fn filters() -> Vec<(&'static str, RecordFilter)> {
    let all = RecordFilter::default;
    vec![
        (
            "articles",
            RecordFilter {
                kinds: vec![Kind::Article.into()],
                ..all()
            },
        ),
        (
            "facts",
            RecordFilter {
                kinds: vec![Kind::Actor.into(), Kind::Relation.into()],
                ..all()
            },
        ),
        (
            "kazakhstan",
            RecordFilter {
                regions: vec!["KZ".into()],
                ..all()
            },
        ),
        (
            "persons-in-germany",
            RecordFilter {
                types: vec!["person".into()],
                regions: vec!["DE".into(), "FR".into()],
                ..all()
            },
        ),
        (
            "published",
            RecordFilter {
                states: vec![State::Published.into()],
                ..all()
            },
        ),
        (
            "anchored",
            RecordFilter {
                actors: vec![ANCHOR.into()],
                ..all()
            },
        ),
        (
            "in-kazakh",
            RecordFilter {
                language_codes: vec!["kk".into()],
                ..all()
            },
        ),
        (
            "aid",
            RecordFilter {
                topics: vec!["aid".into()],
                ..all()
            },
        ),
        (
            "sourced",
            RecordFilter {
                articles: vec![SOURCE.into()],
                kinds: vec![Kind::Actor.into()],
                ..all()
            },
        ),
    ]
}

/// The watchers of a campaign: everything of both views, at both servers, and each filter on both views.
pub fn plans() -> Vec<WatchPlan> {
    let mut plans = Vec::new();
    let starts = [Start::Beginning, Start::Snapshot];
    let mut add = |name: String, view, filter: &RecordFilter, start: &Start, loyal| {
        plans.push(WatchPlan {
            name,
            view,
            filter: filter.clone(),
            start: start.clone(),
            loyal,
        });
    };
    let everything = RecordFilter::default();
    for (view, word) in [(View::Desk, "desk"), (View::Published, "wire")] {
        add(
            format!("{word} of the first"),
            view,
            &everything,
            &Start::Beginning,
            Some(0),
        );
        add(
            format!("{word} of the second"),
            view,
            &everything,
            &Start::Beginning,
            Some(1),
        );
        add(
            format!("{word} from a snapshot"),
            view,
            &everything,
            &Start::Snapshot,
            None,
        );
        for (number, (name, filter)) in filters().iter().enumerate() {
            let start = &starts[(number + usize::from(view == View::Desk)) % 2];
            add(format!("{word} of {name}"), view, filter, start, None);
        }
    }
    // Two that start at the present.
    add(
        "wire from now".into(),
        View::Published,
        &everything,
        &Start::Now,
        None,
    );
    add(
        "desk of kazakhstan from now".into(),
        View::Desk,
        &filters()[2].1,
        &Start::Now,
        None,
    );
    plans
}

/// The error with which a stream ended, if the server sent one.
fn reason(status: tonic::Status) -> String {
    Failure::from(status).reason
}

pub fn request(view: View, filter: &RecordFilter, start: &Start) -> WatchRequest {
    let plain = match start {
        Start::Beginning => watch_from_beginning(view),
        Start::Now => watch_from_now(view),
        Start::Snapshot => watch_snapshot(view),
        Start::Cursor(cursor) => watch_from_cursor(view, cursor),
    };
    WatchRequest {
        filter: Some(filter.clone()),
        digest: true,
        ..plain
    }
}

/// One watcher.
pub struct FaultWatcher {
    pub plan: WatchPlan,
    pub clients: [Client; 2],
    pub recorder: Arc<Recorder>,
    /// The desk and wire heads to reach, once all writers have stopped.
    pub heads: watch::Receiver<Option<(i64, i64)>>,
    /// True if it disconnects before the end.
    pub leaves: bool,
}

impl FaultWatcher {
    /// Follows until it has everything; returns the number of resumes.
    pub async fn run(mut self, seed: u64) -> usize {
        let mut random = StdRng::seed_from_u64(seed);
        let mut start = self.plan.start.clone();
        let mut cursors: Vec<String> = Vec::new();
        let mut resumes = 0;
        while !self.connect(&start, &mut cursors, &mut random).await {
            resumes += 1;
            if let Some(newest) = cursors.last() {
                let older = cursors.len() > 1 && random.random_bool(0.2);
                let cursor = if older {
                    &cursors[random.random_range(0..cursors.len())]
                } else {
                    newest
                };
                start = Start::Cursor(cursor.clone());
                // Later changes, and their cursors, will be sent again.
                let end = cursors.iter().rposition(|known| known == cursor).unwrap();
                cursors.truncate(end + 1);
            }
            tokio::time::sleep(Duration::from_millis(random.random_range(1..30))).await;
        }
        resumes
    }

    fn head(&self) -> Option<i64> {
        let heads = *self.heads.borrow();
        heads.map(|(desk, wire)| {
            if self.plan.view == View::Desk {
                desk
            } else {
                wire
            }
        })
    }

    /// Reads one connection; returns whether everything has arrived.
    async fn connect(
        &mut self,
        start: &Start,
        cursors: &mut Vec<String>,
        random: &mut StdRng,
    ) -> bool {
        let WatchPlan {
            name,
            view,
            filter,
            loyal,
            ..
        } = &self.plan;
        let server = loyal.unwrap_or_else(|| random.random_range(0..2));
        let connection = self
            .recorder
            .opened(name, server, *view, filter, start.clone());
        let mut feed = self.clients[server].feed.clone();
        let opened = tokio::time::timeout(
            Duration::from_secs(5),
            feed.watch(request(*view, filter, start)),
        )
        .await;
        let mut stream = match opened {
            Ok(Ok(response)) => response.into_inner(),
            Ok(Err(status)) => {
                self.recorder.ended(connection, reason(status));
                return false;
            }
            Err(_) => return false,
        };
        let leaves_after = if self.leaves {
            random.random_range(1..40)
        } else {
            usize::MAX
        };
        for _ in 0..leaves_after {
            // A frozen server sends nothing: another one is tried.
            let received = tokio::select! {
                received = tokio::time::timeout(Duration::from_secs(4), stream.message()) => received,
                _ = self.heads.changed() => continue,
            };
            match received {
                Ok(Ok(Some(response))) => {
                    let through = match (&response.checkpoint, response.changes.last()) {
                        (Some(checkpoint), _) => checkpoint.sequence,
                        (None, Some(last)) => last.sequence,
                        (None, None) => 0,
                    };
                    cursors.push(response.cursor.clone());
                    if cursors.len() > KEPT {
                        cursors.remove(0);
                    }
                    self.recorder.received(connection, response);
                    if self.head().is_some_and(|head| through >= head) {
                        return true;
                    }
                }
                Ok(Ok(None)) => return false,
                Ok(Err(status)) => {
                    self.recorder.ended(connection, reason(status));
                    return false;
                }
                Err(_) => break,
            }
        }
        self.recorder.ended(connection, String::new());
        false
    }
}

/// Lists all matching records, at rest.
pub async fn list(client: &Client, view: View, filter: &RecordFilter, recorder: &Recorder) {
    let mut records: Vec<Record> = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListRecordsRequest {
            filter: Some(filter.clone()),
            view: view.into(),
            page_size: 1000,
            page_token,
            ..ListRecordsRequest::default()
        };
        // The server may notice only now that a fault has cut its connection.
        let page = loop {
            match client.clone().records.list_records(request.clone()).await {
                Err(status) if status.code() == tonic::Code::Unavailable => {}
                page => break page.unwrap().into_inner(),
            }
        };
        records.extend(page.records);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    recorder.add(|at| Event::Listed {
        at,
        view: view.into(),
        filter: HexMessage(filter.clone()),
        records: records.into_iter().map(HexMessage).collect(),
    });
}

/// Reads until no cut connections are left: a server notices a dead one on its next use.
pub async fn settle(client: &Client) {
    let mut answered = 0;
    while answered < 40 {
        let list = ListRecordsRequest {
            page_size: 1,
            ..ListRecordsRequest::default()
        };
        let listed = client.clone().records.list_records(list).await;
        let feed = dateline_proto::v1::GetFeedRequest::default();
        let stood = client.clone().feed.get_feed(feed).await;
        answered = if listed.is_ok() && stood.is_ok() {
            answered + 1
        } else {
            0
        };
    }
}
