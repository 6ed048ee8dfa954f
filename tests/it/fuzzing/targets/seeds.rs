//! Seeds of the mutations: good input for every target, made of the gold records and of records with all fields of the
//! schema. Generated in each run, so that it follows the schema.

use std::io::Write;

use dateline::{fuzz_targets, json};
use dateline_proto::v1::{
    Bundle, CommitRequest, CompactFeedRequest, CorrectRecordRequest, CreateRecordRequest,
    DeleteRecordRequest, ExportRequest, GetRecordRequest, Kind, ListRecordsRequest,
    LoadRecordsRequest, MergeRecordRequest, PublishRecordsRequest, Record, RecordFilter,
    RecordMeta, RestoreRecordRequest, RetractRecordsRequest, State, UpdateRecordRequest,
    WatchRequest, Write as Change, compact_feed_request::Before, record::Kind as Body,
    record_filter::TimeRange, watch_request::Start, write,
};
use prost::Message;
use prost_types::{FieldMask, Timestamp};
use serde_json::{Value, json};

use crate::support::{builders::version, records::with_etag};

const GOLD: &str = include_str!("../../../../seed/gold.json");
const ARTICLE: &[u8] = include_bytes!("../../../../seed/article.txt");
const NINJS: &[u8] = include_bytes!("../../../../seed/gold_ninjs.json");
const DATES: &str = include_str!("../../../../seed/fuzzydate_vectors.json");
const FULL: [&str; 4] = [
    include_str!("../../../data/full_actor.json"),
    include_str!("../../../data/full_article.json"),
    include_str!("../../../data/full_event.json"),
    include_str!("../../../data/full_relation.json"),
];

/// Good input of a target.
pub fn seeds_for(target: &str) -> Vec<Vec<u8>> {
    match target {
        "requests" => requests(),
        "records" => records().iter().map(Message::encode_to_vec).collect(),
        "filters" => filters().iter().map(Message::encode_to_vec).collect(),
        "cursors" => vec![following(), in_snapshot(), b"\x01AQAAAA".to_vec()],
        "page_tokens" => vec![
            b"\0\x010123456789abcdefactors/nato".to_vec(),
            b"\x01AQ".to_vec(),
        ],
        "edtf" => dates(),
        "texts" => texts(),
        "imports" => imports(),
        "documents" => documents(),
        "recordings" => vec![
            recording(),
            br#"{"cursor":"AQ","sequence":7,"name":"actors/a"}"#.to_vec(),
        ],
        "manifests" => vec![manifest()],
        "parts" => parts(),
        _ => Vec::new(),
    }
}

fn led_by(first: u8, rest: impl AsRef<[u8]>) -> Vec<u8> {
    [&[first], rest.as_ref()].concat()
}

/// One record of each kind and shape, without meta.
fn records() -> Vec<Record> {
    let gold: Bundle = json::read(GOLD).expect("the gold file is a bundle");
    let gold = Vec::<Record>::from(gold);
    let some = gold.iter().step_by(6).cloned();
    let full = FULL
        .iter()
        .map(|text| json::read::<Record>(text).expect("a record"));
    let all = some.chain(full).map(|mut record| {
        record.kind.as_mut().and_then(Body::take_meta);
        record
    });
    all.collect()
}

/// A record as it was read.
fn stored(record: &Record) -> Record {
    with_etag(record, "1-64fa001ae9ed")
}

fn loaded(record: &Record) -> Record {
    let mut record = record.clone();
    if let Some(body) = record.kind.as_mut() {
        body.set_meta(Some(RecordMeta {
            uid: "0190f1cf-eb93-728c-bfc4-65fa001ae9ed".to_owned(),
            state: State::Published.into(),
            revision: 3,
            ..RecordMeta::default()
        }));
    }
    record
}

fn requests() -> Vec<Vec<u8>> {
    let all = records();
    let mut requests = Vec::new();
    let mut add = |choice: u8, message: Vec<u8>| requests.push(led_by(choice, message));
    for record in &all {
        add(0, commit(record).encode_to_vec());
    }
    add(0, moves(&all[1]).encode_to_vec());
    let record = Some(all[2].clone());
    let load = LoadRecordsRequest {
        records: vec![loaded(&all[2]), loaded(&all[3])],
        ..LoadRecordsRequest::default()
    };
    add(1, load.encode_to_vec());
    let filter = filters().pop();
    let list = ListRecordsRequest {
        filter: filter.clone(),
        page_size: 7,
        page_token: "AQ".to_owned(),
        ..ListRecordsRequest::default()
    };
    add(2, list.encode_to_vec());
    let watch = WatchRequest {
        filter: filter.clone(),
        start: Some(Start::Time(Timestamp::default())),
        ..WatchRequest::default()
    };
    add(3, watch.encode_to_vec());
    let export = ExportRequest {
        filter,
        sequence: Some(7),
        since_sequence: Some(3),
        partitions: 4,
        ..ExportRequest::default()
    };
    add(4, export.encode_to_vec());
    let create = CreateRecordRequest {
        record,
        original: b"as received".to_vec(),
        ..CreateRecordRequest::default()
    };
    add(5, create.encode_to_vec());
    requests.extend(writes(&all[2]));
    requests.extend(reads(&all[2]));
    requests
}

fn mask() -> Option<FieldMask> {
    let paths = vec!["display_name".to_owned(), "time.start".to_owned()];
    Some(FieldMask { paths })
}

fn writes(record: &Record) -> Vec<Vec<u8>> {
    let versions = || vec![version(&stored(record))];
    let note = || "said better".to_owned();
    let update = UpdateRecordRequest {
        record: Some(stored(record)),
        update_mask: mask(),
        ..UpdateRecordRequest::default()
    };
    let correct = CorrectRecordRequest {
        record: Some(stored(record)),
        note: note(),
        ..CorrectRecordRequest::default()
    };
    let delete = DeleteRecordRequest {
        name: version(&stored(record)).name,
        etag: version(&stored(record)).etag,
        request_id: "0755f1cf-eb93-728c-bfc4-65fa001ae9ed".to_owned(),
        ..DeleteRecordRequest::default()
    };
    let publish = PublishRecordsRequest {
        records: versions(),
        embargo_time: Some(Timestamp::default()),
        ..PublishRecordsRequest::default()
    };
    let retract = RetractRecordsRequest {
        records: versions(),
        note: note(),
        cascade: true,
        ..RetractRecordsRequest::default()
    };
    let merge = MergeRecordRequest {
        record: Some(version(&stored(record))),
        into: Some(version(&stored(record))),
        ..MergeRecordRequest::default()
    };
    let restore = RestoreRecordRequest {
        record: Some(version(&stored(record))),
        revision: 2,
        note: note(),
        ..RestoreRecordRequest::default()
    };
    vec![
        led_by(6, update.encode_to_vec()),
        led_by(7, correct.encode_to_vec()),
        led_by(8, delete.encode_to_vec()),
        led_by(11, publish.encode_to_vec()),
        led_by(12, retract.encode_to_vec()),
        led_by(13, merge.encode_to_vec()),
        led_by(15, restore.encode_to_vec()),
    ]
}

fn reads(record: &Record) -> Vec<Vec<u8>> {
    let get = GetRecordRequest {
        name: version(&stored(record)).name,
        min_sequence: 3,
        revision: Some(2),
        as_of: Some(1),
        ..GetRecordRequest::default()
    };
    let compact = CompactFeedRequest {
        before: Some(Before::DeskSequence(7)),
        ..CompactFeedRequest::default()
    };
    vec![
        led_by(17, get.encode_to_vec()),
        led_by(22, compact.encode_to_vec()),
        led_by(23, b"\x0a\x240755f1cf-eb93-728c-bfc4-65fa001ae9ed"),
    ]
}

fn commit(record: &Record) -> CommitRequest {
    let create = write::Action::Create(write::Create {
        record: Some(record.clone()),
        original: Vec::new(),
    });
    CommitRequest {
        writes: vec![Change {
            action: Some(create),
        }],
        ..CommitRequest::default()
    }
}

/// A commit with one write of each other kind.
fn moves(known: &Record) -> CommitRequest {
    use write::Action;
    let record = || Some(version(&stored(known)));
    let note = || "said better".to_owned();
    let actions = [
        Action::Update(write::Update {
            record: Some(stored(known)),
            update_mask: mask(),
        }),
        Action::Delete(version(&stored(known))),
        Action::Submit(write::Submit { record: record() }),
        Action::Publish(write::Publish {
            record: record(),
            embargo_time: None,
        }),
        Action::Purge(write::Purge {
            record: record(),
            note: note(),
            cascade: false,
        }),
        Action::Unmerge(write::Unmerge {
            record: record(),
            note: note(),
        }),
    ];
    let writes = actions.map(|action| Change {
        action: Some(action),
    });
    CommitRequest {
        writes: writes.to_vec(),
        preconditions: vec![version(&stored(known))],
        ..CommitRequest::default()
    }
}

fn filters() -> Vec<RecordFilter> {
    let words = |word: &str| vec![word.to_owned()];
    let everything = RecordFilter {
        kinds: vec![Kind::Actor.into(), Kind::Event.into()],
        types: words("meeting"),
        states: vec![State::Published.into()],
        actors: words("actors/nato"),
        regions: vec!["KZ".to_owned(), "US-FL".to_owned()],
        topics: words("diplomacy"),
        language_codes: words("kk-Cyrl"),
        articles: words("articles/a"),
        time: Some(TimeRange {
            earliest: "2021-02-28".to_owned(),
            latest: "2021-11-24".to_owned(),
        }),
    };
    vec![RecordFilter::default(), everything]
}

/// The payload of a cursor of the target's feed: version, feed, view, epoch, sequence.
fn following() -> Vec<u8> {
    let place = [
        &1_u128.to_be_bytes()[..],
        &[1],
        &7_u64.to_be_bytes(),
        &9_u64.to_be_bytes(),
    ];
    led_by(0, led_by(1, place.concat()))
}

fn in_snapshot() -> Vec<u8> {
    let mut cursor = following();
    cursor[1] = 2;
    cursor.extend(b"8 bytes.actors/nato");
    cursor
}

fn dates() -> Vec<Vec<u8>> {
    let vectors: Value = serde_json::from_str(DATES).expect("the vectors are JSON");
    let lists = ["valid", "invalid"]
        .into_iter()
        .filter_map(|list| vectors[list].as_array());
    let texts = lists
        .flatten()
        .filter_map(|it| it.get(0).or_else(|| it.get("edtf"))?.as_str());
    let mut dates: Vec<_> = texts.map(|text| text.as_bytes().to_vec()).collect();
    dates.extend([
        b"2021-09\n2021-11-24\n2021-2X".to_vec(),
        b"2021/2022~\n?\n-0044".to_vec(),
    ]);
    dates
}

fn texts() -> Vec<Vec<u8>> {
    let odd = "👍 NATO\nSay 👍 NATO, NATO.\r\nCafe\u{301} \u{feff}می\u{200c}خواهم \u{202e}\u{1100}\u{1161}\u{fdfa}";
    vec![odd.as_bytes().to_vec(), led_by(b'\n', ARTICLE)]
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).expect("memory is written to");
    packer.finish().expect("memory is written to")
}

fn zstandard(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).expect("memory is written to")
}

fn json_lines() -> Vec<u8> {
    let lines = records().into_iter().map(|record| {
        let line = json::value(&record).expect("a record has a JSON form");
        format!("{line}\n")
    });
    lines.take(4).collect::<String>().into_bytes()
}

fn delimited() -> Vec<u8> {
    let records = records();
    let some = records.iter().take(4);
    some.flat_map(Message::encode_length_delimited_to_vec)
        .collect()
}

fn imports() -> Vec<Vec<u8>> {
    let bundle = json!({"actors": [{"name": "actors/a"}], "events": [{"name": "events/b"}]});
    vec![
        led_by(1, json_lines()),
        led_by(2, bundle.to_string()),
        led_by(3, delimited()),
        led_by(4, gzipped(&json_lines())),
        led_by(5, zstandard(&json_lines())),
        led_by(2, NINJS),
        led_by(0, br#"{"uri": "urn:x", "type": "text", "headlines": [{"value": "x"}], "subjects": [{"name": "y", "uri": "medtop:1"}]}"#),
    ]
}

fn documents() -> Vec<Vec<u8>> {
    let mut documents = vec![led_by(1, ARTICLE)];
    for record in records().iter().skip(5) {
        for as_json in [false, true] {
            let text =
                fuzz_targets::document_text(record, as_json).expect("a record can be written");
            documents.push(led_by(0, text));
        }
    }
    documents
}

fn recording() -> Vec<u8> {
    let record = json::value(&records()[2]).expect("a record has a JSON form");
    let lines = [
        json!({"cursor": "AQ", "snapshot": record}),
        json!({"cursor": "AQ", "caughtUp": "46"}),
        json!({"cursor": "AQ", "sequence": "47", "type": "TYPE_PUBLISHED", "name": "actors/a", "revision": "2", "record": record}),
    ];
    lines.map(|line| format!("{line}\n")).concat().into_bytes()
}

fn manifest() -> Vec<u8> {
    let digest = json!({"records": 1, "digest": "ab", "kinds": [{"kind": "actor", "records": 1, "digest": "ab"}]});
    let manifest = json!({
        "version": 1, "feed": "0755f1cf-eb93-728c-bfc4-65fa001ae9ed", "epoch": 7, "view": "published",
        "sequence": 47, "since": 3, "filter": {"kinds": ["KIND_ACTOR"]}, "tombstones": true,
        "metadataOnly": false, "schema": format!("dateline.v1 sha256:{}", "0".repeat(64)),
        "formats": ["ndjson", "csv"], "compression": "gzip", "baseUri": "https://example.org/",
        "partitions": 2, "fileRecords": 1000, "digest": digest, "state": digest,
        "tombstoneRecords": 0, "removals": 1, "losses": {"csv": {}},
        "files": [{
            "name": "actors-p001-00000.ndjson.gz", "format": "ndjson", "holds": "actors", "partition": 1,
            "bytes": 12, "records": 1, "sha256": "0".repeat(64),
        }],
    });
    manifest.to_string().into_bytes()
}

/// First byte: compression by the remainder of a division by three, then the format, then the content.
fn parts() -> Vec<Vec<u8>> {
    let removal = br#"{"name":"actors/a","type":"TYPE_MERGED","mergedInto":"actors/b"}"#;
    vec![
        led_by(0, delimited()),
        led_by(1, gzipped(&delimited())),
        led_by(2, zstandard(&delimited())),
        led_by(3, json_lines()),
        led_by(4, gzipped(&json_lines())),
        led_by(5, zstandard(&json_lines())),
        led_by(9, [&removal[..], b"\n"].concat()),
    ]
}
