//! Retention of exports: keeps the newest full ones, and the deltas that build on them.

use anyhow::Result;
use dateline_export::{Destination, Manifest, manifest::MANIFEST};

use crate::output::say;

/// Deletes the exports that are older than the newest `kept` full ones.
pub async fn keep(to: &Destination, kept: u32) -> Result<()> {
    let mut complete = Vec::new();
    for directory in to.directories().await? {
        let below = to.below(&directory);
        if below.get(MANIFEST).await?.is_some() {
            complete.push((Manifest::read(&below).await?, below));
        }
    }
    let mut full: Vec<i64> = complete
        .iter()
        .filter(|(manifest, _)| manifest.subject.since.is_none())
        .map(|(manifest, _)| manifest.subject.sequence)
        .collect();
    full.sort_unstable_by(|one, other| other.cmp(one));
    let Some(oldest) = full.get(usize::try_from(kept)?.saturating_sub(1)) else {
        return Ok(());
    };
    for (manifest, place) in &complete {
        // A delta is useful only with an export as new as its starting sequence.
        let begins = manifest.subject.since.unwrap_or(manifest.subject.sequence);
        if begins >= *oldest {
            continue;
        }
        manifest.delete(place).await?;
        say(format_args!("deleted {}", place.shown()));
    }
    Ok(())
}
