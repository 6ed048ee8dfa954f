//! The queue of drafts to publish. A record must be published before the records that refer to it, or together with
//! them (W9): drafts are published in the order of their references, and cycles at once.

use std::collections::{HashMap, HashSet};

use dateline_proto::v1::{
    PublishRecordsRequest, Record, RecordVersion, State, record::Kind as Body,
};
use dateline_record::name::Name;
use dateline_record::record::record_name;
use prost_types::Timestamp;

use super::{
    Error, field_path,
    rejection::{FieldProblem, Rejection, is_about_records},
};
use crate::Failure;

/// Maximum number of records per publication.
const MAX_PUBLISHED: usize = 1000;

/// A draft to be published.
#[derive(Debug)]
pub(super) struct QueuedDraft {
    /// Position among all records sent: records published together keep the order of the file.
    pub position: usize,
    /// Line in the file.
    pub line: u64,
    /// Position for messages.
    pub location: String,
    pub name: Name,
    pub etag: String,
    /// Time until which the sender wants it hidden.
    pub embargo: Option<Timestamp>,
    /// Names of the records that it refers to.
    pub targets: Vec<Name>,
}

/// Drafts to be published, and the names known to be published. Grows with the names of the records sent.
#[derive(Debug, Default)]
pub(super) struct PublishQueue {
    waiting: Vec<QueuedDraft>,
    /// Names of the waiting drafts.
    named: HashSet<Name>,
    published: HashSet<Name>,
    /// Names that the server was asked for.
    asked: HashSet<Name>,
    /// Number of drafts left after the last attempt.
    left: usize,
}

impl PublishQueue {
    /// Adds a draft once, even if the file holds the record twice.
    pub(super) fn push(&mut self, draft: QueuedDraft) {
        if self.named.insert(draft.name.clone()) {
            self.waiting.push(draft);
        }
    }

    /// Records the state of a record that exists already.
    pub(super) fn mark_if_published(&mut self, record: &Record) {
        let is_published = record
            .kind
            .as_ref()
            .and_then(Body::meta)
            .is_some_and(|meta| meta.state() == State::Published);
        if let (true, Some(name)) = (is_published, record_name(record)) {
            self.published.insert(name);
        }
    }

    /// Records that these drafts were published. One that was queued again meanwhile, because the file holds it twice, is
    /// dropped.
    pub(super) fn mark_published(&mut self, names: Vec<Name>) {
        let (named, published) = (&mut self.named, &mut self.published);
        let queued_again = names.iter().filter(|name| named.remove(*name)).count() > 0;
        published.extend(names);
        if queued_again {
            self.waiting
                .retain(|draft| !published.contains(&draft.name));
        }
    }

    /// True if enough drafts wait, and enough of them are new to justify another search.
    pub(super) fn is_batch_due(&self) -> bool {
        self.waiting.len() >= MAX_PUBLISHED.max(2 * self.left)
    }

    /// Referenced names that were neither in the file so far nor asked for. Marks them as asked for.
    pub(super) fn take_unresolved(&mut self) -> Vec<Name> {
        let targets = self.waiting.iter().flat_map(|draft| &draft.targets);
        let unknown: HashSet<_> = targets
            .filter(|target| !self.named.contains(*target) && !self.published.contains(*target))
            .filter(|target| !self.asked.contains(*target))
            .cloned()
            .collect();
        self.asked.extend(unknown.iter().cloned());
        unknown.into_iter().collect()
    }

    /// Removes and returns the drafts that refer, directly or indirectly, only to published records and to each other.
    pub(super) fn take_ready(&mut self) -> Vec<QueuedDraft> {
        let referring = referring(&self.waiting);
        let is_open =
            |target: &Name| !self.named.contains(target) && !self.published.contains(target);
        let held = |draft: &QueuedDraft| draft.targets.iter().any(is_open);
        let mut blocked: Vec<bool> = self.waiting.iter().map(held).collect();
        let mut open: Vec<usize> = (0..blocked.len()).filter(|index| blocked[*index]).collect();
        while let Some(index) = open.pop() {
            for other in referring
                .get(&self.waiting[index].name)
                .into_iter()
                .flatten()
            {
                if !std::mem::replace(&mut blocked[*other], true) {
                    open.push(*other);
                }
            }
        }
        let (mut ready, mut waiting) = (Vec::new(), Vec::new());
        for (draft, is_blocked) in std::mem::take(&mut self.waiting).into_iter().zip(blocked) {
            if is_blocked {
                waiting.push(draft);
            } else {
                self.named.remove(&draft.name);
                ready.push(draft);
            }
        }
        self.waiting = waiting;
        self.left = self.waiting.len();
        ready
    }

    pub(super) fn take_all(&mut self) -> Vec<QueuedDraft> {
        self.named.clear();
        std::mem::take(&mut self.waiting)
    }
}

/// Indices of the referring drafts, by the name they refer to.
fn referring(drafts: &[QueuedDraft]) -> HashMap<Name, Vec<usize>> {
    let mut referring: HashMap<Name, Vec<usize>> = HashMap::new();
    for (index, draft) in drafts.iter().enumerate() {
        for target in &draft.targets {
            referring.entry(target.clone()).or_default().push(index);
        }
    }
    referring
}

/// Batches to publish: each fits a request, never splits a cycle, and follows the batches it refers to.
///
/// # Errors
/// If a cycle is too large for a request.
pub(super) fn batches(drafts: &[QueuedDraft]) -> Result<Vec<Vec<&QueuedDraft>>, Error> {
    let (mut batches, mut batch): (Vec<Vec<&QueuedDraft>>, Vec<&QueuedDraft>) =
        (Vec::new(), Vec::new());
    for cycle in cycles(drafts) {
        if cycle.len() > MAX_PUBLISHED {
            return Err(Error::Records(format!(
                "{} records refer to each other, and at most {MAX_PUBLISHED} can be published at once; first: {}",
                cycle.len(),
                drafts[cycle[0]].name
            )));
        }
        let cycle: Vec<_> = cycle.into_iter().map(|index| &drafts[index]).collect();
        // A request has a single embargo.
        let is_other = !batch.is_empty() && embargo(&batch) != embargo(&cycle);
        if is_other || batch.len() + cycle.len() > MAX_PUBLISHED {
            batches.push(std::mem::take(&mut batch));
        }
        batch.extend(cycle);
    }
    batches.push(batch);
    Ok(batches)
}

/// Strongly connected components of the drafts, each after those that it refers to.
fn cycles(drafts: &[QueuedDraft]) -> Vec<Vec<usize>> {
    let by_name: HashMap<_, _> = (drafts.iter().enumerate())
        .map(|(index, draft)| (&draft.name, index))
        .collect();
    let known = |draft: &QueuedDraft| {
        let targets = draft.targets.iter();
        targets
            .filter_map(|target| by_name.get(target).copied())
            .collect()
    };
    let mut search = CycleSearch {
        targets: drafts.iter().map(known).collect(),
        discovered: vec![None; drafts.len()],
        lowest: vec![0; drafts.len()],
        is_open: vec![false; drafts.len()],
        ..CycleSearch::default()
    };
    for start in 0..drafts.len() {
        search.begin_at(start);
    }
    search.cycles
}

/// State of Tarjan's algorithm (1972), without recursion: chains of references can be as long as the file.
#[derive(Default)]
struct CycleSearch {
    /// Targets of each draft.
    targets: Vec<Vec<usize>>,
    /// Index in order of discovery.
    discovered: Vec<Option<usize>>,
    /// Smallest index that is reachable.
    lowest: Vec<usize>,
    /// Drafts that were discovered and belong to no component yet.
    open: Vec<usize>,
    is_open: Vec<bool>,
    count: usize,
    cycles: Vec<Vec<usize>>,
}

impl CycleSearch {
    fn begin_at(&mut self, start: usize) {
        if self.discovered[start].is_some() {
            return;
        }
        self.discover(start);
        // A draft, and the number of its targets visited.
        let mut path = vec![(start, 0)];
        while let Some((draft, visited)) = path.last_mut() {
            let draft = *draft;
            if let Some(target) = self.targets[draft].get(*visited).copied() {
                *visited += 1;
                match self.discovered[target] {
                    None => {
                        self.discover(target);
                        path.push((target, 0));
                    }
                    Some(at) if self.is_open[target] => self.lower(draft, at),
                    Some(_) => {}
                }
            } else {
                path.pop();
                if let Some((before, _)) = path.last() {
                    self.lower(*before, self.lowest[draft]);
                }
                self.complete_component(draft);
            }
        }
    }

    fn discover(&mut self, draft: usize) {
        self.discovered[draft] = Some(self.count);
        self.lowest[draft] = self.count;
        self.is_open[draft] = true;
        self.open.push(draft);
        self.count += 1;
    }

    fn lower(&mut self, draft: usize, at: usize) {
        self.lowest[draft] = self.lowest[draft].min(at);
    }

    /// Completes a component at its root: a draft that reaches no earlier one.
    fn complete_component(&mut self, draft: usize) {
        if Some(self.lowest[draft]) != self.discovered[draft] {
            return;
        }
        let from = self.open.iter().rposition(|other| *other == draft);
        let cycle = self.open.split_off(from.unwrap_or_default());
        for index in &cycle {
            self.is_open[*index] = false;
        }
        self.cycles.push(cycle);
    }
}

/// The latest embargo of drafts that are published together.
fn embargo(drafts: &[&QueuedDraft]) -> Option<Timestamp> {
    let times = drafts.iter().filter_map(|draft| draft.embargo);
    times.max_by_key(|time| (time.seconds, time.nanos))
}

/// The request that publishes the drafts.
pub(super) fn publish_request(drafts: &[&QueuedDraft]) -> PublishRecordsRequest {
    let records = drafts.iter().map(|draft| RecordVersion {
        name: draft.name.to_string(),
        etag: draft.etag.clone(),
    });
    PublishRecordsRequest {
        records: records.collect(),
        embargo_time: embargo(drafts),
        omit_content: true,
        ..PublishRecordsRequest::default()
    }
}

/// The drafts that a rejection names, by their index: they stay drafts.
pub(super) fn rejected(failure: &Failure, drafts: &[&QueuedDraft]) -> HashMap<usize, Rejection> {
    let mut found: HashMap<usize, Rejection> = HashMap::new();
    if !is_about_records(failure) {
        return found;
    }
    for (subject, what) in failure.details() {
        let by_index = field_path::record_index(subject).and_then(|index| drafts.get(index));
        let named = by_index.or_else(|| {
            drafts
                .iter()
                .find(|draft| draft.name.to_string() == *subject)
        });
        if let Some(draft) = named {
            let rejection = found.entry(draft.position).or_insert_with(|| Rejection {
                line: draft.line,
                position: draft.location.clone(),
                name: draft.name.to_string(),
                reason: failure.reason.clone(),
                problems: Vec::new(),
            });
            rejection
                .problems
                .push(FieldProblem::new("", &format!("stays a draft: {what}")));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{PublishQueue, QueuedDraft, batches};
    use dateline_record::name::Name;

    fn name(id: &str) -> Name {
        Name::parse(&format!("actors/{id}")).unwrap()
    }

    /// `a>b c>a` is a, which refers to b, and c, which refers to a.
    fn drafts(text: &str) -> Vec<QueuedDraft> {
        let drafts = text.split(' ').enumerate().map(|(position, text)| {
            let (own, targets) = text.split_once('>').unwrap_or((text, ""));
            QueuedDraft {
                position,
                line: 0,
                location: String::new(),
                name: name(own),
                etag: String::new(),
                embargo: None,
                targets: targets.chars().map(|id| name(&id.to_string())).collect(),
            }
        });
        drafts.collect()
    }

    fn ids<'a>(drafts: impl IntoIterator<Item = &'a QueuedDraft>) -> String {
        let ids = drafts
            .into_iter()
            .map(|draft| draft.name.to_string().replace("actors/", ""));
        ids.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_is_referred_to_comes_first_and_circles_stay_together() {
        let all = drafts("a>b b>cd c>b d e>a f>f");
        let cycles: Vec<_> = super::cycles(&all)
            .iter()
            .map(|cycle| ids(cycle.iter().map(|index| &all[*index])))
            .collect();
        assert_eq!(cycles, ["d", "b c", "a", "e", "f"]);
        assert_eq!(batches(&all).unwrap().len(), 1);
    }

    #[test]
    fn a_draft_waits_for_what_it_refers_to_by_whatever_way() {
        let mut queue = PublishQueue::default();
        for draft in drafts("a>b b>x c>d d>c e") {
            queue.push(draft);
        }
        assert_eq!(queue.take_unresolved(), [name("x")]);
        assert!(queue.take_unresolved().is_empty(), "nothing is asked twice");
        assert_eq!(ids(&queue.take_ready()), "c d e");
        queue.push(drafts("x").remove(0));
        assert_eq!(ids(&queue.take_ready()), "a b x");
    }
}
