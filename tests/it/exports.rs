//! Taking the state home: the service, and what clients make of it.

pub mod buckets;
mod deltas;
pub mod home;
mod homes;
mod loads;
mod named;
mod nights;
mod references;
mod states;
mod taker;
