//! The queue of drafts to publish. A record must be published before the records that refer to it, or together with
//! them (W9): drafts are published in the order of their references, and cycles at once.

use std::collections::{HashMap, HashSet};

use anyhow::{Result, bail};
use dateline_client::Failure;
use dateline_proto::v1::{
    PublishRecordsRequest, Record, RecordVersion, State, record::Kind as Body,
};
use dateline_record::name::Name;
use dateline_record::record::record_name;
use prost_types::Timestamp;

use super::{
    place,
    refusal::{Problem, Refusal},
};

/// Maximum number of records per publication.
const MAX_PUBLISHED: usize = 1000;

/// A draft to be published.
pub(super) struct Draft {
    /// Position among all records sent: records published together keep the order of the file.
    pub place: usize,
    /// Line in the file.
    pub line: u64,
    /// Position for messages.
    pub told: String,
    pub name: Name,
    pub etag: String,
    /// Time until which the sender wants it hidden.
    pub embargo: Option<Timestamp>,
    /// Names of the records that it refers to.
    pub targets: Vec<Name>,
}

/// Drafts to be published, and the names known to be published. Grows with the names of the records sent.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Vec<Draft>,
    /// Names of the waiting drafts.
    named: HashSet<Name>,
    published: HashSet<Name>,
    /// Names that the server was asked for.
    asked: HashSet<Name>,
    /// Number of drafts left after the last attempt.
    left: usize,
}

impl Queue {
    /// Adds a draft once, even if the file holds the record twice.
    pub(super) fn push(&mut self, draft: Draft) {
        if self.named.insert(draft.name.clone()) {
            self.waiting.push(draft);
        }
    }

    /// Records the state of a record that exists already.
    pub(super) fn found(&mut self, record: &Record) {
        let is_published = record
            .kind
            .as_ref()
            .and_then(Body::meta)
            .is_some_and(|meta| meta.state() == State::Published);
        if let (true, Some(name)) = (is_published, record_name(record)) {
            self.published.insert(name);
        }
    }

    pub(super) fn published(&mut self, drafts: &[&Draft]) {
        self.published
            .extend(drafts.iter().map(|draft| draft.name.clone()));
    }

    /// True if enough drafts wait, and enough of them are new to justify another search.
    pub(super) fn is_worth_a_try(&self) -> bool {
        self.waiting.len() >= MAX_PUBLISHED.max(2 * self.left)
    }

    /// Referenced names that were neither in the file so far nor asked for. Marks them as asked for.
    pub(super) fn unknown(&mut self) -> Vec<Name> {
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
    pub(super) fn take_ready(&mut self) -> Vec<Draft> {
        let referring = referring(&self.waiting);
        let is_open =
            |target: &Name| !self.named.contains(target) && !self.published.contains(target);
        let held = |draft: &Draft| draft.targets.iter().any(is_open);
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

    pub(super) fn take_all(&mut self) -> Vec<Draft> {
        self.named.clear();
        std::mem::take(&mut self.waiting)
    }
}

/// Indices of the referring drafts, by the name they refer to.
fn referring(drafts: &[Draft]) -> HashMap<Name, Vec<usize>> {
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
pub(super) fn batches(drafts: &[Draft]) -> Result<Vec<Vec<&Draft>>> {
    let (mut batches, mut batch): (Vec<Vec<&Draft>>, Vec<&Draft>) = (Vec::new(), Vec::new());
    for circle in circles(drafts) {
        if circle.len() > MAX_PUBLISHED {
            bail!(
                "{} records refer to each other, and at most {MAX_PUBLISHED} can be published at once; first: {}",
                circle.len(),
                drafts[circle[0]].name
            );
        }
        let circle: Vec<_> = circle.into_iter().map(|index| &drafts[index]).collect();
        // A request has a single embargo.
        let is_other = !batch.is_empty() && embargo(&batch) != embargo(&circle);
        if is_other || batch.len() + circle.len() > MAX_PUBLISHED {
            batches.push(std::mem::take(&mut batch));
        }
        batch.extend(circle);
    }
    batches.push(batch);
    Ok(batches)
}

/// Strongly connected components of the drafts, each after those that it refers to.
fn circles(drafts: &[Draft]) -> Vec<Vec<usize>> {
    let by_name: HashMap<_, _> = (drafts.iter().enumerate())
        .map(|(index, draft)| (&draft.name, index))
        .collect();
    let known = |draft: &Draft| {
        let targets = draft.targets.iter();
        targets
            .filter_map(|target| by_name.get(target).copied())
            .collect()
    };
    let mut search = Search {
        targets: drafts.iter().map(known).collect(),
        met: vec![None; drafts.len()],
        lowest: vec![0; drafts.len()],
        is_open: vec![false; drafts.len()],
        ..Search::default()
    };
    for start in 0..drafts.len() {
        search.begin_at(start);
    }
    search.circles
}

/// State of Tarjan's algorithm (1972), without recursion: chains of references can be as long as the file.
#[derive(Default)]
struct Search {
    /// Targets of each draft.
    targets: Vec<Vec<usize>>,
    /// Index in order of discovery.
    met: Vec<Option<usize>>,
    /// Smallest index that is reachable.
    lowest: Vec<usize>,
    /// Drafts that were discovered and belong to no component yet.
    open: Vec<usize>,
    is_open: Vec<bool>,
    count: usize,
    circles: Vec<Vec<usize>>,
}

impl Search {
    fn begin_at(&mut self, start: usize) {
        if self.met[start].is_some() {
            return;
        }
        self.meet(start);
        // A draft, and the number of its targets visited.
        let mut path = vec![(start, 0)];
        while let Some((draft, looked_at)) = path.last_mut() {
            let draft = *draft;
            if let Some(target) = self.targets[draft].get(*looked_at).copied() {
                *looked_at += 1;
                match self.met[target] {
                    None => {
                        self.meet(target);
                        path.push((target, 0));
                    }
                    Some(at) if self.is_open[target] => self.leads_to(draft, at),
                    Some(_) => {}
                }
            } else {
                path.pop();
                if let Some((before, _)) = path.last() {
                    self.leads_to(*before, self.lowest[draft]);
                }
                self.close(draft);
            }
        }
    }

    fn meet(&mut self, draft: usize) {
        self.met[draft] = Some(self.count);
        self.lowest[draft] = self.count;
        self.is_open[draft] = true;
        self.open.push(draft);
        self.count += 1;
    }

    fn leads_to(&mut self, draft: usize, at: usize) {
        self.lowest[draft] = self.lowest[draft].min(at);
    }

    /// Completes a component at its root: a draft that reaches no earlier one.
    fn close(&mut self, draft: usize) {
        if Some(self.lowest[draft]) != self.met[draft] {
            return;
        }
        let from = self.open.iter().rposition(|other| *other == draft);
        let circle = self.open.split_off(from.unwrap_or_default());
        for index in &circle {
            self.is_open[*index] = false;
        }
        self.circles.push(circle);
    }
}

/// The latest embargo of drafts that are published together.
fn embargo(drafts: &[&Draft]) -> Option<Timestamp> {
    let times = drafts.iter().filter_map(|draft| draft.embargo);
    times.max_by_key(|time| (time.seconds, time.nanos))
}

/// The request that publishes the drafts.
pub(super) fn request(drafts: &[&Draft]) -> PublishRecordsRequest {
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

/// The drafts that a refusal names, by their index: they stay drafts.
pub(super) fn culprits(failure: &Failure, drafts: &[&Draft]) -> HashMap<usize, Refusal> {
    let mut found: HashMap<usize, Refusal> = HashMap::new();
    if !super::send::is_about_records(failure) {
        return found;
    }
    for (subject, what) in failure.details() {
        let by_index = place::index(subject).and_then(|index| drafts.get(index));
        let named = by_index.or_else(|| {
            drafts
                .iter()
                .find(|draft| draft.name.to_string() == *subject)
        });
        if let Some(draft) = named {
            let refusal = found.entry(draft.place).or_insert_with(|| Refusal {
                line: draft.line,
                place: draft.told.clone(),
                name: draft.name.to_string(),
                reason: failure.reason.clone(),
                problems: Vec::new(),
            });
            refusal
                .problems
                .push(Problem::new("", &format!("stays a draft: {what}")));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{Draft, Queue, batches};
    use dateline_record::name::Name;

    fn name(id: &str) -> Name {
        Name::parse(&format!("actors/{id}")).unwrap()
    }

    /// `a>b c>a` is a, which refers to b, and c, which refers to a.
    fn drafts(text: &str) -> Vec<Draft> {
        let drafts = text.split(' ').enumerate().map(|(place, text)| {
            let (own, targets) = text.split_once('>').unwrap_or((text, ""));
            Draft {
                place,
                line: 0,
                told: String::new(),
                name: name(own),
                etag: String::new(),
                embargo: None,
                targets: targets.chars().map(|id| name(&id.to_string())).collect(),
            }
        });
        drafts.collect()
    }

    fn told<'a>(drafts: impl IntoIterator<Item = &'a Draft>) -> String {
        let ids = drafts
            .into_iter()
            .map(|draft| draft.name.to_string().replace("actors/", ""));
        ids.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_is_referred_to_comes_first_and_circles_stay_together() {
        let all = drafts("a>b b>cd c>b d e>a f>f");
        let circles: Vec<_> = super::circles(&all)
            .iter()
            .map(|circle| told(circle.iter().map(|index| &all[*index])))
            .collect();
        assert_eq!(circles, ["d", "b c", "a", "e", "f"]);
        assert_eq!(batches(&all).unwrap().len(), 1);
    }

    #[test]
    fn a_draft_waits_for_what_it_refers_to_by_whatever_way() {
        let mut queue = Queue::default();
        for draft in drafts("a>b b>x c>d d>c e") {
            queue.push(draft);
        }
        assert_eq!(queue.unknown(), [name("x")]);
        assert!(queue.unknown().is_empty(), "nothing is asked twice");
        assert_eq!(told(&queue.take_ready()), "c d e");
        queue.push(drafts("x").remove(0));
        assert_eq!(told(&queue.take_ready()), "a b x");
    }
}
