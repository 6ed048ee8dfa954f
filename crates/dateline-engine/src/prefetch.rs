//! Prefetch: the data that has to be read before a request can be decided. The store calls, reads, and calls again
//! until nothing is missing, because the data of one round determines the needs of the next. Knows no SQL.

use dateline_proto::v1::{Kind, State, record::Kind as Body};
use dateline_record::{index::IndexTerms, name::Name};

use super::{
    publication::part_of,
    read_view::{ReadPlan, ReadView},
    request::{Action, Request, Write},
    withdrawal::supporting,
};

/// Most references of a record. A valid record has fewer: 500 entries of evidence name 17 records each at most.
const MAX_REFERENCES: usize = 20_000;

/// Returns the data that these requests need and that was not read yet; empty when they can be decided.
#[must_use]
pub fn plan_reads(requests: &[&Request], read_view: &ReadView) -> ReadPlan {
    let mut plan = ReadPlan::default();
    for request in requests {
        let conditions = request.preconditions.iter();
        plan.heads.extend(conditions.map(|(name, _)| name.clone()));
        for write in &request.writes {
            plan.heads.extend(write.names().cloned());
            add(write, read_view, &mut plan);
        }
    }
    plan.without(&read_view.fetched)
}

fn add(write: &Write, read_view: &ReadView, plan: &mut ReadPlan) {
    let head = read_view.head(&write.name);
    let stored = head.map(|head| (&head.body, head.terms()));
    match &write.action {
        Action::Create { body, terms } => {
            if let Body::Article(article) = body
                && !article.original_sha256.is_empty()
            {
                plan.originals.insert(article.original_sha256.clone());
            }
            plan.keys.extend(&terms.keys);
            content(body, terms, read_view, plan);
        }
        Action::Update { body, .. } | Action::Correct { body, .. } => {
            // Some fields come from the request and some from the stored record; reading a few records too many does no
            // harm.
            let terms = dateline_record::index::extract_terms(&mut body.clone(), State::Draft);
            plan.keys.extend(&terms.keys);
            // With more references the write is refused, or the mask leaves out the fields that hold them.
            if terms.references.len() <= MAX_REFERENCES {
                content(body, &terms, read_view, plan);
            }
            if let Some((body, terms)) = stored {
                content(body, terms, read_view, plan);
            }
            if matches!(write.action, Action::Correct { .. }) {
                pins(body, read_view, plan);
                if let Some((body, _)) = stored {
                    pins(body, read_view, plan);
                }
            }
        }
        Action::Publish { .. } => {
            if let Some((body, terms)) = stored {
                content(body, terms, read_view, plan);
                pins(body, read_view, plan);
                // A record under embargo may refer to another one under embargo, and only the head holds its end.
                let targets = terms.references.iter().map(|reference| &reference.target);
                let hidden = targets.filter(|target| {
                    let status = read_view.statuses.get(*target);
                    status.is_some_and(|status| status.state == State::Embargoed && !status.deleted)
                });
                plan.heads.extend(hidden.cloned());
            }
        }
        Action::Restore { revision } => {
            let wanted = (write.name.clone(), *revision);
            if let Some(body) = read_view.revisions.get(&wanted) {
                let terms = dateline_record::index::extract_terms(&mut body.clone(), State::Draft);
                content(body, &terms, read_view, plan);
                pins(body, read_view, plan);
            }
            plan.revisions.insert(wanted);
        }
        Action::Retract { .. } => dependents(&write.name, read_view, plan),
        Action::Purge { .. } => {
            dependents(&write.name, read_view, plan);
            plan.copies.insert(write.name.clone());
            let copies = read_view.copies.get(&write.name).into_iter().flatten();
            plan.statuses.extend(copies.map(|copy| copy.name.clone()));
        }
        Action::Unmerge => {
            if let Some((body, terms)) = stored {
                content(body, terms, read_view, plan);
            }
            if let Some(into) = head.and_then(|head| Name::parse(&head.meta.merged_into)) {
                both(read_view, [&write.name, &into], plan);
                plan.heads.insert(into);
            }
        }
        Action::Merge { into, .. } => both(read_view, [&write.name, into], plan),
        Action::Load { body, meta } => {
            if meta.state() == State::Published {
                if write.name.kind() == Kind::Article {
                    plan.citing.insert(write.name.clone());
                    for name in read_view.citing.get(&write.name).into_iter().flatten() {
                        plan.heads.insert(name.clone());
                        both(read_view, [&write.name, name], plan);
                    }
                }
                pins(body, read_view, plan);
                let cited = body.evidence().unwrap_or_default().iter();
                plan.heads
                    .extend(cited.filter_map(|entry| Name::parse(&entry.article)));
            }
            if let Body::Article(article) = body
                && !article.original_sha256.is_empty()
            {
                plan.originals.insert(article.original_sha256.clone());
            }
        }
        Action::Delete | Action::SendBack | Action::Submit => {}
    }
}

/// Adds the revisions that evidence pins and, for those that readers cannot read, the article's readable revisions.
fn pins(body: &Body, read_view: &ReadView, plan: &mut ReadPlan) {
    for entry in body.evidence().unwrap_or_default() {
        let Some(article) = Name::parse(&entry.article) else {
            continue;
        };
        let pin = (article, entry.article_revision);
        if !read_view.fetched.revisions.contains(&pin) {
            plan.statuses.insert(pin.0.clone());
            plan.revisions.insert(pin);
        } else if !read_view.readable.contains(&pin) {
            plan.published.insert(pin.0);
        }
    }
}

/// Adds the pins of both sides of a merge, since readers get both again.
fn both(read_view: &ReadView, names: [&Name; 2], plan: &mut ReadPlan) {
    for head in names.into_iter().filter_map(|name| read_view.head(name)) {
        pins(&head.body, read_view, plan);
    }
}

/// Adds the records that a content refers to, quotes, and is part of.
fn content(body: &Body, terms: &IndexTerms, read_view: &ReadView, plan: &mut ReadPlan) {
    for reference in &terms.references {
        let mut target = Some(&reference.target);
        // Follows merges as far as they are known by now.
        while let Some(name) = target
            && plan.statuses.insert(name.clone())
        {
            target = read_view
                .statuses
                .get(name)
                .and_then(|status| status.merged_into.as_ref());
        }
    }
    for entry in body.evidence().unwrap_or_default() {
        if let Some(article) = Name::parse(&entry.article) {
            plan.revisions.insert((article, entry.article_revision));
        }
    }
    let mut open: Vec<_> = part_of(body).collect();
    while let Some(event) = open.pop() {
        if plan.heads.insert(event.clone())
            && let Some(head) = read_view.head(&event)
        {
            open.extend(part_of(&head.body));
        }
    }
}

/// Adds the records that cite an article, and the other articles that they cite.
fn dependents(article: &Name, read_view: &ReadView, plan: &mut ReadPlan) {
    if article.kind() != Kind::Article {
        return;
    }
    plan.citing.insert(article.clone());
    for name in read_view.citing.get(article).into_iter().flatten() {
        plan.heads.insert(name.clone());
        if let Some(head) = read_view.head(name) {
            plan.statuses.extend(supporting(&head.body));
        }
    }
}
