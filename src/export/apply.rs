//! `dateline apply`: applies deltas to a full export, and verifies the result against the feed's digest.

use std::process::ExitCode;

use anyhow::Result;
use dateline_formats::export::{
    Destination, ExportLayout, Manifest, apply, format::Options, layout::MANIFEST,
};

use crate::{output::print_message, progress::RecordProgress};

/// `dateline apply`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory or URL of a full export
    #[arg(value_name = "FULL")]
    full: String,
    /// Directories or URLs of deltas, oldest first
    #[arg(value_name = "DELTA", required = true)]
    deltas: Vec<String>,
    /// Destination: the result is a directory below it, named as by `dateline export`
    #[arg(long, value_name = "DIR|URL")]
    out: String,
}

/// Applies the deltas; exit 1 if they do not belong together, or the result does not match the feed's digest.
pub async fn run(args: Args) -> Result<ExitCode> {
    let to = Destination::open(&args.out)?;
    let mut full = Destination::open_export(&args.full)?;
    let first = Manifest::read(&full).await?;
    first.formats.iter().try_for_each(|format| format.check())?;
    let layout = layout(&first);
    let counter = RecordProgress::new(None);
    let last = args.deltas.len().saturating_sub(1);
    let mut between = Vec::new();
    for (number, delta) in args.deltas.iter().enumerate() {
        let delta = Destination::open_export(delta)?;
        let applied = apply::apply(&full, &delta, &to, &layout, &mut || counter.add(1)).await;
        let (destination, outcome) = applied?;
        let proved = match outcome.state {
            Some(_) if outcome.subject.metadata_only => {
                "; as many as the feed showed: without their content no digest can be computed"
            }
            Some(_) => "; it is what the feed showed",
            None => "; the delta does not say what the feed showed, so this is not proved",
        };
        print_message(format_args!(
            "{} records at {}{proved}",
            outcome.digest.records, outcome.subject.sequence
        ));
        full = destination;
        if number < last {
            between.push((full.clone(), outcome));
        }
    }
    counter.finish();
    for (destination, manifest) in between {
        manifest.delete(&destination).await?;
    }
    print_message(format_args!("{}/{MANIFEST}", full.display_name()));
    Ok(ExitCode::SUCCESS)
}

/// The result has the formats and layout of the full export.
fn layout(full: &Manifest) -> ExportLayout {
    ExportLayout {
        formats: full.formats.clone(),
        compression: full.compression,
        options: Options {
            metadata_only: full.subject.metadata_only,
            base_uri: full.base_uri.clone(),
        },
        file_records: full.file_records,
        part: (0, 1),
    }
}
