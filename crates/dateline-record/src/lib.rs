//! One record: its name, states, fields, rules, filters and digest. Pure: no I/O, no async, no clock, no randomness;
//! all of those are passed in as arguments.

pub mod diff;
pub mod digest;
pub mod edtf;
pub mod encoded;
pub mod encoded_references;
pub mod filter;
pub mod index;
pub mod mac;
pub mod mask;
pub mod name;
pub mod record;
pub mod references;
pub mod release;
pub mod revision;
pub mod rules;
pub mod sequence;
pub mod slot;
pub mod state;
pub mod statement;
#[cfg(test)]
mod statement_tests;
pub mod text;
pub mod timestamp;
pub mod validate;
pub mod violation;
pub mod walk;
pub mod wire;
