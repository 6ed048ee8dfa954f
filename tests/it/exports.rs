//! Taking the state home: the service, and what clients make of it.

pub mod homes;
pub mod nights;
pub mod states;
pub mod taker;
