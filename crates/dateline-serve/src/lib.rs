//! The server as a program: the commands `serve`, `health` and `token create`, with their flags, logs, signals and exit
//! codes. The binary `dateline-server` has these alone; the command line `dateline` has the same code among its own
//! commands.

pub mod access;
mod cli;
pub mod connection;
pub mod duration;
pub mod exit;
pub mod health;
pub mod limits;
pub mod renamed_flags;
pub mod serve;
pub mod terminal;
pub mod time_arg;
pub mod tls;
pub mod token;

pub use cli::run;
