//! Requests: what each of them needs to read, and which changes it is allowed to make. Pure: no I/O, no async, no clock, no
//! randomness; all of those come in as arguments.

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
