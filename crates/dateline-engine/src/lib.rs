//! Decisions on requests: the data that each of them needs, and the changes that it makes. Pure: no I/O, no async, no
//! clock, no randomness; all of those are arguments.

pub mod change;
pub mod decide;
mod erasure;
pub mod load;
pub mod look;
mod next;
mod pins;
mod publishing;
mod reader;
pub mod refusal;
pub mod release;
pub mod request;
mod sources;
mod step;
mod warnings;
mod withdrawal;
pub mod world;
