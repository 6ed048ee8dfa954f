//! Exports: the records of a feed as files for other tools.
//!
//! - [`mod@format`]: one encoder per format and kind, from records to bytes; no I/O, no clock.
//! - [`destination`]: a directory or an object store.
//! - [`layout`]: formats, compression and file names of an export.
//! - [`files`]: writes records, in the order of names, to files of all formats at once.
//! - [`manifest`]: description and file list of an export, written last (E4).
//! - [`writer`]: an export in progress, which can be interrupted and resumed (E3).
//! - [`reader`]: the records of a finished export; [`verify`]: checks one; [`apply`]: applies a delta to one (E5).
//!
//! Depends on the generated messages and the model; not on gRPC, the store or the command line.

pub mod apply;
pub mod destination;
pub mod files;
pub mod format;
pub mod layout;
pub mod manifest;
pub mod reader;
pub mod verify;
pub mod writer;

use dateline_record::encoded::InvalidRecord;

pub use self::{
    destination::Destination,
    layout::{Compression, ExportLayout},
    manifest::Manifest,
    writer::ExportWriter,
};

/// A part of this crate that is behind a Cargo feature which this build lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this build has no {0}; `cargo install --path . --features full` installs one with all formats and destinations"
)]
pub struct NotBuilt(&'static str);

/// The reason why an export cannot be made, read or verified.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The destination cannot be opened.
    #[error("{0}")]
    Destination(String),
    /// The destination is of a kind that this build lacks.
    #[error("{0}")]
    NotBuilt(#[from] NotBuilt),
    /// The destination failed.
    #[error("{what}: {source}")]
    Store {
        /// Name of the file.
        what: String,
        /// The error of the destination.
        source: object_store::Error,
    },
    /// Reading or writing failed.
    #[error("{what}: {source}")]
    Io {
        /// Name of the file.
        what: String,
        /// The I/O error.
        source: std::io::Error,
    },
    /// There is no complete export.
    #[error("{0} holds no complete export: it has no manifest.json")]
    NoExport(String),
    /// The manifest cannot be read.
    #[error("the manifest of {of} cannot be used: {what}")]
    Manifest {
        /// The export.
        of: String,
        /// The fault.
        what: String,
    },
    /// A file differs from the manifest.
    #[error("{file}: {what}")]
    Damaged {
        /// Name of the file.
        file: String,
        /// The difference.
        what: String,
    },
    /// Bytes that are not a record.
    #[error(transparent)]
    InvalidRecord(#[from] InvalidRecord),
    /// A record that a format cannot write.
    #[error(transparent)]
    Format(#[from] format::Error),
    /// JSON that cannot be written.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// Input that differs from the request.
    #[error("{0}")]
    Broken(String),
}
