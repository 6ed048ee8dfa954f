//! gRPC: services over ready bytes, errors to status, limits, start and stop. Thin: decode, check, call,
//! encode. Knows no SQL, and decides nothing about records.

mod admin_service;
mod body;
pub mod codec;
mod commit;
pub mod config;
mod deadline;
pub mod dress;
mod editorial_service;
mod export_service;
mod feed_service;
mod history;
mod metrics;
pub mod page_token;
mod read;
mod record_service;
pub mod run;
pub mod status;
mod sweeper;
mod weigh;

pub use self::{
    config::{Config, Database, Limits},
    run::{Error, Running, start},
};
