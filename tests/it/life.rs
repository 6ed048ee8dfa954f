//! The states of a record under adversarial use: every transition, every refusal, and the history that remains. A
//! property of every kind is one function, run for all four.

mod bounds;
mod calls;
mod documents;
mod edits;
mod embargo;
mod groups;
pub mod hands;
mod languages;
mod masks;
mod merges;
mod names;
mod notes;
mod past;
mod pins;
mod purge;
pub mod records;
mod references;
mod releases;
mod requests;
mod withdrawal;
