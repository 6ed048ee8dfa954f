//! Parquet and CSV, read by `DuckDB`, pyarrow and Python's csv.

use std::{collections::HashMap, fs};

use dateline_export::format::{Format, Losses, Options, Referents};
use dateline_proto::v1::{Event, Kind, Participant, Place, Record, record::Kind as Body};
use dateline_record::{encoded::EncodedRecord, name::collection};

use super::{documented_query, export, read_by, tombstone, varied};
use crate::support::{gold::gold_records, tools::repo_path};

#[tokio::test]
async fn duckdb_answers_in_one_line_which_events_in_2021_had_nato_as_a_participant() {
    let files = export(Format::Parquet, &varied());
    let query = documented_query("2021-12-31");
    let told = read_by("export_duckdb.py", &files, ("query.sql", query.as_bytes())).await;
    let expected = "events/full-event\nevents/kazakhstan-nato-centcom-meetings-summer-2021\n";
    assert_eq!(told, expected);
}

#[tokio::test]
async fn pyarrow_finds_every_value_of_the_records_in_the_tables() {
    let records = varied();
    let files = export(Format::Parquet, &records);
    let lines = export(Format::Ndjson, &records);
    let all: Vec<u8> = lines.by_kind.into_values().flatten().collect();
    let told = read_by("export_pyarrow.py", &files, ("expected.ndjson", &all)).await;
    assert_eq!(
        told,
        "actors: 21 rows, created by dateline\narticles: 2 rows, created by dateline\n\
         events: 12 rows, created by dateline\nrelations: 16 rows, created by dateline\n\
         51 records are those of the NDJSON\n"
    );
}

#[tokio::test]
async fn a_row_group_is_bounded_and_a_tombstone_is_a_row() {
    let mut encoder = Format::Parquet
        .encoder(Kind::Event, &Options::default())
        .unwrap();
    let (referents, mut losses, mut out) = (Referents::default(), Losses::default(), Vec::new());
    let Some(Body::Event(model)) = gold_records().pop().unwrap().kind else {
        panic!("the last of the gold records is an event")
    };
    for number in 0..100_001 {
        let record = Record::from(Body::Event(Event {
            name: format!("events/e{number:06}"),
            meta: model.meta.clone(),
            ..Event::default()
        }));
        let record = if number == 7 {
            tombstone(&record)
        } else {
            record
        };
        let encoded = EncodedRecord::from_record(record).unwrap();
        encoder
            .write(&encoded, &referents, &mut losses, &mut out)
            .unwrap();
    }
    assert!(
        out.len() > 4,
        "row groups are handed over while others are written"
    );
    encoder.finish(&mut out).unwrap();
    let told = read_by(
        "export_row_groups.py",
        &export(Format::Csv, &[]),
        ("events.parquet", &out),
    )
    .await;
    assert_eq!(told, "50000 50000 1\nretracted\n");
}

/// An event with hostile text for spreadsheets, at coordinates where both numbers are negative.
fn odd_event() -> Record {
    let participant = |actor: &str, name: &str| Participant {
        actor: actor.into(),
        display_name: name.into(),
        ..Participant::default()
    };
    Record::from(Body::Event(Event {
        name: "events/odd".into(),
        display_name: "=HYPERLINK(\"http://x\")".into(),
        summary: "@SUM(1)".into(),
        purpose: "a \"quoted\", parted\nline".into(),
        places: vec![Place {
            display_name: "Ушуайя".into(),
            latitude: Some(-54.8),
            longitude: Some(-68.3),
            ..Place::default()
        }],
        participants: vec![
            participant("actors/nato", ""),
            participant("", "-partners; not named"),
        ],
        ..Event::default()
    }))
}

fn rows(csv: &[u8]) -> Vec<HashMap<String, String>> {
    csv::Reader::from_reader(csv)
        .deserialize()
        .map(Result::unwrap)
        .collect()
}

#[test]
fn no_cell_of_csv_is_a_formula_and_what_cannot_be_parted_is_counted() {
    let files = export(Format::Csv, &[odd_event()]);
    let row = &rows(&files.by_kind[&Kind::Event])[0];
    assert_eq!(row["display_name"], "'=HYPERLINK(\"http://x\")");
    assert_eq!(row["summary"], "'@SUM(1)");
    assert_eq!(row["purpose"], "a \"quoted\", parted\nline");
    assert_eq!(row["places.display_name"], "Ушуайя");
    assert_eq!(row["places.latitude"], "'-54.8");
    assert_eq!(row["participants.actor"], "actors/nato; ");
    assert_eq!(row["participants.display_name"], "; -partners; not named");
    let losses = serde_json::to_string(&files.losses).unwrap();
    assert_eq!(losses, r#"{"events.participants.display_name":1}"#);
}

/// Texts that spreadsheets may run as formulas, and some that only look escaped.
const HOSTILE: [&str; 22] = [
    "\n=1+1",
    "\ttab",
    "\r=1",
    "\u{ff1d}1+1",
    "\u{ff0b}1",
    "\u{ff0d}1",
    "\u{ff20}SUM(1)",
    " =1+1",
    "\u{a0}=1",
    "\u{3000}\u{ff1d}1",
    "\u{200b}=1",
    "\u{feff}=1",
    "\u{202e}@x",
    "\u{2067}-1",
    "\u{2212}1",
    "'=1",
    "'t Hooft",
    "''",
    "plain",
    " plain",
    "1; =2\t=3,=4\n=5\"=6",
    "-1",
];

#[tokio::test]
async fn duckdb_reads_from_csv_the_texts_as_they_were_by_the_line_of_the_docs() {
    let records: Vec<Record> = (0..)
        .zip(HOSTILE)
        .map(|(number, text)| hostile(number, text))
        .collect();
    let files = export(Format::Csv, &records);
    let csv = &files.by_kind[&Kind::Event];
    for (row, text) in rows(csv).iter().zip(HOSTILE) {
        let cell = &row["summary"];
        let bare = cell.strip_prefix('\'').unwrap_or(cell);
        assert_eq!(bare, text);
        assert_eq!(
            cell == text,
            text.trim_start_matches(' ').starts_with(['1', 'p']),
            "{cell:?}"
        );
    }
    assert!(files.losses.fields().is_empty(), "{:?}", files.losses);
    // Every cell is quoted: no other separator makes a part of a text the beginning of a cell.
    let text = std::str::from_utf8(csv).unwrap();
    assert!(
        text.lines()
            .next()
            .unwrap()
            .split(',')
            .all(|cell| cell.starts_with('"') && cell.ends_with('"'))
    );
    let query = documented_query("regexp_replace");
    let told = read_by("export_duckdb.py", &files, ("query.sql", query.as_bytes())).await;
    let expected: Vec<_> = HOSTILE.iter().map(|text| format!("{text}\n")).collect();
    assert_eq!(told, expected.concat());
}

fn hostile(number: usize, text: &str) -> Record {
    Record::from(Body::Event(Event {
        name: format!("events/e{number:02}"),
        display_name: "harmless".into(),
        summary: text.into(),
        ..Event::default()
    }))
}

#[test]
fn csv_has_a_row_per_record_and_a_column_per_field() {
    let files = export(Format::Csv, &varied());
    let events = rows(&files.by_kind[&Kind::Event]);
    assert_eq!(events.len(), 12);
    let talks = events
        .iter()
        .find(|row| row["name"] == "events/dandybayev-malloy-talks-2021");
    let talks = talks.unwrap();
    for (column, cell) in [
        ("type", "meeting"),
        ("state", "published"),
        ("create_time", "2026-11-23T21:30:00Z"),
        ("time.start.edtf", "2021-22"),
        ("time.start.latest", "2022-03-20"),
        ("time.ongoing", "false"),
        (
            "participants.actor",
            "actors/timur-dandybayev; actors/james-malloy",
        ),
        ("participants.role", "visitor; host"),
        (
            "codes",
            "plover:CONSULT; plover.mode:visit; plover.context:military; plover.context:diplomatic",
        ),
    ] {
        assert_eq!(talks[column], cell, "{column}");
    }
}

#[test]
fn the_docs_list_every_column_of_every_table() {
    let docs = fs::read_to_string(repo_path("docs/exports.md")).unwrap();
    for (kind, csv) in export(Format::Csv, &[]).by_kind {
        let line = |table: &str| docs.lines().find(|line| line.starts_with(table)).unwrap();
        let all = line("| all |");
        let own = line(&format!("| `{}` |", collection(kind)));
        let header = csv::Reader::from_reader(csv.as_slice())
            .headers()
            .unwrap()
            .clone();
        for column in &header {
            let column = format!("`{}` ", column.split('.').next().unwrap());
            assert!(
                all.contains(&column) || own.contains(&column),
                "{column} of {kind:?}"
            );
        }
    }
}
