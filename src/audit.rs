//! `dateline audit`: prints the audit log (caller, method, records, address and time).

use std::{io::Write, process::ExitCode};

use anyhow::Result;
use dateline_client::Failure;
use dateline_proto::v1::{AuditEntry, AuditedRecord, ListAuditEntriesRequest};
use prost_types::Timestamp;

use super::{
    Server, json,
    output::{self, OutputFormat, change_word, print_message, printable},
    table::Table,
    time_arg,
};

/// Entries per page, the server's maximum.
const PAGE_SIZE: i32 = 1000;
/// Maximum number of records named in a table row.
const MAX_NAMES: usize = 3;

/// `dateline audit`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only entries of this author
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
    /// Only changes of this record
    #[arg(long, value_name = "RECORD")]
    record: Option<String>,
    /// Only this method, such as `Commit` or `RevokeToken`
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,
    /// At or after this time: 2026-08-01T06:00:00Z, a day in UTC such as 2026-08-01 or yesterday, or an age, -7d
    #[arg(long, value_name = "TIME", value_parser = time_arg::parse_past, allow_hyphen_values = true)]
    since: Option<Timestamp>,
    /// Before this time
    #[arg(long, value_name = "TIME", value_parser = time_arg::parse_point, allow_hyphen_values = true)]
    until: Option<Timestamp>,
    /// Only entries after this one: to append to an earlier output
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    after: i64,
    /// Maximum number of entries [default: 50 as a table, otherwise all]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Output format; ndjson is suited for archiving
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

/// Prints audit entries, newest first.
pub(super) async fn run(args: Args) -> Result<ExitCode> {
    let is_table = args.output == OutputFormat::Table;
    let mut left = args.limit.unwrap_or(if is_table { 50 } else { usize::MAX });
    let mut client = args.server.connect().await?;
    let mut request = ListAuditEntriesRequest {
        author: args.author.unwrap_or_default(),
        record: args.record.unwrap_or_default(),
        method: args.method.unwrap_or_default(),
        since: args.since,
        until: args.until,
        after_number: args.after,
        ..ListAuditEntriesRequest::default()
    };
    let mut kept = Vec::new();
    while left > 0 {
        request.page_size = i32::try_from(left).unwrap_or(PAGE_SIZE).min(PAGE_SIZE);
        let answer = client.admin.list_audit_entries(request.clone()).await;
        let mut page = answer.map_err(Failure::from)?.into_inner();
        page.entries.truncate(left);
        left -= page.entries.len();
        if args.output == OutputFormat::Ndjson {
            // Printed page by page: the whole log need not fit into memory.
            let entries: Vec<_> = page.entries.iter().map(json::document).collect();
            output::documents(OutputFormat::Ndjson, &entries, false)?;
        } else {
            kept.extend(page.entries);
        }
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    match args.output {
        OutputFormat::Ndjson => {}
        OutputFormat::Table if kept.is_empty() => print_message("nothing was done that fits"),
        OutputFormat::Table => writeln!(anstream::stdout().lock(), "{}", table(&kept))?,
        format => {
            let entries: Vec<_> = kept.iter().map(json::document).collect();
            output::documents(format, &entries, false)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn table(entries: &[AuditEntry]) -> Table {
    let header = [
        "NO", "WHEN", "WHO", "WHAT", "OUTCOME", "BY", "FROM", "RECORDS",
    ];
    let mut table = Table::new(&header);
    for entry in entries {
        let about = match entry.details.as_str() {
            "" => named(&entry.records),
            details => details.to_owned(),
        };
        table.add_row([
            entry.number.to_string(),
            entry
                .time
                .as_ref()
                .map(time_arg::format_time)
                .unwrap_or_default(),
            printable(&entry.author),
            entry.method.clone(),
            entry.outcome.clone(),
            printable(&entry.credential),
            entry.peer.clone(),
            printable(&about),
        ]);
    }
    table
}

fn named(records: &[AuditedRecord]) -> String {
    let mut told: Vec<_> = records.iter().take(MAX_NAMES).map(one).collect();
    if records.len() > MAX_NAMES {
        told.push(format!("and {} more", records.len() - MAX_NAMES));
    }
    told.join(", ")
}

fn one(record: &AuditedRecord) -> String {
    let what = change_word(record.r#type());
    format!("{} {what} r{}", record.name, record.revision)
}
