//! Files of exports, read by common tools. Their packages come from the registry; a missing tool fails the
//! test, which names it.

use std::{collections::BTreeMap, path::PathBuf};

use dateline::json;
use dateline_formats::export::format::{Format, Losses, Options, Referents};
use dateline_proto::v1::{Kind, Record, State, record::Kind as Body};
use dateline_record::{
    encoded::EncodedRecord,
    name::{KINDS, collection},
};
use prost::Message;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::process::Command;

use crate::support::{
    gold::gold_records,
    records::name,
    server::{TIMEOUT, temp_dir},
    tools,
    tools::{repo_path, run_tool},
};

mod followthemoney;
mod ninjs;
mod schemaorg;
mod tables;
mod whole;

/// Packages that read exports.
const REQUIREMENTS: &str = "tests/python/export_requirements.txt";

/// A Python with these packages.
async fn python() -> PathBuf {
    let python = tools::python_environment(REQUIREMENTS).await;
    python.expect("Python with the packages of tests/python/export_requirements.txt is needed")
}

/// Runs a script of tests/python on a directory with the files of an export and one other file; returns its output.
async fn read_by(script: &str, files: &ExportedFiles, beside: (&str, &[u8])) -> String {
    let (_keep, directory) = temp_dir();
    for (kind, bytes) in &files.by_kind {
        let file = format!("{}-00000.{}", collection(*kind), files.format.extension());
        std::fs::write(directory.join(file), bytes).unwrap();
    }
    std::fs::write(directory.join(beside.0), beside.1).unwrap();
    let mut command = Command::new(python().await);
    command
        .arg(repo_path("tests/python").join(script))
        .arg(&directory);
    run_tool(&mut command, TIMEOUT * 2).await.unwrap()
}

/// The line of SQL in docs/exports.md that contains these words.
pub fn documented_query(words: &str) -> String {
    let docs = std::fs::read_to_string(repo_path("docs/exports.md")).unwrap();
    let blocks = docs.split("```sql\n").skip(1);
    let mut queries = blocks.map(|block| block.split_once("\n```").unwrap().0);
    let query = queries.find(|query| query.contains(words)).unwrap();
    assert_eq!(query.lines().count(), 1, "one line");
    query.to_owned()
}

/// The files of one format.
struct ExportedFiles {
    format: Format,
    by_kind: BTreeMap<Kind, Vec<u8>>,
    losses: Losses,
}

impl ExportedFiles {
    /// The JSON values of the lines of a kind's file.
    fn lines(&self, kind: Kind) -> Vec<Value> {
        let text = std::str::from_utf8(&self.by_kind[&kind]).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn lost(&self, field: &str) -> u64 {
        self.losses.fields().get(field).copied().unwrap_or_default()
    }
}

fn export(format: Format, records: &[Record]) -> ExportedFiles {
    export_with(format, records, &Options::default())
}

/// Writes files as an export does: kinds in the order of their collections, records in the order of their names.
fn export_with(format: Format, records: &[Record], options: &Options) -> ExportedFiles {
    let mut kinds = KINDS;
    kinds.sort_by_key(|kind| collection(*kind));
    let encoded: Vec<_> = records
        .iter()
        .cloned()
        .map(EncodedRecord::from_record)
        .collect::<Result<_, _>>()
        .unwrap();
    let referents = Referents::from_records(&encoded).unwrap();
    let mut losses = Losses::default();
    let mut by_kind = BTreeMap::new();
    for kind in kinds {
        let mut records: Vec<_> = records
            .iter()
            .filter(|record| kind_of(record) == kind)
            .collect();
        records.sort_by(|left, right| name(left).cmp(name(right)));
        let mut encoder = format.encoder(kind, options);
        let mut out = Vec::new();
        for record in records {
            let encoded = EncodedRecord::from_record(record.clone()).unwrap();
            if let Some(encoder) = &mut encoder {
                encoder
                    .write(&encoded, &referents, &mut losses, &mut out)
                    .unwrap();
            }
        }
        if let Some(mut encoder) = encoder {
            encoder.finish(&mut out).unwrap();
            by_kind.insert(kind, out);
        }
    }
    ExportedFiles {
        format,
        by_kind,
        losses,
    }
}

fn kind_of(record: &Record) -> Kind {
    record.kind.as_ref().unwrap().kind()
}

/// The gold records, and one of each kind that is as full as the schema allows.
fn varied() -> Vec<Record> {
    let mut records = gold_records();
    for kind in KINDS {
        let word = dateline_record::name::kind_label(kind);
        let file = repo_path("tests/data").join(format!("full_{word}.json"));
        let text = std::fs::read_to_string(file).unwrap();
        records.push(json::read(&text).unwrap());
    }
    records
}

/// The record as readers get it after a withdrawal: name and meta only.
fn tombstone(record: &Record) -> Record {
    let mut left = record.clone();
    let body = left.kind.as_mut().unwrap();
    let mut meta = body.take_meta().unwrap();
    meta.set_state(State::Retracted);
    meta.revision += 1;
    let content = dateline_record::record::name_only(body.name());
    let content = Body::decode(body.kind(), &content).unwrap().unwrap();
    let bytes = dateline_record::record::record_bytes(
        body.kind(),
        &content.to_content(),
        &meta.encode_to_vec(),
        7,
    );
    Record::decode(bytes).unwrap()
}

#[test]
fn e2_the_same_records_give_the_same_bytes() {
    let records = varied();
    for format in Format::ALL {
        let first = export(format, &records);
        let second = export(format, &records);
        assert_eq!(first.by_kind, second.by_kind, "{format}");
        assert_eq!(first.losses, second.losses, "{format}");
    }
}

/// Digests of all files of a format. If one changes, an export of the same sequence differs between two releases,
/// because of our code, the schema or a library: such a change must be intended.
const DIGESTS: [(Format, &str); 7] = [
    (Format::Ndjson, "3db27290e76861e8"),
    (Format::Protobuf, "5369e06664e7bc95"),
    (Format::Parquet, "96985e511bc5e1c3"),
    (Format::Ninjs, "6a45d3d50da06fda"),
    (Format::FollowTheMoney, "a1cb8af011689454"),
    (Format::SchemaOrg, "64a78df590ecf8e9"),
    (Format::Csv, "6bf7a30231ad31aa"),
];

#[test]
fn e2_this_release_writes_the_bytes_that_earlier_ones_wrote() {
    let records = varied();
    let digests = DIGESTS.map(|(format, _)| {
        let mut digest = Sha256::new();
        export(format, &records)
            .by_kind
            .values()
            .for_each(|file| digest.update(file));
        (format, hex::encode(&digest.finalize()[..8]))
    });
    assert_eq!(
        digests
            .each_ref()
            .map(|(format, digest)| (*format, digest.as_str())),
        DIGESTS
    );
}

#[test]
fn every_format_writes_a_file_without_records() {
    for format in Format::ALL {
        let files = export(format, &[]);
        assert!(!files.by_kind.is_empty(), "{format}");
        assert!(files.losses.fields().is_empty(), "{format}");
    }
}

#[test]
fn e5_a_tombstone_is_written_or_counted() {
    let records: Vec<_> = gold_records().iter().map(tombstone).collect();
    for format in Format::ALL {
        let files = export(format, &records);
        let counted: u64 = KINDS.iter().map(|kind| files.lost(collection(*kind))).sum();
        let expected = match format {
            Format::Ndjson | Format::Protobuf | Format::Parquet | Format::Csv | Format::Ninjs => 0,
            Format::FollowTheMoney | Format::SchemaOrg => 47,
        };
        assert_eq!(counted, expected, "{format}");
    }
}

#[test]
fn the_metadata_view_has_no_text_of_the_article_in_any_format() {
    let mut records = gold_records();
    records
        .iter_mut()
        .for_each(dateline_formats::export::format::redact);
    let options = Options {
        metadata_only: true,
        ..Options::default()
    };
    // This text occurs in a quote of evidence and in the body, and in no summary.
    let quoted = "ongoing cooperation on issues such as";
    for format in Format::ALL {
        for (kind, bytes) in export_with(format, &records, &options).by_kind {
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains(quoted), "{format} of {kind:?}");
        }
    }
}
