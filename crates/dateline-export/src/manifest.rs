//! What an export is and of what it consists. It is written last: without it there is no export (E4).

use std::collections::{BTreeMap, BTreeSet};

use dateline_proto::v1::{Digest, Kind, KindDigest};
use dateline_record::{
    name::{KINDS, kind_word},
    text::shown,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Error,
    destination::Destination,
    files::Compression,
    format::{Format, Losses},
};

/// Its file.
pub const MANIFEST: &str = "manifest.json";
/// Layout of the manifest.
const VERSION: u32 = 1;
/// The package of the records, with which `schema` begins.
const SCHEMA: &str = "dateline.v1";
/// No feed has more records.
const MAX_RECORDS: u64 = 1_000_000_000_000_000;

/// What an export is of: the same for the same state, whoever takes it and when (E2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// The feed's id.
    pub feed: String,
    /// Which history of it: after another one began, nothing is added to an export of this one.
    pub epoch: u64,
    /// `published` or `desk`.
    pub view: String,
    /// As of which sequence it is.
    pub sequence: i64,
    /// For a delta: what it adds to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub since: Option<i64>,
    /// The filter as canonical JSON.
    pub filter: Value,
    /// Whether what is left of retracted and merged records is in it.
    pub tombstones: bool,
    /// Whether the copyrighted parts were left out.
    pub metadata_only: bool,
    /// The schema of the records: its name, and the SHA-256 of its descriptors.
    pub schema: String,
}

/// A complete export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Layout of this file.
    pub version: u32,
    /// What it is of.
    #[serde(flatten)]
    pub subject: Subject,
    /// The formats of its files, also where there is nothing to write.
    pub formats: Vec<Format>,
    /// How the files are compressed.
    pub compression: Compression,
    /// What stands before names in formats that want URIs.
    pub base_uri: String,
    /// Into how many parts it was divided.
    pub partitions: u16,
    /// Records to a file, at most.
    pub file_records: u64,
    /// What the records of this export add up to, without tombstones (F11).
    pub digest: DigestText,
    /// The same of the whole state that a delta leads to, where it is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub state: Option<DigestText>,
    /// Tombstones in it.
    pub tombstone_records: u64,
    /// Removals in it.
    pub removals: u64,
    /// In the order of names.
    pub files: Vec<FileEntry>,
    /// What each format could not say, per field (E6).
    pub losses: BTreeMap<Format, Losses>,
}

/// A file of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileEntry {
    /// Its name.
    pub name: String,
    /// Its format; removals are NDJSON.
    pub format: Format,
    /// The kind of its records as a word, or `removed`.
    pub holds: String,
    /// The part that it belongs to.
    pub partition: u16,
    /// Its length.
    pub bytes: u64,
    /// Records of the feed that were written to it; a format may make several entries of one.
    pub records: u64,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

impl FileEntry {
    fn check(&self, partitions: u16) -> Result<(), String> {
        if !is_file_name(&self.name) {
            return Err("this is not the name of a file beside the manifest".to_owned());
        }
        let kinds = KINDS.into_iter().map(holds);
        if self.holds != REMOVED && !kinds.into_iter().any(|kind| kind == self.holds) {
            return Err(format!(
                "it holds {}, which is no kind of record",
                shown(&self.holds)
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

/// Whether a manifest may list a file of that name: one of ours, right beside it.
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
    /// Records.
    pub records: i64,
    /// In hexadecimal.
    pub digest: String,
    /// By kind.
    pub kinds: Vec<KindText>,
}

/// A digest of one kind as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindText {
    /// Its word.
    pub kind: String,
    /// Records.
    pub records: i64,
    /// In hexadecimal.
    pub digest: String,
}

impl DigestText {
    /// Records by kind.
    #[must_use]
    pub fn counts(&self) -> Vec<(&str, i64)> {
        let kinds = self.kinds.iter();
        kinds.map(|of| (of.kind.as_str(), of.records)).collect()
    }
}

impl From<&Digest> for DigestText {
    fn from(digest: &Digest) -> Self {
        let of_kind = |of: &KindDigest| KindText {
            kind: kind_word(of.kind()).to_owned(),
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
    /// When there is none, or it cannot be read.
    pub async fn read(from: &Destination) -> Result<Self, Error> {
        let Some(bytes) = from.get(MANIFEST).await? else {
            return Err(Error::NoExport(from.shown().to_owned()));
        };
        Self::parse(&bytes).map_err(|what| Error::Manifest {
            of: from.shown().to_owned(),
            what,
        })
    }

    /// Reads a manifest from its bytes.
    ///
    /// # Errors
    /// What is wrong with it: nothing that it says is taken on trust (F3 of the catalogue of bad input).
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
            let schema = shown(&self.subject.schema);
            return Err(format!(
                "its records are of the schema {schema}, and this program knows {SCHEMA}"
            ));
        }
        let is_view = ["published", "desk"].contains(&self.subject.view.as_str());
        if !is_view || uuid::Uuid::try_parse(&self.subject.feed).is_err() {
            let (view, feed) = (shown(&self.subject.view), shown(&self.subject.feed));
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
                .map_err(|what| format!("the file {}: {what}", shown(&file.name)))?;
            if !names.insert(&file.name) {
                return Err(format!("the file {} is listed twice", file.name));
            }
        }
        Ok(())
    }

    /// Deletes the export. The manifest goes first: without it nobody takes the rest for whole.
    ///
    /// # Errors
    /// When something cannot be deleted.
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

    /// As it is written.
    ///
    /// # Errors
    /// When a value cannot be JSON, which none is.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Files of a format that hold records, in the order of names, one list per part.
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

/// What a file of removals holds.
pub const REMOVED: &str = "removed";

/// The directory of an export: by it the same command finds what it has begun.
#[must_use]
pub fn directory(subject: &Subject) -> String {
    let feed: String = subject.feed.chars().take(8).collect();
    let since = subject
        .since
        .map(|since| format!("-since-{since:012}"))
        .unwrap_or_default();
    format!("{}-{feed}-{:012}{since}", subject.view, subject.sequence)
}

/// The word of a kind in file names: the collection sorts as names do.
#[must_use]
pub fn holds(kind: Kind) -> &'static str {
    dateline_record::name::collection(kind)
}
