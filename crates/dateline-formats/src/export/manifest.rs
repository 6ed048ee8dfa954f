//! The manifest of an export: its description and its files. It is written last: without it there is no export (E4).

use std::collections::{BTreeMap, BTreeSet};

use dateline_proto::v1::{Digest, Kind, KindDigest};
use dateline_record::{
    name::{KINDS, kind_label},
    text::quote_for_error,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Error,
    destination::Destination,
    format::{Format, Losses},
    layout::{Compression, MANIFEST},
};

/// Version of the layout.
const VERSION: u32 = 1;
/// The package of the records, the first part of `schema`.
const SCHEMA: &str = "dateline.v1";
/// Upper limit for counts; no feed has more records.
const MAX_RECORDS: u64 = 1_000_000_000_000_000;

/// Description of an export: equal for the same state, independent of the caller and the time (E2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// The feed's id.
    pub feed: String,
    /// Epoch of the feed: a delta of another epoch cannot be applied.
    pub epoch: u64,
    /// `published` or `desk`.
    pub view: String,
    /// Sequence of the exported state.
    pub sequence: i64,
    /// For a delta: the sequence of the full export that it applies to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub since: Option<i64>,
    /// The filter as canonical JSON.
    pub filter: Value,
    /// True if it has tombstones of retracted and merged records.
    pub tombstones: bool,
    /// True if the copyrighted content was left out.
    pub metadata_only: bool,
    /// The schema of the records: its name, and the SHA-256 of its descriptors.
    pub schema: String,
}

/// A complete export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Version of the layout.
    pub version: u32,
    /// Description of the export.
    #[serde(flatten)]
    pub subject: Subject,
    /// The formats of its files, including formats without files.
    pub formats: Vec<Format>,
    /// Compression of the files.
    pub compression: Compression,
    /// Prefix of names in formats that need URIs.
    pub base_uri: String,
    /// Number of parts.
    pub partitions: u16,
    /// Most records per file.
    pub file_records: u64,
    /// Digest of the records of this export, without tombstones (F11).
    pub digest: DigestText,
    /// For a delta: digest of the whole state after it, if known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub state: Option<DigestText>,
    /// Number of tombstones.
    pub tombstone_records: u64,
    /// Number of removals.
    pub removals: u64,
    /// The files, sorted by name.
    pub files: Vec<FileEntry>,
    /// Losses of each format, per field (E6).
    pub losses: BTreeMap<Format, Losses>,
}

/// A file of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileEntry {
    /// Name of the file.
    pub name: String,
    /// Format of the file; removals are NDJSON.
    pub format: Format,
    /// Collection of its records, or `removed`.
    pub holds: String,
    /// Index of its part.
    pub partition: u16,
    /// Length in bytes.
    pub bytes: u64,
    /// Records of the feed that were written to it; a format may make several entries from one record.
    pub records: u64,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
}

impl FileEntry {
    fn check(&self, partitions: u16) -> Result<(), String> {
        if !is_file_name(&self.name) {
            return Err("this is not the name of a file beside the manifest".to_owned());
        }
        let kinds = KINDS.into_iter().map(collection_word);
        if self.holds != REMOVED && !kinds.into_iter().any(|kind| kind == self.holds) {
            return Err(format!(
                "it holds {}, which is no kind of record",
                quote_for_error(&self.holds)
            ));
        }
        if self.partition >= partitions.max(1) {
            let partition = self.partition;
            return Err(format!(
                "it is of part {partition}, and there are {partitions}"
            ));
        }
        let is_hash =
            |hash: &str| hash.len() == 64 && hash.bytes().all(|it| it.is_ascii_hexdigit());
        if !is_hash(&self.sha256) {
            return Err("its SHA-256 is none".to_owned());
        }
        Ok(())
    }
}

/// True if a manifest may list a file of that name: a plain name in the directory of the export.
fn is_file_name(name: &str) -> bool {
    let is_plain = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'.' | b'_');
    let begins = name
        .bytes()
        .next()
        .is_some_and(|it| it.is_ascii_alphanumeric());
    begins && name.len() <= 200 && name.bytes().all(is_plain) && name != MANIFEST
}

/// A digest as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigestText {
    /// Number of records.
    pub records: i64,
    /// Digest, hexadecimal.
    pub digest: String,
    /// Digests by kind.
    pub kinds: Vec<KindText>,
}

/// A digest of one kind as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindText {
    /// Word of the kind.
    pub kind: String,
    /// Number of records.
    pub records: i64,
    /// Digest, hexadecimal.
    pub digest: String,
}

impl DigestText {
    /// Numbers of records by kind.
    #[must_use]
    pub fn counts(&self) -> Vec<(&str, i64)> {
        let kinds = self.kinds.iter();
        kinds.map(|of| (of.kind.as_str(), of.records)).collect()
    }
}

impl From<&Digest> for DigestText {
    fn from(digest: &Digest) -> Self {
        let of_kind = |of: &KindDigest| KindText {
            kind: kind_label(of.kind()).to_owned(),
            records: of.records,
            digest: hex::encode(&of.digest),
        };
        Self {
            records: digest.records,
            digest: hex::encode(&digest.digest),
            kinds: digest.kinds.iter().map(of_kind).collect(),
        }
    }
}

impl Manifest {
    /// Reads the manifest of an export.
    ///
    /// # Errors
    /// If it does not exist or cannot be read.
    pub async fn read(from: &Destination) -> Result<Self, Error> {
        let Some(bytes) = from.get(MANIFEST).await? else {
            return Err(Error::NoExport(from.display_name().to_owned()));
        };
        Self::parse(&bytes).map_err(|what| Error::Manifest {
            of: from.display_name().to_owned(),
            what,
        })
    }

    /// Parses and checks a manifest.
    ///
    /// # Errors
    /// The fault. Every value is checked, since the file is untrusted input (F3 of the catalogue of bad input).
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Layout {
            version: u32,
        }
        let layout: Layout = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if layout.version != VERSION {
            let version = layout.version;
            return Err(format!(
                "its version is {version}, and this program knows {VERSION}"
            ));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), String> {
        let package = format!("{SCHEMA} ");
        if !self.subject.schema.starts_with(&package) {
            let schema = quote_for_error(&self.subject.schema);
            return Err(format!(
                "its records are of the schema {schema}, and this program knows {SCHEMA}"
            ));
        }
        let is_view = ["published", "desk"].contains(&self.subject.view.as_str());
        if !is_view || uuid::Uuid::try_parse(&self.subject.feed).is_err() {
            let (view, feed) = (
                quote_for_error(&self.subject.view),
                quote_for_error(&self.subject.feed),
            );
            return Err(format!(
                "it is of the view {view} of the feed {feed}, and there is none"
            ));
        }
        let (at, since) = (self.subject.sequence, self.subject.since);
        if at < 0 || since.is_some_and(|since| !(0..=at).contains(&since)) {
            return Err(format!(
                "it is of sequence {at} since {since:?}, which cannot be"
            ));
        }
        let counts = [self.tombstone_records, self.removals];
        let digests = [Some(&self.digest), self.state.as_ref()]
            .into_iter()
            .flatten();
        let digests = digests.map(|digest| u64::try_from(digest.records).unwrap_or(u64::MAX));
        let counted = self
            .files
            .iter()
            .map(|file| file.records)
            .chain(counts)
            .chain(digests);
        if let Some(count) = counted.into_iter().find(|count| *count > MAX_RECORDS) {
            return Err(format!("it tells of {count} records, which cannot be"));
        }
        let mut names = BTreeSet::new();
        for file in &self.files {
            file.check(self.partitions)
                .map_err(|what| format!("the file {}: {what}", quote_for_error(&file.name)))?;
            if !names.insert(&file.name) {
                return Err(format!("the file {} is listed twice", file.name));
            }
        }
        Ok(())
    }

    /// Deletes the export. The manifest is deleted first, so that the rest cannot be taken for a complete export.
    ///
    /// # Errors
    /// If a file cannot be deleted.
    pub async fn delete(&self, place: &Destination) -> Result<(), Error> {
        place.delete(MANIFEST).await?;
        for file in &self.files {
            place.delete(&file.name).await?;
        }
        place.remove();
        Ok(())
    }

    /// The version that this program writes.
    #[must_use]
    pub fn version() -> u32 {
        VERSION
    }

    /// Encodes the manifest as JSON.
    ///
    /// # Errors
    /// If a value cannot be encoded, which does not happen.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Files of a format that contain records, sorted by name, one list per part.
    #[must_use]
    pub fn parts(&self, format: Format) -> Vec<Vec<&FileEntry>> {
        let mut parts = vec![Vec::new(); usize::from(self.partitions.max(1))];
        for file in &self.files {
            if file.format == format
                && file.holds != REMOVED
                && let Some(part) = parts.get_mut(usize::from(file.partition))
            {
                part.push(file);
            }
        }
        parts
    }
}

/// `holds` of a file of removals.
pub const REMOVED: &str = "removed";

/// The directory name of an export, so that the same command finds an interrupted export.
#[must_use]
pub fn directory(subject: &Subject) -> String {
    let feed: String = subject.feed.chars().take(8).collect();
    let since = subject
        .since
        .map(|since| format!("-since-{since:012}"))
        .unwrap_or_default();
    format!("{}-{feed}-{:012}{since}", subject.view, subject.sequence)
}

/// The word of a kind in file names: its collection, which sorts like the names.
#[must_use]
pub fn collection_word(kind: Kind) -> &'static str {
    dateline_record::name::collection(kind)
}
