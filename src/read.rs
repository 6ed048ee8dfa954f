//! `dateline get` and `dateline list`.

use std::process::ExitCode;

use anyhow::Result;
use dateline_client::{Client, Failure, bulk::field_path};
use dateline_proto::v1::{
    BatchGetRecordsRequest, GetRecordRequest, ListRecordsRequest, Record, State, View,
    record::Kind as Body,
};

use super::{
    NOT_FOUND, Server,
    filter::{self, ViewArg},
    misused,
    output::{self, OutputFormat},
};

/// Maximum number of names per call.
const NAMES_PER_CALL: usize = 1000;

/// `dateline get`
#[derive(Debug, clap::Args)]
pub(super) struct GetArgs {
    /// Names of records, such as actors/nato
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Published records only, or the desk's: every record in every state
    #[arg(long, value_enum, default_value_t)]
    view: ViewArg,
    /// Print a merged record itself, not the one that it was merged into
    #[arg(long)]
    no_redirect: bool,
    /// Output format
    #[arg(short, long, value_enum, default_value = "yaml", value_name = "FORMAT")]
    output: OutputFormat,
    #[command(flatten)]
    server: Server,
}

/// `dateline list`
#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Published records only, or the desk's: every record in every state
    #[arg(long, value_enum, default_value_t)]
    view: ViewArg,
    /// Stop after this many records
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
    #[command(flatten)]
    filter: filter::Args,
}

/// Prints records by name, and reports missing ones on stderr.
pub(super) async fn get(args: GetArgs) -> Result<ExitCode> {
    let client = args.server.connect().await?;
    let (mut records, mut missing) = (Vec::new(), Vec::new());
    for names in args.names.chunks(NAMES_PER_CALL) {
        let request = BatchGetRecordsRequest {
            names: names.to_vec(),
            view: View::from(args.view).into(),
            min_sequence: 0,
        };
        let answer = client
            .batch_get(request)
            .await
            .map_err(|status| field_path::with_names(status.into(), names))?;
        for record in answer.records {
            records.push(follow(&client, record, &args).await?);
        }
        missing.extend(answer.missing);
    }
    if !records.is_empty() {
        output::records(args.output, &records, args.names.len() == 1)?;
    }
    for name in &missing {
        output::print_message(match args.view {
            ViewArg::Published => {
                format!("there is no published record {name}; --view desk shows drafts too")
            }
            ViewArg::Desk => format!("there is no record {name}"),
        });
    }
    Ok(if missing.is_empty() {
        ExitCode::SUCCESS
    } else {
        NOT_FOUND.into()
    })
}

/// The record that a merged one was merged into; other records unchanged.
async fn follow(client: &Client, record: Record, args: &GetArgs) -> Result<Record> {
    let body = record.kind.as_ref();
    let is_merged = body
        .and_then(Body::meta)
        .is_some_and(|meta| meta.state() == State::Merged);
    let Some(name) = body
        .map(Body::name)
        .filter(|_| is_merged && !args.no_redirect)
    else {
        return Ok(record);
    };
    let request = GetRecordRequest {
        name: name.to_owned(),
        view: View::from(args.view).into(),
        ..GetRecordRequest::default()
    };
    let answer = client.get(request).await.map_err(Failure::from)?;
    let Some(found) = answer.record.filter(|_| !answer.redirected_from.is_empty()) else {
        return Ok(record);
    };
    let winner = found.kind.as_ref().map(Body::name).unwrap_or_default();
    output::print_message(format_args!("{name} was merged into {winner}"));
    Ok(found)
}

/// Prints records page by page. A table is printed at the end, so that its columns fit all rows.
pub(super) async fn list(args: ListArgs) -> Result<ExitCode> {
    if let Some(wrong) = args.filter.misuse(args.view.into()) {
        return Ok(misused(&wrong));
    }
    let mut client = args.server.connect().await?;
    let limit = args.limit.unwrap_or(usize::MAX);
    let mut request = ListRecordsRequest {
        filter: Some(args.filter.to_filter()),
        view: View::from(args.view).into(),
        page_size: i32::try_from(limit.min(1000)).unwrap_or(1000),
        ..ListRecordsRequest::default()
    };
    let (mut printed, mut kept) = (0, Vec::new());
    while printed + kept.len() < limit {
        let answer = client.records.list_records(request.clone()).await;
        let answer = answer
            .map_err(|status| args.filter.explain(status.into()))?
            .into_inner();
        let mut page = answer.records;
        page.truncate(limit - printed - kept.len());
        if args.output == OutputFormat::Ndjson {
            output::records(args.output, &page, false)?;
            printed += page.len();
        } else {
            kept.append(&mut page);
        }
        request.page_token = answer.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    if args.output != OutputFormat::Ndjson {
        output::records(args.output, &kept, false)?;
    }
    if args.output == OutputFormat::Table {
        let count = kept.len();
        output::print_message(format_args!(
            "{count} record{}",
            if count == 1 { "" } else { "s" }
        ));
    }
    Ok(ExitCode::SUCCESS)
}
