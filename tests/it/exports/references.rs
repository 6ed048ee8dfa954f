//! E6 after merges: every name in the files of an export resolves within them or is counted as a loss, in every format,
//! in full, filtered and delta exports; deltas include the records that refer to a merged one.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use dateline_proto::v1::Record;
use futures_util::future::join_all;
use tokio::process::Command;

use super::record_names::{self, BASE, check_references, read_json, read_lines};
use crate::{
    export_formats::documented_query,
    support::{
        cli::dateline,
        editing::*,
        export_dir::{assert_same_files, export, only_entry, read_files, read_manifest},
        gold::publish_gold,
        server::{TIMEOUT, TestServer, start_server, temp_dir},
        tools,
    },
};

const FORMATS: &str = "ndjson,protobuf,parquet,csv,ninjs,followthemoney,schemaorg";
const REQUIREMENTS: &str = "tests/python/export_requirements.txt";
/// The night in which something is erased; older exports cannot be repeated identically after it.
const LAST_NIGHT: usize = 4;
/// The options of the nightly exports.
const HOW: [&[&str]; 4] = [
    &[],
    &["--view", "desk", "--tombstones"],
    &["--view", "metadata", "--kind", "event"],
    &["--actor", "actors/nato", "--partitions", "2"],
];

/// A server with the gold records and a few more, and its sequence.
async fn laid() -> (TestServer, String) {
    let server = start_server().await;
    publish_gold(&server).await;
    create_base(&server.client).await;
    let (_, wire) = feed_heads(&server.url).await;
    (server, wire.to_string())
}

async fn merged(server: &TestServer, loser: &str, winner: &str) {
    let (loser, winner) = (
        desk_record(&server.client, loser).await,
        desk_record(&server.client, winner).await,
    );
    commit_one(&server.client, merge(&loser, &winner)).await;
}

async fn unmerged(server: &TestServer, loser: &str) {
    let loser = desk_record(&server.client, loser).await;
    commit_one(&server.client, unmerge(&loser)).await;
}

async fn withdrawn(server: &TestServer, name: &str) {
    let record = desk_record(&server.client, name).await;
    commit_one(&server.client, retract(&record, "wrong", false)).await;
}

async fn renamed(server: &TestServer, name: &str, text: &str) {
    let record = desk_record(&server.client, name).await;
    commit_one(
        &server.client,
        correct(&with_text(&record, text), &[], "said better"),
    )
    .await;
}

/// An actor under embargo, which no file may contain.
async fn hidden(server: &TestServer) -> Record {
    let secret = create_drafts(&server.client, &[actor("under-embargo")])
        .await
        .remove(0);
    commit_one(
        &server.client,
        publish_at(&secret, Some(timestamp_in_ms(3_600_000))),
    )
    .await
}

/// One night's work; `false` after the last one.
async fn a_night(server: &TestServer, night: usize) -> bool {
    match night {
        // Merges two people, a body and a part of it, and an event that others link to.
        0 => {
            merged(server, "actors/us-central-command", "actors/united-states").await;
            merged(server, "actors/timur-dandybayev", "actors/james-malloy").await;
            merged(
                server,
                "events/afghanistan-drawdown-2021",
                "events/afghanistan-change-of-government",
            )
            .await;
            hidden(server).await;
        }
        // Makes a chain of merges, and renames an actor whose name others display.
        1 => {
            merged(server, "actors/united-states", "actors/united-nations").await;
            renamed(server, "actors/nato", "North Atlantic Treaty Organisation").await;
        }
        // Nothing.
        2 => {}
        // Unmerges both, and merges one into another actor.
        3 => {
            unmerged(server, "actors/united-states").await;
            unmerged(server, "actors/us-central-command").await;
            merged(server, "actors/us-central-command", "actors/nato").await;
        }
        // Withdraws a winner and an event that others are part of, and erases a loser.
        4 => {
            withdrawn(server, "actors/james-malloy").await;
            withdrawn(
                server,
                "events/kazakhstan-nato-centcom-meetings-summer-2021",
            )
            .await;
            let loser = desk_record(&server.client, "actors/us-central-command").await;
            commit_ok(&server.client, vec![purge(&loser, false)]).await;
        }
        _ => return false,
    }
    true
}

/// The nightly exports with the same options.
struct Nights<'a> {
    how: &'a [&'a str],
    /// The full exports; `applied` is the first one with all deltas applied.
    fulls: Vec<PathBuf>,
    applied: PathBuf,
    below: PathBuf,
}

impl<'a> Nights<'a> {
    async fn begin(server: &TestServer, how: &'a [&'a str], below: PathBuf) -> Self {
        let mut nights = Self {
            how,
            fulls: Vec::new(),
            applied: PathBuf::new(),
            below,
        };
        nights.full(server).await;
        nights.applied = nights.fulls[0].clone();
        nights
    }

    async fn run_export(&self, server: &TestServer, name: &str, more: &[&str]) -> PathBuf {
        let out = self.below.join(name);
        let how = [&["--format", FORMATS], self.how, more].concat();
        export(&server.address, &out, &how).await.ok();
        only_entry(&out)
    }

    async fn full(&mut self, server: &TestServer) {
        let full = self
            .run_export(server, &format!("full-{}", self.fulls.len()), &[])
            .await;
        check_references(&full, &full);
        self.fulls.push(full);
    }

    /// Takes a delta and a full export, and compares.
    async fn night(&mut self, server: &TestServer) -> PathBuf {
        let before = self.fulls.last().unwrap().clone();
        let since = ["--since", before.to_str().unwrap()];
        let number = self.fulls.len();
        let delta = self
            .run_export(server, &format!("delta-{number}"), &since)
            .await;
        self.full(server).await;
        let full = self.fulls.last().unwrap();
        check_references(&delta, full);
        completes(&before, &delta, full);
        let out = self.below.join(format!("applied-{number}"));
        let words = [&self.applied, &delta, &out].map(|path| path.to_str().unwrap());
        dateline(
            "127.0.0.1:1",
            &["apply", words[0], words[1], "--out", words[2]],
        )
        .await
        .ok();
        self.applied = only_entry(&out);
        if self.how.contains(&"--partitions") {
            // Losses of partitions are those of the original export.
            assert_eq!(
                read_manifest(&self.applied)["losses"],
                read_manifest(full)["losses"]
            );
        } else if self.how.is_empty() || self.how.contains(&"desk") {
            assert_same_files(&self.applied, full);
        } else {
            same_files(&self.applied, full);
        }
        delta
    }
}

/// Compares all files but the manifest: the digest of the whole feed is not known for a part of it.
fn same_files(one: &Path, other: &Path) {
    let (mut one, mut other) = (read_files(one), read_files(other));
    one.remove("manifest.json");
    other.remove("manifest.json");
    assert!(one == other, "{:?} {:?}", one.keys(), other.keys());
}

/// Asserts that a file of the older export, with the lines of records in the delta replaced, equals that of the newer
/// one: nothing is outdated, and nothing is missing.
fn completes(before: &Path, delta: &Path, after: &Path) {
    for extension in ["ndjson", "ninjs.ndjson", "ftm.ndjson", "jsonld.ndjson"] {
        let lines_of = |directory: &Path| {
            read_lines(directory, "", extension)
                .into_iter()
                .collect::<BTreeSet<_>>()
        };
        let (before, delta, after) = (lines_of(before), lines_of(delta), lines_of(after));
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
    let (server, laid) = laid().await;
    let (_keep, directory) = temp_dir();
    let mut all = Vec::new();
    for (number, how) in HOW.into_iter().enumerate() {
        all.push(Nights::begin(&server, how, directory.join(number.to_string())).await);
    }
    let mut night = 0;
    loop {
        if night == LAST_NIGHT {
            // At the sequence before all of this, the export is unchanged (E2).
            let again = all[0]
                .run_export(&server, "again", &["--sequence", &laid])
                .await;
            same_files(&again, &all[0].fulls[0]);
        }
        if !a_night(&server, night).await {
            break;
        }
        let deltas = all.iter_mut().map(|nights| nights.night(&server));
        for (delta, nights) in join_all(deltas).await.into_iter().zip(&all) {
            let is_empty = read_lines(&delta, "", "ndjson").is_empty();
            assert!(night != 2 || is_empty, "nothing has happened");
            for (file, bytes) in read_files(&delta) {
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

/// Runs a script of tests/python on an export; returns its output.
async fn python(script: &str, place: &Path) -> String {
    let python = tools::python_environment(REQUIREMENTS).await;
    let python =
        python.expect("Python with the packages of tests/python/export_requirements.txt is needed");
    let mut command = Command::new(python);
    command
        .arg(tools::repo_path("tests/python").join(script))
        .arg(place);
    tools::run_tool(&mut command, TIMEOUT * 2).await.unwrap()
}

/// Reads Parquet by pyarrow, and the entities by the library of `FollowTheMoney`, after all nights.
async fn read_by_tools(all: &[Nights<'_>]) {
    for nights in all {
        let place = nights.fulls.last().unwrap();
        python("export_ftm.py", place).await;
        let told = python("export_references.py", place).await;
        let mut told: Vec<(String, String)> = told
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let mut expected = record_names::references_in_records(place);
        told.sort();
        expected.sort();
        assert_eq!(told, expected);
    }
}

#[tokio::test]
async fn a_merged_actor_is_named_by_its_winner_which_knows_its_old_name() {
    let (server, _) = laid().await;
    a_night(&server, 0).await;
    a_night(&server, 1).await;
    let (_keep, directory) = temp_dir();
    export(&server.address, &directory, &["--format", FORMATS])
        .await
        .ok();
    let place = only_entry(&directory);
    let find = |collection: &str, extension: &str, key: &str, value: &str| {
        let found = read_json(&place, collection, extension);
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
    // ninjs: the person is listed under the name of the winner.
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
    // Whole records keep the merged names; the winner lists them.
    let records = read_lines(&place, "events", "ndjson").concat();
    assert!(records.contains("actors/us-central-command"));
    assert_eq!(
        read_manifest(&place)["losses"]["ndjson"],
        serde_json::json!({})
    );
    // Joined by both names, as the docs say, events of the loser belong to the winner.
    let query = documented_query("merged_from").replace("actors/nato", "actors/united-nations");
    fs::write(place.join("query.sql"), query).unwrap();
    assert_eq!(python("export_duckdb.py", &place).await, "4\n");
}

#[tokio::test]
async fn e2_a_delta_of_the_past_is_what_it_was_whatever_is_written_since() {
    let (server, laid) = laid().await;
    a_night(&server, 0).await;
    let (_keep, directory) = temp_dir();
    let (_, head) = feed_heads(&server.url).await;
    export(
        &server.address,
        &directory.join("base"),
        &["--sequence", &laid],
    )
    .await
    .ok();
    let base = only_entry(&directory.join("base"));
    let sequence = head.to_string();
    let at = ["--since", base.to_str().unwrap(), "--sequence", &sequence];
    // In formats that also export records which refer to changed ones, and in one that does not.
    let of = [&["--format", FORMATS][..], &["--format", "ndjson"]];
    let take = async |when: &str| {
        let mut taken = Vec::new();
        for (number, formats) in of.into_iter().enumerate() {
            let out = directory.join(format!("{when}-{number}"));
            let how = [&at[..], formats].concat();
            export(&server.address, &out, &how).await.ok();
            taken.push(only_entry(&out));
        }
        taken
    };
    let then = take("then").await;
    a_night(&server, 1).await;
    a_night(&server, 3).await;
    let now = take("now").await;
    assert!(read_lines(&then[0], "", "ndjson").len() > read_lines(&then[1], "", "ndjson").len());
    for (then, now) in then.iter().zip(&now) {
        // Compares without the manifest: the digest of the whole state is only available at the head.
        same_files(then, now);
    }
}
