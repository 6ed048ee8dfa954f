//! The life of a record, as an adversary would lead it: every move between states, everything that may be
//! refused, and what is left of it in the past. What holds for every kind is one function, run for all four.

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
