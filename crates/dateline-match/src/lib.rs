//! Comparison of names of actors, for duplicates, imports and mentions in text.
//!
//! [`Profile`] parses one actor, [`compare`] scores two with reasons, [`keys()`] gives what an index needs to find those
//! worth comparing, and [`Mentions`] finds known names in a text. Pure: no I/O, no clock, no async; it knows nothing of
//! SQL or gRPC. A score never changes a record: what a band means is for the caller.

mod align;
mod body;
mod compare;
mod features;
mod fold;
mod implied;
mod keys;
mod lexicon;
mod mentions;
mod outcome;
mod person;
mod profile;
mod romanize;
mod score;
mod sound;

pub use crate::{
    compare::{compare, resolve},
    fold::{VERSION, normalize},
    keys::{Key, KeyClass, MAX_KEYS, Spelling, keys, profile_keys, spellings},
    mentions::{Mention, Mentions},
    outcome::{Part, Unmatched},
    profile::{Identifier, MAX_NAMES, ParsedName, Profile},
    score::{Band, Feature, POSSIBLE, Score, VERY_LIKELY},
};
