//! Retention of exports: keeps the newest full ones, and the deltas that build on them.

use anyhow::Result;
use dateline_formats::export::{Destination, Manifest, layout::MANIFEST};

use crate::output::print_message;

/// Deletes the exports that are older than the newest `kept` full ones.
pub async fn delete_old_exports(to: &Destination, kept: u32) -> Result<()> {
    let mut complete = Vec::new();
    for directory in to.directories().await? {
        let below = to.child(&directory);
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
    for (manifest, destination) in &complete {
        // A delta is useful only with an export as new as its starting sequence.
        let begins = manifest.subject.since.unwrap_or(manifest.subject.sequence);
        if begins >= *oldest {
            continue;
        }
        manifest.delete(destination).await?;
        print_message(format_args!("deleted {}", destination.display_name()));
    }
    Ok(())
}
