//! Replicas of a feed: started by a snapshot, continued by changes, proved by the digest; and restarted where history
//! was dropped or diverged.

mod digests;
pub mod follower;
mod histories;
mod physical;
mod restores;
pub mod snapshots;
mod starts;
