//! Records that must be published together: the named ones, and every unpublished one that they refer to (W9).

use std::collections::HashSet;

use anyhow::Result;
use dateline_proto::v1::{Record, State};
use dateline_record::index::extract_terms;

use super::{EditorialClient, meta_of, name_of};

/// Returns the named records, then the drafts and records in review that they refer to, directly or indirectly, in the
/// order of discovery.
pub(super) async fn with_references(
    desk: &EditorialClient,
    names: &[String],
) -> Result<Vec<Record>> {
    let mut all = desk.read(names).await?;
    let mut seen: HashSet<_> = all.iter().map(name_of).collect();
    let mut visited = 0;
    while visited < all.len() {
        let targets: Vec<_> = all[visited..]
            .iter()
            .flat_map(targets)
            .filter(|target| seen.insert(target.clone()))
            .collect();
        visited = all.len();
        // Missing records are left for the server to report, with the field that names them.
        let (found, _) = desk.find(&targets).await?;
        all.extend(found.into_iter().filter(is_unpublished));
    }
    Ok(all)
}

fn is_unpublished(record: &Record) -> bool {
    [State::Draft, State::InReview].contains(&meta_of(record).state())
}

fn targets(record: &Record) -> Vec<String> {
    let Some(mut body) = record.kind.clone() else {
        return Vec::new();
    };
    let references = extract_terms(&mut body, State::Draft).references;
    references
        .into_iter()
        .map(|reference| reference.target.to_string())
        .collect()
}
