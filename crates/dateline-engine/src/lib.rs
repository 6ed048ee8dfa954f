//! Decisions on requests: the data that each of them needs, and the changes that it makes. Pure: no I/O, no async, no
//! clock, no randomness; all of those are arguments.

pub mod change;
mod checked_view;
pub mod commitment;
pub mod decide;
mod erasure;
pub mod etag;
pub mod load;
mod merge;
mod parse;
mod pins;
pub mod prefetch;
mod publication;
mod quotes;
pub mod read_plan;
pub mod read_view;
pub mod rejection;
pub mod release;
pub mod request;
mod revision;
mod sources;
mod transition;
mod warnings;
mod withdrawal;
