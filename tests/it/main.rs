//! One test binary: real server, real Postgres, real client. Names of tests are claims; those that keep a
//! promise of the contract begin with its number.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that meets what it does not expect has to fail, and says so by panicking"
)]
#![allow(
    clippy::large_futures,
    reason = "a test is one future, and tells its story from beginning to end"
)]

mod architecture;
mod cli;
mod cli_read;
mod crash;
mod embedded;
mod feed;
mod gold;
mod history;
mod life;
mod model_based;
mod rig;
mod streams;
