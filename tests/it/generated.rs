//! `dateline generate`: its records are valid and publishable, cover the whole schema, and are always the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use dateline_generate::RecordGenerator;
use dateline_proto::v1::{PublishRecordsRequest, Record, record::Kind as Body};
use dateline_record::{
    validate::check_body,
    walk::{Path, Rules, Visitor, Walk},
};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::support::{
    builders::{commit_request, create, versions},
    cli::{dateline, program},
    server::{start_server, temp_dir},
};

const SEED: u64 = 7;
const RECORDS: usize = 3000;

fn records() -> impl Iterator<Item = Record> {
    RecordGenerator::new(SEED).take(RECORDS)
}

#[tokio::test]
async fn the_same_seed_makes_the_same_bytes_for_ever_and_more_records_begin_with_fewer() {
    // A change of these changes the output of every seed: state it in the commit, because measurements are no longer
    // comparable.
    for (format, expected) in [
        (
            "ndjson",
            "b0f48171c8b785bf931864e95960e783df3d718b6ad4da9ad1bddbe0a485306a",
        ),
        (
            "protobuf",
            "9171c023ce46ddfc16559c15dc30794e2fb66b85ba99889b756878578742daa8",
        ),
    ] {
        let (_keep, directory) = temp_dir();
        let file = directory.join("made");
        let arguments = [
            "--records",
            "1203",
            "--seed",
            "7",
            "--format",
            format,
            "--output",
        ];
        let arguments = [&["generate"], &arguments[..], &[file.to_str().unwrap()]].concat();
        let made = dateline("", &arguments).await.ok();
        assert_eq!((made.stdout.as_str(), made.stderr.as_str()), ("", ""));
        let bytes = std::fs::read(&file).unwrap();
        assert_eq!(hex::encode(Sha256::digest(bytes)), expected, "{format}");
    }
    let few = dateline("", &["generate", "--records", "15", "--seed", "7"])
        .await
        .ok();
    let more = dateline("", &["generate", "--records", "1015", "--seed", "7"])
        .await
        .ok();
    assert_eq!(few.stdout.lines().count(), 15);
    assert!(more.stdout.starts_with(&few.stdout));
    let other = dateline("", &["generate", "--records", "15", "--seed", "8"])
        .await
        .ok();
    assert_ne!(few.stdout, other.stdout);
    let none = dateline("", &["generate", "--records", "0", "--seed", "7"])
        .await
        .ok();
    assert_eq!(none.stdout, "");
}

#[tokio::test]
async fn whoever_has_seen_enough_may_close_the_pipe() {
    let arguments = ["generate", "--records", "1000000", "--seed", "7"];
    let mut generating = program("", &arguments).spawn().unwrap();
    let mut lines = BufReader::new(generating.stdout.take().unwrap()).lines();
    assert!(lines.next_line().await.unwrap().is_some());
    drop(lines);
    let done = generating.wait_with_output().await.unwrap();
    assert_eq!((done.status.code(), done.stderr), (Some(0), Vec::new()));
}

#[test]
fn every_record_is_valid_and_in_the_stored_form_already() {
    for record in records() {
        let mut body = record.kind.clone().unwrap();
        let found = check_body(&mut body, &mut Path::default());
        let shown = format!("{record:#?}\n{found:#?}");
        assert!(found.violations.is_empty(), "{shown}");
        assert!(found.warnings.is_empty(), "{shown}");
    }
}

/// For every enum field, by its path in the schema: the values that occurred, and all values.
#[derive(Default)]
struct Values(BTreeMap<String, (BTreeSet<i32>, BTreeSet<i32>)>);

impl Visitor for Values {
    fn enumeration(&mut self, at: &Path, rules: &Rules, value: i32) {
        let path = at.to_string();
        // The index in a list is ignored.
        let field: String = path
            .split('[')
            .map(|part| part.split_once(']').map_or(part, |(_, rest)| rest))
            .collect();
        let (met, defined) = self.0.entry(field).or_default();
        met.insert(value);
        defined.extend(rules.defined.iter().filter(|value| **value != 0));
    }
}

#[test]
fn all_kinds_values_scripts_and_shapes_are_there() {
    let (mut values, mut text, mut dates) =
        (BTreeMap::<_, Values>::new(), String::new(), BTreeSet::new());
    let (mut articles, mut others) = (Vec::new(), Vec::new());
    for mut record in records() {
        let length = prost::Message::encoded_len(&record);
        let body = record.kind.as_mut().unwrap();
        let kind = body.kind();
        body.walk(&mut Path::default(), values.entry(kind).or_default());
        if let Body::Event(event) = body {
            let time = event
                .time
                .iter()
                .flat_map(|time| [&time.start, &time.end, &time.as_of]);
            dates.extend(time.flatten().map(|date| shape(&date.edtf)));
        }
        if let Body::Article(article) = body {
            articles.push(length);
            write!(text, "{}{}", article.headline, article.body).unwrap();
        } else {
            others.push(length);
        }
        if let Body::Actor(actor) = body {
            text.extend(actor.names.iter().map(|name| name.text.as_str()));
        }
    }
    assert_eq!(values.len(), 4, "kinds");
    for (kind, values) in values {
        for (field, (met, defined)) in values.0 {
            let missing: Vec<_> = defined.difference(&met).collect();
            assert!(missing.is_empty(), "{kind:?} {field} never is {missing:?}");
        }
    }
    for (script, letter) in [
        ("Latin", 'é'),
        ("Cyrillic", 'я'),
        ("Kazakh", 'қ'),
        ("Arabic", 'ع'),
        ("Han", '华'),
        ("Greek", 'Ω'.to_lowercase().next().unwrap()),
        ("Georgian", 'გ'),
        ("Devanagari", 'श'),
        ("Hangul", '민'),
        ("beyond the BMP", '👍'),
    ] {
        assert!(text.contains(letter), "no {script}");
    }
    for expected in [
        "",
        "0000",
        "0000-00",
        "0000-00-00",
        "000X",
        "00XX",
        "0000/0000",
        "0000/..",
        "../0000-00",
        "0000-00?",
        "0000-00~",
        "0000-00%",
    ] {
        assert!(
            dates.contains(expected),
            "no date like {expected:?} among {dates:?}"
        );
    }
    articles.sort_unstable();
    others.sort_unstable();
    let median = articles[articles.len() / 2];
    assert!(
        (2_000..10_000).contains(&median),
        "an article has {median} bytes"
    );
    assert!(*articles.last().unwrap() > 50_000, "some are long");
    let (short, long) = (others[others.len() / 10], others[others.len() * 9 / 10]);
    assert!(
        short > 400 && long < 3_000,
        "the others have {short} to {long} bytes"
    );
}

fn shape(edtf: &str) -> String {
    edtf.chars()
        .map(|digit| if digit.is_ascii_digit() { '0' } else { digit })
        .collect()
}

#[tokio::test]
async fn every_beginning_is_published_batch_by_batch_by_the_real_server() {
    let server = start_server().await;
    let records: Vec<_> = records().collect();
    // Not a multiple of the generator's group size: batches may end anywhere.
    for batch in records.chunks(333) {
        let request = commit_request(batch.iter().map(create).collect());
        let created = server.client.commit(request).await.unwrap();
        let dangling: Vec<_> = created
            .warnings
            .iter()
            .filter(|warning| warning.reason == "DANGLING_REFERENCE")
            .collect();
        assert!(dangling.is_empty(), "{dangling:?}");
        let request = PublishRecordsRequest {
            records: versions(&created.records),
            omit_content: true,
            ..PublishRecordsRequest::default()
        };
        let published = server.client.publish(request).await.unwrap();
        assert_eq!(published.records.len(), batch.len());
    }
    server.stop().await;
}
