//! `dateline watch`: the feed as lines. It goes on from its last cursor when the server comes back.

use std::{io::Write, process::ExitCode};

use anyhow::Result;
use prost_reflect::DynamicMessage;
use serde::Serialize;

use super::{
    Server,
    filter::{self, ViewArg},
    json,
    output::{Format, printable, say, title, type_word},
};
use crate::{
    client::Watch,
    proto::v1::{
        Change, Origin, View, WatchRequest, WatchResponse, change::Type, watch_request::Start,
    },
};

/// `dateline watch`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Go on after this cursor
    #[arg(long, conflicts_with = "from_beginning", value_name = "CURSOR")]
    since: Option<String>,
    /// Begin with the first change; without this or --since, with what comes from now on
    #[arg(long)]
    from_beginning: bool,
    /// The feed of what readers see, or the desk's, of every change
    #[arg(long, value_enum, default_value_t)]
    view: ViewArg,
    /// Stop after this many changes
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Tell of checkpoints on stderr
    #[arg(long)]
    checkpoints: bool,
    /// How to print; a table here is a line per change
    #[arg(
        short,
        long,
        value_enum,
        default_value = "table",
        value_name = "FORMAT"
    )]
    output: Format,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    filter: filter::Args,
}

/// Follows until Ctrl-C or the limit, and says then how to go on.
pub(super) async fn run(args: Args) -> Result<ExitCode> {
    let start = match &args.since {
        Some(cursor) => Start::Cursor(cursor.clone()),
        None if args.from_beginning => Start::Origin(Origin::Beginning.into()),
        None => Start::Origin(Origin::Now.into()),
    };
    let request = WatchRequest {
        view: View::from(args.view).into(),
        filter: Some(args.filter.to_filter()),
        start: Some(start),
        ..WatchRequest::default()
    };
    let watch = Watch::open(&args.server.server, request).await;
    let mut watch = watch.map_err(|failure| args.filter.explain(failure))?;
    let mut told = |reason: &str| say(format_args!("waiting for the server: {reason}"));
    let (mut cursor, mut left) = (String::new(), args.limit.unwrap_or(u64::MAX));
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    while left > 0 {
        let response = tokio::select! {
            response = watch.next(&mut told) => response?,
            _ = &mut interrupted => break,
        };
        let all = response.changes.len() as u64 <= left;
        left = print(&args, &response, left)?;
        // A response that was cut short is told again from its beginning: rather twice than never.
        if all {
            cursor = response.cursor;
        }
    }
    if args.output == Format::Table && !cursor.is_empty() {
        say(format_args!("to go on from here, add: --since {cursor}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints what came, at most `left` changes; answers how many more are wanted.
fn print(args: &Args, response: &WatchResponse, left: u64) -> Result<u64> {
    if let Some(checkpoint) = response.checkpoint.as_ref().filter(|_| args.checkpoints) {
        say(format_args!(
            "checkpoint: {} of {}, cursor {}",
            checkpoint.sequence, checkpoint.head_sequence, response.cursor
        ));
    }
    let wanted = usize::try_from(left)
        .unwrap_or(usize::MAX)
        .min(response.changes.len());
    let mut out = anstream::stdout().lock();
    for (position, change) in response.changes.iter().take(wanted).enumerate() {
        // Only whole responses can be resumed after, so the cursor stands with the last change of one.
        let cursor = (position + 1 == response.changes.len()).then_some(response.cursor.as_str());
        match args.output {
            Format::Table => writeln!(out, "{}", line(change))?,
            Format::Ndjson => writeln!(
                out,
                "{}",
                serde_json::to_string(&Document::new(change, cursor))?
            )?,
            Format::Json => writeln!(
                out,
                "{}",
                serde_json::to_string_pretty(&Document::new(change, cursor))?
            )?,
            Format::Yaml => write!(
                out,
                "---\n{}",
                serde_norway::to_string(&Document::new(change, cursor))?
            )?,
        }
    }
    out.flush()?;
    Ok(left - wanted as u64)
}

/// A change as data; the last one of a response carries the cursor to resume after it.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<&'a str>,
    #[serde(flatten)]
    change: DynamicMessage,
}

impl<'a> Document<'a> {
    fn new(change: &Change, cursor: Option<&'a str>) -> Self {
        Self {
            cursor,
            change: json::document(change),
        }
    }
}

/// One change as a line: sequence, what happened, name, what it is.
pub(super) fn line(change: &Change) -> String {
    let style = match change.r#type() {
        Type::Published => anstyle::AnsiColor::Green,
        Type::Retracted | Type::Merged | Type::Deleted | Type::Purged | Type::Left => {
            anstyle::AnsiColor::Red
        }
        _ => anstyle::AnsiColor::Cyan,
    };
    let style = anstyle::Style::new().fg_color(Some(style.into()));
    let what = change
        .r#type()
        .as_str_name()
        .trim_start_matches("TYPE_")
        .to_ascii_lowercase();
    let body = change
        .record
        .as_ref()
        .and_then(|record| record.kind.as_ref());
    let about = body
        .map(|body| format!("{:<17} {}", type_word(body), title(body)))
        .unwrap_or_default();
    let about = if change.note.is_empty() {
        about
    } else {
        format!("{about} \"{}\"", change.note)
    };
    format!(
        "{:>6}  {style}{what:<9}{style:#}  {:<55}  {}",
        change.sequence,
        change.name,
        printable(&about)
    )
    .trim_end()
    .to_owned()
}
