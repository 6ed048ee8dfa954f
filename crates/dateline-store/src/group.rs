//! Decided requests as columns, in the form that `append` takes: one entry per request, per record of a read set, per
//! write, per link and per answer.

use dateline_engine::{
    change::{Change, Decision, Outcome},
    request::Request,
    world::NoteCopy,
};
use dateline_proto::v1::{State, record::Kind as Body};
use dateline_record::{
    digest::{Tallies, counts_at_desk, counts_on_wire},
    name::kind_word,
    timestamp::instant,
};
use prost::Message;
use serde_json::value::{RawValue, to_raw_value};
use sqlx::{postgres::types::PgRange, types::Json};
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use super::{
    Error,
    columns::{DELETED, range, state_column, type_column},
    requests::warnings_bytes,
    tally,
};

/// The document of a change as JSON text, which goes to `jsonb` without being parsed here.
pub(super) type Document = Json<Box<RawValue>>;

/// Encodes a list for `append`: one line per entry.
fn lines(list: &[String]) -> String {
    list.join("\n")
}

#[derive(Default)]
pub(super) struct Requests {
    pub number: Vec<i32>,
    pub author: Vec<String>,
    pub credential: Vec<String>,
    pub peer: Vec<String>,
    pub method: Vec<String>,
    pub id: Vec<Option<Uuid>>,
    pub fingerprint: Vec<Vec<u8>>,
    pub warnings: Vec<Vec<u8>>,
}

#[derive(Default)]
pub(super) struct Looked {
    pub request: Vec<i32>,
    pub name: Vec<String>,
    pub revision: Vec<i64>,
}

impl Looked {
    fn push(&mut self, request: i32, name: &str, revision: i64) {
        self.request.push(request);
        self.name.push(name.to_owned());
        self.revision.push(revision);
    }
}

#[derive(Default)]
pub(super) struct Links {
    pub request: Vec<i32>,
    pub source: Vec<String>,
    pub target: Vec<String>,
    pub field: Vec<String>,
}

#[derive(Default)]
pub(super) struct Writes {
    pub request: Vec<i32>,
    pub name: Vec<String>,
    pub uid: Vec<Uuid>,
    pub kind: Vec<String>,
    pub change_type: Vec<String>,
    pub revision: Vec<i64>,
    pub state: Vec<String>,
    pub head_state: Vec<String>,
    pub state_before: Vec<Option<String>>,
    pub on_wire: Vec<bool>,
    pub content: Vec<Vec<u8>>,
    pub meta: Vec<Vec<u8>>,
    pub facets: Vec<String>,
    pub facets_before: Vec<String>,
    pub days: Vec<Option<PgRange<Date>>>,
    pub days_before: Vec<Option<PgRange<Date>>>,
    pub search: Vec<String>,
    pub document: Vec<Document>,
    pub changed_fields: Vec<String>,
    pub note: Vec<String>,
    pub relinks: Vec<bool>,
    pub keys: Vec<String>,
    pub original_sha256: Vec<Option<String>>,
    pub merged_into: Vec<Option<String>>,
    pub embargo_at: Vec<Option<OffsetDateTime>>,
}

impl Writes {
    fn push(&mut self, request: i32, change: &Change, document: Document) {
        let state = state_column(change.state);
        self.request.push(request);
        self.name.push(change.name.to_string());
        self.uid.push(change.uid);
        self.kind.push(kind_word(change.kind()).to_owned());
        self.change_type.push(type_column(change.change_type));
        self.revision.push(change.revision);
        self.head_state.push(if change.is_gone() {
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
        self.search.push(if change.has_new_content {
            change.drawing.search.clone()
        } else {
            String::new()
        });
        self.document.push(document);
        self.changed_fields.push(lines(&change.changed_fields));
        self.note.push(change.note.clone());
        self.relinks
            .push(change.has_new_content || change.is_gone());
        self.keys.push(words(&change.drawing.keys));
        self.original_sha256.push(original(change));
        let merged_into = &change.meta.merged_into;
        self.merged_into
            .push((!merged_into.is_empty()).then(|| merged_into.clone()));
        let hidden = change.state == State::Embargoed;
        let until = change.meta.embargo_time.filter(|_| hidden);
        self.embargo_at.push(until.and_then(instant));
    }
}

/// Encodes numbers for `append`: separated by spaces.
fn words(numbers: &[i64]) -> String {
    let words: Vec<_> = numbers.iter().map(ToString::to_string).collect();
    words.join(" ")
}

/// Returns the hash that identifies the text an article came from; `None` once its draft is deleted.
fn original(change: &Change) -> Option<String> {
    match &change.body {
        Body::Article(article) if !change.is_gone() && !article.original_sha256.is_empty() => {
            Some(article.original_sha256.clone())
        }
        _ => None,
    }
}

/// Returns the content as JSON; `null` if the content did not change, for which `append` keeps the stored document.
fn document(change: &Change) -> Result<Document, Error> {
    let text = if change.has_new_content {
        to_raw_value(&change.body.to_dynamic())
    } else {
        to_raw_value(&serde_json::Map::new())
    };
    text.map(Json)
        .map_err(|error| Error::Corrupt(format!("{} has no JSON form: {error}", change.name)))
}

/// Changes of the two feeds' tallies, per request.
#[derive(Default)]
pub(super) struct Added {
    pub request: Vec<i32>,
    pub on_wire: Vec<bool>,
    pub place: Vec<i32>,
    pub amount: Vec<i64>,
}

impl Added {
    fn push(&mut self, request: i32, on_wire: bool, tallies: &Tallies) {
        for (place, amount) in tally::places(tallies) {
            self.request.push(request);
            self.on_wire.push(on_wire);
            self.place.push(place);
            self.amount.push(amount);
        }
    }
}

/// Revisions of other records whose note is blanked.
#[derive(Default)]
pub(super) struct Blanked {
    pub request: Vec<i32>,
    pub name: Vec<String>,
    pub revision: Vec<i64>,
    pub meta: Vec<Vec<u8>>,
}

impl Blanked {
    fn push(&mut self, request: i32, copy: &NoteCopy) {
        self.request.push(request);
        self.name.push(copy.name.to_string());
        self.revision.push(copy.revision);
        self.meta.push(copy.meta.encode_to_vec());
    }
}

/// The arguments of one call, as columns.
#[derive(Default)]
pub(super) struct Group {
    pub requests: Requests,
    pub looked: Looked,
    /// Articles, with the number of published records that cite each.
    pub cited: Looked,
    pub writes: Writes,
    pub links: Links,
    pub answers: Looked,
    pub added: Added,
    pub blanked: Blanked,
}

impl Group {
    /// Adds a decided request, completely or, on an error, not at all. Its number in the group is its position, from 1.
    pub(super) fn push(&mut self, request: &Request, decision: &Decision) -> Result<(), Error> {
        let changed = decision.outcomes.iter().filter_map(Outcome::change);
        let mut documents = changed
            .map(document)
            .collect::<Result<Vec<_>, _>>()?
            .into_iter();
        let number = i32::try_from(self.requests.number.len() + 1).unwrap_or(i32::MAX);
        self.requests.number.push(number);
        let by = &request.by;
        self.requests.author.push(by.author.clone());
        self.requests.credential.push(by.credential.clone());
        self.requests.peer.push(by.peer.clone());
        self.requests.method.push(by.method.clone());
        self.requests.id.push(request.id);
        self.requests.fingerprint.push(request.fingerprint.to_vec());
        self.requests
            .warnings
            .push(warnings_bytes(&decision.warnings));
        for (name, revision) in &decision.seen.revisions {
            self.looked.push(number, name.as_str(), *revision);
        }
        for (name, count) in &decision.seen.citing {
            self.cited.push(number, name.as_str(), *count);
        }
        let (mut desk, mut wire) = (Tallies::default(), Tallies::default());
        for outcome in &decision.outcomes {
            match outcome {
                Outcome::Changed(change) => {
                    desk.of(change.kind()).merge(&change.tally(counts_at_desk));
                    wire.of(change.kind()).merge(&change.tally(counts_on_wire));
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
        for copy in &decision.blanked {
            self.blanked.push(number, copy);
        }
        self.added.push(number, false, &desk);
        self.added.push(number, true, &wire);
        Ok(())
    }

    fn push_links(&mut self, request: i32, change: &Change) {
        if !change.has_new_content || change.is_gone() {
            return;
        }
        for reference in &change.drawing.references {
            self.links.request.push(request);
            self.links.source.push(change.name.to_string());
            self.links.target.push(reference.target.to_string());
            self.links.field.push(reference.field.clone());
        }
    }
}
