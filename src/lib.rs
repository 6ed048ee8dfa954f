//! The command line. Data is written to stdout, everything else to stderr; the help documents the exit codes. Commands
//! are ordinary clients of the server and never access the store.

mod audit;
mod cloudevents;
mod confirm;
mod demo;
mod desk;
mod export;
mod feed;
mod filter;
mod find;
pub mod fuzz_targets;
mod generate;
mod import;
mod output;
mod progress;
mod read;
mod reindex;
mod signals;
mod state_file;
mod table;
mod token;
mod verify;
mod watch;

use std::{ffi::OsString, io::Write, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand};
use dateline_client::bulk;
pub use dateline_formats::json;
use dateline_formats::{export::NotBuilt, yaml};
pub use dateline_serve::renamed_flags;
use dateline_serve::{
    connection::{DEFAULT_ADDRESS, Server},
    duration,
    exit::{self, FAILED, NOT_FOUND, USAGE, is_closed_pipe, misused},
    health, serve, time_arg,
};

/// Exit code after SIGINT, by the convention of shells.
const INTERRUPTED: u8 = 130;

const EXIT_CODES: &str = "The flags that say how a server is reached (--server, --ca, --client-cert, --client-key, --token-file) stand before or
behind the command.

Exit codes:
  0  done
  1  not done: refused, different, or failed; stderr says why
  2  wrong usage
  3  no such record
  4  no server answers, or its database is away";

/// Curated, structured news records: written over gRPC, read from a feed that loses nothing.
#[derive(Debug, Parser)]
#[command(name = "dateline", version, after_help = EXIT_CODES, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve gRPC, on a given Postgres or on a private one that needs no setup
    Serve(serve::Args),
    /// Demonstrate the whole path: send, publish, watch and compare an article's records, on a server of its own
    Demo(demo::Args),
    /// Send the records of a file; a second run sends only those that are not there yet
    #[command(after_help = import::HELP)]
    Import(import::Args),
    /// Create a draft from a record in a file, or from the plain text of an article
    #[command(after_help = "Examples:
  dateline create nato.yaml
  dateline create article story.txt --language en")]
    Create(desk::CreateArgs),
    /// Edit a draft in your editor
    #[command(after_help = "Example:
  EDITOR=nano dateline edit actors/nato")]
    Edit(desk::EditArgs),
    /// Submit drafts for review
    #[command(after_help = "Example:
  dateline submit events/steppe-eagle actors/nato")]
    Submit(desk::NamesArgs),
    /// Return records in review or under embargo to their authors, as drafts
    #[command(after_help = "Example:
  dateline send-back events/steppe-eagle --note 'who says that it recurs?'")]
    SendBack(desk::SendBackArgs),
    /// Publish records together, now or at a given time
    #[command(after_help = "Examples:
  dateline publish articles/some-story --with-references
  dateline publish articles/some-story --at 2026-08-01T06:00:00Z")]
    Publish(desk::PublishArgs),
    /// Edit a published record, with a note to readers
    #[command(after_help = "Example:
  dateline correct actors/nato --note 'The name was misspelt.'")]
    Correct(desk::CorrectArgs),
    /// Retract published records; their names then resolve to tombstones
    #[command(after_help = "Example:
  dateline retract articles/some-story --cascade --note 'The meeting did not take place.'")]
    Retract(desk::RetractArgs),
    /// Merge one of two published records on the same subject into the other
    #[command(after_help = "Example:
  dateline merge actors/n-a-t-o --into actors/nato --note 'The same organization.'")]
    Merge(desk::MergeArgs),
    /// Undo a merge
    #[command(after_help = "Example:
  dateline unmerge actors/n-a-t-o --note 'Another organization after all.'")]
    Unmerge(desk::UnmergeArgs),
    /// Restore the content of an older revision as the newest
    #[command(after_help = "Example:
  dateline restore actors/nato 2 --note 'Revision 3 was mistaken.'")]
    Restore(desk::RestoreArgs),
    /// Delete drafts; their names are never reused
    #[command(after_help = "Example:
  dateline delete actors/nobody")]
    Delete(desk::NamesArgs),
    /// Erase the content of a record from all of its revisions, as the law may require
    #[command(after_help = "Example:
  dateline purge actors/jane-doe --note 'Court order 12/2026.'")]
    Purge(desk::PurgeArgs),
    /// Compare two revisions of a record, field by field
    #[command(after_help = "Example:
  dateline diff actors/nato 2 5")]
    Diff(desk::DiffArgs),
    /// List the revisions of a record, newest first
    #[command(after_help = "Example:
  dateline history actors/nato")]
    History(desk::HistoryArgs),
    /// Read records by name
    Get(read::GetArgs),
    /// List records in order of their names, or of their latest changes
    #[command(after_help = "Examples:
  dateline list --kind actor --region KZ
  dateline list --newest --view desk --author jane --since -3d")]
    List(read::ListArgs),
    /// Find records by words: names in any script and spelling, headlines, texts, quotes
    #[command(after_help = "Examples:
  dateline find port authority
  dateline find '\"port authority\" -airport' --kind actor --view desk
  dateline find назарбаев --count kind --output ndjson

Exit code 3: nothing was found.")]
    Find(find::Args),
    /// Follow the feed: every change in order, from a cursor, a time, a snapshot, the beginning or now
    #[command(after_help = "Examples:
  dateline watch --snapshot --kind event
  dateline watch --state-file news.state --output ndjson >> news.ndjson
  dateline watch --snapshot --state-file news.state --exec ./load
  dateline watch --since 2026-08-01T06:00:00Z
  dateline watch --since beginning --output cloudevents")]
    Watch(watch::Args),
    /// Verify that log, records and digest agree; that a file of `dateline watch --output ndjson` is a true copy; or
    /// that an export is complete
    #[command(after_help = "Examples:
  dateline verify
  dateline verify --view desk
  dateline verify exports/published-1a2b3c4d-000000000047
  dateline watch --snapshot -o ndjson --limit 1000 > copy.ndjson; dateline verify copy.ndjson")]
    Verify(verify::Args),
    /// Show the identity, sequence and digest of the feed; or make a copied database a feed of its own
    #[command(after_help = "Examples:
  dateline feed
  dateline feed fork")]
    Feed(feed::Args),
    /// Export the state of a feed as files, or the changes since the last export; run again to resume an interrupted
    /// one
    #[command(after_help = "Examples:
  dateline export --out exports --format ndjson,parquet --compress zstd
  dateline export --out exports --since latest
  dateline export --out s3://bucket/dateline --schedule '0 2 * * *' --keep 7

Exit codes: 0 complete, 1 failed, 4 no server answers, 130 stopped; after all but the first the same command goes on.")]
    Export(export::Args),
    /// Apply deltas to a full export, and verify the result against the feed's digest
    #[command(after_help = "Example:
  dateline apply exports/published-1a2b3c4d-000000000047 exports/published-1a2b3c4d-000000000052-since-000000000047 --out tonight")]
    Apply(export::ApplyArgs),
    /// Drop superseded revisions and the history before a given point
    #[command(after_help = "Example:
  dateline compact --before 2026-01-01T00:00:00Z --dry-run")]
    Compact(feed::CompactArgs),
    /// Make the search index again, beside the present one: after a dictionary of the database has changed
    Reindex(reindex::Args),
    /// Create, list, change and revoke tokens, with their roles, scopes and expiry
    Token(token::Args),
    /// Show the audit log: who did what, from where and when
    #[command(after_help = "Examples:
  dateline audit --record actors/nato
  dateline audit --since -7d --output ndjson > audit.ndjson")]
    Audit(audit::Args),
    /// Generate records for tests and measurements: the same seed always gives the same bytes
    #[command(after_help = "Examples:
  dateline generate --records 1000 --seed 7 | dateline import - --publish
  dateline generate --records 1000000 --seed 7 --format protobuf --output million.binpb")]
    Generate(generate::Args),
    /// Check that the server and its database serve
    Health(health::Args),
    /// Print a completion script for a shell
    Completions {
        /// Shell
        shell: clap_complete::Shell,
    },
}

/// Reads the command line and runs it.
pub fn run() -> ExitCode {
    let arguments = move_connection_flags(std::env::args_os().collect());
    let serves = |cli: &Cli| matches!(cli.command, Command::Serve(_));
    let cli = renamed_flags::parse(&arguments, serves).unwrap_or_else(|error| error.exit());
    exit::block_on(async {
        let answer = Box::pin(dispatch(cli.command)).await;
        Ok(answer.unwrap_or_else(|error| failed(&error)))
    })
}

/// Flags that say how a server is reached, each with a value.
const CONNECTION_FLAGS: [&str; 5] = [
    "--server",
    "--ca",
    "--client-cert",
    "--client-key",
    "--token-file",
];

/// Moves connection flags from before the subcommand to the end: only subcommands that use a server accept them.
fn move_connection_flags(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let mut end = 1;
    while let Some(flag) = arguments.get(end).and_then(|flag| flag.to_str()) {
        if CONNECTION_FLAGS.contains(&flag) {
            end += 2;
        } else if flag
            .split_once('=')
            .is_some_and(|(flag, _)| CONNECTION_FLAGS.contains(&flag))
        {
            end += 1;
        } else {
            break;
        }
    }
    if end >= arguments.len() {
        return arguments;
    }
    let flags: Vec<_> = arguments.drain(1..end).collect();
    let last = arguments.iter().position(|argument| argument == "--");
    let last = last.unwrap_or(arguments.len());
    arguments.splice(last..last, flags);
    arguments
}

async fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(args) => serve::run(args).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Import(args) => import::run(args).await,
        Command::Create(args) => desk::create(args).await,
        Command::Edit(args) => desk::edit(args).await,
        Command::Submit(args) => desk::submit(args).await,
        Command::SendBack(args) => desk::send_back(args).await,
        Command::Publish(args) => desk::publish(args).await,
        Command::Correct(args) => desk::correct(args).await,
        Command::Retract(args) => desk::retract(args).await,
        Command::Merge(args) => desk::merge(args).await,
        Command::Unmerge(args) => desk::unmerge(args).await,
        Command::Restore(args) => desk::restore(args).await,
        Command::Delete(args) => desk::delete(args).await,
        Command::Purge(args) => desk::purge(args).await,
        Command::Diff(args) => desk::diff(args).await,
        Command::History(args) => desk::history(args).await,
        Command::Get(args) => read::get(args).await,
        Command::List(args) => read::list(args).await,
        Command::Find(args) => find::run(args).await,
        Command::Watch(args) => watch::run(args).await,
        Command::Verify(args) => verify::run(args).await,
        Command::Feed(args) => feed::run(args).await,
        Command::Export(args) => export::run(args).await,
        Command::Apply(args) => export::apply(args).await,
        Command::Reindex(args) => reindex::run(args).await,
        Command::Compact(args) => feed::compact(args).await,
        Command::Token(args) => token::run(args).await,
        Command::Audit(args) => audit::run(args).await,
        Command::Generate(args) => generate::run(args).await,
        Command::Health(args) => health::run(args).await,
        Command::Completions { shell } => {
            // Buffered: the generator panics if stdout is closed.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "dateline", &mut script);
            std::io::stdout().write_all(&script)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Reports the error of a command, and returns its exit code.
fn failed(error: &anyhow::Error) -> ExitCode {
    let not_built = |cause: &(dyn std::error::Error + 'static)| cause.is::<NotBuilt>();
    if error.chain().any(not_built) {
        return exit::report(error, USAGE);
    }
    let of_bulk = error.downcast_ref::<bulk::Error>();
    match of_bulk.and_then(bulk::Error::failure) {
        Some(failure) => exit::report(error, exit::code_of(failure)),
        None => exit::failed(error),
    }
}

#[cfg(test)]
mod tests {
    use super::move_connection_flags;

    #[test]
    fn flags_of_a_connection_may_stand_before_the_command() {
        for (given, expected) in [
            ("d list", "d list"),
            (
                "d --server a:1 list --limit 3",
                "d list --limit 3 --server a:1",
            ),
            ("d --server=a:1 --ca f get x", "d get x --server=a:1 --ca f"),
            ("d --server a:1 get -- x", "d get --server a:1 -- x"),
            ("d --server a:1", "d --server a:1"),
            ("d --server", "d --server"),
            ("d --help", "d --help"),
            ("d", "d"),
        ] {
            let given = given.split(' ').map(Into::into).collect();
            let moved = move_connection_flags(given).join(std::ffi::OsStr::new(" "));
            assert_eq!(moved, expected);
        }
    }
}
