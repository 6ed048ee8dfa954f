//! One test binary: real server, real Postgres, real client. Names of tests are claims; those that keep a
//! promise of the contract begin with its number.

mod architecture;
mod cli;
mod cli_read;
mod crash;
mod embedded;
mod feed;
mod gold;
mod history;
mod rig;
mod streams;
