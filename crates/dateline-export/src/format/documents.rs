//! Shared parts of the formats with one JSON document per line.

use dateline_proto::v1::{Kind, record::Kind as Body};
use dateline_record::encoded::Encoded;
use serde_json::{Map, Value};

use super::{Encoder, Error, Losses, Referents, check_kind, end_line, losses::Said};

/// Converts records to the documents of a format.
pub(super) trait Documents: Send {
    /// True if the format can express tombstones.
    const SAYS_TOMBSTONES: bool;

    /// The documents of a record; none if the format can express nothing of it. Adds to `losses` only what is lost of
    /// fields that the format otherwise expresses.
    fn documents(&self, body: &Body, referents: &Referents, losses: &mut Losses) -> Vec<Value>;
}

/// Encoder of one file.
pub(super) struct Lines<Of> {
    kind: Kind,
    said: Said,
    documents: Of,
}

impl<Of: Documents> Lines<Of> {
    /// An encoder for records of a kind, of which the format expresses the fields `said`.
    pub(super) fn new(kind: Kind, said: Said, documents: Of) -> Self {
        Self {
            kind,
            said,
            documents,
        }
    }
}

impl<Of: Documents> Encoder for Lines<Of> {
    fn write(
        &mut self,
        record: &Encoded,
        referents: &Referents,
        losses: &mut Losses,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        check_kind(record, self.kind)?;
        let body = record.body()?;
        if record.is_tombstone() && !Of::SAYS_TOMBSTONES {
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
        losses.add_unsaid(body, &self.said);
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
