//! Checks quotes against the article revisions that they pin (W9, domain rule 3): the quote has to be at the position
//! that the evidence gives. A draft may cite an article that does not exist yet; then there is nothing to compare with,
//! and publishing checks again.

use dateline_proto::v1::{Article, Evidence, change::Type as ChangeType, record::Kind as Body};
use dateline_record::rules::quote::check_quote;
use dateline_record::{
    name::{Name, kind_label},
    revision::Revision,
    violation::Violation,
};

use super::{
    change::Change,
    checked_view::CheckedView,
    decide::{ChangeIndex, ChangeSet},
    request::{Action, Write},
};

/// Most violations reported at once.
const MAX_VIOLATIONS: usize = 100;

/// Returns all violations in the quotes of a batch.
pub(super) fn check(change_set: &ChangeSet<'_>, read_view: &CheckedView<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (index, change) in change_set
        .changes()
        .filter(|(_, change)| is_checked(change))
    {
        for (place, entry) in change
            .body
            .evidence()
            .unwrap_or_default()
            .iter()
            .enumerate()
        {
            // The search for a misplaced quote takes time, and the answer is full.
            if violations.len() >= MAX_VIOLATIONS {
                return violations;
            }
            if let Err((field, what)) = check_entry(entry, change_set, read_view) {
                let at = path(&change_set.writes[index], index, change.name.as_str());
                let field = format!("{at}.evidence[{place}].{field}");
                violations.push(Violation::new(field, what));
            }
        }
    }
    violations
}

/// True if the change's quotes are checked: when they are written and when they become visible.
fn is_checked(change: &Change) -> bool {
    change.has_written_content()
        || matches!(
            change.change_type,
            ChangeType::Published | ChangeType::Embargoed
        )
}

fn check_entry(
    entry: &Evidence,
    change_set: &ChangeSet<'_>,
    read_view: &CheckedView<'_>,
) -> Result<(), (&'static str, String)> {
    // Invalid names and offsets are reported as violations of their own.
    let Some(article) = Name::parse(&entry.article) else {
        return Ok(());
    };
    let Some(newest) = newest_revision(&article, change_set, read_view) else {
        return Ok(());
    };
    let Some(pinned) = pinned(
        &article,
        Revision::new(entry.article_revision),
        change_set,
        read_view,
    ) else {
        let revision = Revision::new(entry.article_revision);
        return Err(no_revision(&article, revision, newest));
    };
    match &entry.quote {
        Some(quote) => {
            check_quote(quote, &pinned.headline, &pinned.body).map_err(|what| ("quote", what))
        }
        None => Ok(()),
    }
}

/// Returns the newest revision of an article, including this batch's; `None` if there is no such article.
pub(super) fn newest_revision(
    article: &Name,
    change_set: &ChangeSet<'_>,
    read_view: &CheckedView<'_>,
) -> Option<Revision> {
    let stored = read_view.status(article);
    let stored = stored.filter(|status| !status.deleted);
    let written = change_set.change_of(article).map(|change| change.revision);
    written.or(stored.map(|status| status.revision))
}

/// Returns a numbered revision of an article, including this batch's.
pub(super) fn pinned<'a>(
    article: &Name,
    revision: Revision,
    change_set: &'a ChangeSet<'_>,
    read_view: &'a CheckedView<'a>,
) -> Option<&'a Article> {
    let written = change_set
        .change_of(article)
        .filter(|change| change.revision == revision);
    let stored = || read_view.body(&(article.clone(), revision));
    match written.map(|change| &change.body).or_else(stored)? {
        Body::Article(article) => Some(article),
        _ => None,
    }
}

/// Returns the violation for a pin of a revision that does not exist.
pub(super) fn no_revision(
    article: &Name,
    revision: Revision,
    newest: Revision,
) -> (&'static str, String) {
    let what = format!("{article} has no revision {revision}; its newest is {newest}");
    ("article_revision", what)
}

/// Returns the path of the record of a change in the request; the name of a record that changes along with another.
pub(super) fn path_at(change_set: &ChangeSet<'_>, position: ChangeIndex, name: &str) -> String {
    match position {
        ChangeIndex::Outcome(index) => path(&change_set.writes[index], index, name),
        ChangeIndex::Other(_) => name.to_owned(),
    }
}

/// Returns the path of a write's record in the request; for a stored record, that of the field that names it.
pub(super) fn path(write: &Write, index: usize, name: &str) -> String {
    let word = write.action.field_name();
    let kind = Name::parse(name).map_or("", |name| kind_label(name.kind()));
    match write.action {
        Action::Create { .. } | Action::Update { .. } | Action::Correct { .. } => {
            format!("writes[{index}].{word}.record.{kind}")
        }
        Action::Load { .. } => format!("records[{index}].{kind}"),
        _ => format!("writes[{index}].{word}.record"),
    }
}
