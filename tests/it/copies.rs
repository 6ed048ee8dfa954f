//! Copies of a feed: begun by a snapshot, kept by what follows, proved by the digest; and where they have to
//! begin anew, because history was dropped or taken elsewhere.

mod digests;
pub mod follower;
mod histories;
mod physical;
mod restores;
pub mod snapshots;
mod starts;
