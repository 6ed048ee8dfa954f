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
mod cli_find;
mod cli_paths;
mod cli_read;
mod cli_replicas;
mod cli_schema;
mod cli_terminal;
mod cli_watchers;
mod cli_yaml;
mod client_alone;
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
mod log_contents;
mod matching;
mod model_based;
mod module_circles;
mod projections;
mod record_cache;
mod renamed_flags;
mod replicas;
mod response_sizes;
mod search;
mod shared_pages;
mod statement_plans;
mod streams;
mod supply_chain;
mod support;
mod transport;
mod upgrade;
mod validator;
