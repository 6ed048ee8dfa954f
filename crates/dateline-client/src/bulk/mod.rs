//! Bulk writes: sends many records as an editor would, and publishes the records that belong together.
//!
//! - [`BulkWriter`] creates the records that do not exist yet, and sends successive versions of an item.
//! - `publish_queue` orders drafts for publication, `publication` publishes them beside the next creations; `version_step` decides what becomes of a newer version.
//! - [`Rejection`] is a refused record; [`field_path`] rewrites field paths of requests in terms of the records sent.

mod error;
pub mod field_path;
mod outgoing;
mod publication;
mod publish_queue;
mod rejection;
mod version_step;
mod versions;
mod writer;

pub use self::{
    error::Error,
    outgoing::{Conflict, OnChange, Outgoing, WriteOptions, WriteReport},
    rejection::{FieldProblem, Notice, Rejection},
    writer::BulkWriter,
};
