//! Support code of the benchmarks.

#![allow(dead_code, reason = "each benchmark uses its part of this")]

pub mod child;
pub mod clones;
pub mod command;
pub mod compare;
pub mod constant;
pub mod raw;
pub mod records;
pub mod site;
pub mod times;
pub mod watching;
