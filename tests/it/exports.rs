//! Exports of the state: the service, and its clients.

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
