//! E5: the export of the night before plus the delta equals tonight's export; every night, after any changes.

use dateline_proto::v1::{ExportRequest, Record, RecordFilter, State, View};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};

use super::taker::{Taken, since, take, whole};
use crate::{
    life::hands::*,
    rig::{Site, name},
};

const NIGHTS: usize = 30;

/// A day at the desk: edits, publications, retractions, merges, purges; on some days nothing.
async fn a_day(site: &Site, lot: &mut StdRng, day: usize) {
    let client = &site.client;
    if day % 7 == 6 {
        return;
    }
    for number in 0..lot.random_range(1..12) {
        let new = actor(&format!("day-{day}-{number}"));
        if lot.random_bool(0.7) {
            shown(client, &new).await;
        } else {
            make(client, &[new]).await;
        }
    }
    let all: Vec<String> = take(site, whole(View::Desk))
        .await
        .records
        .into_keys()
        .collect();
    for number in 0..lot.random_range(0..12) {
        let Some(chosen) = all.choose(lot) else {
            continue;
        };
        let Some(now) = look(client, chosen, View::Desk).await else {
            continue;
        };
        if !chosen.starts_with("actors/day-") {
            continue;
        }
        a_change(site, lot, &now, &format!("said on {day}, {number}")).await;
    }
}

async fn a_change(site: &Site, lot: &mut StdRng, now: &Record, text: &str) {
    let client = &site.client;
    match (state(now), lot.random_range(0..6)) {
        (State::Published, 0) => drop(one(client, retract(now, "wrong", false)).await),
        (State::Published, 1) => {
            let into = on_desk(client, "actors/one").await;
            if name(&into) != name(now) {
                one(client, merge(now, &into)).await;
            }
        }
        (State::Published, 2) => drop(done(client, vec![purge(now, false)]).await),
        (State::Published, _) => {
            one(client, correct(&saying(now, text), &[], "said better")).await;
        }
        (State::Draft, 0) => drop(done(client, vec![delete(now)]).await),
        (State::Draft, 1 | 2) => drop(one(client, publish(now)).await),
        (State::Draft, _) => drop(one(client, update(&saying(now, text), &[])).await),
        _ => {}
    }
}

#[tokio::test]
async fn e5_thirty_nights_of_deltas_are_thirty_full_exports() {
    let site = base().await;
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
    let mut copies: Vec<Option<Taken>> = vec![None; 6];
    let mut empty = 0;
    for night in 0..NIGHTS {
        a_day(&site, &mut lot, night).await;
        for (view, of_view) in [View::Published, View::Desk].into_iter().zip([0, 3]) {
            for (which, request) in asked(whole(view)).into_iter().enumerate() {
                let copy = &mut copies[of_view + which];
                let full = take(&site, request).await;
                if let Some(before) = copy {
                    let delta = asked(since(view, before.sequence()))[which].clone();
                    let delta = take(&site, delta).await;
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
