//! Prefetch: the data that has to be read before a request can be decided. The store calls, reads, and calls again
//! until nothing is missing, because the data of one round determines the needs of the next. Knows no SQL.

use dateline_proto::v1::{Kind, State, record::Kind as Body};
use dateline_record::{drawing::Drawing, name::Name};

use super::{
    publishing::part_of,
    request::{Action, Request, Write},
    withdrawal::supporting,
    world::{Look, World},
};

/// Most references of a record. A valid record has fewer: 500 entries of evidence name 17 records each at most.
const MAX_REFERENCES: usize = 20_000;

/// Returns the data that these requests need and that was not read yet; empty when they can be decided.
#[must_use]
pub fn next(requests: &[&Request], world: &World) -> Look {
    let mut look = Look::default();
    for request in requests {
        let conditions = request.preconditions.iter();
        look.heads.extend(conditions.map(|(name, _)| name.clone()));
        for write in &request.writes {
            look.heads.extend(write.names().cloned());
            add(write, world, &mut look);
        }
    }
    look.minus(&world.looked)
}

fn add(write: &Write, world: &World, look: &mut Look) {
    let head = world.head(&write.name);
    let stored = head.map(|head| (&head.body, head.drawing()));
    match &write.action {
        Action::Create { body, drawing } => {
            if let Body::Article(article) = body
                && !article.original_sha256.is_empty()
            {
                look.originals.insert(article.original_sha256.clone());
            }
            look.keys.extend(&drawing.keys);
            content(body, drawing, world, look);
        }
        Action::Update { body, .. } | Action::Correct { body, .. } => {
            // Some fields come from the request and some from the stored record; reading a few records too many does no
            // harm.
            let drawing = dateline_record::drawing::draw(&mut body.clone(), State::Draft);
            look.keys.extend(&drawing.keys);
            // With more references the write is refused, or the mask leaves out the fields that hold them.
            if drawing.references.len() <= MAX_REFERENCES {
                content(body, &drawing, world, look);
            }
            if let Some((body, drawing)) = stored {
                content(body, drawing, world, look);
            }
            if matches!(write.action, Action::Correct { .. }) {
                pins(body, world, look);
                if let Some((body, _)) = stored {
                    pins(body, world, look);
                }
            }
        }
        Action::Publish { .. } => {
            if let Some((body, drawing)) = stored {
                content(body, drawing, world, look);
                pins(body, world, look);
                // A record under embargo may refer to another one under embargo, and only the head holds its end.
                let targets = drawing.references.iter().map(|reference| &reference.target);
                let hidden = targets.filter(|target| {
                    let standing = world.standings.get(*target);
                    standing.is_some_and(|standing| {
                        standing.state == State::Embargoed && !standing.deleted
                    })
                });
                look.heads.extend(hidden.cloned());
            }
        }
        Action::Restore { revision } => {
            let wanted = (write.name.clone(), *revision);
            if let Some(body) = world.revisions.get(&wanted) {
                let drawing = dateline_record::drawing::draw(&mut body.clone(), State::Draft);
                content(body, &drawing, world, look);
                pins(body, world, look);
            }
            look.revisions.insert(wanted);
        }
        Action::Retract { .. } => dependents(&write.name, world, look),
        Action::Purge { .. } => {
            dependents(&write.name, world, look);
            look.copies.insert(write.name.clone());
            let copies = world.copies.get(&write.name).into_iter().flatten();
            look.standings.extend(copies.map(|copy| copy.name.clone()));
        }
        Action::Unmerge => {
            if let Some((body, drawing)) = stored {
                content(body, drawing, world, look);
            }
            if let Some(into) = head.and_then(|head| Name::parse(&head.meta.merged_into)) {
                both(world, [&write.name, &into], look);
                look.heads.insert(into);
            }
        }
        Action::Merge { into, .. } => both(world, [&write.name, into], look),
        Action::Load { body, meta } => {
            if meta.state() == State::Published {
                if write.name.kind() == Kind::Article {
                    look.citing.insert(write.name.clone());
                    for name in world.citing.get(&write.name).into_iter().flatten() {
                        look.heads.insert(name.clone());
                        both(world, [&write.name, name], look);
                    }
                }
                pins(body, world, look);
                let cited = body.evidence().unwrap_or_default().iter();
                look.heads
                    .extend(cited.filter_map(|entry| Name::parse(&entry.article)));
            }
            if let Body::Article(article) = body
                && !article.original_sha256.is_empty()
            {
                look.originals.insert(article.original_sha256.clone());
            }
        }
        Action::Delete | Action::SendBack | Action::Submit => {}
    }
}

/// Adds the revisions that evidence pins and, for those that readers cannot read, the article's readable revisions.
fn pins(body: &Body, world: &World, look: &mut Look) {
    for entry in body.evidence().unwrap_or_default() {
        let Some(article) = Name::parse(&entry.article) else {
            continue;
        };
        let pin = (article, entry.article_revision);
        if !world.looked.revisions.contains(&pin) {
            look.standings.insert(pin.0.clone());
            look.revisions.insert(pin);
        } else if !world.readable.contains(&pin) {
            look.published.insert(pin.0);
        }
    }
}

/// Adds the pins of both sides of a merge, since readers get both again.
fn both(world: &World, names: [&Name; 2], look: &mut Look) {
    for head in names.into_iter().filter_map(|name| world.head(name)) {
        pins(&head.body, world, look);
    }
}

/// Adds the records that a content refers to, quotes, and is part of.
fn content(body: &Body, drawing: &Drawing, world: &World, look: &mut Look) {
    for reference in &drawing.references {
        let mut target = Some(&reference.target);
        // Follows merges as far as they are known by now.
        while let Some(name) = target
            && look.standings.insert(name.clone())
        {
            target = world
                .standings
                .get(name)
                .and_then(|standing| standing.merged_into.as_ref());
        }
    }
    for entry in body.evidence().unwrap_or_default() {
        if let Some(article) = Name::parse(&entry.article) {
            look.revisions.insert((article, entry.article_revision));
        }
    }
    let mut open: Vec<_> = part_of(body).collect();
    while let Some(event) = open.pop() {
        if look.heads.insert(event.clone())
            && let Some(head) = world.head(&event)
        {
            open.extend(part_of(&head.body));
        }
    }
}

/// Adds the records that cite an article, and the other articles that they cite.
fn dependents(article: &Name, world: &World, look: &mut Look) {
    if article.kind() != Kind::Article {
        return;
    }
    look.citing.insert(article.clone());
    for name in world.citing.get(article).into_iter().flatten() {
        look.heads.insert(name.clone());
        if let Some(head) = world.head(name) {
            look.standings.extend(supporting(&head.body));
        }
    }
}
