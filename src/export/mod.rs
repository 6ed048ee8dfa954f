//! Exports: the records of a feed as files that other tools read.
//!
//! - [`mod@format`]: one encoder per format and kind, from records to bytes; no I/O, no clock.
//!
//! It knows the generated messages and the model; not gRPC, not the store, not the command line.

pub mod format;
