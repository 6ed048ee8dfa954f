//! Decided requests as the arguments of `append`: rows of each kind, kept in columns.

use dateline_engine::{
    change::{Change, Decision, Outcome},
    commitment::Commitment,
    read_view::NoteCopy,
    request::Request,
};
use dateline_proto::v1::{State, record::Kind as Body};
use dateline_record::{
    digest::{Tallies, is_in_desk_digest, is_in_wire_digest},
    name::kind_label,
    revision::Revision,
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
    ($(#[$doc:meta])* $row:ident $(<$life:lifetime>)?, $columns:ident, $prefix:literal, {
        $($field:ident: $value:ty, $type:literal;)*
    }) => {
        $(#[$doc])*
        pub(super) struct $row $(<$life>)? {
            $($field: $value,)*
        }

        #[derive(Default)]
        pub(super) struct $columns $(<$life>)? {
            $($field: Vec<$value>,)*
        }

        impl $(<$life>)? $columns $(<$life>)? {
            fn push(&mut self, row: $row $(<$life>)?) {
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
    RequestRow<'a>, RequestColumns, "request", {
        author: &'a str, "text";
        credential: &'a str, "text";
        peer: &'a str, "text";
        method: &'a str, "text";
        id: Option<Uuid>, "uuid";
        fingerprint: &'a [u8], "bytea";
        warnings: Vec<u8>, "bytea";
    }
}

columns! {
    /// A record with the revision that a decision has read; 0 if there was none.
    ReadSetRow<'a>, ReadSetColumns, "read", {
        request: i32, "int";
        name: &'a str, "text";
        revision: i64, "bigint";
    }
}

columns! {
    /// An article, with the number of published records that cite it.
    CitationRow<'a>, CitationColumns, "citation", {
        request: i32, "int";
        name: &'a str, "text";
        citing: i64, "bigint";
    }
}

columns! {
    /// A new revision of a record.
    WriteRow<'a>, WriteColumns, "write", {
        request: i32, "int";
        name: &'a str, "text";
        uid: Uuid, "uuid";
        kind: &'a str, "text";
        change_type: String, "text";
        revision: i64, "bigint";
        state: String, "text";
        head_state: String, "text";
        state_before: Option<String>, "text";
        on_wire: bool, "boolean";
        keeps_content: bool, "boolean";
        content: &'a [u8], "bytea";
        meta: Vec<u8>, "bytea";
        facets: String, "text";
        facets_before: String, "text";
        days: Option<PgRange<Date>>, "daterange";
        days_before: Option<PgRange<Date>>, "daterange";
        changed_fields: String, "text";
        note: &'a str, "text";
        previous: Option<i64>, "bigint";
        commitment: Option<[u8; 32]>, "bytea";
        salt: Option<[u8; 32]>, "bytea";
        keys: String, "text";
        original_sha256: Option<&'a str>, "text";
        merged_into: Option<&'a str>, "text";
        embargo_at: Option<OffsetDateTime>, "timestamptz";
    }
}

columns! {
    /// A record whose earlier links are deleted.
    RelinkRow<'a>, RelinkColumns, "relinked", {
        request: i32, "int";
        name: &'a str, "text";
    }
}

columns! {
    /// A reference of one record to another.
    LinkRow<'a>, LinkColumns, "link", {
        request: i32, "int";
        source: &'a str, "text";
        target: &'a str, "text";
        field: &'a str, "text";
    }
}

columns! {
    /// A record with the revision that the response reports.
    AnswerRow<'a>, AnswerColumns, "answer", {
        request: i32, "int";
        name: &'a str, "text";
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
    RedactionRow<'a>, RedactionColumns, "blank", {
        request: i32, "int";
        name: &'a str, "text";
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

impl<'a> RequestRow<'a> {
    fn new(request: &'a Request, decision: &Decision) -> Self {
        Self {
            author: &request.by.author,
            credential: &request.by.credential,
            peer: &request.by.peer,
            method: &request.by.method,
            id: request.id,
            fingerprint: &request.fingerprint,
            warnings: encode_warnings(&decision.warnings),
        }
    }
}

impl<'a> WriteRow<'a> {
    fn new(request: i32, change: &'a Change, commitment: Option<Commitment>) -> Self {
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
            name: change.name.as_str(),
            uid: change.uid,
            kind: kind_label(change.kind()),
            change_type: type_column(change.change_type),
            revision: change.revision.get(),
            state,
            head_state,
            state_before: change.state_before.map(state_column),
            on_wire: change.is_on_wire(),
            keeps_content: change.keeps_content(),
            content: if change.keeps_content() {
                &[]
            } else {
                &change.content
            },
            meta: change.meta_bytes(),
            facets: join_lines(&change.terms.facets),
            facets_before: join_lines(&change.facets_before),
            days: change.terms.days.map(range),
            days_before: change.days_before.map(range),
            changed_fields: join_lines(&change.changed_fields),
            note: &change.note,
            previous: change.previous.filter(|_| change.is_on_wire()),
            commitment: commitment.map(|it| it.commitment),
            salt: commitment.map(|it| it.salt),
            keys: join_numbers(&change.terms.keys),
            original_sha256: original(change),
            merged_into: (!merged_into.is_empty()).then_some(merged_into.as_str()),
            embargo_at: until.and_then(instant),
        }
    }
}

/// The hash by which a text is recognised that was received before; a deleted draft no longer has one.
fn original(change: &Change) -> Option<&str> {
    match &change.body {
        Body::Article(article) if !change.is_gone() && !article.original_sha256.is_empty() => {
            Some(&article.original_sha256)
        }
        _ => None,
    }
}

impl<'a> LinkRow<'a> {
    fn all(request: i32, change: &'a Change) -> impl Iterator<Item = Self> {
        let is_linked = change.has_new_content && !change.is_gone();
        let references = change.terms.references.iter().filter(move |_| is_linked);
        references.map(move |reference| Self {
            request,
            source: change.name.as_str(),
            target: reference.target.as_str(),
            field: &reference.field,
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

impl<'a> RedactionRow<'a> {
    fn new(request: i32, copy: &'a NoteCopy) -> Self {
        Self {
            request,
            name: copy.name.as_str(),
            revision: copy.revision.get(),
            meta: copy.meta.encode_to_vec(),
        }
    }
}

/// The arguments of one call of `append`.
pub(super) struct AppendArgs<'a> {
    /// The feed that the changes are committed to.
    feed: Uuid,
    /// Time of the changes.
    at: OffsetDateTime,
    requests: RequestColumns<'a>,
    reads: ReadSetColumns<'a>,
    citations: CitationColumns<'a>,
    writes: WriteColumns<'a>,
    relinks: RelinkColumns<'a>,
    links: LinkColumns<'a>,
    answers: AnswerColumns<'a>,
    additions: TallyColumns,
    blanks: RedactionColumns<'a>,
}

impl<'a> AppendArgs<'a> {
    /// Returns the arguments of a group without requests.
    pub(super) fn new(feed: Uuid, at: OffsetDateTime) -> Self {
        Self {
            feed,
            at,
            requests: RequestColumns::default(),
            reads: ReadSetColumns::default(),
            citations: CitationColumns::default(),
            writes: WriteColumns::default(),
            relinks: RelinkColumns::default(),
            links: LinkColumns::default(),
            answers: AnswerColumns::default(),
            additions: TallyColumns::default(),
            blanks: RedactionColumns::default(),
        }
    }

    /// The statement that calls `append`.
    pub(super) fn call(&self) -> QueryBuilder<Postgres> {
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
        call.push("known_feed => ").push_bind(self.feed);
        call.push(", at => ").push_bind(self.at).push(")");
        call
    }

    /// Adds a decided request. Its number in the group is the order in which it was added, from 1.
    pub(super) fn push(&mut self, request: &'a Request, decision: &'a Decision) {
        let number = i32::try_from(self.requests.author.len() + 1).unwrap_or(i32::MAX);
        let changes = || decision.outcomes.iter().filter_map(Outcome::change);
        self.requests.push(RequestRow::new(request, decision));
        for change in changes() {
            let commitment = Commitment::new(change, self.feed, self.at, rand::random());
            self.writes.push(WriteRow::new(number, change, commitment));
            self.push_links(number, change);
        }
        self.push_reads(number, decision);
        self.push_answers(number, decision);
        self.push_tallies(number, changes());
        for copy in &decision.redacted_notes {
            self.blanks.push(RedactionRow::new(number, copy));
        }
    }

    fn push_reads(&mut self, request: i32, decision: &'a Decision) {
        for (name, revision) in &decision.read_set.revisions {
            self.reads.push(ReadSetRow {
                request,
                name: name.as_str(),
                revision: revision.get(),
            });
        }
        for (name, citing) in &decision.read_set.citing {
            self.citations.push(CitationRow {
                request,
                name: name.as_str(),
                citing: *citing,
            });
        }
    }

    fn push_links(&mut self, request: i32, change: &'a Change) {
        let has_new_links = change.has_new_content || change.is_gone();
        if has_new_links && change.revision > Revision::FIRST {
            let name = change.name.as_str();
            self.relinks.push(RelinkRow { request, name });
        }
        for link in LinkRow::all(request, change) {
            self.links.push(link);
        }
    }

    fn push_answers(&mut self, request: i32, decision: &'a Decision) {
        for outcome in &decision.outcomes {
            let (name, revision) = match outcome {
                Outcome::Changed(change) => (&change.name, change.revision),
                Outcome::Unchanged(name, revision) => (name, *revision),
            };
            self.answers.push(AnswerRow {
                request,
                name: name.as_str(),
                revision: revision.get(),
            });
        }
    }

    fn push_tallies(&mut self, request: i32, changes: impl Iterator<Item = &'a Change>) {
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
