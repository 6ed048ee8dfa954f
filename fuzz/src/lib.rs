//! The targets, which live with the tests of the main crate: the same functions run there on every commit.

mod support;
#[path = "../../tests/it/fuzzing/targets/mod.rs"]
mod targets;

pub use targets::{ALL, run, seeds};
