//! Exports of the state: the service, and its clients.

pub mod buckets;
mod command;
mod deltas;
mod loads;
mod record_names;
mod references;
mod schedules;
mod states;
