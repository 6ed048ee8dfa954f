//! File formats. An [`Encoder`] writes one file: the records of one kind, in the order of their names.
//!
//! Promises of every format:
//!
//! - The same records give the same bytes, always (E2): no clock, no random order, fixed metadata.
//! - Values that a format cannot express are counted per field ([`Losses`], E6), never guessed.
//! - Memory is bounded by one record, or by one row group of a table.
//!
//! | module | format |
//! |---|---|
//! | `ndjson`, `protobuf` | whole records, without losses |
//! | `columns`, `csv`, `parquet` | a table per kind, with columns derived from the schema |
//! | `documents`, `dates`, `ninjs`, `followthemoney`, `schemaorg` | records in models of others |
//! | [`referents`] | the records that names lead to |
//! | `losses`, `redact` | values left out: those that a format cannot express, those left out on request |

use std::{fmt, str::FromStr};

use dateline_proto::v1::Kind;
use dateline_record::encoded::{EncodedRecord, InvalidRecord};
use serde::{Deserialize, Serialize};

use super::NotBuilt;

mod columns;
mod csv;
mod dates;
mod documents;
mod followthemoney;
mod losses;
mod ndjson;
mod ninjs;
#[cfg_attr(not(feature = "parquet"), path = "parquet_absent.rs")]
mod parquet;
mod protobuf;
mod redact;
pub mod referents;
mod schemaorg;

pub use self::{losses::Losses, redact::redact, referents::Referents};

/// Format of the files of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Canonical protobuf JSON of `Record`, one per line.
    Ndjson,
    /// Encoded `Record`s, each after its length as a varint.
    Protobuf,
    /// A typed table for analysts.
    Parquet,
    /// IPTC ninjs 3.1, one item per line: articles and events.
    Ninjs,
    /// `FollowTheMoney` entities, one per line.
    FollowTheMoney,
    /// schema.org as JSON-LD, one node per line.
    SchemaOrg,
    /// A flat table for spreadsheets.
    Csv,
}

impl Format {
    /// All formats.
    pub const ALL: [Format; 7] = [
        Format::Ndjson,
        Format::Protobuf,
        Format::Parquet,
        Format::Ninjs,
        Format::FollowTheMoney,
        Format::SchemaOrg,
        Format::Csv,
    ];

    /// The word for the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Format::Ndjson => "ndjson",
            Format::Protobuf => "protobuf",
            Format::Parquet => "parquet",
            Format::Ninjs => "ninjs",
            Format::FollowTheMoney => "followthemoney",
            Format::SchemaOrg => "schemaorg",
            Format::Csv => "csv",
        }
    }

    /// Extension of its files, without a leading dot. No two formats share one, so their files can lie in one
    /// directory.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Format::Ndjson => "ndjson",
            Format::Protobuf => "binpb",
            Format::Parquet => "parquet",
            Format::Ninjs => "ninjs.ndjson",
            Format::FollowTheMoney => "ftm.ndjson",
            Format::SchemaOrg => "jsonld.ndjson",
            Format::Csv => "csv",
        }
    }

    /// Refuses a format that this build lacks.
    ///
    /// # Errors
    /// For Parquet without the feature `parquet`.
    pub fn check(self) -> Result<(), NotBuilt> {
        match (self, parquet::ABSENT) {
            (Format::Parquet, Some(absent)) => Err(absent),
            _ => Ok(()),
        }
    }

    /// Returns true if files of this format refer to records by the same names as the record does; other formats use
    /// the name of the record that a name leads to.
    #[must_use]
    pub fn keeps_names(self) -> bool {
        match self {
            Format::Ndjson | Format::Protobuf | Format::Parquet | Format::Csv => true,
            Format::Ninjs | Format::FollowTheMoney | Format::SchemaOrg => false,
        }
    }

    /// An encoder of one file; `None` if the format does not cover records of that kind.
    #[must_use]
    pub fn encoder(self, kind: Kind, options: &Options) -> Option<Box<dyn Encoder>> {
        if kind == Kind::Unspecified {
            return None;
        }
        Some(match self {
            Format::Ndjson => Box::new(ndjson::Ndjson),
            Format::Protobuf => Box::new(protobuf::Protobuf),
            Format::Parquet => Box::new(parquet::Parquet::new(kind)),
            Format::FollowTheMoney => Box::new(followthemoney::encoder(kind)),
            Format::SchemaOrg => Box::new(schemaorg::encoder(kind, options)),
            Format::Ninjs => Box::new(ninjs::encoder(kind, options)?),
            Format::Csv => Box::new(csv::Csv::new(kind)),
        })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.word())
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(word: &str) -> Result<Self, UnknownFormat> {
        let found = Format::ALL.into_iter().find(|format| format.word() == word);
        found.ok_or_else(|| UnknownFormat(word.to_owned()))
    }
}

/// A word that is not the name of a format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no format; there are {all}", all = Format::ALL.map(Format::word).join(", "))]
pub struct UnknownFormat(String);

/// Options of all files of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// True if records come without copyrighted content, see [`redact`]; formats that can mark this do.
    pub metadata_only: bool,
    /// Prefix of names in formats that need URIs; ends with a slash.
    pub base_uri: String,
}

impl Options {
    /// A record's URI.
    fn uri(&self, name: &str) -> String {
        format!("{}{name}", self.base_uri)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            metadata_only: false,
            base_uri: "https://dateline.example/v1/".to_owned(),
        }
    }
}

/// Writes one file: records of one kind in name order, then its end.
pub trait Encoder: Send {
    /// Appends a record to `out`, or keeps it for a later append. `referents` are the records that it refers to.
    ///
    /// # Errors
    /// If the record cannot be written at all; nothing of it is in the file then, and the file is lost.
    fn write(
        &mut self,
        record: &EncodedRecord,
        referents: &Referents,
        losses: &mut Losses,
        out: &mut Vec<u8>,
    ) -> Result<(), Error>;

    /// Appends what was kept, and what ends the file. The encoder is used up.
    ///
    /// # Errors
    /// If what was kept cannot be written.
    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error>;
}

/// The reason why a file cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A record without a body, or of another kind than the file.
    #[error("a record of another kind than the file's")]
    Kind,
    /// Bytes that are not a record.
    #[error(transparent)]
    InvalidRecord(#[from] InvalidRecord),
    /// A value that JSON cannot represent, such as a number that is not finite.
    #[error("a record cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    /// A kind of record that is no table.
    #[error(transparent)]
    Table(#[from] columns::NoTable),
    /// A row that cannot be written.
    #[error("a row cannot be written as CSV")]
    Csv(#[from] ::csv::Error),
    /// A format that this build lacks.
    #[error("{0}")]
    NotBuilt(#[from] NotBuilt),
    /// Columns that do not fit together.
    #[cfg(feature = "parquet")]
    #[error("a batch of rows cannot be made into columns")]
    Arrow(#[from] arrow_schema::ArrowError),
    /// Columns that cannot be written.
    #[cfg(feature = "parquet")]
    #[error("a row group cannot be written")]
    Parquet(#[from] ::parquet::errors::ParquetError),
}

fn check_kind(record: &EncodedRecord, kind: Kind) -> Result<(), Error> {
    if record.kind() == kind {
        Ok(())
    } else {
        Err(Error::Kind)
    }
}

/// Ends a line of JSON, in every format alike.
fn end_line(out: &mut Vec<u8>) {
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_is_found_by_its_word_and_has_an_ending_of_its_own() {
        let mut endings = std::collections::BTreeSet::new();
        for format in Format::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
            assert_eq!(serde_json::to_value(format).unwrap(), format.word());
            assert!(endings.insert(format.extension()), "{format}");
        }
        let refused = "xml".parse::<Format>().unwrap_err().to_string();
        assert_eq!(
            refused,
            "\"xml\" is no format; there are ndjson, protobuf, parquet, ninjs, followthemoney, schemaorg, csv"
        );
    }
}
