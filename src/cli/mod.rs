//! The commands people type. Data goes to stdout, everything else to stderr; exit codes are documented in
//! the help. Clients of the server like any other: they never touch the store.

#[allow(dead_code, reason = "the command that reads a text is not wired yet")]
mod article_text;
mod demo;
mod filter;
mod health;
mod import;
pub mod json;
mod output;
mod read;
mod send;
mod serve;
mod watch;

use std::{io::Write, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand};
use tonic::Code;

use crate::client::Failure;

/// Exit code when the work was not done.
const FAILED: u8 = 1;
/// Exit code when a record does not exist. (2 is clap's, for wrong usage.)
const NOT_FOUND: u8 = 3;
/// Exit code when no server answers.
const UNAVAILABLE: u8 = 4;

/// Where a server listens and is looked for, unless told otherwise.
const DEFAULT_ADDRESS: &str = "127.0.0.1:7400";

const EXIT_CODES: &str = "Exit codes:
  0  done
  1  not done: refused, different, or failed; stderr says why
  2  wrong usage
  3  no such record
  4  no server answers, or its database is away";

/// Curated, structured news records: in through gRPC, out on a feed that loses nothing.
#[derive(Debug, Parser)]
#[command(name = "dateline", version, after_help = EXIT_CODES, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve gRPC, on your Postgres or on a private one that needs no setting up
    Serve(serve::Args),
    /// Show it all at work: an article's records sent, published, watched and compared, on a server of its own
    Demo(demo::Args),
    /// Send the records of a file; run again, it sends what is not there yet
    Import(import::Args),
    /// Read records by name
    Get(read::GetArgs),
    /// List records in order of their names
    List(read::ListArgs),
    /// Follow the feed: every change, in order, from a cursor, the beginning or now
    Watch(watch::Args),
    /// Ask whether the server and its database serve
    Health(health::Args),
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// Where the server is.
#[derive(Debug, Clone, clap::Args)]
struct Server {
    /// Address of the server
    #[arg(long, env = "DATELINE_SERVER", default_value = DEFAULT_ADDRESS, value_name = "HOST:PORT")]
    server: String,
}

/// Reads the command line and runs it.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let answer = runtime.block_on(dispatch(cli.command));
    // Nothing that is left, such as a read of stdin, may hold up the end.
    runtime.shutdown_background();
    match answer {
        Ok(code) => code,
        Err(error) => failed(&error),
    }
}

async fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(args) => serve::run(args).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Import(args) => import::run(args).await,
        Command::Get(args) => read::get(args).await,
        Command::List(args) => read::list(args).await,
        Command::Watch(args) => watch::run(args).await,
        Command::Health(args) => health::run(args).await,
        Command::Completions { shell } => {
            // By way of memory: the generator panics when whoever reads it has seen enough.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "dateline", &mut script);
            std::io::stdout().write_all(&script)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Tells what went wrong, and with which exit code.
fn failed(error: &anyhow::Error) -> ExitCode {
    if is_closed_pipe(error) {
        // Whoever read our output has seen enough.
        return ExitCode::SUCCESS;
    }
    let red = anstyle::Style::new()
        .fg_color(Some(anstyle::AnsiColor::Red.into()))
        .bold();
    output::say(format_args!("{red}error:{red:#} {}", chain(error)));
    match error.downcast_ref::<Failure>().map(|failure| failure.code) {
        Some(Code::NotFound) => NOT_FOUND.into(),
        Some(Code::Unavailable) => UNAVAILABLE.into(),
        _ => FAILED.into(),
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}

/// The error and its causes, but for causes that the text before them tells already.
fn chain(error: &anyhow::Error) -> String {
    error
        .chain()
        .map(ToString::to_string)
        .fold(String::new(), |told, cause| match told.as_str() {
            "" => cause,
            before if before.ends_with(&cause) => told,
            before => format!("{before}: {cause}"),
        })
}
