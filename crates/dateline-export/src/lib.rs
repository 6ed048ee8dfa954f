//! Exports: the records of a feed as files that other tools read.
//!
//! - [`mod@format`]: one encoder per format and kind, from records to bytes; no I/O, no clock.
//! - [`destination`]: a directory or an object store.
//! - [`files`]: from records, in the order of names, to files of all formats at once.
//! - [`manifest`]: what an export is and of what it consists, written last (E4).
//! - [`session`]: an export on its way, which can be cut and gone on with (E3).
//! - [`read`]: the records of a finished one; [`verify`], [`apply`]: that it is whole, and what a delta makes of it (E5).
//!
//! It knows the generated messages and the model; not gRPC, not the store, not the command line.

pub mod apply;
pub mod destination;
pub mod files;
pub mod format;
pub mod manifest;
pub mod read;
pub mod session;
pub mod verify;

use dateline_record::encoded::NoRecord;

pub use self::{
    destination::Destination,
    files::{Compression, Shape},
    manifest::Manifest,
    session::Session,
};

/// Why an export cannot be made, read or proved.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No place to write to or read from.
    #[error("{0}")]
    Place(String),
    /// The place does not do what it is asked.
    #[error("{what}: {source}")]
    Store {
        /// Which file.
        what: String,
        /// What it says.
        source: object_store::Error,
    },
    /// Reading or writing failed on the way.
    #[error("{what}: {source}")]
    Io {
        /// Which file.
        what: String,
        /// How.
        source: std::io::Error,
    },
    /// There is no complete export.
    #[error("{0} holds no complete export: it has no manifest.json")]
    NoExport(String),
    /// A manifest that cannot be read.
    #[error("the manifest of {of} cannot be used: {what}")]
    Manifest {
        /// Which export.
        of: String,
        /// Why.
        what: String,
    },
    /// A file that is not what the manifest says.
    #[error("{file}: {what}")]
    Damaged {
        /// Which file.
        file: String,
        /// What is wrong.
        what: String,
    },
    /// What should be a record and is none.
    #[error(transparent)]
    NoRecord(#[from] NoRecord),
    /// A record that a format cannot write.
    #[error(transparent)]
    Format(#[from] format::Error),
    /// JSON that cannot be written.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// What came is not what was asked for.
    #[error("{0}")]
    Broken(String),
}
