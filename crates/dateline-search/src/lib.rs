//! The words of records and of queries: which an index holds, how a query asks for them, how hits are ranked, and
//! which parts of a record are highlighted.
//!
//! Pure: no I/O, no clock, no async; it knows nothing of gRPC and no statement of SQL. It writes the texts of
//! `tsvector` and `tsquery`, because only the two together decide what is found. The same functions cut the words of
//! both sides.

mod document;
mod fields;
mod highlight;
mod languages;
mod query;
mod rank;
mod typos;
mod words;

pub use crate::{
    document::{Document, VERSION},
    fields::title,
    highlight::{Fragment, fragments},
    languages::configuration,
    query::{MAX_WORDS, Query, QueryError, Stems},
    rank::{Candidate, MIN_SCORE},
};
