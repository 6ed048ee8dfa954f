//! The gRPC server: services over pre-encoded bytes, errors as status, limits, start and stop. A handler decodes,
//! checks, calls and encodes; this crate holds no SQL and no rules about records.

mod bootstrap_token;
pub mod config;
mod drain;
mod embargo_status;
mod embargo_sweeper;
mod health;
mod jobs;
mod lockout_warning;
mod matcher;
mod mention_index;
mod metrics;
pub mod middleware;
mod projections;
mod reason;
pub mod run;
mod servers;
pub mod services;
mod startup;
pub mod status;
pub mod transport;

pub use self::{
    config::{Config, DEFAULT_RECORD_CACHE_BYTES, Database, Limits},
    run::{Error, Running, start},
    transport::listen::Listen,
};
