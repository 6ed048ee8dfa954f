//! Completes evidence that gives its quote by text alone, or no revision of its article: the service finds revision,
//! part and offsets, and stores them as if the client had sent them. The article is read as the request leaves it, so a
//! request may publish an article together with the facts that quote it.

use dateline_proto::v1::{Evidence, TextSpan};
use dateline_record::{
    name::Name,
    revision::Revision,
    rules::locate::{is_located, locate},
    violation::Violation,
};

use super::{
    change::ReadSet,
    checked_view::CheckedView,
    decide::{ChangeIndex, ChangeSet},
    pins, sources,
};

/// Most violations reported at once: the search for the nearest passage takes time.
const MAX_VIOLATIONS: usize = 20;

/// The parts of an entry of evidence that were found.
struct Completed {
    position: ChangeIndex,
    entry: usize,
    revision: Revision,
    quote: Option<TextSpan>,
}

/// True if an entry has a quote without offsets, or no revision of its article.
fn is_incomplete(entry: &Evidence) -> bool {
    entry.article_revision == 0 || entry.quote.as_ref().is_some_and(|it| !is_located(it))
}

/// Completes the evidence of a batch. Returns a violation for each entry for which that is not possible.
pub(super) fn complete(
    change_set: &mut ChangeSet<'_>,
    read_view: &CheckedView<'_>,
    is_load: bool,
    read_set: &mut ReadSet,
) -> Vec<Violation> {
    let (mut completed, mut violations) = (Vec::new(), Vec::new());
    // Stored evidence is complete.
    let written = change_set.all();
    for (position, change) in written.filter(|(_, change)| change.has_written_content()) {
        let entries = change.body.evidence().unwrap_or_default().iter();
        for (entry, evidence) in entries.enumerate().filter(|(_, it)| is_incomplete(it)) {
            if violations.len() >= MAX_VIOLATIONS {
                return violations;
            }
            let found = if is_load {
                Err((
                    "quote",
                    "has no offsets; loaded records have all".to_owned(),
                ))
            } else {
                find(evidence, change_set, read_view, read_set)
            };
            match found {
                Ok((revision, quote)) => completed.push(Completed {
                    position,
                    entry,
                    revision,
                    quote,
                }),
                Err((field, what)) => {
                    let at = sources::path_at(change_set, position, change.name.as_str());
                    violations.push(Violation::new(
                        format!("{at}.evidence[{entry}].{field}"),
                        what,
                    ));
                }
            }
        }
    }
    apply(completed, change_set, read_view);
    violations
}

/// Finds revision and quote of an entry.
fn find(
    entry: &Evidence,
    change_set: &ChangeSet<'_>,
    read_view: &CheckedView<'_>,
    read_set: &mut ReadSet,
) -> Result<(Revision, Option<TextSpan>), (&'static str, String)> {
    let Some(article) = Name::parse(&entry.article) else {
        return Err(("article", "is not the name of an article".to_owned()));
    };
    let Some(newest) = sources::newest_revision(&article, change_set, read_view) else {
        let what = format!(
            "there is no article {article} to find it in; create it first, or in the same request"
        );
        return Err(("quote", what));
    };
    read_set
        .revisions
        .push((article.clone(), read_view.revision(&article)));
    let revision = match entry.article_revision {
        0 => newest,
        pinned => Revision::new(pinned),
    };
    let Some(quote) = entry.quote.as_ref().filter(|it| !is_located(it)) else {
        return Ok((revision, entry.quote.clone()));
    };
    let pinned = sources::pinned(&article, revision, change_set, read_view);
    let Some(pinned) = pinned else {
        return Err(sources::no_revision(&article, revision, newest));
    };
    locate(quote, &pinned.headline, &pinned.body)
        .map(|located| (revision, Some(located)))
        .map_err(|what| ("quote", format!("{article}, revision {revision}: {what}")))
}

/// Writes what was found into the changes. An edit that then makes no difference is dropped.
fn apply(completed: Vec<Completed>, change_set: &mut ChangeSet<'_>, read_view: &CheckedView<'_>) {
    let mut positions = Vec::new();
    for found in completed {
        positions.push(found.position);
        let change = change_set.change_at(found.position);
        let entry = change.and_then(|change| change.body.evidence_mut()?.get_mut(found.entry));
        if let Some(entry) = entry {
            entry.article_revision = found.revision.get();
            entry.quote = found.quote;
        }
    }
    positions.dedup();
    pins::refresh(positions, change_set, read_view);
}
