//! A minimal model of the contract: the outcome of a request, and the visible state afterwards. Written from the
//! contract and the domain rules, not from the service.

use std::collections::{BTreeMap, BTreeSet};

use dateline_proto::v1::State;

/// The content of a record, as far as rules use it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    pub text: String,
    /// Articles that it cites.
    pub cites: BTreeSet<String>,
    /// Actors that it refers to.
    pub names: BTreeSet<String>,
    /// Events that it is part of.
    pub part_of: BTreeSet<String>,
    /// Cited articles whose pin was moved to a revision that readers can read. All evidence is drafted with a pin of
    /// revision 1, which readers never see.
    pub repinned: BTreeSet<String>,
}

impl Content {
    fn references(&self) -> impl Iterator<Item = &String> {
        self.cites.iter().chain(&self.names).chain(&self.part_of)
    }

    /// True if they differ at most in pins.
    fn is_same_but_for_pins(&self, other: &Content) -> bool {
        let pinned_alike = Content {
            repinned: other.repinned.clone(),
            ..self.clone()
        };
        pinned_alike == *other
    }
}

/// A record: its current state and its history.
#[derive(Debug, Clone)]
pub struct ModelRecord {
    pub state: State,
    /// A deleted draft, or an erased one: the name is taken, and no record exists.
    pub gone: bool,
    pub content: Content,
    /// Contents of all revisions, from the first.
    pub past: Vec<Content>,
    pub merged_into: String,
    pub merged_from: BTreeSet<String>,
    pub corrections: usize,
}

impl ModelRecord {
    pub fn revision(&self) -> usize {
        self.past.len()
    }
}

#[derive(Debug, Clone)]
pub enum Deed {
    Create(Content),
    Update(Content),
    Delete,
    Submit,
    SendBack,
    Publish,
    Embargo,
    Correct(Content, bool),
    Retract { cascade: bool, noted: bool },
    Merge { into: String, seen: usize },
    Unmerge,
    Restore { revision: usize, noted: bool },
    Purge { cascade: bool },
}

/// One write: its record, its kind, and the revision that the writer has read.
#[derive(Debug, Clone)]
pub struct Deeds {
    pub name: String,
    pub seen: usize,
    pub deed: Deed,
}

impl Deeds {
    /// The records that the write says it changes.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        let other = match &self.deed {
            Deed::Merge { into, .. } => Some(into),
            _ => None,
        };
        std::iter::once(&self.name).chain(other)
    }
}

#[derive(Debug, Clone, Default)]
pub struct Model {
    pub records: BTreeMap<String, ModelRecord>,
    pub desk: i64,
    pub wire: i64,
}

/// The outcome of a request: the names that change, or every reason for which it may be refused.
pub type Outcome = Result<BTreeSet<String>, BTreeSet<&'static str>>;

pub fn is_visible(state: State) -> bool {
    matches!(state, State::Published | State::Retracted | State::Merged)
}

pub fn is_article(name: &str) -> bool {
    name.starts_with("articles/")
}

/// The effect of one write on the records; `Ok(None)` if there is none.
struct WriteEffect {
    /// True if it publishes content whose references must be published.
    shows: bool,
    /// Names that changed.
    changed: Vec<String>,
}

impl Model {
    /// Decides a request and, if it is accepted, applies it.
    pub fn apply(&mut self, request: &[Deeds]) -> Outcome {
        // An invalid request is refused before any record is read.
        if request.iter().any(is_malformed) || names_twice(request) {
            return Err(BTreeSet::from(["INVALID_RECORD"]));
        }
        let mut after = self.clone();
        let mut reasons = BTreeSet::new();
        let mut changed: Vec<String> = Vec::new();
        let (mut shown, mut rewritten) = (Vec::new(), Vec::new());
        for deeds in request {
            match after.step(deeds, self) {
                Ok(done) => {
                    if done.shows {
                        shown.push(deeds.name.clone());
                    }
                    if done.shows && done.changed.is_empty() {
                        rewritten.push(&deeds.name);
                    }
                    changed.extend(done.changed);
                }
                Err(reason) => {
                    reasons.insert(reason);
                }
            }
        }
        let cascaded = after.withdraw(request, self, &mut reasons);
        changed.extend(cascaded);
        let names: BTreeSet<_> = changed.iter().cloned().collect();
        if names.len() < changed.len() || rewritten.iter().any(|name| names.contains(*name)) {
            reasons.insert("INVALID_RECORD");
        }
        for name in &shown {
            after.check_references(name, &mut reasons);
        }
        if !reasons.is_empty() {
            return Err(reasons);
        }
        for name in shown.iter().filter(|name| names.contains(*name)) {
            after.repin(name);
        }
        for name in &names {
            let visible = |model: &Model| {
                model
                    .records
                    .get(name)
                    .is_some_and(|it| is_visible(it.state))
            };
            after.desk += 1;
            after.wire += i64::from(visible(self) || visible(&after));
        }
        *self = after;
        Ok(names)
    }

    /// One write against the records as they were before the request, whatever the other writes are: their order tells
    /// nothing, and a record that two of them change is refused for that.
    #[expect(
        clippy::too_many_lines,
        reason = "one arm per deed, each a line of the contract"
    )]
    fn step(&mut self, deeds: &Deeds, before: &Model) -> Result<WriteEffect, &'static str> {
        let name = &deeds.name;
        if let Deed::Create(content) = &deeds.deed {
            if before.records.contains_key(name) {
                return Err("NAME_TAKEN");
            }
            let known = ModelRecord {
                state: State::Draft,
                gone: false,
                content: content.clone(),
                past: vec![content.clone()],
                merged_into: String::new(),
                merged_from: BTreeSet::new(),
                corrections: 0,
            };
            self.records.insert(name.clone(), known);
            return Ok(done(name, false));
        }
        let known = before.records.get(name).ok_or("RECORD_NOT_FOUND")?;
        if known.gone && !matches!(deeds.deed, Deed::Purge { .. }) {
            return Err("RECORD_NOT_FOUND");
        }
        if deeds.seen != known.revision() {
            return Err("ETAG_MISMATCH");
        }
        let mut next = known.clone();
        let mut others = Vec::new();
        let mut shows = false;
        match &deeds.deed {
            Deed::Create(_) => {}
            Deed::Update(content) => {
                need(known, &[State::Draft])?;
                next.content = content.clone();
                if next.content == known.content {
                    return Ok(nothing());
                }
            }
            Deed::Delete => {
                need(known, &[State::Draft])?;
                (next.gone, next.content) = (true, Content::default());
            }
            Deed::Submit if known.state == State::InReview => return Ok(nothing()),
            Deed::Submit => {
                need(known, &[State::Draft])?;
                next.state = State::InReview;
            }
            Deed::SendBack => {
                need(known, &[State::InReview, State::Embargoed])?;
                next.state = State::Draft;
            }
            Deed::Publish if known.state == State::Published => return Ok(nothing()),
            Deed::Embargo if known.state == State::Embargoed => return Ok(nothing()),
            Deed::Publish | Deed::Embargo => {
                need(known, &[State::Draft, State::InReview, State::Embargoed])?;
                next.state = match deeds.deed {
                    Deed::Embargo => State::Embargoed,
                    _ => State::Published,
                };
                shows = true;
            }
            Deed::Correct(content, _) => {
                need(known, &[State::Published])?;
                next.content = content.clone();
                if next.content.is_same_but_for_pins(&known.content) {
                    return Ok(same(true));
                }
                next.corrections += 1;
                shows = true;
            }
            Deed::Retract { .. } => {
                need(known, &[State::Published])?;
                next.state = State::Retracted;
                next.corrections += 1;
            }
            Deed::Merge { into, seen } => {
                need(known, &[State::Published])?;
                let winner = before.records.get(into).filter(|it| !it.gone);
                let winner = winner.ok_or("RECORD_NOT_FOUND")?;
                if *seen != winner.revision() {
                    return Err("ETAG_MISMATCH");
                }
                need(winner, &[State::Published])?;
                let winner = self.records.get_mut(into).unwrap();
                winner.merged_from.insert(name.clone());
                winner.merged_from.extend(known.merged_from.clone());
                winner.past.push(winner.content.clone());
                others.push(into.clone());
                next.state = State::Merged;
                next.merged_into = into.clone();
            }
            Deed::Unmerge => {
                need(known, &[State::Merged])?;
                need(&before.records[&known.merged_into], &[State::Published])?;
                let winner = self.records.get_mut(&known.merged_into).unwrap();
                let gone = |from: &String| from == name || known.merged_from.contains(from);
                winner.merged_from.retain(|from| !gone(from));
                winner.past.push(winner.content.clone());
                others.push(known.merged_into.clone());
                next.state = State::Published;
                next.merged_into = String::new();
                shows = true;
            }
            Deed::Restore { revision, noted } => {
                need(known, &[State::Draft, State::Published])?;
                let published = known.state == State::Published;
                if published && !noted || !(1..=known.revision()).contains(revision) {
                    return Err("INVALID_RECORD");
                }
                next.content = known.past[revision - 1].clone();
                if next.content == known.content {
                    return Ok(nothing());
                }
                // In a published record the pins are moved again, and then nothing differs.
                if published && next.content.is_same_but_for_pins(&known.content) {
                    return Ok(same(true));
                }
                next.corrections += usize::from(published);
                shows = published;
            }
            Deed::Purge { .. } => {
                next.corrections += usize::from(is_visible(known.state));
                next.gone = !is_visible(known.state);
                next.state = match known.state {
                    State::Published => State::Retracted,
                    State::Embargoed => State::Draft,
                    state => state,
                };
                next.content = Content::default();
                next.past.fill(Content::default());
            }
        }
        next.past.push(next.content.clone());
        self.records.insert(name.clone(), next);
        others.push(name.clone());
        Ok(WriteEffect {
            shows,
            changed: others,
        })
    }

    /// Withdraws records that cite only withdrawn articles, or refuses it.
    fn withdraw(
        &mut self,
        request: &[Deeds],
        before: &Model,
        reasons: &mut BTreeSet<&'static str>,
    ) -> Vec<String> {
        let public = |model: &Model, name: &String| {
            model
                .records
                .get(name)
                .is_some_and(|it| it.state == State::Published && !it.gone)
        };
        let taken: BTreeSet<_> = request
            .iter()
            .map(|deeds| &deeds.name)
            .filter(|name| is_article(name) && public(before, name) && !public(self, name))
            .collect();
        let cascade = request.iter().any(|deeds| {
            matches!(
                deeds.deed,
                Deed::Retract { cascade: true, .. } | Deed::Purge { cascade: true }
            )
        });
        let mut bereft = Vec::new();
        for (name, known) in &self.records {
            let rested = before.records.get(name).is_some_and(|it| {
                it.state == State::Published
                    && it.content.cites.iter().any(|cited| taken.contains(cited))
            });
            let rests = known
                .content
                .cites
                .iter()
                .any(|cited| taken.contains(cited));
            let stands = known.content.cites.iter().any(|cited| public(self, cited));
            if known.state == State::Published && rested && rests && !stands {
                bereft.push(name.clone());
            }
        }
        if !bereft.is_empty() && !cascade {
            reasons.insert("ONLY_EVIDENCE");
            return Vec::new();
        }
        for name in &bereft {
            let known = self.records.get_mut(name).unwrap();
            known.state = State::Retracted;
            known.corrections += 1;
            known.past.push(known.content.clone());
        }
        bereft
    }

    /// Checks that published content refers to published records only (W9).
    fn check_references(&self, name: &str, reasons: &mut BTreeSet<&'static str>) {
        let known = &self.records[name];
        if !is_article(name) && known.content.cites.is_empty() {
            reasons.insert("MISSING_EVIDENCE");
        }
        // A merged record redirects to another, which must exist: it may have been withdrawn since.
        let resolves = |target: &String| {
            let found = self.records.get(target).filter(|it| !it.gone);
            let found = found.map(|_| &self.records[self.leads_to(target)]);
            found.is_some_and(|it| {
                !it.gone
                    && (it.state == State::Published
                        || it.state == State::Embargoed && known.state == State::Embargoed)
            })
        };
        if !known.content.references().all(resolves) {
            reasons.insert("UNRESOLVED_REFERENCES");
        }
        let mut open: Vec<_> = known.content.part_of.iter().collect();
        let mut seen = BTreeSet::new();
        while let Some(event) = open.pop() {
            if event == name {
                reasons.insert("PART_OF_ITSELF");
                break;
            }
            if seen.insert(event)
                && let Some(further) = self.records.get(event).filter(|it| !it.gone)
            {
                open.extend(&further.content.part_of);
            }
        }
    }

    /// Moves the pins of a record that readers will see to revisions that they can read (W9). A pin of an article under
    /// embargo stays until the record is published.
    fn repin(&mut self, name: &str) {
        let published = |cited: &&String| self.records[*cited].state == State::Published;
        let cites = self.records[name].content.cites.iter();
        let repinned: BTreeSet<_> = cites.filter(published).cloned().collect();
        if let Some(known) = self.records.get_mut(name) {
            known.content.repinned.extend(repinned);
            if let Some(newest) = known.past.last_mut() {
                newest.clone_from(&known.content);
            }
        }
    }

    /// The name to which a name redirects.
    pub fn leads_to<'a>(&'a self, name: &'a str) -> &'a str {
        let known = &self.records[name];
        if known.state == State::Merged {
            self.leads_to(&known.merged_into)
        } else {
            name
        }
    }
}

fn is_malformed(deeds: &Deeds) -> bool {
    match &deeds.deed {
        Deed::Correct(_, noted) | Deed::Retract { noted, .. } => !noted,
        Deed::Merge { into, .. } => is_article(into) || *into == deeds.name,
        _ => false,
    }
}

/// A record that two writes name. That one of them would change it along with its own is found out later.
fn names_twice(request: &[Deeds]) -> bool {
    let mut seen = BTreeSet::new();
    let mut named = request.iter().flat_map(Deeds::names);
    named.any(|name| !seen.insert(name))
}

fn done(name: &str, shows: bool) -> WriteEffect {
    WriteEffect {
        shows,
        changed: vec![name.to_owned()],
    }
}

fn nothing() -> WriteEffect {
    same(false)
}

/// The content that is there already. Evidence that cites an article as it was drafted is written anew, so what it
/// names has to be there, although in the end it cites what it cited.
fn same(shows: bool) -> WriteEffect {
    WriteEffect {
        shows,
        changed: Vec::new(),
    }
}

fn need(known: &ModelRecord, states: &[State]) -> Result<(), &'static str> {
    if states.contains(&known.state) && !known.gone {
        Ok(())
    } else {
        Err("WRONG_STATE")
    }
}
