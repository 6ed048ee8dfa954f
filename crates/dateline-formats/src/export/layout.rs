//! The layout of an export: its formats, its compression, and the names of its files.

use dateline_record::encoded::EncodedRecord;
use serde::{Deserialize, Serialize};

use super::{
    Error,
    format::{Format, Options},
};

/// Name of the manifest.
pub const MANIFEST: &str = "manifest.json";

/// Compression of files. Parquet compresses its own pages, so its files are not compressed again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// No compression.
    #[default]
    None,
    /// zstd, RFC 8878.
    Zstd,
    /// gzip, RFC 1952.
    Gzip,
}

impl Compression {
    pub(super) fn for_format(self, format: Format) -> Self {
        if format == Format::Parquet {
            Self::None
        } else {
            self
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
        }
    }
}

/// Layout of the files of an export.
#[derive(Debug, Clone)]
pub struct ExportLayout {
    /// Formats, each once.
    pub formats: Vec<Format>,
    /// Compression of the files.
    pub compression: Compression,
    /// Options of all formats.
    pub options: Options,
    /// Most records per file.
    pub file_records: u64,
    /// Index of this part, and the number of parts.
    pub part: (u16, u16),
}

impl ExportLayout {
    /// Returns true if files contain data of other records, which may change without the record that refers to them.
    #[must_use]
    pub fn embeds_references(&self) -> bool {
        self.formats.iter().any(|format| !format.keeps_names())
    }

    /// Decodes a record as far as the formats need it, so that this work can run on another thread.
    ///
    /// # Errors
    /// If it cannot be decoded.
    pub fn prepare(&self, record: &EncodedRecord) -> Result<(), Error> {
        if self.options.metadata_only {
            // It is redacted and encoded again; the reflected message is not needed.
            record.record()?;
            return Ok(());
        }
        for format in &self.formats {
            match format {
                // Written from the received bytes.
                Format::Protobuf | Format::Ndjson | Format::Parquet => {}
                Format::Csv => {
                    record.document()?;
                }
                Format::Ninjs | Format::FollowTheMoney | Format::SchemaOrg => {
                    record.record()?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn file_name(&self, holds: &str, number: u32, format: Format) -> String {
        let part = match self.part {
            (_, 0 | 1) => String::new(),
            (part, _) => format!("p{part:03}-"),
        };
        format!(
            "{holds}-{part}{number:05}.{}{}",
            format.extension(),
            self.compression.for_format(format).suffix()
        )
    }
}
