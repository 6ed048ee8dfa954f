//! States of a record: their visibility to readers, and the names of states and changes in plain words.

use dateline_proto::v1::{State, change};

use super::index::state_facet;

/// Returns true if records in this state are visible to readers, also as tombstones (F10).
#[must_use]
pub fn is_visible(state: State) -> bool {
    matches!(state, State::Published | State::Retracted | State::Merged)
}

/// Returns true if a record in this state is a tombstone: readers get its name and meta, not its content.
#[must_use]
pub fn is_tombstone(state: State) -> bool {
    matches!(state, State::Retracted | State::Merged)
}

/// The name of a state in plain words: `in review`, `published` …
#[must_use]
pub fn state_label(state: State) -> String {
    state_facet(state).replace('_', " ")
}

/// The name of a type of change in plain words: `created`, `published` …
#[must_use]
pub fn change_label(what: change::Type) -> String {
    let word = what.as_str_name().trim_start_matches("TYPE_");
    word.to_ascii_lowercase()
}
