//! Connections that are ready for the next use. Their last statement has ended, so nothing has to be read from them first.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sqlx::{Postgres, pool::PoolConnection};
use tokio::time::Instant;

/// Time after which a connection that was not used is closed, when another one becomes spare.
const IDLE_TIMEOUT: Duration = Duration::from_mins(10);

/// A connection of the driver's pool, which counts it as used.
pub(super) struct Spare {
    pub(super) connection: PoolConnection<Postgres>,
    acquired_at: Instant,
    idle_since: Instant,
}

impl Spare {
    /// Wraps a connection that was just acquired.
    pub(super) fn new(connection: PoolConnection<Postgres>) -> Self {
        let now = Instant::now();
        Self {
            connection,
            acquired_at: now,
            idle_since: now,
        }
    }

    /// Returns the time of its last use: the database has answered it then.
    pub(super) fn idle_since(&self) -> Instant {
        self.idle_since
    }

    /// Returns the time since it was acquired from the driver's pool.
    pub(super) fn age(&self) -> Duration {
        self.acquired_at.elapsed()
    }

    /// Closes the socket, without waiting for the database, and makes room in the driver's pool.
    pub(super) fn close(self) {
        drop(self.connection.detach());
    }
}

/// The spare connections of a pool; cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Spares {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// The one that was used last is at the end, and is used next.
    connections: Vec<Spare>,
    is_closed: bool,
}

impl fmt::Debug for Spares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spares").finish_non_exhaustive()
    }
}

impl Spares {
    pub(super) fn pop(&self) -> Option<Spare> {
        self.lock().connections.pop()
    }

    /// Adds a connection; returns it if the pool is closed.
    pub(super) fn push(&self, mut spare: Spare) -> Result<(), Spare> {
        let mut state = self.lock();
        if state.is_closed {
            return Err(spare);
        }
        spare.idle_since = Instant::now();
        state.connections.push(spare);
        let oldest = state.connections.first();
        if oldest.is_some_and(|oldest| oldest.idle_since.elapsed() >= IDLE_TIMEOUT) {
            state.connections.remove(0).close();
        }
        Ok(())
    }

    /// Closes all connections, and those that come later.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        for spare in state.connections.drain(..) {
            spare.close();
        }
    }

    // The lock is only held for assignments, so a poisoned lock still guards consistent data.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
