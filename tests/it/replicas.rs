//! Replicas of a feed: started by a snapshot, continued by changes, proved by the digest; and restarted where history
//! was dropped or diverged.

mod digests;
pub mod dropped_history;
mod file_copies;
mod restores;
pub mod snapshots;
mod stream_starts;
