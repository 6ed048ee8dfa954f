//! `dateline health`

use std::{io::Write, process::ExitCode};

use anyhow::Result;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::{Server, UNAVAILABLE};
use crate::client::Failure;

/// `dateline health`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    server: Server,
}

/// Prints `serving` or `not serving`, with an exit code for scripts.
pub(super) async fn run(args: Args) -> Result<ExitCode> {
    let client = args.server.connect().await?;
    let answer = HealthClient::new(client.channel())
        .check(HealthCheckRequest::default())
        .await
        .map_err(Failure::from)?;
    let serving = answer.into_inner().status() == ServingStatus::Serving;
    let told = if serving {
        "serving"
    } else {
        "not serving: its database is away, or it is stopping"
    };
    writeln!(anstream::stdout(), "{told}")?;
    Ok(if serving {
        ExitCode::SUCCESS
    } else {
        UNAVAILABLE.into()
    })
}
