//! E6 after merges: whatever the files of an export name is in them or counted, in every format, in full, filtered and
//! delta exports; deltas bring those who name what was merged.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use dateline_proto::v1::Record;
use futures_util::future::join_all;
use tokio::process::Command;

use super::{
    home::{export, files, manifest, only, same},
    named::{self, BASE, check, json, lines},
};
use crate::{
    cli::dateline,
    export_formats::documented_query,
    gold::publish_gold,
    life::hands::*,
    rig::{PATIENCE, Site, scratch, site},
    tools,
};

const FORMATS: &str = "ndjson,protobuf,parquet,csv,ninjs,followthemoney,schemaorg";
const REQUIREMENTS: &str = "tests/python/export_requirements.txt";
/// The night in which something is erased, so that older exports cannot be taken again as they were.
const LAST_NIGHT: usize = 4;
/// Exports that are taken night after night.
const HOW: [&[&str]; 4] = [
    &[],
    &["--view", "desk", "--tombstones"],
    &["--view", "metadata", "--kind", "event"],
    &["--actor", "actors/nato", "--partitions", "2"],
];

/// The gold records and a few more, and the sequence at which they are.
async fn laid() -> (Site, String) {
    let site = site().await;
    publish_gold(&site).await;
    lay_base(&site.client).await;
    let (_, wire) = heads(&site.url).await;
    (site, wire.to_string())
}

async fn merged(site: &Site, loser: &str, winner: &str) {
    let (loser, winner) = (
        on_desk(&site.client, loser).await,
        on_desk(&site.client, winner).await,
    );
    one(&site.client, merge(&loser, &winner)).await;
}

async fn unmerged(site: &Site, loser: &str) {
    let loser = on_desk(&site.client, loser).await;
    one(&site.client, unmerge(&loser)).await;
}

async fn withdrawn(site: &Site, name: &str) {
    let record = on_desk(&site.client, name).await;
    one(&site.client, retract(&record, "wrong", false)).await;
}

async fn renamed(site: &Site, name: &str, text: &str) {
    let record = on_desk(&site.client, name).await;
    one(
        &site.client,
        correct(&saying(&record, text), &[], "said better"),
    )
    .await;
}

/// An actor under embargo, of which no file may say anything.
async fn hidden(site: &Site) -> Record {
    let secret = make(&site.client, &[actor("under-embargo")])
        .await
        .remove(0);
    one(&site.client, publish_at(&secret, Some(in_ms(3_600_000)))).await
}

/// One night's work; `false` when there is no more.
async fn a_night(site: &Site, night: usize) -> bool {
    match night {
        // People, a body and a part of it, an event that others link to.
        0 => {
            merged(site, "actors/us-central-command", "actors/united-states").await;
            merged(site, "actors/timur-dandybayev", "actors/james-malloy").await;
            merged(
                site,
                "events/afghanistan-drawdown-2021",
                "events/afghanistan-change-of-government",
            )
            .await;
            hidden(site).await;
        }
        // A chain; a name that others show.
        1 => {
            merged(site, "actors/united-states", "actors/united-nations").await;
            renamed(site, "actors/nato", "North Atlantic Treaty Organisation").await;
        }
        // Nothing.
        2 => {}
        // Back, and into another one.
        3 => {
            unmerged(site, "actors/united-states").await;
            unmerged(site, "actors/us-central-command").await;
            merged(site, "actors/us-central-command", "actors/nato").await;
        }
        // A winner goes, and a loser is erased; an event that others are part of goes.
        4 => {
            withdrawn(site, "actors/james-malloy").await;
            withdrawn(site, "events/kazakhstan-nato-centcom-meetings-summer-2021").await;
            let loser = on_desk(&site.client, "actors/us-central-command").await;
            done(&site.client, vec![purge(&loser, false)]).await;
        }
        _ => return false,
    }
    true
}

/// Where the exports of one kind go.
struct Nights<'a> {
    how: &'a [&'a str],
    /// Full ones, and what deltas make of the first one.
    fulls: Vec<PathBuf>,
    applied: PathBuf,
    below: PathBuf,
}

impl<'a> Nights<'a> {
    async fn begin(site: &Site, how: &'a [&'a str], below: PathBuf) -> Self {
        let mut nights = Self {
            how,
            fulls: Vec::new(),
            applied: PathBuf::new(),
            below,
        };
        nights.full(site).await;
        nights.applied = nights.fulls[0].clone();
        nights
    }

    async fn take(&self, site: &Site, name: &str, more: &[&str]) -> PathBuf {
        let out = self.below.join(name);
        let how = [&["--format", FORMATS], self.how, more].concat();
        export(&site.address, &out, &how).await.ok();
        only(&out)
    }

    async fn full(&mut self, site: &Site) {
        let full = self
            .take(site, &format!("full-{}", self.fulls.len()), &[])
            .await;
        check(&full, &full);
        self.fulls.push(full);
    }

    /// Takes a delta and a full export, and compares.
    async fn night(&mut self, site: &Site) -> PathBuf {
        let before = self.fulls.last().unwrap().clone();
        let since = ["--since", before.to_str().unwrap()];
        let number = self.fulls.len();
        let delta = self.take(site, &format!("delta-{number}"), &since).await;
        self.full(site).await;
        let full = self.fulls.last().unwrap();
        check(&delta, full);
        completes(&before, &delta, full);
        let out = self.below.join(format!("applied-{number}"));
        let words = [&self.applied, &delta, &out].map(|path| path.to_str().unwrap());
        dateline(
            "127.0.0.1:1",
            &["apply", words[0], words[1], "--out", words[2]],
        )
        .await
        .ok();
        self.applied = only(&out);
        if self.how.contains(&"--partitions") {
            // Parts are of an export as it was taken.
            assert_eq!(manifest(&self.applied)["losses"], manifest(full)["losses"]);
        } else if self.how.is_empty() || self.how.contains(&"desk") {
            same(&self.applied, full);
        } else {
            same_files(&self.applied, full);
        }
        delta
    }
}

/// But for what the feed is said to show, which nobody knows of part of it.
fn same_files(one: &Path, other: &Path) {
    let (mut one, mut other) = (files(one), files(other));
    one.remove("manifest.json");
    other.remove("manifest.json");
    assert!(one == other, "{:?} {:?}", one.keys(), other.keys());
}

/// A file of the older export with the lines of the delta in place of those of the same records is the newer one: nothing
/// in it is older, and nothing is missing.
fn completes(before: &Path, delta: &Path, after: &Path) {
    for extension in ["ndjson", "ninjs.ndjson", "ftm.ndjson", "jsonld.ndjson"] {
        let of = |place: &Path| {
            lines(place, "", extension)
                .into_iter()
                .collect::<BTreeSet<_>>()
        };
        let (before, delta, after) = (of(before), of(delta), of(after));
        for line in &after {
            assert!(
                before.contains(line) || delta.contains(line),
                "not in the delta: {line}"
            );
        }
        for line in &delta {
            assert!(after.contains(line), "not in the full export: {line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e6_every_name_in_the_files_leads_to_a_record_or_is_counted_night_after_night() {
    let (site, laid) = laid().await;
    let (_keep, directory) = scratch();
    let mut all = Vec::new();
    for (number, how) in HOW.into_iter().enumerate() {
        all.push(Nights::begin(&site, how, directory.join(number.to_string())).await);
    }
    let mut night = 0;
    loop {
        if night == LAST_NIGHT {
            // As of the sequence before all of this, nothing of it shows (E2).
            let again = all[0].take(&site, "again", &["--sequence", &laid]).await;
            same_files(&again, &all[0].fulls[0]);
        }
        if !a_night(&site, night).await {
            break;
        }
        let deltas = all.iter_mut().map(|nights| nights.night(&site));
        for (delta, nights) in join_all(deltas).await.into_iter().zip(&all) {
            let is_empty = lines(&delta, "", "ndjson").is_empty();
            assert!(night != 2 || is_empty, "nothing has happened");
            for (file, bytes) in files(&delta) {
                let says = |text: &str| String::from_utf8_lossy(&bytes).contains(text);
                assert!(
                    nights.how.contains(&"desk") || !says("under-embargo"),
                    "{file}"
                );
            }
        }
        night += 1;
    }
    read_by_tools(&all).await;
}

/// What a script of tests/python prints about an export.
async fn python(script: &str, place: &Path) -> String {
    let python = tools::python(REQUIREMENTS).await;
    let python =
        python.expect("Python with the packages of tests/python/export_requirements.txt is needed");
    let mut command = Command::new(python);
    command
        .arg(tools::path("tests/python").join(script))
        .arg(place);
    tools::run(&mut command, PATIENCE * 2).await.unwrap()
}

/// What pyarrow finds in Parquet and what the library of `FollowTheMoney` says to the entities, after all nights.
async fn read_by_tools(all: &[Nights<'_>]) {
    for nights in all {
        let place = nights.fulls.last().unwrap();
        python("export_ftm.py", place).await;
        let told = python("export_references.py", place).await;
        let mut told: Vec<(String, String)> = told
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let mut expected = named::in_records(place);
        told.sort();
        expected.sort();
        assert_eq!(told, expected);
    }
}

#[tokio::test]
async fn a_merged_actor_is_named_by_its_winner_which_knows_its_old_name() {
    let (site, _) = laid().await;
    a_night(&site, 0).await;
    a_night(&site, 1).await;
    let (_keep, directory) = scratch();
    export(&site.address, &directory, &["--format", FORMATS])
        .await
        .ok();
    let place = only(&directory);
    let find = |collection: &str, extension: &str, key: &str, value: &str| {
        let found = json(&place, collection, extension);
        found.into_iter().find(|it| it[key] == value).unwrap()
    };
    let meetings = "events/kazakhstan-nato-centcom-meetings-summer-2021";
    let id = |name: &str| format!("dl-{}", name.replace('/', "-"));
    // FollowTheMoney.
    let event = find("events", "ftm.ndjson", "id", &id(meetings));
    let involved = event["properties"]["involved"].to_string();
    assert!(involved.contains("dl-actors-united-nations"), "{event}");
    let winner = find("actors", "ftm.ndjson", "id", "dl-actors-united-nations");
    assert_eq!(
        winner["referents"],
        serde_json::json!(["dl-actors-united-states", "dl-actors-us-central-command"])
    );
    assert!(
        winner["properties"]["alias"]
            .to_string()
            .contains("actors/us-central-command"),
        "{winner}"
    );
    let held = find(
        "relations",
        "ftm.ndjson",
        "id",
        "dl-relations-dandybayev-deputy-minister-of-defense",
    );
    assert_eq!(held["properties"]["holder"][0], "dl-actors-james-malloy");
    // schema.org.
    let event = find(
        "events",
        "jsonld.ndjson",
        "@id",
        &format!("{BASE}{meetings}"),
    );
    assert!(
        event["attendee"]
            .to_string()
            .contains("actors/united-nations\""),
        "{event}"
    );
    let winner = find(
        "actors",
        "jsonld.ndjson",
        "@id",
        &format!("{BASE}actors/united-nations"),
    );
    assert!(
        winner["sameAs"]
            .to_string()
            .contains("actors/us-central-command"),
        "{winner}"
    );
    // ninjs: the person is there, under the name of the winner.
    let event = find(
        "events",
        "ninjs.ndjson",
        "slugline",
        "dandybayev-malloy-talks-2021",
    );
    let people = event["people"].to_string();
    assert!(
        people.contains("actors/james-malloy") && !people.contains("dandybayev"),
        "{event}"
    );
    assert_eq!(
        event["people"].as_array().unwrap().len(),
        2,
        "as visitor and as host"
    );
    let event = find(
        "events",
        "ninjs.ndjson",
        "slugline",
        "afghanistan-change-of-government",
    );
    assert!(
        event["altIds"]
            .to_string()
            .contains("events/afghanistan-drawdown-2021"),
        "{event}"
    );
    // Whole records stay as they are; the winner says which names are its own.
    let records = lines(&place, "events", "ndjson").concat();
    assert!(records.contains("actors/us-central-command"));
    assert_eq!(manifest(&place)["losses"]["ndjson"], serde_json::json!({}));
    // And joined by both names, as the docs say, events of the loser are those of the winner.
    let query = documented_query("merged_from").replace("actors/nato", "actors/united-nations");
    fs::write(place.join("query.sql"), query).unwrap();
    assert_eq!(python("export_duckdb.py", &place).await, "4\n");
}

#[tokio::test]
async fn e2_a_delta_of_the_past_is_what_it_was_whatever_is_written_since() {
    let (site, laid) = laid().await;
    a_night(&site, 0).await;
    let (_keep, directory) = scratch();
    let (_, head) = heads(&site.url).await;
    export(
        &site.address,
        &directory.join("base"),
        &["--sequence", &laid],
    )
    .await
    .ok();
    let base = only(&directory.join("base"));
    let sequence = head.to_string();
    let at = ["--since", base.to_str().unwrap(), "--sequence", &sequence];
    // With those who name what has changed, and without.
    let of = [&["--format", FORMATS][..], &["--format", "ndjson"]];
    let take = async |when: &str| {
        let mut taken = Vec::new();
        for (number, formats) in of.into_iter().enumerate() {
            let out = directory.join(format!("{when}-{number}"));
            let how = [&at[..], formats].concat();
            export(&site.address, &out, &how).await.ok();
            taken.push(only(&out));
        }
        taken
    };
    let then = take("then").await;
    a_night(&site, 1).await;
    a_night(&site, 3).await;
    let now = take("now").await;
    assert!(lines(&then[0], "", "ndjson").len() > lines(&then[1], "", "ndjson").len());
    for (then, now) in then.iter().zip(&now) {
        // Only the digest of the whole state is known at the head alone.
        same_files(then, now);
    }
}
