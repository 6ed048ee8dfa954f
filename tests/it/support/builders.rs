//! Builders of writes and requests: messages alone, for benchmarks and fuzzing too.

use dateline_proto::v1::{
    CommitRequest, GetRecordRequest, Record, RecordVersion, View, Write, correction,
    record::Kind as Body, write,
};
use prost_types::{FieldMask, Timestamp};

use super::records::{meta, name as name_of};

/// The seed article as received.
pub const ARTICLE: &str = include_str!("../../../seed/article.txt");

fn to_write(action: write::Action) -> Write {
    Write {
        action: Some(action),
    }
}

pub fn create(record: &Record) -> Write {
    let record = Some(record.clone());
    let original = Vec::new();
    to_write(write::Action::Create(write::Create { record, original }))
}

pub fn create_from(record: &Record, original: &str) -> Write {
    to_write(write::Action::Create(write::Create {
        record: Some(record.clone()),
        original: original.as_bytes().to_vec(),
    }))
}

pub fn field_mask(paths: &[&str]) -> Option<FieldMask> {
    let paths: Vec<_> = paths.iter().map(ToString::to_string).collect();
    (!paths.is_empty()).then_some(FieldMask { paths })
}

pub fn update(record: &Record, paths: &[&str]) -> Write {
    to_write(write::Action::Update(write::Update {
        record: Some(record.clone()),
        update_mask: field_mask(paths),
    }))
}

pub fn delete(record: &Record) -> Write {
    to_write(write::Action::Delete(version(record)))
}

pub fn submit(record: &Record) -> Write {
    let record = Some(version(record));
    to_write(write::Action::Submit(write::Submit { record }))
}

pub fn send_back(record: &Record, note: &str) -> Write {
    to_write(write::Action::SendBack(write::SendBack {
        record: Some(version(record)),
        note: note.to_owned(),
    }))
}

pub fn publish(record: &Record) -> Write {
    publish_at(record, None)
}

pub fn publish_at(record: &Record, embargo_time: Option<Timestamp>) -> Write {
    to_write(write::Action::Publish(write::Publish {
        record: Some(version(record)),
        embargo_time,
    }))
}

pub fn correct(record: &Record, paths: &[&str], note: &str) -> Write {
    to_write(write::Action::Correct(write::Correct {
        record: Some(record.clone()),
        update_mask: field_mask(paths),
        note: note.to_owned(),
        kind: correction::Kind::Correction.into(),
    }))
}

pub fn retract(record: &Record, note: &str, cascade: bool) -> Write {
    to_write(write::Action::Retract(write::Retract {
        record: Some(version(record)),
        note: note.to_owned(),
        cascade,
    }))
}

pub fn merge(record: &Record, into: &Record) -> Write {
    to_write(write::Action::Merge(write::Merge {
        record: Some(version(record)),
        into: Some(version(into)),
        note: "the same".into(),
    }))
}

pub fn unmerge(record: &Record) -> Write {
    to_write(write::Action::Unmerge(write::Unmerge {
        record: Some(version(record)),
        note: "not the same".into(),
    }))
}

pub fn restore(record: &Record, revision: i64, note: &str) -> Write {
    to_write(write::Action::Restore(write::Restore {
        record: Some(version(record)),
        revision,
        note: note.to_owned(),
    }))
}

pub fn purge(record: &Record, cascade: bool) -> Write {
    to_write(write::Action::Purge(write::Purge {
        record: Some(version(record)),
        note: "by order".into(),
        cascade,
    }))
}

pub fn commit_request(writes: Vec<Write>) -> CommitRequest {
    CommitRequest {
        writes,
        ..CommitRequest::default()
    }
}

pub fn get_request(name: &str, view: View) -> GetRecordRequest {
    GetRecordRequest {
        name: name.to_owned(),
        view: view.into(),
        ..GetRecordRequest::default()
    }
}

pub fn version_with_etag(name: &str, etag: &str) -> RecordVersion {
    RecordVersion {
        name: name.to_owned(),
        etag: etag.to_owned(),
    }
}

/// The version of a record as it was read.
pub fn version(record: &Record) -> RecordVersion {
    version_with_etag(name_of(record), &meta(record).etag)
}

pub fn versions(records: &[Record]) -> Vec<RecordVersion> {
    records.iter().map(version).collect()
}

/// A commit that creates records; the article gets its original.
pub fn create_request(records: &[Record]) -> CommitRequest {
    let writes = records.iter().map(|record| {
        let is_article = matches!(record.kind, Some(Body::Article(_)));
        let original = if is_article {
            ARTICLE.as_bytes().to_vec()
        } else {
            Vec::new()
        };
        to_write(write::Action::Create(write::Create {
            record: Some(record.clone()),
            original,
        }))
    });
    commit_request(writes.collect())
}
