//! `dateline health`: prints whether the server and its database serve.

use std::{io::Write, process::ExitCode};

use anyhow::Result;
use dateline_client::Failure;
use dateline_proto::v1::{GetHealthRequest, GetHealthResponse};
use prost_types::Timestamp;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::{connection::Server, exit::UNAVAILABLE, time_arg};

/// `dateline health`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print failures, and embargoes that could not end; for admins
    #[arg(long)]
    detail: bool,
    #[command(flatten)]
    server: Server,
}

/// Prints `serving` or `not serving`, with an exit code for scripts.
pub async fn run(args: Args) -> Result<ExitCode> {
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
    if args.detail {
        let mut admin = client.admin;
        let answer = admin.get_health(GetHealthRequest {}).await;
        print(&answer.map_err(Failure::from)?.into_inner())?;
    }
    Ok(if serving {
        ExitCode::SUCCESS
    } else {
        UNAVAILABLE.into()
    })
}

fn print(health: &GetHealthResponse) -> Result<()> {
    let mut out = anstream::stdout().lock();
    for problem in &health.problems {
        let since = time_text(problem.since.as_ref());
        writeln!(
            out,
            "{}: {}, since {since}",
            problem.part, problem.description
        )?;
    }
    let (overdue, isolated) = (health.overdue_embargoes, health.isolated_embargoes);
    if overdue == 0 {
        writeln!(out, "no embargo is overdue")?;
    } else {
        let seconds = health.oldest_overdue_seconds;
        writeln!(
            out,
            "overdue embargoes: {overdue}, the first for {seconds:.0} s"
        )?;
    }
    for it in &health.isolated {
        let (name, since) = (&it.name, time_text(it.since.as_ref()));
        writeln!(
            out,
            "{name}: cannot be published since {since}: {}",
            it.reason
        )?;
    }
    let more = isolated.saturating_sub_unsigned(health.isolated.len() as u64);
    if more > 0 {
        writeln!(out, "… and {more} more")?;
    }
    Ok(())
}

fn time_text(time: Option<&Timestamp>) -> String {
    time.map(time_arg::format_time).unwrap_or_default()
}
