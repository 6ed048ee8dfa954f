//! An edit of a record: its content when read, its content now, and the fields of the new text to send. Only fields
//! that the editor changed are sent, by field mask. Fields that others changed too are a conflict unless forced.

use anyhow::{Result, bail};
use dateline_proto::v1::{Record, RecordMeta, record::Kind as Body};
use prost_reflect::ReflectMessage;

use super::{
    document::{self, TextFormat},
    meta_of, name_of, show,
};

/// A record as it was read, and as it is now.
pub(super) struct Rebase {
    pub name: String,
    /// The revision that the text is based on.
    base: Record,
    /// The newest revision; equal to `base` until somebody else changes the record.
    head: Record,
    /// Meta of `head`.
    pub meta: RecordMeta,
    /// Revision of `base`.
    pub base_revision: i64,
}

/// An edit of fields that others changed too.
#[derive(Debug, thiserror::Error)]
#[error(
    "you and others changed the same of {name}: {fields}; nothing was sent. Change the text, or say --force to \
     replace theirs with yours"
)]
pub(super) struct Conflict {
    name: String,
    fields: String,
}

/// The part of an edited text to send.
pub(super) struct EditedRecord {
    /// The new values, with the etag of the newest revision.
    pub record: Record,
    /// Fields to take from it.
    pub paths: Vec<String>,
}

impl Rebase {
    /// Starts from the newest revision.
    pub(super) fn new(head: &Record) -> Result<Self> {
        Self::since(head, head)
    }

    /// Starts from an older revision.
    pub(super) fn since(base: &Record, head: &Record) -> Result<Self> {
        Ok(Self {
            name: name_of(head),
            base: document::content(base)?,
            head: document::content(head)?,
            meta: meta_of(head),
            base_revision: meta_of(base).revision,
        })
    }

    /// The text to edit, without a header.
    pub(super) fn text(&self, form: TextFormat) -> Result<String> {
        document::write(&self.base, form)
    }

    /// Reads an edited text; `None` if nothing is left to send.
    pub(super) fn read(&self, text: &str, force: bool) -> Result<Option<EditedRecord>> {
        let mine = document::content(&document::read_typed(text, None)?)?;
        let name = name_of(&mine);
        if name != self.name {
            bail!(
                "name: the text is about {name:?}, but the record is {}; names never change",
                self.name
            );
        }
        let mut paths = changed(&self.base, &mine);
        // A change that others made too is neither a conflict nor left to send.
        let differing = changed(&self.head, &mine);
        paths.retain(|path| differing.contains(path));
        let theirs = changed(&self.base, &self.head);
        let both: Vec<_> = paths.iter().filter(|path| theirs.contains(path)).collect();
        if !both.is_empty() && !force {
            let both: Vec<_> = both.iter().map(|path| path.as_str()).collect();
            return Err(Conflict {
                name: self.name.clone(),
                fields: both.join(", "),
            }
            .into());
        }
        if paths.is_empty() {
            return Ok(None);
        }
        let record = document::with_etag(&mine, &self.meta.etag)?;
        Ok(Some(EditedRecord { record, paths }))
    }

    /// The changes of a text, as a line diff.
    pub(super) fn own_changes(&self, text: &str) -> Result<String> {
        let mine = document::read_typed(text, None)?;
        Ok(show::texts(
            &self.text(TextFormat::Yaml)?,
            &document::write(&mine, TextFormat::Yaml)?,
            2,
        ))
    }
}

/// Names of the fields that differ, in the order of the schema.
fn changed(before: &Record, after: &Record) -> Vec<String> {
    let dynamic = |record: &Record| record.kind.as_ref().map(Body::to_dynamic);
    let (Some(before), Some(after)) = (dynamic(before), dynamic(after)) else {
        return Vec::new();
    };
    if before.descriptor() != after.descriptor() {
        return Vec::new();
    }
    let differs = |field: &prost_reflect::FieldDescriptor| {
        before.get_field(field) != after.get_field(field)
            || before.has_field(field) != after.has_field(field)
    };
    let descriptor = after.descriptor();
    let fields = descriptor.fields().filter(differs);
    fields.map(|field| field.name().to_owned()).collect()
}
