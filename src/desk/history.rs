//! `dateline diff` and `dateline history`: the revisions of a record.

use std::{io::Write, process::ExitCode};

use anyhow::Result;
use dateline_client::{Client, Failure};
use dateline_proto::v1::{
    DiffRevisionsRequest, FieldDifference, ListRevisionsRequest, Revision, View,
};

use super::show;
use crate::{
    Server,
    filter::ViewArg,
    json,
    output::{self, OutputFormat, change_word, print_message, printable, state_word},
    table::Table,
    time_arg,
};

/// `dateline diff`
#[derive(Debug, clap::Args)]
pub(crate) struct DiffArgs {
    /// Name of the record
    #[arg(value_name = "NAME")]
    name: String,
    /// Older revision [default: the one before the newest]
    #[arg(value_name = "FROM")]
    from: Option<i64>,
    /// Newer revision [default: the newest]
    #[arg(value_name = "TO")]
    to: Option<i64>,
    /// Revisions of the desk, or those that were published
    #[arg(long, value_enum, default_value = "desk")]
    view: ViewArg,
    /// Output format; a table has each field with both values
    #[arg(
        short,
        long,
        value_enum,
        default_value = "table",
        value_name = "FORMAT"
    )]
    output: OutputFormat,
    #[command(flatten)]
    server: Server,
}

/// `dateline history`
#[derive(Debug, clap::Args)]
pub(crate) struct HistoryArgs {
    /// Name of the record
    #[arg(value_name = "NAME")]
    name: String,
    /// Revisions of the desk, or those that were published
    #[arg(long, value_enum, default_value = "desk")]
    view: ViewArg,
    /// Stop after this many revisions
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Output format
    #[arg(
        short,
        long,
        value_enum,
        default_value = "table",
        value_name = "FORMAT"
    )]
    output: OutputFormat,
    #[command(flatten)]
    server: Server,
}

/// Prints the differences between two revisions.
pub(crate) async fn diff(args: DiffArgs) -> Result<ExitCode> {
    let client = args.server.connect().await?;
    let view = View::from(args.view);
    let newest = revisions(&client, &args.name, view, 2).await?;
    let newest: Vec<_> = newest.iter().map(|revision| revision.revision).collect();
    let to = args.to.or(newest.first().copied());
    let from = args.from.or(newest.get(1).copied());
    let (Some(from), Some(to)) = (from, to) else {
        print_message(format_args!("{} has one revision only", args.name));
        return Ok(ExitCode::SUCCESS);
    };
    let found = diff_between(&client, &args.name, view, from, to).await?;
    if found.is_empty() {
        print_message(format_args!(
            "revisions {from} and {to} say the same; `dateline history {}` tells what each of them was",
            args.name
        ));
    }
    if args.output == OutputFormat::Table {
        let mut out = anstream::stdout().lock();
        write!(out, "{}", show::differences(&found))?;
        out.flush()?;
    } else {
        let found: Vec<_> = found.iter().map(json::document).collect();
        output::documents(args.output, &found, false)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The differences between two revisions of a record.
pub(super) async fn diff_between(
    client: &Client,
    name: &str,
    view: View,
    from: i64,
    to: i64,
) -> Result<Vec<FieldDifference>, Failure> {
    let request = DiffRevisionsRequest {
        name: name.to_owned(),
        view: view.into(),
        from_revision: from,
        to_revision: to,
    };
    let answer = client.diff(request).await.map_err(Failure::from)?;
    if answer.omitted > 0 {
        print_message(format_args!(
            "{} further differences are not listed",
            answer.omitted
        ));
    }
    Ok(answer.differences)
}

/// Prints the revisions of a record, newest first.
pub(crate) async fn history(args: HistoryArgs) -> Result<ExitCode> {
    let client = args.server.connect().await?;
    let limit = args.limit.unwrap_or(usize::MAX);
    let all = revisions(&client, &args.name, args.view.into(), limit).await?;
    if args.output == OutputFormat::Table {
        writeln!(anstream::stdout().lock(), "{}", table(&all))?;
    } else {
        let all: Vec<_> = all.iter().map(json::document).collect();
        output::documents(args.output, &all, false)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The newest revisions of a record, newest first.
async fn revisions(
    client: &Client,
    name: &str,
    view: View,
    limit: usize,
) -> Result<Vec<Revision>, Failure> {
    let mut request = ListRevisionsRequest {
        name: name.to_owned(),
        view: view.into(),
        page_size: i32::try_from(limit.clamp(1, 1000)).unwrap_or(1000),
        page_token: String::new(),
    };
    let mut all = Vec::new();
    while all.len() < limit {
        let answer = client.revisions(request.clone()).await;
        let answer = answer.map_err(Failure::from)?;
        all.extend(answer.revisions);
        request.page_token = answer.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    all.truncate(limit);
    Ok(all)
}

fn table(revisions: &[Revision]) -> Table {
    let header = ["REV", "WHAT", "STATE", "WHEN", "WHO", "CHANGED", "NOTE"];
    let mut table = Table::new(&header);
    for revision in revisions {
        table.add_row([
            revision.revision.to_string(),
            change_word(revision.r#type()),
            state_word(revision.state()),
            revision
                .time
                .as_ref()
                .map(time_arg::format_time)
                .unwrap_or_default(),
            printable(&revision.author),
            printable(&revision.changed_fields.join(", ")),
            printable(&revision.note),
        ]);
    }
    table
}
