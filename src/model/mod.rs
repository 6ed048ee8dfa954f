//! What a record is and which changes are allowed. Pure: no I/O, no async, no clock, no randomness; all of
//! those come in as arguments.

pub mod walk;
