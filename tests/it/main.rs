//! One test binary: real server, real Postgres, real client. Test names are claims; those of tests for a promise of the
//! contract begin with its number.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_possible_wrap,
    clippy::large_futures,
    clippy::unnecessary_wraps,
    clippy::too_many_lines,
    clippy::format_collect,
    clippy::format_push_string,
    clippy::needless_for_each,
    reason = "a test that meets what it does not expect has to fail, and says so by panicking; tables are long"
)]

mod access;
mod architecture;
mod bad_input;
mod cli;
mod cli_events;
mod cli_exec;
mod cli_paths;
mod cli_read;
mod cli_replicas;
mod cli_terminal;
mod cli_watchers;
mod cli_yaml;
mod crash;
mod dead_connections;
mod desk;
mod desk_create;
mod desk_edit;
mod docs;
mod embedded;
mod erasure;
mod examples;
mod export_formats;
mod exports;
mod faults;
mod feed;
mod fuzzing;
mod generated;
mod gold;
mod imports;
mod lifecycle;
mod model_based;
mod module_circles;
mod renamed_flags;
mod replicas;
mod response_sizes;
mod streams;
mod transport;
/// Servers, builders, raw clients and other helpers that several tests share.
mod support {
    pub mod builders;
    pub mod callers;
    pub mod certs;
    pub mod export_dir;
    pub mod exporter;
    pub mod fixtures;
    pub mod held_stream;
    pub mod invariants;
    pub mod jwt_issuer;
    pub mod large_records;
    pub mod process;
    pub mod raw_grpc;
    pub mod raw_h2;
    pub mod records;
    pub mod replica;
    pub mod server;
    pub mod terminal;
    pub mod tools;
    pub mod watch;
}
mod supply_chain;
mod upgrade;
mod validator;
