//! What a record is and which changes are allowed. Pure: no I/O, no async, no clock, no randomness; all of
//! those come in as arguments.

pub mod change;
pub mod decide;
pub mod diff;
pub mod digest;
pub mod drawing;
pub mod edtf;
pub mod encoded;
mod erasure;
pub mod filter;
pub mod load;
pub mod look;
pub mod mask;
pub mod name;
mod next;
mod pins;
mod publishing;
mod reader;
pub mod record;
pub mod references;
pub mod refusal;
pub mod release;
pub mod request;
pub mod rules;
pub mod seal;
mod sources;
mod step;
pub mod text;
pub mod validate;
pub mod violation;
pub mod walk;
mod warnings;
mod withdrawal;
pub mod world;
