//! The messages to each watcher, response after response and over all its connections, compared with what was due to
//! it.

use std::collections::{BTreeMap, HashMap};

use dateline_proto::v1::{Change, Checkpoint, View, WatchResponse, change::Type};

use super::{
    Report,
    history::{self, Connection, Start, Watcher},
    matching,
    oracle::{Due, Oracle, describe, differ_in_erased_notes, is_same},
    snapshots::{Parts, Snapshots},
    writers::KnownHeads,
};

/// The position of a watcher: it has everything up to `through`.
#[derive(Debug, Clone, Default)]
pub struct Position {
    through: i64,
    /// The last change did not have the mark of its batch's end.
    is_inside: bool,
    /// An incomplete snapshot.
    parts: Option<Parts>,
}

/// One watcher against the feed.
pub struct Reader<'a> {
    watcher: &'a Watcher,
    oracle: &'a Oracle,
    due: BTreeMap<i64, Due>,
    /// The last due change of each batch; `None` if that cannot be known.
    marks: HashMap<i64, Option<i64>>,
    /// The position at which each cursor was issued.
    cursors: HashMap<&'a str, Position>,
    at: Position,
    report: &'a mut Report,
}

impl<'a> Reader<'a> {
    pub fn new(watcher: &'a Watcher, oracle: &'a Oracle, report: &'a mut Report) -> Self {
        let due = oracle.due(&watcher.filter);
        let mut marks = HashMap::new();
        for (sequence, due) in &due {
            let batch = oracle.entries[sequence].change.batch;
            let last = marks.entry(batch).or_insert(Some(0));
            match due {
                Due::Either => *last = None,
                Due::Whole | Due::Left => *last = last.map(|_| *sequence),
                Due::Nothing => {}
            }
        }
        Self {
            watcher,
            oracle,
            due,
            marks,
            cursors: HashMap::new(),
            at: Position::default(),
            report,
        }
    }

    /// Follows the watcher over all its connections; returns the last sequence it has reached.
    pub fn read(mut self, known: &KnownHeads, snapshots: &mut Snapshots) -> i64 {
        for connection in &self.watcher.connections {
            self.open(connection, known);
            let mut before: Option<&WatchResponse> = None;
            for (_, response) in &connection.responses {
                self.response(connection, before, response, known, snapshots);
                before = Some(response);
            }
            if connection.reason == "SHUTTING_DOWN"
                && self.at.parts.is_none()
                && before.is_some_and(|last| last.checkpoint.is_none())
            {
                self.violation(11, "F12", self.at.through, "no checkpoint before the end");
            }
        }
        self.at.through
    }

    fn violation(
        &mut self,
        invariant: u8,
        promise: &'static str,
        at: i64,
        text: impl Into<String>,
    ) {
        self.report
            .add(invariant, promise, &self.watcher.name, at, text.into());
    }

    fn open(&mut self, connection: &'a Connection, known: &KnownHeads) {
        self.at = match &connection.start {
            Start::Beginning => Position::default(),
            Start::Snapshot => Position {
                through: 0,
                is_inside: false,
                parts: Some(Parts::default()),
            },
            Start::Cursor(cursor) => match self.cursors.get(cursor.as_str()) {
                Some(position) => position.clone(),
                None => panic!("{} resumes with what it never got", self.watcher.name),
            },
            // The stream starts after everything that anybody knew before; the first checkpoint says exactly where.
            Start::Now => Position {
                through: self.head_of_view(known.before(connection.opened_at)),
                is_inside: false,
                parts: None,
            },
        };
    }

    fn head_of_view(&self, (desk, wire): (i64, i64)) -> i64 {
        match self.watcher.view {
            View::Desk => desk,
            _ => wire,
        }
    }

    fn response(
        &mut self,
        connection: &'a Connection,
        before: Option<&WatchResponse>,
        response: &'a WatchResponse,
        known: &KnownHeads,
        snapshots: &mut Snapshots,
    ) {
        if response.cursor.is_empty() {
            self.violation(12, "F4", self.at.through, "a response without a cursor");
        }
        let is_first = before.is_none();
        if !response.records.is_empty() {
            self.records(connection, response, known);
        } else if is_first && response.checkpoint.is_none() && self.at.parts.is_none() {
            self.violation(
                11,
                "F8",
                self.at.through,
                "the first response is no checkpoint",
            );
        }
        self.check_packing(before, response);
        for change in &response.changes {
            self.change(change, is_first);
        }
        if let Some(checkpoint) = &response.checkpoint {
            let begins_now = is_first && connection.start == Start::Now;
            self.checkpoint(checkpoint, begins_now, is_first, snapshots);
        }
        self.cursors.insert(&response.cursor, self.at.clone());
    }

    fn records(&mut self, connection: &Connection, response: &WatchResponse, known: &KnownHeads) {
        let least = self.head_of_view(known.before(connection.opened_at));
        let begins = connection.start == Start::Snapshot;
        let Some(parts) = &mut self.at.parts else {
            self.violation(12, "F5", self.at.through, "records outside of a snapshot");
            return;
        };
        let at = response.snapshot_sequence;
        if let Some(problem) = parts.add(response) {
            self.violation(12, "F5", at, problem);
        }
        if begins && at < least {
            let text = format!("a snapshot as of {at}, when {least} had been acknowledged");
            self.violation(12, "F5", at, text);
        }
    }

    /// F3: whole batches, or a part of one batch alone.
    fn check_packing(&mut self, before: Option<&WatchResponse>, response: &WatchResponse) {
        let batches: Vec<_> = response
            .changes
            .chunk_by(|left, right| left.batch == right.batch)
            .collect();
        if batches.len() < 2 {
            return;
        }
        let goes_on = before
            .and_then(|before| before.changes.last())
            .is_some_and(|last| last.batch == batches[0][0].batch);
        if goes_on {
            let text = "the rest of a batch came together with others";
            self.violation(6, "F3", batches[0][0].sequence, text);
        }
        for batch in batches {
            let last = &batch[batch.len() - 1];
            if !last.last_in_batch {
                let text = "a response holds other batches and a part of this one";
                self.violation(6, "F3", last.sequence, text);
            }
        }
    }

    fn change(&mut self, change: &Change, is_first: bool) {
        let sequence = change.sequence;
        if self.at.parts.is_some() {
            self.violation(
                12,
                "F5",
                sequence,
                "a change before the snapshot was complete",
            );
            self.at.parts = None;
        }
        if sequence <= self.at.through {
            let (invariant, promise, text) = if is_first {
                (12, "F4", "again after a resume")
            } else if self.due.contains_key(&sequence) {
                (4, "F2", "again, or after later ones")
            } else {
                (5, "F1", "a number from before")
            };
            let text = format!("{text}: {} after {}", describe(change), self.at.through);
            self.violation(invariant, promise, sequence, text);
            return;
        }
        self.pass(sequence - 1, "never came");
        self.at.through = sequence;
        self.at.is_inside = !change.last_in_batch;
        let Some(entry) = self.oracle.entries.get(&sequence) else {
            let text = format!("{} was seen by nobody without a filter", describe(change));
            self.violation(3, "F2", sequence, text);
            return;
        };
        let due = self.due[&sequence];
        match (due, change.r#type()) {
            (Due::Whole | Due::Either, _)
                if is_same(change, &entry.change, &self.oracle.erased)
                    || differ_in_erased_notes(
                        change,
                        &entry.change,
                        &self.oracle.erased_batches,
                    ) => {}
            (Due::Left | Due::Either, Type::Left) => self.left(change, &entry.change),
            _ => {
                let text = format!(
                    "got {}, where {due:?} was due of {}",
                    describe(change),
                    describe(&entry.change)
                );
                self.violation(19, "F7", sequence, text);
            }
        }
        self.content(change);
        if let Some(Some(last)) = self.marks.get(&change.batch)
            && change.last_in_batch != (*last == sequence)
        {
            let text = format!("the mark of batch {} belongs to {last}", change.batch);
            self.violation(6, "F3", sequence, text);
        }
    }

    /// F7: by name only.
    fn left(&mut self, change: &Change, whole: &Change) {
        let by_name = Change {
            r#type: Type::Left.into(),
            last_in_batch: change.last_in_batch,
            note: String::new(),
            changed_fields: Vec::new(),
            merged_into: String::new(),
            record: None,
            ..whole.clone()
        };
        if *change != by_name {
            let text = format!("{} says more than a name", describe(change));
            self.violation(19, "F7", change.sequence, text);
        }
    }

    /// Checks that a change agrees with its record, and that readers see no more than they may.
    fn content(&mut self, change: &Change) {
        let sequence = change.sequence;
        let Some(record) = &change.record else {
            let gone = matches!(change.r#type(), Type::Deleted | Type::Purged | Type::Left);
            if !gone && !self.oracle.erased.contains(&change.name) {
                self.violation(20, "F7", sequence, "no record");
            }
            return;
        };
        if matches!(change.r#type(), Type::Deleted | Type::Purged | Type::Left) {
            self.violation(20, "F7", sequence, "content of a record that is gone");
        }
        let Some(meta) = history::meta(record).filter(|meta| meta.revision > 0) else {
            if !self.oracle.erased.contains(&change.name) {
                self.violation(20, "F7", sequence, "a record without its bookkeeping");
            }
            return;
        };
        if (history::name(record), meta.revision, meta.sequence)
            != (change.name.as_str(), change.revision, sequence)
        {
            let text = format!("{} carries a record that is another", describe(change));
            self.violation(20, "F1", sequence, text);
        }
        if self.watcher.view == View::Published {
            let hidden = !matching::is_visible(meta.state);
            let tombstone = matching::is_tombstone(meta.state) && !history::is_name_only(record);
            if hidden || tombstone {
                self.violation(
                    3,
                    "F10",
                    sequence,
                    format!("readers see {}", describe(change)),
                );
            }
        }
    }

    /// Moves the position to a sequence; reports due changes that did not arrive.
    fn pass(&mut self, until: i64, how: &str) {
        if until <= self.at.through {
            return;
        }
        let missing: Vec<_> = self
            .due
            .range(self.at.through + 1..=until)
            .filter(|(_, due)| matches!(due, Due::Whole | Due::Left))
            .map(|(sequence, due)| (*sequence, *due))
            .collect();
        for (sequence, due) in missing {
            let change = &self.oracle.entries[&sequence].change;
            let (invariant, promise) = match due {
                Due::Left => (19, "F7"),
                _ if self.watcher.is_unfiltered() => (2, "F2"),
                _ => (19, "F2"),
            };
            let text = format!("{} {how}", describe(change));
            self.violation(invariant, promise, sequence, text);
        }
        self.at.through = until;
    }

    fn checkpoint(
        &mut self,
        checkpoint: &'a Checkpoint,
        begins_now: bool,
        is_first: bool,
        snapshots: &mut Snapshots,
    ) {
        let (sequence, before) = (checkpoint.sequence, self.at.through);
        if let Some(parts) = self.at.parts.take() {
            if checkpoint.caught_up {
                let part = parts.finished(self.watcher, sequence);
                snapshots.complete(part);
                self.at.through = sequence;
            } else {
                self.violation(11, "F5", sequence, "a checkpoint inside of a snapshot");
            }
        } else if checkpoint.caught_up {
            self.violation(11, "F5", sequence, "caught up, and there was no snapshot");
        }
        if sequence < self.at.through {
            let invariant = if is_first { 12 } else { 11 };
            let text = format!(
                "a checkpoint at {sequence}, when {} was behind",
                self.at.through
            );
            self.violation(invariant, "F8", sequence, text);
        }
        if begins_now {
            self.at.through = sequence;
        }
        self.pass(sequence, "had not come when a checkpoint said so");
        if checkpoint.head_sequence < sequence {
            self.violation(11, "F8", sequence, "a checkpoint beyond the head");
        }
        let entry = self.oracle.entries.get(&sequence);
        if sequence > 0 && entry.is_none() {
            self.violation(15, "F1", sequence, "a checkpoint at what nobody saw");
        }
        // A stream that resumes inside of a large batch begins with a checkpoint at its own position.
        let resumes_inside = is_first && sequence == before && self.at.is_inside;
        self.at.is_inside = resumes_inside;
        if !resumes_inside && entry.is_some_and(|entry| entry.change.batch != sequence) {
            self.violation(6, "F3", sequence, "a checkpoint inside of a batch");
        }
        if let Some(digest) = &checkpoint.digest {
            if sequence != checkpoint.head_sequence {
                self.violation(11, "F11", sequence, "a digest of what is not the head");
            }
            snapshots.digest(self.watcher, sequence, digest.clone());
        }
    }
}
