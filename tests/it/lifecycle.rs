//! The states of a record under adversarial use: every transition, every refusal, and the history that remains. A
//! property of every kind is one function, run for all four.

mod bounds;
mod calls;
mod documents;
mod edits;
mod embargo;
mod groups;
mod languages;
mod masks;
mod merges;
mod names;
mod notes;
mod pins;
mod purge;
mod quotes;
mod references;
mod releases;
mod requests;
mod revisions;
mod withdrawal;
