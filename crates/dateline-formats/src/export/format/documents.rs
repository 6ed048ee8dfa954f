//! Shared parts of the formats with one JSON document per line.

use dateline_proto::v1::{Kind, record::Kind as Body};
use dateline_record::encoded::EncodedRecord;
use serde_json::{Map, Value};

use super::{Encoder, Error, Losses, Referents, check_kind, end_line, losses::MappedFields};

/// Converts records to the documents of a format.
pub(super) trait Documents: Send {
    /// True if the format can express tombstones.
    const EXPRESSES_TOMBSTONES: bool;

    /// The documents of a record; none if the format can express nothing of it. Adds to `losses` only what is lost of
    /// fields that the format otherwise expresses.
    fn documents(&self, body: &Body, referents: &Referents, losses: &mut Losses) -> Vec<Value>;
}

/// Encoder of one file.
pub(super) struct JsonLines<Of> {
    kind: Kind,
    mapped: MappedFields,
    documents: Of,
}

impl<Of: Documents> JsonLines<Of> {
    /// An encoder for records of a kind, of which the format expresses the fields `mapped`.
    pub(super) fn new(kind: Kind, mapped: MappedFields, documents: Of) -> Self {
        Self {
            kind,
            mapped,
            documents,
        }
    }
}

impl<Of: Documents> Encoder for JsonLines<Of> {
    fn write(
        &mut self,
        record: &EncodedRecord,
        referents: &Referents,
        losses: &mut Losses,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        check_kind(record, self.kind)?;
        let body = record.body()?;
        if record.is_tombstone() && !Of::EXPRESSES_TOMBSTONES {
            losses.add_record(self.kind);
            return Ok(());
        }
        let documents = self.documents.documents(body, referents, losses);
        if documents.is_empty() {
            losses.add_record(self.kind);
            return Ok(());
        }
        for document in documents {
            serde_json::to_writer(&mut *out, &document)?;
            end_line(out);
        }
        losses.add_unmapped(body, &self.mapped);
        Ok(())
    }

    fn finish(&mut self, _out: &mut Vec<u8>) -> Result<(), Error> {
        Ok(())
    }
}

/// A JSON object without empty values.
#[derive(Debug, Default)]
pub(super) struct Object(Map<String, Value>);

impl Object {
    /// Sets a key, unless the value is null, an empty text, list or object.
    #[must_use]
    pub(super) fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        let is_empty = match &value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(elements) => elements.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            Value::Bool(_) | Value::Number(_) => false,
        };
        if !is_empty {
            self.0.insert(key.to_owned(), value);
        }
        self
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Value::Object(object.0)
    }
}
