//! `dateline apply`: applies deltas to a full export, and verifies the result against the feed's digest.

use std::process::ExitCode;

use anyhow::Result;
use dateline_export::{Destination, Manifest, Shape, apply, format::Options, manifest::MANIFEST};

use crate::{counting::Counting, output::say};

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
    let mut full = Destination::of_export(&args.full)?;
    let first = Manifest::read(&full).await?;
    let shape = shape(&first);
    let shown = Counting::new(None);
    let last = args.deltas.len().saturating_sub(1);
    let mut between = Vec::new();
    for (number, delta) in args.deltas.iter().enumerate() {
        let delta = Destination::of_export(delta)?;
        let applied = apply::apply(&full, &delta, &to, &shape, &mut || shown.add(1)).await;
        let (place, outcome) = applied?;
        let proved = match outcome.state {
            Some(_) if outcome.subject.metadata_only => {
                "; as many as the feed showed: without their content no digest can be computed"
            }
            Some(_) => "; it is what the feed showed",
            None => "; the delta does not say what the feed showed, so this is not proved",
        };
        say(format_args!(
            "{} records at {}{proved}",
            outcome.digest.records, outcome.subject.sequence
        ));
        full = place;
        if number < last {
            between.push((full.clone(), outcome));
        }
    }
    shown.finish();
    for (place, manifest) in between {
        manifest.delete(&place).await?;
    }
    say(format_args!("{}/{MANIFEST}", full.shown()));
    Ok(ExitCode::SUCCESS)
}

/// The result has the formats and layout of the full export.
fn shape(full: &Manifest) -> Shape {
    Shape {
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
