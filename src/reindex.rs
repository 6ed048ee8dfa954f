//! `dateline reindex`: makes the search index again.

use std::process::ExitCode;

use anyhow::Result;
use dateline_client::Failure;
use dateline_proto::v1::RebuildSearchRequest;
use dateline_serve::connection::Server;

use super::output::print_message;

/// `dateline reindex`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    server: Server,
}

/// Asks for a new index, which the server makes beside the present one.
pub(super) async fn run(args: Args) -> Result<ExitCode> {
    let mut client = args.server.connect().await?;
    let answer = client.admin.rebuild_search(RebuildSearchRequest {}).await;
    let until = answer.map_err(Failure::from)?.into_inner().desk_sequence;
    print_message(format_args!(
        "the search index is made again up to desk sequence {until}; searches go on meanwhile"
    ));
    Ok(ExitCode::SUCCESS)
}
