//! The command line of `dateline-server`. Without a command it serves.

use std::{ffi::OsString, process::ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};

use super::{
    connection::Server,
    exit, health, renamed_flags, serve,
    token::{self, CreateArgs},
};

const AFTER_HELP: &str =
    "Without a command it serves. The other commands of Dateline are in the program `dateline`.

Exit codes:
  0  done
  1  not done: refused, or failed; stderr says why
  2  wrong usage
  4  no server answers, or its database is away";

/// The server of Dateline, without the tools of the command line.
#[derive(Debug, Parser)]
#[command(name = "dateline-server", version, after_help = AFTER_HELP, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve gRPC, on a given Postgres or on a private one that needs no setup
    Serve(Box<serve::Args>),
    /// Check that the server and its database serve
    Health(health::Args),
    /// Create tokens, with their roles, scopes and expiry
    Token(TokenArgs),
}

#[derive(Debug, clap::Args)]
struct TokenArgs {
    #[command(subcommand)]
    act: TokenCommand,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Create a token and print it; it cannot be printed again
    Create(CreateArgs),
}

/// Reads the command line and runs it.
pub fn run() -> ExitCode {
    let arguments = with_command(std::env::args_os().collect());
    let serves = |cli: &Cli| matches!(cli.command, Command::Serve(_));
    let cli = renamed_flags::parse(&arguments, serves).unwrap_or_else(|error| error.exit());
    exit::block_on(dispatch(cli.command))
}

/// Adds `serve` if the arguments begin with a flag, or if there are none.
fn with_command(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let is_served = match arguments.get(1).map(|it| it.to_string_lossy()) {
        Some(first) => {
            first.starts_with('-') && !["-h", "--help", "-V", "--version"].contains(&first.as_ref())
        }
        None => true,
    };
    if is_served {
        arguments.insert(arguments.len().min(1), "serve".into());
    }
    arguments
}

async fn dispatch(command: Command) -> Result<ExitCode> {
    match command {
        Command::Serve(args) => serve::run(*args).await,
        Command::Health(args) => health::run(args).await,
        Command::Token(args) => match args.act {
            TokenCommand::Create(create) => token::create(&args.server, create).await,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::with_command;

    #[test]
    fn without_a_command_it_serves() {
        for (given, expected) in [
            ("d", "d serve"),
            ("d --listen 127.0.0.1:0", "d serve --listen 127.0.0.1:0"),
            ("d serve --log warn", "d serve --log warn"),
            ("d health", "d health"),
            ("d --help", "d --help"),
            ("d -V", "d -V"),
            ("d nonsense", "d nonsense"),
        ] {
            let given = given.split(' ').map(Into::into).collect();
            let complete = with_command(given).join(std::ffi::OsStr::new(" "));
            assert_eq!(complete, expected);
        }
    }
}
