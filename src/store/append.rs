//! The call of `append`: decided requests in, sequences out. The only place that writes records and log.

use std::collections::HashMap;

use sqlx::{PgConnection, postgres::types::PgRange, types::Json};
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use super::{
    Error,
    columns::{DELETED, kind_column, range, sequence, state_column, type_column},
};
use crate::{
    model::{
        change::{Change, Decision, Outcome},
        request::Request,
    },
    proto::v1::change::Type as ChangeType,
};

/// Where a request came to stand on the feeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Numbered {
    /// Last desk sequence of its batch.
    pub desk_sequence: u64,
    /// Last wire sequence of its batch; 0 if readers see nothing of it.
    pub wire_sequence: u64,
}

/// The document of a change, already JSON text: it goes to `jsonb` without being read again here.
type Document = Json<Box<serde_json::value::RawValue>>;

/// Lists, as the function takes them: lines of text.
fn lines(list: &[String]) -> String {
    list.join("\n")
}

#[derive(Default)]
struct Requests {
    number: Vec<i32>,
    author: Vec<String>,
    id: Vec<Option<Uuid>>,
    fingerprint: Vec<Vec<u8>>,
}

#[derive(Default)]
struct Looked {
    request: Vec<i32>,
    name: Vec<String>,
    revision: Vec<i64>,
}

impl Looked {
    fn push(&mut self, request: i32, name: &str, revision: i64) {
        self.request.push(request);
        self.name.push(name.to_owned());
        self.revision.push(revision);
    }
}

#[derive(Default)]
struct Links {
    request: Vec<i32>,
    source: Vec<String>,
    target: Vec<String>,
    field: Vec<String>,
}

#[derive(Default)]
struct Writes {
    request: Vec<i32>,
    name: Vec<String>,
    uid: Vec<Uuid>,
    kind: Vec<String>,
    change_type: Vec<String>,
    revision: Vec<i64>,
    state: Vec<String>,
    head_state: Vec<String>,
    state_before: Vec<Option<String>>,
    on_wire: Vec<bool>,
    content: Vec<Vec<u8>>,
    meta: Vec<Vec<u8>>,
    facets: Vec<String>,
    facets_before: Vec<String>,
    days: Vec<Option<PgRange<Date>>>,
    days_before: Vec<Option<PgRange<Date>>>,
    search: Vec<String>,
    document: Vec<Document>,
    changed_fields: Vec<String>,
    note: Vec<String>,
    relinks: Vec<bool>,
}

impl Writes {
    fn push(&mut self, request: i32, change: &Change, document: Document) {
        let state = state_column(change.state);
        self.request.push(request);
        self.name.push(change.name.to_string());
        self.uid.push(change.uid);
        self.kind.push(kind_column(change.kind()).to_owned());
        self.change_type.push(type_column(change.change_type));
        self.revision.push(change.revision);
        self.head_state
            .push(if change.change_type == ChangeType::Deleted {
                DELETED.to_owned()
            } else {
                state.clone()
            });
        self.state.push(state);
        self.state_before
            .push(change.state_before.map(state_column));
        self.on_wire.push(change.is_on_wire());
        self.content.push(change.content.clone());
        self.meta.push(change.meta_bytes());
        self.facets.push(lines(&change.drawing.facets));
        self.facets_before.push(lines(&change.facets_before));
        self.days.push(change.drawing.days.map(range));
        self.days_before.push(change.days_before.map(range));
        self.search.push(change.drawing.search.clone());
        self.document.push(document);
        self.changed_fields.push(lines(&change.changed_fields));
        self.note.push(change.note.clone());
        self.relinks
            .push(change.has_new_content || change.change_type == ChangeType::Deleted);
    }
}

fn document(change: &Change) -> Result<Document, Error> {
    let text = serde_json::value::to_raw_value(&change.body.to_dynamic());
    text.map(Json)
        .map_err(|error| Error::Corrupt(format!("{} has no JSON form: {error}", change.name)))
}

/// Everything that one call takes, in columns.
#[derive(Default)]
pub(super) struct Group {
    requests: Requests,
    looked: Looked,
    writes: Writes,
    links: Links,
    answers: Looked,
}

impl Group {
    /// Adds a decided request. Its number in the group is the order in which it was added, from 1.
    /// All of it or, when it fails, nothing.
    pub(super) fn push(&mut self, request: &Request, decision: &Decision) -> Result<(), Error> {
        let changed = decision.outcomes.iter().filter_map(Outcome::change);
        let mut documents = changed
            .map(document)
            .collect::<Result<Vec<_>, _>>()?
            .into_iter();
        let number = i32::try_from(self.requests.number.len() + 1).unwrap_or(i32::MAX);
        self.requests.number.push(number);
        self.requests.author.push(request.author.clone());
        self.requests.id.push(request.id);
        self.requests.fingerprint.push(request.fingerprint.to_vec());
        for (name, revision) in &decision.read_set {
            self.looked.push(number, name.as_str(), *revision);
        }
        for outcome in &decision.outcomes {
            match outcome {
                Outcome::Changed(change) => {
                    self.answers
                        .push(number, change.name.as_str(), change.revision);
                    self.push_links(number, change);
                    if let Some(document) = documents.next() {
                        self.writes.push(number, change, document);
                    }
                }
                Outcome::Unchanged(name, revision) => {
                    self.answers.push(number, name.as_str(), *revision);
                }
            }
        }
        Ok(())
    }

    fn push_links(&mut self, request: i32, change: &Change) {
        if !change.has_new_content || change.change_type == ChangeType::Deleted {
            return;
        }
        for reference in &change.drawing.references {
            self.links.request.push(request);
            self.links.source.push(change.name.to_string());
            self.links.target.push(reference.target.to_string());
            self.links.field.push(reference.field.clone());
        }
    }

    /// Writes the group, in one statement and so in one transaction. Answers by number of the request; one
    /// that is missing was left out, because what it looked at has moved.
    pub(super) async fn append(
        &self,
        connection: &mut PgConnection,
        at: OffsetDateTime,
    ) -> Result<HashMap<i32, Numbered>, Error> {
        let Group {
            requests,
            looked,
            writes,
            links,
            answers,
        } = self;
        let rows = sqlx::query!(
            r#"SELECT request AS "request!", desk_sequence AS "desk_sequence!", wire_sequence AS "wire_sequence!"
               FROM append(
                   $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
                   $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36)"#,
            &requests.number,
            &requests.author,
            &requests.id as &[Option<Uuid>],
            &requests.fingerprint,
            &looked.request,
            &looked.name,
            &looked.revision,
            &writes.request,
            &writes.name,
            &writes.uid,
            &writes.kind,
            &writes.change_type,
            &writes.revision,
            &writes.state,
            &writes.head_state,
            &writes.state_before as &[Option<String>],
            &writes.on_wire,
            &writes.content,
            &writes.meta,
            &writes.facets,
            &writes.facets_before,
            &writes.days as &[Option<PgRange<Date>>],
            &writes.days_before as &[Option<PgRange<Date>>],
            &writes.search,
            &writes.document as &[Document],
            &writes.changed_fields,
            &writes.note,
            &writes.relinks,
            &links.request,
            &links.source,
            &links.target,
            &links.field,
            &answers.request,
            &answers.name,
            &answers.revision,
            at,
        )
        .fetch_all(connection)
        .await?;
        rows.into_iter()
            .map(|row| {
                let numbered = Numbered {
                    desk_sequence: sequence(row.desk_sequence)?,
                    wire_sequence: sequence(row.wire_sequence)?,
                };
                Ok((row.request, numbered))
            })
            .collect()
    }
}
