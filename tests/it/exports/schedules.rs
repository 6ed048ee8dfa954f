//! E5: the export of the night before plus the delta equals tonight's export; every night, after any changes.

use dateline_proto::v1::{ExportRequest, Record, RecordFilter, State, View};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};

use crate::support::{
    editing::*,
    exporter::{ReceivedExport, delta_export_request, full_export_request, run_export},
    server::TestServer,
};

const NIGHTS: usize = 30;

/// A day at the desk: edits, publications, retractions, merges, purges; on some days nothing.
async fn a_day(server: &TestServer, lot: &mut StdRng, day: usize) {
    let client = &server.client;
    if day % 7 == 6 {
        return;
    }
    for number in 0..lot.random_range(1..12) {
        let new = actor(&format!("day-{day}-{number}"));
        if lot.random_bool(0.7) {
            create_published(client, &new).await;
        } else {
            create_drafts(client, &[new]).await;
        }
    }
    let all: Vec<String> = run_export(server, full_export_request(View::Desk))
        .await
        .records
        .into_keys()
        .collect();
    for number in 0..lot.random_range(0..12) {
        let Some(chosen) = all.choose(lot) else {
            continue;
        };
        let Some(now) = find_record(client, chosen, View::Desk).await else {
            continue;
        };
        if !chosen.starts_with("actors/day-") {
            continue;
        }
        a_change(server, lot, &now, &format!("said on {day}, {number}")).await;
    }
}

async fn a_change(server: &TestServer, lot: &mut StdRng, now: &Record, text: &str) {
    let client = &server.client;
    match (state(now), lot.random_range(0..6)) {
        (State::Published, 0) => drop(commit_one(client, retract(now, "wrong", false)).await),
        (State::Published, 1) => {
            let into = desk_record(client, "actors/one").await;
            if name(&into) != name(now) {
                commit_one(client, merge(now, &into)).await;
            }
        }
        (State::Published, 2) => drop(commit_ok(client, vec![purge(now, false)]).await),
        (State::Published, _) => {
            commit_one(client, correct(&with_text(now, text), &[], "said better")).await;
        }
        (State::Draft, 0) => drop(commit_ok(client, vec![delete(now)]).await),
        (State::Draft, 1 | 2) => drop(commit_one(client, publish(now)).await),
        (State::Draft, _) => drop(commit_one(client, update(&with_text(now, text), &[])).await),
        _ => {}
    }
}

#[tokio::test]
async fn e5_thirty_nights_of_deltas_are_thirty_full_exports() {
    let server = start_server_with_base().await;
    let mut lot = StdRng::seed_from_u64(24);
    let filter = RecordFilter {
        types: vec!["group".into()],
        ..RecordFilter::default()
    };
    let asked = |request: ExportRequest| {
        [
            request.clone(),
            ExportRequest {
                tombstones: true,
                ..request.clone()
            },
            ExportRequest {
                filter: Some(filter.clone()),
                ..request
            },
        ]
    };
    let mut copies: Vec<Option<ReceivedExport>> = vec![None; 6];
    let mut empty = 0;
    for night in 0..NIGHTS {
        a_day(&server, &mut lot, night).await;
        for (view, of_view) in [View::Published, View::Desk].into_iter().zip([0, 3]) {
            for (which, request) in asked(full_export_request(view)).into_iter().enumerate() {
                let copy = &mut copies[of_view + which];
                let full = run_export(&server, request).await;
                if let Some(before) = copy {
                    let delta = asked(delta_export_request(view, before.sequence()))[which].clone();
                    let delta = run_export(&server, delta).await;
                    assert_eq!(delta.sequence(), full.sequence());
                    if delta.records.is_empty() && delta.removed.is_empty() {
                        empty += 1;
                    }
                    // Unchanged records are not exported again.
                    assert!(
                        delta
                            .records
                            .iter()
                            .all(|(name, record)| { before.records.get(name) != Some(record) })
                    );
                    before.apply(delta);
                    assert_eq!(
                        before.records, full.records,
                        "night {night}, {view:?}, {which}"
                    );
                }
                if which < 2 {
                    assert_eq!(full.digest(), full.begin.clone().unwrap().digest.unwrap());
                }
                *copy = Some(full);
            }
        }
    }
    assert!(empty >= 12, "{empty} empty deltas");
}
