//! One test binary: real server, real Postgres, real client. Names of tests are claims; those that keep a
//! promise of the contract begin with its number.

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
mod answers;
mod architecture;
mod bad_input;
mod cli;
mod cli_copies;
mod cli_events;
mod cli_exec;
mod cli_paths;
mod cli_read;
mod cli_terminal;
mod cli_watchers;
mod cli_yaml;
mod copies;
mod crash;
mod desk;
mod desk_create;
mod desk_edit;
mod docs;
mod edge;
mod embedded;
mod examples;
mod export_formats;
mod exports;
mod faults;
mod feed;
mod fuzzing;
mod generated;
mod gold;
mod history;
mod imports;
mod life;
mod model_based;
mod process;
mod rig;
mod silences;
mod streams;
mod supply;
mod terminal;
mod tools;
mod upgrade;
mod validator;
