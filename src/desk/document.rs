//! Records as text to edit: YAML or JSON, without the fields that the service sets, under a header of comments that
//! names the record and its revision.

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use dateline_proto::{
    has_rule,
    v1::{Kind, Record, RecordMeta, record::Kind as Body},
};
use dateline_record::name::{KINDS, Name, collection, kind_label};
use prost::Message;
use prost_reflect::{DynamicMessage, ReflectMessage, Value};
use serde::Deserialize;

use super::{meta_of, typed};
use crate::{json, yaml};

/// Format of a record's text.
#[allow(missing_docs, reason = "the names say it")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum TextFormat {
    #[default]
    Yaml,
    Json,
}

/// The content of a record as its editors write it: without meta and the other fields that the service sets.
pub(super) fn content(record: &Record) -> Result<Record> {
    let mut record = record.clone();
    record.kind.as_mut().and_then(Body::take_meta);
    let mut message = record.transcode_to_dynamic();
    clear_owned(&mut message);
    Ok(message.transcode_to()?)
}

fn clear_owned(message: &mut DynamicMessage) {
    let fields: Vec<_> = message.fields().map(|(field, _)| field).collect();
    for field in fields {
        if has_rule(&field, "output_only") {
            message.clear_field(&field);
            continue;
        }
        match message.get_field_mut(&field) {
            Value::Message(inner) => clear_owned(inner),
            Value::List(elements) => elements
                .iter_mut()
                .filter_map(Value::as_message_mut)
                .for_each(clear_owned),
            _ => {}
        }
    }
}

/// The record with the given etag in its meta, as writes expect it.
pub(super) fn with_etag(record: &Record, etag: &str) -> Result<Record> {
    let body = record.kind.as_ref().context("there is no record")?;
    let meta = RecordMeta {
        etag: etag.to_owned(),
        ..RecordMeta::default()
    };
    let mut message = body.to_dynamic();
    message.set_field_by_name("meta", Value::Message(meta.transcode_to_dynamic()));
    let kind = Body::decode(body.kind(), &message.encode_to_vec())?;
    Ok(Record { kind })
}

/// Writes a record's content as text.
pub(crate) fn write(record: &Record, form: TextFormat) -> Result<String> {
    let document = json::document(&content(record)?);
    Ok(match form {
        TextFormat::Yaml => yaml::write(&document)?,
        TextFormat::Json => serde_json::to_string_pretty(&document)? + "\n",
    })
}

/// Entries of the header: the lines with `#` before the first other line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    /// Name of the record.
    pub name: String,
    /// Revision that was read.
    pub revision: Option<i64>,
    /// Note of a correction, for readers.
    pub note: String,
}

impl Header {
    /// Reads the header of a text.
    pub(super) fn read(text: &str) -> Self {
        let mut header = Self::default();
        let lines = text
            .lines()
            .take_while(|line| line.is_empty() || line.starts_with('#'));
        for line in lines {
            let Some((key, value)) = line.trim_start_matches('#').split_once(':') else {
                continue;
            };
            let value = value.trim().to_owned();
            match key.trim() {
                "name" => header.name = value,
                "revision" => header.revision = value.parse().ok(),
                "note" => header.note = value,
                _ => {}
            }
        }
        header
    }
}

/// The header that names a text's record and revision.
pub(super) fn header(name: &str, meta: &RecordMeta, state: &str, advice: &str) -> String {
    let advice = advice.replace('\n', "\n# ");
    format!(
        "# name: {name}\n# state: {state}\n# revision: {}\n# etag: {}\n#\n# {advice}\n",
        meta.revision, meta.etag
    )
}

/// The revision that a text is based on, from its header or from the meta that `dateline get` prints.
pub(super) fn base_revision(text: &str) -> Option<i64> {
    let in_meta = || Some(meta_of(&read(text, None).ok()?).revision);
    let revision = Header::read(text).revision.or_else(in_meta);
    revision.filter(|revision| *revision > 0)
}

/// Reads a record: an envelope, or a bare message whose kind is given or follows from its name.
pub(crate) fn read(text: &str, kind: Option<Kind>) -> Result<Record> {
    let text = text.trim_start_matches('\u{feff}');
    let body = without_header(text);
    if body.trim().is_empty() {
        bail!("the text is empty");
    }
    let keys = Keys::read(&body);
    let bare = if keys.is_envelope() {
        None
    } else {
        kind.or_else(|| keys.kind_by_name())
    };
    match bare {
        None => {
            let read = read_message::<Record>(&body);
            match keys.advice() {
                Some(advice) => read.context(advice),
                None => read,
            }
        }
        Some(kind) => {
            let descriptor = descriptor(kind).context("there is no such kind of record")?;
            let message = read_dynamic(&body, descriptor)?;
            let kind = Body::decode(kind, &message.encode_to_vec())?;
            Ok(Record { kind })
        }
    }
}

/// Reads a record that a person has typed: what it leaves out is filled in where the schema has a default.
pub(super) fn read_typed(text: &str, kind: Option<Kind>) -> Result<Record> {
    let mut record = read(text, kind)?;
    typed::fill_in(&mut record)?;
    Ok(record)
}

/// The text with a blanked header, so that positions stay the same.
fn without_header(text: &str) -> String {
    let mut header = true;
    text.split_inclusive('\n')
        .map(|line| {
            header = header && (line.trim().is_empty() || line.starts_with('#'));
            if header { "\n" } else { line }
        })
        .collect()
}

fn descriptor(kind: Kind) -> Option<prost_reflect::MessageDescriptor> {
    let field = Record::default()
        .descriptor()
        .get_field_by_name(kind_label(kind))?;
    field.kind().as_message().cloned()
}

fn read_message<M: ReflectMessage + Message + Default>(text: &str) -> Result<M> {
    Ok(read_dynamic(text, M::default().descriptor())?.transcode_to()?)
}

fn read_dynamic(
    text: &str,
    descriptor: prost_reflect::MessageDescriptor,
) -> Result<DynamicMessage> {
    if is_json(text) {
        return Ok(json::read_dynamic(text, descriptor)?);
    }
    Ok(json::read_yaml(text, descriptor)?)
}

fn is_json(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// The root keys of a text, and the name if there is one: enough to recognise its type.
struct Keys {
    keys: Vec<String>,
    name: Option<String>,
}

impl Keys {
    fn read(text: &str) -> Self {
        let value: serde_json::Value = if is_json(text) {
            serde_json::from_str(text).unwrap_or_default()
        } else {
            yaml::read(text, |yaml| serde_json::Value::deserialize(yaml)).unwrap_or_default()
        };
        let keys = value.as_object().map(|object| object.keys().cloned());
        Self {
            keys: keys.into_iter().flatten().collect(),
            name: value["name"].as_str().map(str::to_owned),
        }
    }

    fn is_envelope(&self) -> bool {
        KINDS.iter().any(|kind| self.has(kind_label(*kind)))
    }

    fn kind_by_name(&self) -> Option<Kind> {
        Some(Name::parse(self.name.as_deref()?)?.kind())
    }

    fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|found| found == key)
    }

    /// Advice for a text that is no record, if its keys are recognised.
    fn advice(&self) -> Option<&'static str> {
        if KINDS.iter().any(|kind| self.has(collection(*kind))) {
            Some("this is a bundle of records, which `dateline import` sends")
        } else if self.is_envelope() || self.keys.is_empty() {
            None
        } else {
            Some("this is no record: it begins with its kind, such as `actor:`, or --kind says it")
        }
    }
}
