//! Builders of the tests that seeds use.

#![allow(dead_code, reason = "seeds use a part of them")]

#[path = "../../tests/it/support/builders.rs"]
pub mod builders;
#[path = "../../tests/it/support/records.rs"]
pub mod records;
