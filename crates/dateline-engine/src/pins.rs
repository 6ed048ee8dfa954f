//! Pins of evidence, in records that readers see (F10, W9). A pin of an article's revision that readers cannot read
//! would show them text that was deleted before publication. It is moved to a revision that they can read, if that has
//! the quote at the same position; otherwise the batch is refused.

use std::collections::{BTreeMap, BTreeSet};

use dateline_proto::v1::{
    Evidence, Kind, RecordMeta, State, change::Type as ChangeType, record::Kind as Body,
};
use dateline_record::{
    index::FieldReference, mask, name::Name, revision::Revision, rules::quote::check_quote,
    violation::Warning,
};

use super::{
    change::{Change, ReadSet},
    checked_view::CheckedView,
    decide::{ChangeIndex, ChangeSet},
    read_plan::Pin,
    rejection::UnresolvedReference,
    sources,
};

/// Most records in a warning besides the article.
const MAX_NAMED: usize = 20;

/// Pins of a batch that readers cannot follow.
#[derive(Debug, Default)]
pub(super) struct Pins {
    moved: Vec<MovedPin>,
    /// Pins without a readable revision to move to.
    pub unreadable: Vec<UnresolvedReference>,
}

/// A pin that is moved to a readable revision.
#[derive(Debug)]
struct MovedPin {
    position: ChangeIndex,
    entry: usize,
    article: Name,
    from: Revision,
    to: Revision,
}

/// Readability of a pin.
enum PinStatus {
    /// Readers can read the revision, or will when they see the record.
    Readable,
    /// Readers can read the quote in this other revision.
    MovedTo(Revision),
    /// Readers can read the article, but not the quote.
    Unreadable(String),
    /// Readers cannot read the article. The check of references reports it; in a load it may follow later.
    NoSource,
}

/// Checks every pin in records that the batch makes visible, now or at the end of an embargo.
pub(super) fn find(
    change_set: &ChangeSet<'_>,
    read_view: &CheckedView<'_>,
    is_load: bool,
    read_set: &mut ReadSet,
) -> Pins {
    let mut pins = Pins::default();
    let checker = PinChecker {
        change_set,
        read_view,
        is_load,
    };
    for (position, change) in change_set.all() {
        // A record loaded under embargo is checked when the embargo ends.
        let shows =
            change.state == State::Published || change.state == State::Embargoed && !is_load;
        let entries = change.body.evidence().filter(|_| shows);
        for (index, entry) in entries.unwrap_or_default().iter().enumerate() {
            // An invalid name is reported as a violation of its own.
            let Some(article) = Name::parse(&entry.article) else {
                continue;
            };
            read_set
                .revisions
                .push((article.clone(), read_view.revision(&article)));
            match checker.find(change.state, entry, &article) {
                PinStatus::Readable | PinStatus::NoSource => {}
                PinStatus::MovedTo(to) => pins.moved.push(MovedPin {
                    position,
                    entry: index,
                    article,
                    from: Revision::new(entry.article_revision),
                    to,
                }),
                PinStatus::Unreadable(why) => {
                    let pin = unresolved(&change.name, index, article, &why);
                    pins.unreadable.push(pin);
                }
            }
        }
    }
    if is_load {
        checker.find_before(&mut pins.unreadable, read_set);
    }
    pins
}

fn unresolved(source: &Name, index: usize, article: Name, why: &str) -> UnresolvedReference {
    UnresolvedReference {
        source: source.clone(),
        reference: FieldReference {
            target: article,
            field: format!("evidence[{index}].article_revision"),
        },
        why: Some(format!("evidence[{index}] {why}")),
    }
}

struct PinChecker<'a> {
    change_set: &'a ChangeSet<'a>,
    read_view: &'a CheckedView<'a>,
    is_load: bool,
}

impl PinChecker<'_> {
    /// Checks the pins of records that were loaded before the articles that they cite.
    fn find_before(&self, unreadable: &mut Vec<UnresolvedReference>, read_set: &mut ReadSet) {
        let loaded = self.change_set.changes().map(|(_, change)| change);
        for article in loaded.filter(|change| change.state == State::Published) {
            if article.kind() != Kind::Article {
                continue;
            }
            let citing = self.read_view.citing(&article.name).iter();
            for (name, head) in citing.filter_map(|name| Some((name, self.read_view.head(name)?))) {
                read_set
                    .revisions
                    .push((name.clone(), self.read_view.revision(name)));
                let entries = head.body.evidence().unwrap_or_default().iter().enumerate();
                for (index, entry) in entries.filter(|(_, it)| it.article == article.name.as_str())
                {
                    let found = self.find(State::Published, entry, &article.name);
                    if let PinStatus::Unreadable(why) = found {
                        unreadable.push(unresolved(name, index, article.name.clone(), &why));
                    }
                }
            }
        }
    }

    fn find(&self, state: State, entry: &Evidence, article: &Name) -> PinStatus {
        let pin = (article.clone(), Revision::new(entry.article_revision));
        let written = self.change_set.change_of(article);
        let is_written = written
            .is_some_and(|written| written.state == State::Published && written.revision == pin.1);
        if is_written || self.read_view.is_readable(&pin) || self.was_readable(&pin) {
            return PinStatus::Readable;
        }
        if let Some(to) = self.find_matching_revision(entry, article) {
            return PinStatus::MovedTo(to);
        }
        if state == State::Embargoed
            && self
                .embargoed_body(article)
                .is_some_and(|body| check_entry_quote(entry, body).is_ok())
        {
            return PinStatus::Readable;
        }
        self.unreadable_pin(state, entry, article)
    }

    /// Returns the article's readable revisions, including the batch's; ascending.
    fn candidates(&self, article: &Name) -> impl Iterator<Item = (Revision, &Body)> {
        let stored = self.read_view.readable_revisions(article);
        let written = self.change_set.change_of(article);
        let written = written.filter(|written| written.state == State::Published);
        stored.chain(written.map(|written| (written.revision, &written.body)))
    }

    /// Returns the first revision after the pinned one that has the quote, otherwise the last one before it.
    fn find_matching_revision(&self, entry: &Evidence, article: &Name) -> Option<Revision> {
        let matching = self
            .candidates(article)
            .filter(|(_, body)| check_entry_quote(entry, body).is_ok());
        let matching: Vec<_> = matching.map(|(revision, _)| revision).collect();
        let after = matching.iter().find(|to| to.get() > entry.article_revision);
        after.or(matching.last()).copied()
    }

    /// Returns the content of an article under embargo, which becomes visible when the embargo ends.
    fn embargoed_body(&self, article: &Name) -> Option<&Body> {
        let written = self.change_set.change_of(article);
        let written = written.map(|written| (written.state, &written.body));
        let stored = || {
            // The planner reads whole records only where there is an embargo.
            if !self.read_view.status(article)?.is_embargoed() {
                return None;
            }
            let head = self.read_view.head(article)?;
            Some((head.status.state, &head.body))
        };
        let (state, body) = written.or_else(stored)?;
        (state == State::Embargoed).then_some(body)
    }

    fn unreadable_pin(&self, state: State, entry: &Evidence, article: &Name) -> PinStatus {
        let (newest, body) = match self.candidates(article).last() {
            Some((revision, body)) => (format!("revision {revision}"), body),
            None if state == State::Embargoed => match self.embargoed_body(article) {
                Some(body) => ("the revision that comes out with it".to_owned(), body),
                None => return PinStatus::NoSource,
            },
            None => return PinStatus::NoSource,
        };
        let there = check_entry_quote(entry, body).err().unwrap_or_default();
        PinStatus::Unreadable(format!(
            "quotes revision {} of {article}, which readers never saw; in {newest} {there}",
            entry.article_revision
        ))
    }

    /// True if readers of the original database could read the revision of a loaded record. Articles are not merged, so
    /// every revision after publication is a correction, and the first correction shows when publication was.
    fn was_readable(&self, (article, revision): &Pin) -> bool {
        if !self.is_load {
            return false;
        }
        let loaded = self
            .change_set
            .change_of(article)
            .map(|change| &change.meta);
        let stored = || self.read_view.head(article).map(|head| &head.meta);
        let meta = loaded.or_else(stored);
        meta.is_some_and(|meta| {
            first_readable(meta)
                .is_some_and(|first| (first..=Revision::new(meta.revision)).contains(revision))
        })
    }
}

fn first_readable(meta: &RecordMeta) -> Option<Revision> {
    let corrections = meta.corrections.iter();
    let corrected = corrections.map(|it| Revision::new(it.revision)).min();
    match (meta.state(), corrected) {
        (State::Published | State::Retracted, Some(first)) => Some(first.previous()),
        (State::Published, None) => Some(Revision::new(meta.revision)),
        _ => None,
    }
}

/// Checks that an article has the quote of an entry. An entry without a quote refers to the whole article.
fn check_entry_quote(entry: &Evidence, body: &Body) -> Result<(), String> {
    match (&entry.quote, body) {
        (None, Body::Article(_)) => Ok(()),
        (Some(quote), Body::Article(article)) => {
            check_quote(quote, &article.headline, &article.body)
        }
        _ => Err("there is no article".to_owned()),
    }
}

impl Pins {
    /// Moves the pins, and adds warnings. A correction that then makes no difference is dropped.
    pub(super) fn apply(self, change_set: &mut ChangeSet<'_>, read_view: &CheckedView<'_>) {
        for moved in &self.moved {
            let change = change_set.change_at(moved.position);
            let entry = change.and_then(|change| change.body.evidence_mut()?.get_mut(moved.entry));
            if let Some(entry) = entry {
                entry.article_revision = moved.to.get();
            }
        }
        let positions: BTreeSet<_> = self.moved.iter().map(|moved| moved.position).collect();
        refresh(positions, change_set, read_view);
        let found = self.warnings(change_set);
        change_set.warnings.splice(0..0, found);
    }

    fn warnings(&self, change_set: &mut ChangeSet<'_>) -> Vec<Warning> {
        let mut groups: BTreeMap<_, (String, BTreeSet<String>)> = BTreeMap::new();
        for moved in &self.moved {
            let Some(change) = change_set.change_at(moved.position) else {
                continue;
            };
            let name = change.name.to_string();
            let at = sources::path_at(change_set, moved.position, &name);
            let at = format!("{at}.evidence[{}].article_revision", moved.entry);
            let group = groups.entry((&moved.article, moved.from, moved.to));
            group.or_insert((at, BTreeSet::new())).1.insert(name);
        }
        let groups = groups.into_iter();
        let warnings = groups.map(|((article, from, to), (field, names))| Warning {
            field,
            reason: "EVIDENCE_REPINNED",
            description: format!(
                "readers never see revision {from} of {article}: evidence of {} cites revision {to} now, where the same \
                 stands at the same place",
                match names.len() {
                    1 => "one record".to_owned(),
                    count => format!("{count} records"),
                }
            ),
            records: std::iter::once(article.to_string())
                .chain(names.into_iter().take(MAX_NAMED))
                .collect(),
            candidates: Vec::new(),
        });
        warnings.collect()
    }
}

/// Updates the bookkeeping of changes after their bodies were modified. An edit that then makes no difference is
/// dropped.
pub(super) fn refresh(
    positions: impl IntoIterator<Item = ChangeIndex>,
    change_set: &mut ChangeSet<'_>,
    read_view: &CheckedView<'_>,
) {
    for position in positions {
        let keeps = |change| refresh_content(change, read_view);
        if !change_set.change_at(position).is_none_or(keeps) {
            change_set.mark_unchanged(position);
        }
    }
}

/// Updates the bookkeeping of a change after its body was modified; returns false if the change makes no difference any
/// more.
fn refresh_content(change: &mut Change, read_view: &CheckedView<'_>) -> bool {
    change.content = change.body.to_content();
    let Some(head) = read_view.head(&change.name) else {
        return true;
    };
    change.has_new_content = head.content != change.content;
    let is_edit = matches!(
        change.change_type,
        ChangeType::Updated | ChangeType::Corrected | ChangeType::Restored
    );
    if !is_edit {
        return true;
    }
    let changed = mask::changed_fields(&head.body, &change.body);
    let is_noted = change
        .changed_fields
        .iter()
        .any(|field| field.starts_with("meta."));
    if is_noted {
        // The other side of a merge, whose meta has changed as well.
        change.changed_fields.extend(changed);
        return true;
    }
    let correction = change.meta.corrections.last_mut();
    if let Some(correction) = correction.filter(|it| it.revision == change.revision.get()) {
        correction.changed_fields.clone_from(&changed);
    }
    change.changed_fields = changed;
    !change.changed_fields.is_empty()
}
