//! Taking the state home: the service, and what clients make of it.

mod buckets;
pub mod homes;
pub mod nights;
pub mod states;
pub mod taker;
