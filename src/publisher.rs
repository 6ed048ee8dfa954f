//! Which drafts can be published already, and which have to go together. A reference has to be published before
//! what refers to it, or with it (W9): so drafts go in the order of their references, and circles go at once.

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

/// Most records of one publication.
const MAX_PUBLISHED: usize = 1000;

/// A draft that waits to be published.
pub(super) struct Draft {
    /// Its place among all that was sent: what is published together keeps the order of the file.
    pub place: usize,
    /// Where it stands in the file.
    pub line: u64,
    /// The same in words.
    pub told: String,
    pub name: Name,
    pub etag: String,
    /// The time until which its sender wants it hidden.
    pub embargo: Option<Timestamp>,
    /// What it refers to.
    pub targets: Vec<Name>,
}

/// Drafts that wait, and what is known to be published. Grows with the names of what was sent.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Vec<Draft>,
    /// Names of those that wait.
    named: HashSet<Name>,
    published: HashSet<Name>,
    /// Names that the server was asked for.
    asked: HashSet<Name>,
    /// How many were left after the last try.
    left: usize,
}

impl Queue {
    /// A record that the file holds twice is one draft all the same.
    pub(super) fn push(&mut self, draft: Draft) {
        if self.named.insert(draft.name.clone()) {
            self.waiting.push(draft);
        }
    }

    /// A record that is there already.
    pub(super) fn found(&mut self, record: &Record) {
        let is_published = record
            .kind
            .as_ref()
            .and_then(Body::meta)
            .is_some_and(|meta| meta.state() == State::Published);
        if let (true, Some(name)) = (is_published, record_name(&record)) {
            self.published.insert(name);
        }
    }

    pub(super) fn published(&mut self, drafts: &[&Draft]) {
        self.published
            .extend(drafts.iter().map(|draft| draft.name.clone()));
    }

    /// Enough wait, and enough of them are new that looking at all of them again is no waste.
    pub(super) fn is_worth_a_try(&self) -> bool {
        self.waiting.len() >= MAX_PUBLISHED.max(2 * self.left)
    }

    /// What is referred to and was neither in the file so far nor asked for; from now on it was.
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

    /// Takes the drafts that refer, by whatever way, only to what is published and to each other.
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

/// Who refers to whom, by the name of who is referred to.
fn referring(drafts: &[Draft]) -> HashMap<Name, Vec<usize>> {
    let mut referring: HashMap<Name, Vec<usize>> = HashMap::new();
    for (index, draft) in drafts.iter().enumerate() {
        for target in &draft.targets {
            referring.entry(target.clone()).or_default().push(index);
        }
    }
    referring
}

/// What is published at once: as much as goes into a request, never part of a circle, each after what it refers to.
///
/// # Errors
/// When a circle is too large.
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
        // A request has one embargo.
        let is_other = !batch.is_empty() && embargo(&batch) != embargo(&circle);
        if is_other || batch.len() + circle.len() > MAX_PUBLISHED {
            batches.push(std::mem::take(&mut batch));
        }
        batch.extend(circle);
    }
    batches.push(batch);
    Ok(batches)
}

/// Sets of drafts of which each refers, by way of others, to each; every set after those that it refers to.
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

/// The search for circles (Tarjan 1972), without recursion: chains of references are as long as the file.
#[derive(Default)]
struct Search {
    /// Of each draft.
    targets: Vec<Vec<usize>>,
    /// When each was met first.
    met: Vec<Option<usize>>,
    /// The first one met that each leads back to.
    lowest: Vec<usize>,
    /// Those that were met and are in no circle yet.
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
        // A draft, and how many of its targets were looked at.
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

    /// A draft that leads back to nothing before it ends a circle.
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

/// The embargo of drafts that go together: the last one of theirs.
fn embargo(drafts: &[&Draft]) -> Option<Timestamp> {
    let times = drafts.iter().filter_map(|draft| draft.embargo);
    times.max_by_key(|time| (time.seconds, time.nanos))
}

/// The request that publishes drafts.
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

/// The drafts that a refusal names, by their place: they stay drafts.
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
