//! Matching of actors: candidates, duplicates and mentions, as each caller may see them, at once after every change.
//! `access::matrix` has every caller and state; `crates/dateline-match` has the scores.

mod answers;
mod bounds;
mod leaks;
mod on_create;
