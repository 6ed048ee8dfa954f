//! Exports on a schedule until stopped. A failed export is reported, and tried again at the next time.

use std::process::ExitCode;

use anyhow::{Context, Result};
use croner::Cron;
use dateline_formats::export::Destination;
use time::OffsetDateTime;

use super::{Args, ExportOutcome, once, plan::RequestedOptions, stop_signal};
use crate::output::print_message;

/// Runs until stopped by a signal.
pub async fn run(
    args: &Args,
    requested: &RequestedOptions,
    to: &Destination,
    times: &str,
) -> Result<ExitCode> {
    let cron: Cron = times.parse().with_context(|| {
        format!("{times:?} is no schedule; \"0 2 * * *\" is every night at two")
    })?;
    loop {
        let (next, wait) = next(&cron)?;
        print_message(format_args!("the next export is at {next}"));
        tokio::select! {
            biased;
            () = stop_signal() => return Ok(ExitCode::SUCCESS),
            () = tokio::time::sleep(wait) => {}
        }
        match once(args, requested, to).await {
            Ok(ExportOutcome::Complete) => {}
            Ok(ExportOutcome::Interrupted) => return Ok(ExitCode::SUCCESS),
            Err(error) => print_message(format_args!(
                "error: {error:#}; the next one goes on from there"
            )),
        }
    }
}

/// The next due time, and the time until then.
fn next(cron: &Cron) -> Result<(String, std::time::Duration)> {
    let now = chrono::Utc::now();
    let next = cron.find_next_occurrence(&now, false);
    let next = next.context("this schedule has no next time")?;
    let wait = (next - now).to_std().unwrap_or_default();
    let shown = OffsetDateTime::from_unix_timestamp(next.timestamp())?;
    let format = time::format_description::well_known::Rfc3339;
    Ok((shown.format(&format)?, wait))
}
