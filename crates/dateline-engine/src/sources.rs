//! Quotes against the article revisions that they pin (W9, domain rule 3): what is quoted has to stand where
//! the evidence says it stands. A draft may cite an article that is not there yet; then there is nothing to
//! compare with, and publishing asks again.

use dateline_proto::v1::{Article, Evidence, change::Type as ChangeType, record::Kind as Body};
use dateline_record::rules::quote::check_quote;
use dateline_record::{
    name::{Name, kind_word},
    violation::Violation,
};

use super::{
    change::Change,
    decide::Plan,
    request::{Action, Write},
    world::World,
};

/// Most misquotes that are told at once.
const MAX_VIOLATIONS: usize = 100;

/// Everything that is wrong with the quotes of a batch.
pub(super) fn check(plan: &Plan<'_>, world: &World) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (index, change) in plan.changes().filter(|(_, change)| is_checked(change)) {
        for (place, entry) in change
            .body
            .evidence()
            .unwrap_or_default()
            .iter()
            .enumerate()
        {
            // Looking for where a quote stands instead takes time, and the answer is full.
            if violations.len() >= MAX_VIOLATIONS {
                return violations;
            }
            if let Err((field, what)) = check_entry(entry, plan, world) {
                let at = path(&plan.writes[index], index, change.name.as_str());
                let field = format!("{at}.evidence[{place}].{field}");
                violations.push(Violation::new(field, what));
            }
        }
    }
    violations
}

/// Quotes are checked when they are written and when they become visible.
fn is_checked(change: &Change) -> bool {
    change.has_new_content && change.change_type != ChangeType::Purged
        || matches!(
            change.change_type,
            ChangeType::Published | ChangeType::Embargoed
        )
}

fn check_entry(
    entry: &Evidence,
    plan: &Plan<'_>,
    world: &World,
) -> Result<(), (&'static str, String)> {
    // A name that is none, and offsets that are none, are violations of their own.
    let Some(article) = Name::parse(&entry.article) else {
        return Ok(());
    };
    let Some(newest) = newest_revision(&article, plan, world) else {
        return Ok(());
    };
    let Some(pinned) = pinned(&article, entry.article_revision, plan, world) else {
        let what = format!(
            "{article} has no revision {}; its newest is {newest}",
            entry.article_revision
        );
        return Err(("article_revision", what));
    };
    match &entry.quote {
        Some(quote) => {
            check_quote(quote, &pinned.headline, &pinned.body).map_err(|what| ("quote", what))
        }
        None => Ok(()),
    }
}

/// The newest revision of an article with this batch; `None` if there is no such article.
fn newest_revision(article: &Name, plan: &Plan<'_>, world: &World) -> Option<i64> {
    let stored = world.standings.get(article);
    let stored = stored.filter(|standing| !standing.deleted);
    let written = plan.change_of(article).map(|change| change.revision);
    written.or(stored.map(|standing| standing.revision))
}

fn pinned<'a>(
    article: &Name,
    revision: i64,
    plan: &'a Plan<'_>,
    world: &'a World,
) -> Option<&'a Article> {
    let written = plan
        .change_of(article)
        .filter(|change| change.revision == revision);
    let stored = || world.revisions.get(&(article.clone(), revision));
    match written.map(|change| &change.body).or_else(stored)? {
        Body::Article(article) => Some(article),
        _ => None,
    }
}

/// Where a record stands in the request; a stored one stands under its name and version.
pub(super) fn path(write: &Write, index: usize, name: &str) -> String {
    let word = write.action.word();
    let kind = Name::parse(name).map_or("", |name| kind_word(name.kind()));
    match write.action {
        Action::Create { .. } | Action::Update { .. } | Action::Correct { .. } => {
            format!("writes[{index}].{word}.record.{kind}")
        }
        Action::Load { .. } => format!("records[{index}].{kind}"),
        _ => format!("writes[{index}].{word}.record"),
    }
}
