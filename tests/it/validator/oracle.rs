//! The feed as all unfiltered watchers of a view received it together, and its consistency: dense, the same for
//! everybody, in whole batches, each record's revisions in order. Also decides which changes filters match.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use dateline_proto::v1::{Change, RecordFilter, View, change::Type, record::Kind as Body};

use super::{
    Report, digest,
    history::{self, Watcher},
    matching::{self, Traits, is_tombstone, is_visible},
};

/// One change of the feed, with the traits for filters.
#[derive(Debug, Clone)]
pub struct FeedEntry {
    pub change: Change,
    after: Option<Traits>,
    /// Traits before the change, if the record was visible in the view then.
    before: Option<Traits>,
    /// It was erased later, so the answer depends on the time of the read.
    is_erased: bool,
}

/// The form in which a filtered stream must get a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    Whole,
    Left,
    Nothing,
    /// The content was erased: a read before that gets the change, a later one may not.
    Either,
}

/// One view's feed.
#[derive(Debug, Default)]
pub struct Oracle {
    pub view: View,
    pub entries: BTreeMap<i64, FeedEntry>,
    /// Names of records that were erased.
    pub erased: HashSet<String>,
    /// Batches in which an erased record changed: the note that its records shared is erased, too.
    pub erased_batches: HashSet<i64>,
}

impl Oracle {
    /// Combines what the unfiltered watchers received.
    pub fn from_watchers(view: View, watchers: &[Watcher], report: &mut Report) -> Self {
        let watchers: Vec<_> = watchers
            .iter()
            .filter(|watcher| watcher.view == view && watcher.is_unfiltered())
            .collect();
        let erased: HashSet<_> = watchers
            .iter()
            .flat_map(|watcher| watcher.changes())
            .filter(|change| change.r#type() == Type::Purged)
            .map(|change| change.name.clone())
            .collect();
        let erased_batches: HashSet<_> = watchers
            .iter()
            .flat_map(|watcher| watcher.changes())
            .filter(|change| erased.contains(&change.name))
            .map(|change| change.batch)
            .collect();
        let mut changes: BTreeMap<i64, Change> = BTreeMap::new();
        for watcher in watchers {
            for change in watcher.changes() {
                let Some(known) = changes.get_mut(&change.sequence) else {
                    changes.insert(change.sequence, change.clone());
                    continue;
                };
                let is_same = is_same(known, change, &erased)
                    || differ_in_erased_notes(known, change, &erased_batches);
                if !is_same {
                    let text = format!("{} here, {} elsewhere", describe(change), describe(known));
                    report.add(10, "F1", &watcher.name, change.sequence, text);
                } else if is_blank(known) {
                    *known = change.clone();
                }
            }
        }
        let entries = entries(view, changes, &erased);
        let oracle = Self {
            view,
            entries,
            erased,
            erased_batches,
        };
        oracle.check_dense(report);
        oracle.check_batches(report);
        oracle.check_revisions(report);
        oracle
    }

    pub fn head(&self) -> i64 {
        self.entries
            .last_key_value()
            .map_or(0, |(sequence, _)| *sequence)
    }

    /// The form of each change under a filter.
    pub fn due(&self, filter: &RecordFilter) -> BTreeMap<i64, Due> {
        let everything = *filter == RecordFilter::default();
        self.entries
            .iter()
            .map(|(sequence, entry)| {
                let due = if everything {
                    Due::Whole
                } else {
                    entry.due(filter)
                };
                (*sequence, due)
            })
            .collect()
    }

    /// The state of the feed at several sequences, requested in ascending order.
    pub fn states(&self) -> States<'_> {
        States {
            oracle: self,
            at: 0,
            copy: digest::FoldedState::with_digest(),
        }
    }

    fn label(&self) -> &'static str {
        match self.view {
            View::Desk => "the desk",
            _ => "the wire",
        }
    }

    fn check_dense(&self, report: &mut Report) {
        let mut expected = 1;
        for sequence in self.entries.keys() {
            if *sequence != expected {
                let text = format!("nobody saw {expected} to {}", sequence - 1);
                report.add(1, "F1", self.label(), expected, text);
            }
            expected = sequence + 1;
        }
    }

    fn check_batches(&self, report: &mut Report) {
        let changes: Vec<_> = self.entries.values().map(|entry| &entry.change).collect();
        let mut ended: BTreeSet<i64> = BTreeSet::new();
        for chunk in changes.chunk_by(|left, right| left.batch == right.batch) {
            let last = chunk[chunk.len() - 1];
            if last.batch != last.sequence {
                let text = format!("batch {} ends with {}", last.batch, last.sequence);
                report.add(6, "F3", self.label(), last.sequence, text);
            }
            if !ended.insert(last.batch) {
                let text = format!("batch {} goes on after its end", last.batch);
                report.add(6, "F3", self.label(), chunk[0].sequence, text);
            }
        }
    }

    fn check_revisions(&self, report: &mut Report) {
        let mut newest: HashMap<&str, i64> = HashMap::new();
        for FeedEntry { change, .. } in self.entries.values() {
            let before = newest.insert(&change.name, change.revision).unwrap_or(0);
            let follows = match self.view {
                View::Desk => change.revision == before + 1,
                // Readers do not see the revisions of drafts.
                _ => change.revision > before,
            };
            if !follows {
                let text = format!(
                    "{} goes from revision {before} to {}",
                    change.name, change.revision
                );
                let invariant = if change.r#type() == Type::Deleted {
                    20
                } else {
                    7
                };
                report.add(invariant, "F1", self.label(), change.sequence, text);
            }
        }
    }
}

impl FeedEntry {
    fn due(&self, filter: &RecordFilter) -> Due {
        if self.change.r#type() == Type::Purged {
            return Due::Whole;
        }
        if self.is_erased {
            return Due::Either;
        }
        let passes = |traits: &Option<Traits>| {
            traits
                .as_ref()
                .is_some_and(|traits| matching::matches(filter, traits))
        };
        if passes(&self.after) {
            return Due::Whole;
        }
        if !passes(&self.before) {
            return Due::Nothing;
        }
        match self.change.r#type() {
            Type::Retracted | Type::Merged | Type::Deleted => Due::Whole,
            _ => Due::Left,
        }
    }
}

/// A replica that is advanced along the feed.
pub struct States<'a> {
    oracle: &'a Oracle,
    at: i64,
    copy: digest::FoldedState,
}

impl States<'_> {
    pub fn at(&mut self, sequence: i64) -> &digest::FoldedState {
        assert!(sequence >= self.at, "asked for in ascending order");
        if sequence == self.at {
            return &self.copy;
        }
        for (_, entry) in self.oracle.entries.range(self.at + 1..=sequence) {
            self.copy.apply(&entry.change, &every_state());
        }
        self.at = sequence;
        &self.copy
    }
}

/// A filter that keeps tombstones in a replica, for consumers that request them.
fn every_state() -> RecordFilter {
    RecordFilter {
        states: (1..=6).collect(),
        ..RecordFilter::default()
    }
}

fn entries(
    view: View,
    changes: BTreeMap<i64, Change>,
    erased: &HashSet<String>,
) -> BTreeMap<i64, FeedEntry> {
    let mut known: HashMap<String, Traits> = HashMap::new();
    let mut entries = BTreeMap::new();
    for (sequence, change) in changes {
        let before = known.get(&change.name).cloned();
        let mut after = change
            .record
            .as_ref()
            .map(|record| after(record, before.as_ref()));
        if let Some(traits) = &after {
            known.insert(change.name.clone(), traits.clone());
        }
        if let Some(traits) = after
            .as_mut()
            .filter(|_| change.r#type() == Type::Merged && !change.merged_into.is_empty())
        {
            // The change also concerns the winner of the merge.
            traits.actors.insert(change.merged_into.clone());
        }
        let is_shown = |traits: &Traits| view == View::Desk || is_visible(traits.state);
        let entry = FeedEntry {
            is_erased: erased.contains(&change.name) && change.r#type() != Type::Purged,
            before: before.filter(is_shown),
            after,
            change,
        };
        entries.insert(sequence, entry);
    }
    entries
}

/// The traits after a change: a tombstone of the wire feed has no content, but filters keep the old traits.
fn after(record: &dateline_proto::v1::Record, before: Option<&Traits>) -> Traits {
    let traits = Traits::from_record(record);
    match before {
        Some(before) if is_tombstone(traits.state) && history::is_name_only(record) => {
            before.in_state(traits.state)
        }
        _ => traits,
    }
}

/// True if two copies of a change agree. They may differ in the mark of the batch, and once the content is erased.
pub fn is_same(left: &Change, right: &Change, erased: &HashSet<String>) -> bool {
    let unmarked = |change: &Change| Change {
        last_in_batch: false,
        ..change.clone()
    };
    let skeleton = |change: &Change| Change {
        note: String::new(),
        changed_fields: Vec::new(),
        record: None,
        ..unmarked(change)
    };
    unmarked(left) == unmarked(right)
        || erased.contains(&left.name)
            && (is_blank(left) || is_blank(right))
            && skeleton(left) == skeleton(right)
}

/// True if two changes differ only in a note, which one of them has lost with an erased record of its batch.
pub fn differ_in_erased_notes(left: &Change, right: &Change, batches: &HashSet<i64>) -> bool {
    let without_notes = |change: &Change| {
        let mut change = Change {
            last_in_batch: false,
            note: String::new(),
            ..change.clone()
        };
        let body = change.record.as_mut().and_then(|it| it.kind.as_mut());
        let mut meta = body.and_then(Body::take_meta);
        for correction in meta.iter_mut().flat_map(|meta| &mut meta.corrections) {
            if correction.revision == change.revision {
                correction.note.clear();
            }
        }
        (change, meta)
    };
    batches.contains(&left.batch)
        && (left.note.is_empty() || right.note.is_empty())
        && without_notes(left) == without_notes(right)
}

/// True if a change lacks its content.
fn is_blank(change: &Change) -> bool {
    let gone = matches!(change.r#type(), Type::Deleted | Type::Purged | Type::Left);
    let revision = change.record.as_ref().and_then(history::meta);
    !gone && revision.is_none_or(|meta| meta.revision == 0)
}

/// A short description of a change.
pub fn describe(change: &Change) -> String {
    format!(
        "{} of {} revision {} at {} in batch {}",
        change.r#type().as_str_name(),
        change.name,
        change.revision,
        change.sequence,
        change.batch
    )
}

/// Compares the two feeds: the wire feed has the changes of the desk feed that are visible to readers, in its order.
pub fn compare_views(desk: &Oracle, wire: &Oracle, report: &mut Report) {
    let mut on_wire: HashMap<(&str, i64), &Change> = wire
        .entries
        .values()
        .map(|entry| {
            let change = &entry.change;
            ((change.name.as_str(), change.revision), change)
        })
        .collect();
    let mut last = 0;
    for entry in desk.entries.values() {
        let change = &entry.change;
        let is_public = entry
            .after
            .as_ref()
            .is_some_and(|traits| is_visible(traits.state))
            || change.r#type() == Type::Purged
                && entry
                    .before
                    .as_ref()
                    .is_some_and(|traits| is_visible(traits.state));
        // The content of a record that was erased before it was seen is unknown.
        let is_unknown = entry
            .before
            .as_ref()
            .is_some_and(|traits| traits.state == 0);
        match on_wire.remove(&(change.name.as_str(), change.revision)) {
            None if is_public => {
                report.add(
                    2,
                    "F1",
                    wire.label(),
                    0,
                    format!("lacks {}", describe(change)),
                );
            }
            Some(told) if !is_public && !entry.is_erased && !is_unknown => {
                report.add(
                    3,
                    "F10",
                    wire.label(),
                    told.sequence,
                    format!("readers see {}", describe(change)),
                );
            }
            Some(told) => {
                if told.sequence <= last {
                    let text = "not in the order of the desk".to_owned();
                    report.add(5, "F1", wire.label(), told.sequence, text);
                }
                if told.r#type != change.r#type {
                    let text = format!("{} on the desk", describe(change));
                    report.add(10, "F1", wire.label(), told.sequence, text);
                }
                last = told.sequence;
            }
            None => {}
        }
    }
    for change in on_wire.values() {
        let text = format!("{} is on no desk", describe(change));
        report.add(3, "F10", wire.label(), change.sequence, text);
    }
}
