//! Support code of the benchmarks.

#![allow(dead_code, reason = "each benchmark uses its part of this")]

pub mod child;
pub mod cloned_records;
pub mod command;
pub mod compare;
pub mod constant;
pub mod latencies;
pub mod raw_client;
pub mod records;
pub mod server;
pub mod test_support;
pub mod watchers;
