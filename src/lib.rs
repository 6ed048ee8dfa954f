//! Dateline: curated, structured news records, in through gRPC and out on a feed that loses nothing.
//!
//! The map of the house is `ARCHITECTURE.md`. Dependencies point one way:
//! `cli → client → proto`, `server → access → store → model → proto`, `server → feed → store`; `generate` knows `proto` alone.

pub mod access;
pub mod cli;
pub mod client;
pub mod export;
pub mod feed;
pub mod files;
pub mod generate;
pub mod model;
pub mod proto;
pub mod server;
pub mod store;
