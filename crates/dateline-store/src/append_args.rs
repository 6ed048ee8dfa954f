//! Decided requests as the arguments of `append`: rows of each kind, kept in columns.

use dateline_engine::{
    change::{Change, Decision, Outcome},
    read_view::NoteCopy,
    request::Request,
};
use dateline_proto::v1::{State, record::Kind as Body};
use dateline_record::{
    digest::{Tallies, is_in_desk_digest, is_in_wire_digest},
    name::kind_label,
    timestamp::instant,
};
use prost::Message;
use sqlx::{Postgres, QueryBuilder, postgres::types::PgRange};
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use super::{
    columns::{DELETED, range, state_column, type_column},
    requests::encode_warnings,
    tally,
};

/// Defines a row, and its columns as `append` takes them: field, type in Rust, type in Postgres, a line each. An
/// argument is passed by its name, which is the prefix and the field, so that columns of one type cannot be exchanged.
macro_rules! columns {
    ($(#[$doc:meta])* $row:ident, $columns:ident, $prefix:literal, {
        $($field:ident: $value:ty, $type:literal;)*
    }) => {
        $(#[$doc])*
        pub(super) struct $row {
            $($field: $value,)*
        }

        #[derive(Default)]
        pub(super) struct $columns {
            $($field: Vec<$value>,)*
        }

        impl $columns {
            fn push(&mut self, row: $row) {
                $(self.$field.push(row.$field);)*
            }

            /// Writes the arguments, each with a comma behind it.
            fn push_arguments(&self, call: &mut QueryBuilder<Postgres>) {
                $(
                    call.push(concat!($prefix, "_", stringify!($field), " => "));
                    call.push_bind(&self.$field);
                    call.push(concat!("::", $type, "[], "));
                )*
            }
        }
    };
}

columns! {
    /// A request, with its caller for the audit.
    RequestRow, RequestColumns, "request", {
        author: String, "text";
        credential: String, "text";
        peer: String, "text";
        method: String, "text";
        id: Option<Uuid>, "uuid";
        fingerprint: Vec<u8>, "bytea";
        warnings: Vec<u8>, "bytea";
    }
}

columns! {
    /// A record with the revision that a decision has read; 0 if there was none.
    ReadSetRow, ReadSetColumns, "read", {
        request: i32, "int";
        name: String, "text";
        revision: i64, "bigint";
    }
}

columns! {
    /// An article, with the number of published records that cite it.
    CitationRow, CitationColumns, "citation", {
        request: i32, "int";
        name: String, "text";
        citing: i64, "bigint";
    }
}

columns! {
    /// A new revision of a record.
    WriteRow, WriteColumns, "write", {
        request: i32, "int";
        name: String, "text";
        uid: Uuid, "uuid";
        kind: String, "text";
        change_type: String, "text";
        revision: i64, "bigint";
        state: String, "text";
        head_state: String, "text";
        state_before: Option<String>, "text";
        on_wire: bool, "boolean";
        content: Vec<u8>, "bytea";
        meta: Vec<u8>, "bytea";
        facets: String, "text";
        facets_before: String, "text";
        days: Option<PgRange<Date>>, "daterange";
        days_before: Option<PgRange<Date>>, "daterange";
        changed_fields: String, "text";
        note: String, "text";
        keys: String, "text";
        original_sha256: Option<String>, "text";
        merged_into: Option<String>, "text";
        embargo_at: Option<OffsetDateTime>, "timestamptz";
    }
}

columns! {
    /// A record whose earlier links are deleted.
    RelinkRow, RelinkColumns, "relinked", {
        request: i32, "int";
        name: String, "text";
    }
}

columns! {
    /// A reference of one record to another.
    LinkRow, LinkColumns, "link", {
        request: i32, "int";
        source: String, "text";
        target: String, "text";
        field: String, "text";
    }
}

columns! {
    /// A record with the revision that the response reports.
    AnswerRow, AnswerColumns, "answer", {
        request: i32, "int";
        name: String, "text";
        revision: i64, "bigint";
    }
}

columns! {
    /// An amount that a request adds to the tally of a feed.
    TallyRow, TallyColumns, "tally", {
        request: i32, "int";
        on_wire: bool, "boolean";
        place: i32, "int";
        amount: i64, "bigint";
    }
}

columns! {
    /// A revision of another record that loses its note.
    RedactionRow, RedactionColumns, "blank", {
        request: i32, "int";
        name: String, "text";
        revision: i64, "bigint";
        meta: Vec<u8>, "bytea";
    }
}

/// A list, as a column takes it: lines of text.
fn join_lines(list: &[String]) -> String {
    list.join("\n")
}

/// Numbers, as a column takes them.
fn join_numbers(numbers: &[i64]) -> String {
    let numbers: Vec<_> = numbers.iter().map(ToString::to_string).collect();
    numbers.join(" ")
}

impl RequestRow {
    fn new(request: &Request, decision: &Decision) -> Self {
        Self {
            author: request.by.author.clone(),
            credential: request.by.credential.clone(),
            peer: request.by.peer.clone(),
            method: request.by.method.clone(),
            id: request.id,
            fingerprint: request.fingerprint.to_vec(),
            warnings: encode_warnings(&decision.warnings),
        }
    }
}

impl WriteRow {
    fn new(request: i32, change: &Change) -> Self {
        let state = state_column(change.state);
        let head_state = if change.is_gone() {
            DELETED.to_owned()
        } else {
            state.clone()
        };
        let merged_into = &change.meta.merged_into;
        let is_hidden = change.state == State::Embargoed;
        let until = change.meta.embargo_time.filter(|_| is_hidden);
        Self {
            request,
            name: change.name.to_string(),
            uid: change.uid,
            kind: kind_label(change.kind()).to_owned(),
            change_type: type_column(change.change_type),
            revision: change.revision,
            state,
            head_state,
            state_before: change.state_before.map(state_column),
            on_wire: change.is_on_wire(),
            content: change.content.clone(),
            meta: change.meta_bytes(),
            facets: join_lines(&change.terms.facets),
            facets_before: join_lines(&change.facets_before),
            days: change.terms.days.map(range),
            days_before: change.days_before.map(range),
            changed_fields: join_lines(&change.changed_fields),
            note: change.note.clone(),
            keys: join_numbers(&change.terms.keys),
            original_sha256: original(change),
            merged_into: (!merged_into.is_empty()).then(|| merged_into.clone()),
            embargo_at: until.and_then(instant),
        }
    }
}

/// The hash by which a text is recognised that was received before; a deleted draft no longer has one.
fn original(change: &Change) -> Option<String> {
    match &change.body {
        Body::Article(article) if !change.is_gone() && !article.original_sha256.is_empty() => {
            Some(article.original_sha256.clone())
        }
        _ => None,
    }
}

impl LinkRow {
    fn all(request: i32, change: &Change) -> impl Iterator<Item = Self> {
        let is_linked = change.has_new_content && !change.is_gone();
        let references = change.terms.references.iter().filter(move |_| is_linked);
        references.map(move |reference| Self {
            request,
            source: change.name.to_string(),
            target: reference.target.to_string(),
            field: reference.field.clone(),
        })
    }
}

impl TallyRow {
    fn all(request: i32, on_wire: bool, tallies: &Tallies) -> impl Iterator<Item = Self> {
        tally::positions(tallies).map(move |(place, amount)| Self {
            request,
            on_wire,
            place,
            amount,
        })
    }
}

impl RedactionRow {
    fn new(request: i32, copy: &NoteCopy) -> Self {
        Self {
            request,
            name: copy.name.to_string(),
            revision: copy.revision,
            meta: copy.meta.encode_to_vec(),
        }
    }
}

/// The arguments of one call of `append`.
#[derive(Default)]
pub(super) struct AppendArgs {
    requests: RequestColumns,
    reads: ReadSetColumns,
    citations: CitationColumns,
    writes: WriteColumns,
    relinks: RelinkColumns,
    links: LinkColumns,
    answers: AnswerColumns,
    additions: TallyColumns,
    blanks: RedactionColumns,
}

impl AppendArgs {
    /// The statement that calls `append`.
    pub(super) fn call(&self, at: OffsetDateTime) -> QueryBuilder<Postgres> {
        let mut call =
            QueryBuilder::new("SELECT request, desk_sequence, wire_sequence FROM append(");
        self.requests.push_arguments(&mut call);
        self.reads.push_arguments(&mut call);
        self.citations.push_arguments(&mut call);
        self.writes.push_arguments(&mut call);
        self.relinks.push_arguments(&mut call);
        self.links.push_arguments(&mut call);
        self.answers.push_arguments(&mut call);
        self.additions.push_arguments(&mut call);
        self.blanks.push_arguments(&mut call);
        call.push("at => ").push_bind(at).push(")");
        call
    }

    /// Adds a decided request. Its number in the group is the order in which it was added, from 1.
    pub(super) fn push(&mut self, request: &Request, decision: &Decision) {
        let number = i32::try_from(self.requests.author.len() + 1).unwrap_or(i32::MAX);
        let changes = || decision.outcomes.iter().filter_map(Outcome::change);
        self.requests.push(RequestRow::new(request, decision));
        for change in changes() {
            self.writes.push(WriteRow::new(number, change));
            self.push_links(number, change);
        }
        self.push_reads(number, decision);
        self.push_answers(number, decision);
        self.push_tallies(number, changes());
        for copy in &decision.redacted_notes {
            self.blanks.push(RedactionRow::new(number, copy));
        }
    }

    fn push_reads(&mut self, request: i32, decision: &Decision) {
        for (name, revision) in &decision.read_set.revisions {
            self.reads.push(ReadSetRow {
                request,
                name: name.to_string(),
                revision: *revision,
            });
        }
        for (name, citing) in &decision.read_set.citing {
            self.citations.push(CitationRow {
                request,
                name: name.to_string(),
                citing: *citing,
            });
        }
    }

    fn push_links(&mut self, request: i32, change: &Change) {
        let has_new_links = change.has_new_content || change.is_gone();
        if has_new_links && change.revision > 1 {
            let name = change.name.to_string();
            self.relinks.push(RelinkRow { request, name });
        }
        for link in LinkRow::all(request, change) {
            self.links.push(link);
        }
    }

    fn push_answers(&mut self, request: i32, decision: &Decision) {
        for outcome in &decision.outcomes {
            let (name, revision) = match outcome {
                Outcome::Changed(change) => (&change.name, change.revision),
                Outcome::Unchanged(name, revision) => (name, *revision),
            };
            self.answers.push(AnswerRow {
                request,
                name: name.to_string(),
                revision,
            });
        }
    }

    fn push_tallies<'a>(&mut self, request: i32, changes: impl Iterator<Item = &'a Change>) {
        let (mut desk, mut wire) = (Tallies::default(), Tallies::default());
        for change in changes {
            desk.tally_mut(change.kind())
                .merge(&change.tally(is_in_desk_digest));
            wire.tally_mut(change.kind())
                .merge(&change.tally(is_in_wire_digest));
        }
        let added = TallyRow::all(request, false, &desk).chain(TallyRow::all(request, true, &wire));
        for added in added {
            self.additions.push(added);
        }
    }
}
