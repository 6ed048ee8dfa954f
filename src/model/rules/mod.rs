//! Rules of one record.
pub mod quote;
