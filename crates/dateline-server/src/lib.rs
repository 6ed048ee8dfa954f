//! The gRPC server: services over pre-encoded bytes, errors as status, limits, start and stop. A handler decodes,
//! checks, calls and encodes; this crate holds no SQL and no rules about records.

mod accounts;
mod admin_service;
mod answer;
mod audit;
mod backpressure;
mod body;
pub mod budget;
pub mod codec;
mod commit;
pub mod config;
mod deadline;
mod door;
pub mod dress;
pub mod edge;
mod editorial_service;
mod embargoes;
mod entry;
mod export_service;
mod feed_service;
mod first_token;
mod guarded;
mod health;
mod history;
mod jobs;
mod leaving;
mod listen;
mod metrics;
pub mod page_token;
mod read;
mod reason;
mod record_service;
pub mod run;
mod servers;
mod starting;
pub mod status;
mod sweeper;
mod weigh;
mod whole_body;

pub use self::{
    config::{Config, Database, Limits},
    listen::Listen,
    run::{Error, Running, start},
};
