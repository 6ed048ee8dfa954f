//! Composition of a group: requests of which none depends on another, so that each is decided by itself and all are
//! written in one statement.

use std::collections::HashSet;

use dateline_engine::request::{Action, Write};
use dateline_record::name::Name;

use super::committer::Job;

/// Most requests of a group.
const MAX_GROUP_REQUESTS: usize = 256;
/// Most writes of a group; bounds how long others wait for the feed's lock.
const MAX_GROUP_WRITES: usize = 1000;
/// Most bytes of a group; bounds the wait as well, and keeps the message far below the gigabyte that Postgres refuses.
const MAX_GROUP_BYTES: usize = 8 * 1024 * 1024;

/// Requests that are committed together.
#[derive(Default)]
pub(super) struct CommitBatch {
    pub jobs: Vec<Job>,
    writes: usize,
    bytes: usize,
    changed: HashSet<Name>,
    /// A member depends on records outside the group staying published.
    depends: bool,
    /// A member withdraws records that others may depend on.
    withdraws: bool,
    /// A member may change records that it does not name, so no other request joins.
    closed: bool,
}

impl CommitBatch {
    pub(super) fn has_room(&self) -> bool {
        self.jobs.len() < MAX_GROUP_REQUESTS && self.writes < MAX_GROUP_WRITES && !self.closed
    }

    /// Adds a job, or returns it if it has to wait for a later group.
    pub(super) fn try_add(&mut self, job: Job) -> Option<Job> {
        let request = &job.request;
        let any =
            |wanted: fn(&Action) -> bool| request.writes.iter().any(|write| wanted(&write.action));
        let depends = self.depends || any(Action::depends_on_others);
        let withdraws = self.withdraws || any(Action::withdraws);
        let closed = any(Action::changes_unnamed_records);
        let names = || request.writes.iter().flat_map(Write::names);
        let conditions = request.preconditions.iter().map(|(name, _)| name);
        let apart = names()
            .chain(conditions)
            .all(|name| !self.changed.contains(name));
        let fits = self.writes + request.writes.len() <= MAX_GROUP_WRITES
            && self.bytes + request.bytes <= MAX_GROUP_BYTES;
        let alone = self.jobs.is_empty();
        let goes = self.has_room() && fits && apart && !closed && !(depends && withdraws);
        if !alone && !goes {
            return Some(job);
        }
        (self.depends, self.withdraws, self.closed) = (depends, withdraws, closed);
        self.writes += request.writes.len();
        self.bytes += request.bytes;
        self.changed.extend(names().cloned());
        self.jobs.push(job);
        None
    }
}
