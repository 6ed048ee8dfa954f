//! Helpers that several tests share. Start here for a new test:
//!
//! - a server: [`server`] (one Postgres for the run, a database per test), [`process`] (the program as a process),
//!   [`callers`], [`certs`] and [`jwt_issuer`] (credentials), [`fixtures`] (all kinds of records with all fields);
//! - messages: [`records`] (small records of every kind), [`builders`] (writes and requests), [`gold`] (the seed
//!   article), [`drafts`], [`crowd`] and [`large_records`] (many and large ones);
//! - calls: [`editing`] (commits and reads), [`watch`] (streams), [`replica`] (a consumer of a stream),
//!   [`matching`] (actors by their names), [`exporter`], [`held_stream`], [`raw_grpc`] and [`raw_h2`] (below the client), [`invariants`] (of a feed),
//!   [`exporter`], [`held_stream`], [`raw_grpc`] and [`raw_h2`] (below the client), [`invariants`] (of a feed),
//!   [`log_rows`] (of the log in the database),
//!   [`projections`] (what follows it);
//! - the command line: [`cli`], [`desk`], [`terminal`], [`export_dir`];
//! - surroundings: [`freezable_proxy`] (a database that falls silent), [`bucket`] (an object store), [`tools`]
//!   (programs of other languages).

pub mod bucket;
pub mod builders;
pub mod callers;
pub mod certs;
pub mod cli;
pub mod crowd;
pub mod desk;
pub mod drafts;
pub mod editing;
pub mod export_dir;
pub mod exporter;
pub mod fixtures;
pub mod freezable_proxy;
pub mod gold;
pub mod held_stream;
pub mod invariants;
pub mod jwt_issuer;
pub mod large_records;
pub mod log_rows;
pub mod matching;
pub mod process;
pub mod projections;
pub mod raw_grpc;
pub mod raw_h2;
pub mod records;
pub mod replica;
pub mod server;
pub mod terminal;
pub mod tools;
pub mod watch;
