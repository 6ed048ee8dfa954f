//! Prefetch: the data that has to be read before a request can be decided. The store calls, reads, and calls again
//! until nothing is missing, because the data of one round determines the needs of the next. Knows no SQL.
//!
//! A decision that looks up what is not planned here fails as a whole (`checked_view`).

use std::collections::HashMap;

use dateline_proto::v1::{Evidence, Kind, State, record::Kind as Body};
use dateline_record::{
    index::{IndexTerms, extract_terms},
    mask,
    name::Name,
    revision::Revision,
    validate::check_body,
    walk::Path,
};

use super::{
    publication::{MAX_MERGES, part_of},
    read_plan::{Pin, ReadPlan},
    read_view::{Head, ReadView, RecordStatus},
    request::{Action, Request, Write},
    withdrawal::supporting,
};

/// Most references of a record. A valid record has fewer: 500 entries of evidence name 17 records each at most.
const MAX_REFERENCES: usize = 20_000;

/// The planner of the reads of some requests, for one read view that grows.
#[derive(Debug)]
pub struct Planner<'r> {
    requests: &'r [&'r Request],
    /// The next contents of records that the requests edit, by name; `None` if the edit is invalid. They are the same in
    /// every round, and take time.
    edited: HashMap<&'r Name, Option<(Body, IndexTerms)>>,
}

impl<'r> Planner<'r> {
    /// Returns a planner for requests.
    #[must_use]
    pub fn new(requests: &'r [&'r Request]) -> Self {
        Self {
            requests,
            edited: HashMap::new(),
        }
    }

    /// Returns the data that the requests need and that was not read yet; empty when they can be decided.
    #[must_use]
    pub fn plan_reads(&mut self, read_view: &ReadView) -> ReadPlan {
        let mut plan = ReadPlan::default();
        for request in self.requests {
            let conditions = request.preconditions.iter();
            plan.heads.extend(conditions.map(|(name, _)| name.clone()));
            for write in &request.writes {
                plan.heads.extend(write.names().cloned());
                add(write, read_view, &mut plan);
                self.add_edited(write, read_view, &mut plan);
            }
        }
        plan.without(read_view.read_so_far())
    }

    /// Adds what the next content of an edited record needs, as soon as the record was read.
    fn add_edited(&mut self, write: &'r Write, read_view: &ReadView, plan: &mut ReadPlan) {
        let Some(head) = read_view.head_so_far(&write.name) else {
            return;
        };
        let edited = self.edited.entry(&write.name);
        let edited = edited.or_insert_with(|| edited_content(write, head, read_view));
        if let Some((body, terms)) = edited {
            plan.keys.extend(&terms.keys);
            content(body, terms, read_view, plan);
            if !matches!(write.action, Action::Update { .. }) {
                pins(body, read_view, plan);
            }
        }
    }
}

/// Returns the next content of an edited record, as the decision will compute it. `None` if it is invalid: then the
/// write is refused before anything else is looked up.
fn edited_content(write: &Write, head: &Head, read_view: &ReadView) -> Option<(Body, IndexTerms)> {
    let mut body = match &write.action {
        Action::Update { body, paths } | Action::Correct { body, paths, .. } => {
            mask::apply(&head.body, body, paths, "").ok()?
        }
        // Planned in the same round as the head.
        Action::Restore { revision } => read_view
            .body_so_far(&(write.name.clone(), *revision))?
            .clone(),
        _ => return None,
    };
    let found = check_body(&mut body, &mut Path::default());
    if !found.violations.is_empty() {
        return None;
    }
    let terms = extract_terms(&mut body, State::Draft);
    Some((body, terms))
}

fn add(write: &Write, read_view: &ReadView, plan: &mut ReadPlan) {
    let head = read_view.head_so_far(&write.name);
    let stored = head.map(|head| (&head.body, head.terms()));
    match &write.action {
        Action::Create { body, terms } => {
            original(body, plan);
            plan.keys.extend(&terms.keys);
            content(body, terms, read_view, plan);
        }
        // Most of what is sent becomes the next content. Reading it along with the record saves a round; reading a few
        // records too many does no harm.
        Action::Update { body, .. } if head.is_none() => sent(body, read_view, plan),
        Action::Correct { body, .. } if head.is_none() => {
            sent(body, read_view, plan);
            pins(body, read_view, plan);
        }
        Action::Restore { revision } => {
            plan.revisions.insert((write.name.clone(), *revision));
        }
        Action::Publish { .. } => {
            if let Some((body, terms)) = stored {
                content(body, terms, read_view, plan);
                pins(body, read_view, plan);
                // A record under embargo may refer to another one under embargo, and only the head holds its end.
                let targets = terms.references.iter();
                let targets = targets.flat_map(|it| redirects(&it.target, read_view));
                let hidden = targets.filter(|target| {
                    let status = read_view.status_so_far(target);
                    status.is_some_and(RecordStatus::is_embargoed)
                });
                plan.heads.extend(hidden.cloned());
            }
        }
        Action::Retract { .. } => dependents(&write.name, read_view, plan),
        Action::Purge { .. } => {
            dependents(&write.name, read_view, plan);
            plan.copies.insert(write.name.clone());
            let copies = read_view.copies_so_far(&write.name).iter();
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
                    for name in read_view.citing_so_far(&write.name) {
                        plan.heads.insert(name.clone());
                        both(read_view, [&write.name, name], plan);
                    }
                }
                pins(body, read_view, plan);
                let cited = body.evidence().unwrap_or_default().iter();
                plan.heads
                    .extend(cited.filter_map(|entry| Name::parse(&entry.article)));
            }
            original(body, plan);
        }
        Action::Update { .. }
        | Action::Correct { .. }
        | Action::Delete
        | Action::SendBack
        | Action::Submit => {}
    }
}

/// Adds the hash of a new article's original text.
fn original(body: &Body, plan: &mut ReadPlan) {
    if let Body::Article(article) = body
        && !article.original_sha256.is_empty()
    {
        plan.originals.insert(article.original_sha256.clone());
    }
}

/// Adds what a content as sent probably needs.
fn sent(body: &Body, read_view: &ReadView, plan: &mut ReadPlan) {
    let terms = extract_terms(&mut body.clone(), State::Draft);
    plan.keys.extend(&terms.keys);
    // With more references the write is refused, or the mask leaves out the fields that hold them.
    if terms.references.len() <= MAX_REFERENCES {
        content(body, &terms, read_view, plan);
    }
}

/// Adds the revisions that evidence pins and, for those that readers cannot read, the article's readable revisions.
fn pins(body: &Body, read_view: &ReadView, plan: &mut ReadPlan) {
    for entry in body.evidence().unwrap_or_default() {
        let Some(article) = Name::parse(&entry.article) else {
            continue;
        };
        plan.statuses.insert(article.clone());
        let Some(pin) = pin(article, entry, read_view) else {
            continue;
        };
        if !read_view.read_so_far().revisions.contains(&pin) {
            plan.revisions.insert(pin);
        } else if !read_view.is_readable_so_far(&pin) {
            plan.published.insert(pin.0);
        }
    }
}

/// Returns the revision that an entry of evidence pins: the newest one if it names none, as soon as that is known.
fn pin(article: Name, entry: &Evidence, read_view: &ReadView) -> Option<Pin> {
    let revision = match entry.article_revision {
        0 => read_view.status_so_far(&article)?.revision,
        pinned => Revision::new(pinned),
    };
    Some((article, revision))
}

/// Adds the pins of both sides of a merge, since readers get both again.
fn both(read_view: &ReadView, names: [&Name; 2], plan: &mut ReadPlan) {
    for head in names
        .into_iter()
        .filter_map(|name| read_view.head_so_far(name))
    {
        pins(&head.body, read_view, plan);
    }
}

/// Adds the records that a content refers to, quotes, and is part of.
fn content(body: &Body, terms: &IndexTerms, read_view: &ReadView, plan: &mut ReadPlan) {
    for reference in &terms.references {
        for name in redirects(&reference.target, read_view) {
            plan.statuses.insert(name.clone());
        }
    }
    for entry in body.evidence().unwrap_or_default() {
        if let Some(article) = Name::parse(&entry.article) {
            plan.revisions.extend(pin(article, entry, read_view));
        }
    }
    let mut open: Vec<_> = part_of(body).collect();
    while let Some(event) = open.pop() {
        if plan.heads.insert(event.clone())
            && let Some(head) = read_view.head_so_far(&event)
        {
            open.extend(part_of(&head.body));
        }
    }
}

/// Returns a record and those that it was merged into, one by one, as far as they are known by now.
fn redirects<'a>(target: &'a Name, read_view: &'a ReadView) -> impl Iterator<Item = &'a Name> {
    let into = |name: &&Name| read_view.status_so_far(name)?.merged_into.as_ref();
    std::iter::successors(Some(target), into).take(MAX_MERGES + 1)
}

/// Adds the records that cite an article, and the other articles that they cite.
fn dependents(article: &Name, read_view: &ReadView, plan: &mut ReadPlan) {
    if article.kind() != Kind::Article {
        return;
    }
    plan.citing.insert(article.clone());
    for name in read_view.citing_so_far(article) {
        plan.heads.insert(name.clone());
        if let Some(head) = read_view.head_so_far(name) {
            plan.statuses.extend(supporting(&head.body));
        }
    }
}
