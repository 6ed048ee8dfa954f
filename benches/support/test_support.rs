//! The builders of the tests, which are messages alone.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_wrap,
    unused_imports,
    reason = "what the tests do not expect ends the benchmark"
)]

#[path = "../../tests/it/support/builders.rs"]
pub mod builders;
#[path = "../../tests/it/support/records.rs"]
pub mod records;
