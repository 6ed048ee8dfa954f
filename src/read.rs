//! `dateline get` and `dateline list`.

use std::process::ExitCode;

use anyhow::Result;
use dateline_client::{Client, Failure, bulk::field_path};
use dateline_proto::v1::{
    BatchGetRecordsRequest, GetRecordRequest, ListRecordsRequest, Record, SearchRecordsRequest,
    State, View, record::Kind as Body,
};

use super::{
    NOT_FOUND, Server,
    filter::{self, ViewArg},
    find::OrderArgs,
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
    #[command(flatten)]
    order: OrderArgs,
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
    let view = args.view.into();
    if let Some(wrong) = args.filter.misuse(view).or_else(|| args.order.misuse(view)) {
        return Ok(misused(&wrong));
    }
    let client = args.server.connect().await?;
    let limit = args.limit.unwrap_or(usize::MAX);
    let page_size = i32::try_from(limit.min(1000)).unwrap_or(1000);
    let mut page_token = String::new();
    let (mut printed, mut kept) = (0, Vec::new());
    while printed + kept.len() < limit {
        let (mut page, next) = next_page(&client, &args, page_size, page_token).await?;
        page.truncate(limit - printed - kept.len());
        if args.output == OutputFormat::Ndjson {
            output::records(args.output, &page, false)?;
            printed += page.len();
        } else {
            kept.append(&mut page);
        }
        page_token = next;
        if page_token.is_empty() {
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

/// Reads a page, and the token of the next one: in the order of names, or as the flags say.
async fn next_page(
    client: &Client,
    args: &ListArgs,
    page_size: i32,
    page_token: String,
) -> Result<(Vec<Record>, String)> {
    let (filter, view) = (Some(args.filter.to_filter()), View::from(args.view).into());
    let explain = |status: tonic::Status| args.filter.explain(status.into());
    if !args.order.is_given() {
        let request = ListRecordsRequest {
            filter,
            view,
            page_size,
            page_token,
            ..ListRecordsRequest::default()
        };
        let answer = client.records.clone().list_records(request).await;
        let answer = answer.map_err(explain)?.into_inner();
        return Ok((answer.records, answer.next_page_token));
    }
    let mut request = SearchRecordsRequest {
        filter,
        view,
        page_size,
        page_token,
        ..SearchRecordsRequest::default()
    };
    args.order.apply(&mut request);
    let answer = client.search.clone().search_records(request).await;
    let answer = answer.map_err(explain)?.into_inner();
    let records = answer.hits.into_iter().filter_map(|hit| hit.record);
    Ok((records.collect(), answer.next_page_token))
}
