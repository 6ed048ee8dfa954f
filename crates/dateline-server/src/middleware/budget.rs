//! Budgets of pending bytes: requests not answered yet, and responses not taken yet. There is one budget per
//! connection, one per caller and one for the process, so that no client can make the server hold more.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use dateline_access::Caller;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::transport::{Peer, limits::limit_hit};

/// Unit in which budgets are counted.
const UNIT_BYTES: usize = 1024;
/// Number of callers above which those without an open reservation are dropped.
const PRUNE_ABOVE_CALLERS: usize = 1024;

/// Maximum sizes of buffered requests and responses.
#[derive(Debug, Clone, Copy)]
pub struct BufferLimits {
    /// On one connection.
    pub max_buffered_bytes_per_connection: usize,
    /// Of one identity, on all of its connections.
    pub max_buffered_bytes_per_identity: usize,
    /// In the process.
    pub max_buffered_bytes: usize,
}

impl Default for BufferLimits {
    fn default() -> Self {
        Self {
            max_buffered_bytes_per_connection: 24 * 1024 * 1024,
            max_buffered_bytes_per_identity: 96 * 1024 * 1024,
            max_buffered_bytes: 192 * 1024 * 1024,
        }
    }
}

fn units(bytes: usize) -> usize {
    bytes.div_ceil(UNIT_BYTES)
}

/// All budgets of a server.
#[derive(Debug)]
pub(super) struct Budgets {
    limits: BufferLimits,
    process: Arc<Semaphore>,
    callers: Mutex<HashMap<String, Weak<Semaphore>>>,
}

impl Budgets {
    pub(super) fn new(limits: BufferLimits) -> Self {
        Self {
            limits,
            process: Arc::new(Semaphore::new(units(limits.max_buffered_bytes))),
            callers: Mutex::default(),
        }
    }

    /// Returns the budgets that a call counts against. Without authentication, callers are counted by connection only.
    pub(super) fn for_call(&self, peer: Option<&Peer>, caller: &Caller) -> CallBudget {
        let mut budgets = Vec::with_capacity(3);
        if let Some(peer) = peer {
            let budget = peer
                .budget(units(self.limits.max_buffered_bytes_per_connection))
                .clone();
            budgets.push(("max_buffered_bytes_per_connection", budget));
        }
        if caller.session().credential() != "none" {
            let budget = self.for_caller(caller.session().identity());
            budgets.push(("max_buffered_bytes_per_identity", budget));
        }
        budgets.push(("max_buffered_bytes", self.process.clone()));
        let BufferLimits {
            max_buffered_bytes_per_connection: connection,
            max_buffered_bytes_per_identity: identity,
            max_buffered_bytes: process,
        } = self.limits;
        CallBudget {
            budgets,
            most: units(connection.min(identity).min(process)),
            peer: peer.cloned(),
        }
    }

    fn for_caller(&self, identity: &str) -> Arc<Semaphore> {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = callers.get(identity).and_then(Weak::upgrade) {
            return known;
        }
        if callers.len() >= PRUNE_ABOVE_CALLERS {
            callers.retain(|_, budget| budget.strong_count() > 0);
        }
        let budget = Arc::new(Semaphore::new(units(
            self.limits.max_buffered_bytes_per_identity,
        )));
        callers.insert(identity.to_owned(), Arc::downgrade(&budget));
        budget
    }
}

/// The budgets of one call, narrowest first: a call that waits for a wider budget holds the narrower ones, never the
/// reverse.
#[derive(Debug)]
pub(super) struct CallBudget {
    budgets: Vec<(&'static str, Arc<Semaphore>)>,
    /// Most units that a call can reserve at all.
    most: usize,
    peer: Option<Peer>,
}

impl CallBudget {
    /// Reserves bytes if they are available now.
    pub(super) fn try_reserve(&self, bytes: usize) -> Option<Reservation> {
        let units = self.units(bytes);
        let mut permits = Vec::with_capacity(self.budgets.len());
        for (limit, budget) in &self.budgets {
            let Ok(permit) = budget.clone().try_acquire_many_owned(units) else {
                limit_hit(limit);
                return None;
            };
            permits.push(permit);
        }
        Some(Reservation { permits })
    }

    /// Reserves bytes as soon as they are available. Waiting for the budget of the connection counts as waiting for the
    /// peer, which has not taken its responses.
    pub(super) async fn reserve(&self, bytes: usize) -> Reservation {
        let units = self.units(bytes);
        let mut permits = Vec::with_capacity(self.budgets.len());
        for (index, (limit, budget)) in self.budgets.iter().enumerate() {
            if let Ok(permit) = budget.clone().try_acquire_many_owned(units) {
                permits.push(permit);
                continue;
            }
            limit_hit(limit);
            let own = self.peer.as_ref().filter(|_| index == 0);
            let _waiting = own.map(Peer::count_waiting);
            // Budgets are never closed.
            permits.extend(budget.clone().acquire_many_owned(units).await);
        }
        Reservation { permits }
    }

    /// Returns the peer, if the call came through a connection.
    pub(super) fn peer(&self) -> Option<&Peer> {
        self.peer.as_ref()
    }

    /// True if less than half of the connection's budget is left.
    pub(super) fn is_short(&self) -> bool {
        let narrowest = self.budgets.first();
        narrowest.is_some_and(|(_, budget)| budget.available_permits() < self.most / 2)
    }

    fn units(&self, bytes: usize) -> u32 {
        u32::try_from(units(bytes).min(self.most)).unwrap_or(u32::MAX)
    }
}

/// Bytes reserved by a call, given back when it is dropped.
#[derive(Debug, Default)]
pub(super) struct Reservation {
    permits: Vec<OwnedSemaphorePermit>,
}

impl Reservation {
    /// Returns the reserved bytes.
    pub(super) fn bytes(&self) -> usize {
        let units = self.permits.first().map(OwnedSemaphorePermit::num_permits);
        units.unwrap_or_default() * UNIT_BYTES
    }

    /// Adds another reservation of the same call.
    pub(super) fn add(&mut self, other: Self) {
        if self.permits.is_empty() {
            *self = other;
            return;
        }
        for (own, other) in self.permits.iter_mut().zip(other.permits) {
            own.merge(other);
        }
    }

    /// Gives back everything above `bytes`.
    pub(super) fn shrink(&mut self, bytes: usize) {
        for permit in &mut self.permits {
            let excess = permit.num_permits().saturating_sub(units(bytes));
            drop(permit.split(excess));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(units: usize) -> CallBudget {
        let of = |limit, units| (limit, Arc::new(Semaphore::new(units)));
        CallBudget {
            budgets: vec![of("narrow", units), of("wide", 2 * units)],
            most: units,
            peer: None,
        }
    }

    #[test]
    fn a_reservation_grows_and_shrinks_and_is_given_back() {
        let budget = budget(10);
        let mut held = budget.try_reserve(3 * UNIT_BYTES).unwrap();
        held.add(budget.try_reserve(4 * UNIT_BYTES - 1).unwrap());
        assert_eq!(held.bytes(), 7 * UNIT_BYTES);
        assert!(budget.is_short());
        assert!(budget.try_reserve(4 * UNIT_BYTES).is_none());
        assert_eq!(budget.budgets[1].1.available_permits(), 13, "nothing leaks");
        held.shrink(UNIT_BYTES + 1);
        assert_eq!(held.bytes(), 2 * UNIT_BYTES);
        drop(held);
        assert_eq!(budget.budgets[0].1.available_permits(), 10);
        assert_eq!(budget.budgets[1].1.available_permits(), 20);
    }

    #[tokio::test]
    async fn more_than_there_is_takes_all_and_waits_for_it() {
        let budget = budget(10);
        let held = budget.reserve(usize::MAX).await;
        assert_eq!(held.bytes(), 10 * UNIT_BYTES);
        let mut next = std::pin::pin!(budget.reserve(1));
        assert!(futures_util::poll!(next.as_mut()).is_pending());
        drop(held);
        assert_eq!(next.await.bytes(), UNIT_BYTES);
    }
}
