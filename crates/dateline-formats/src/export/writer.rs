//! An export in progress: writes responses to files, and stores its progress after every file. If it is interrupted, it
//! resumes after the last finished file (E3).

use std::{collections::BTreeMap, sync::Arc};

use dateline_proto::v1::{Digest, Kind, Removal, change::Type};
use dateline_record::{
    digest::{LANES, Tallies, Tally},
    encoded::EncodedRecord,
};
use serde::{Deserialize, Serialize};

use super::{
    Destination, Error,
    files::FileSet,
    format::{Format, Losses, Referents},
    layout::ExportLayout,
    manifest::{DigestText, FileEntry, Manifest, Subject},
};

/// Prefix of the files of progress.
const PROGRESS_PREFIX: &str = "_progress";

/// Progress of one part of an export.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExportProgress {
    /// The request as one line, by which the same command finds its export.
    pub asked: String,
    /// Description of the export.
    pub subject: Subject,
    /// Cursor to resume from; empty at the beginning.
    cursor: String,
    /// Last name in the finished files; records up to it may be sent again.
    after: String,
    /// Counts of the finished files.
    counted: PartCounts,
    files: Vec<FileEntry>,
    losses: BTreeMap<Format, Losses>,
}

/// Counts of records and removals.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PartCounts {
    /// Tallies by number of the kind.
    tallies: BTreeMap<i32, Tally>,
    tombstones: u64,
    removals: u64,
    /// Removals that are not written yet: name, type, successor.
    removed: Vec<(String, i32, String)>,
}

impl ExportProgress {
    /// Reads the progress of a part in this directory.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn read(from: &Destination, part: u16) -> Result<Option<Self>, Error> {
        let Some(bytes) = from.get(&progress_file(part)).await? else {
            return Ok(None);
        };
        Ok(serde_json::from_slice(&bytes).ok())
    }

    /// Deletes the progress of a part.
    ///
    /// # Errors
    /// If it cannot be deleted.
    pub async fn delete(from: &Destination, part: u16) -> Result<(), Error> {
        from.delete(&progress_file(part)).await
    }

    /// Names of the finished files.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|file| file.name.as_str())
    }

    /// Records in the finished files.
    #[must_use]
    pub fn records(&self) -> u64 {
        let shown: i64 = self
            .counted
            .tallies
            .values()
            .map(|tally| tally.records)
            .sum();
        u64::try_from(shown).unwrap_or_default() + self.counted.tombstones
    }

    /// Cursor to resume from; `None` for a start from the beginning.
    #[must_use]
    pub fn cursor(&self) -> Option<&str> {
        Some(self.cursor.as_str()).filter(|cursor| !cursor.is_empty())
    }

    /// Last name in the finished files.
    #[must_use]
    pub fn after(&self) -> &str {
        &self.after
    }
}

fn progress_file(part: u16) -> String {
    format!("{PROGRESS_PREFIX}-{part:03}.json")
}

/// True for the name of a file of progress.
#[must_use]
pub fn is_progress(name: &str) -> bool {
    name.starts_with(PROGRESS_PREFIX)
}

/// A record, and the lanes that it adds to the digest.
#[derive(Debug, Clone)]
pub struct HashedRecord {
    record: EncodedRecord,
    lanes: [u32; LANES],
}

impl From<EncodedRecord> for HashedRecord {
    fn from(record: EncodedRecord) -> Self {
        Self {
            lanes: record.digest_lanes(),
            record,
        }
    }
}

/// One part of an export that is being written.
pub struct ExportWriter {
    to: Destination,
    progress: ExportProgress,
    layout: ExportLayout,
    files: FileSet,
    /// Counts so far, including unfinished files.
    counted: PartCounts,
    /// Name of the last record.
    last: String,
    /// Cursor before the response that is being written.
    cursor: String,
}

/// Files, losses and counts of a finished part.
pub struct FinishedPart {
    files: Vec<FileEntry>,
    losses: BTreeMap<Format, Losses>,
    counted: PartCounts,
}

impl ExportWriter {
    /// Begins a part, and stores its progress.
    ///
    /// # Errors
    /// If the destination cannot be written.
    pub async fn begin(
        to: Destination,
        asked: String,
        subject: Subject,
        layout: ExportLayout,
    ) -> Result<Self, Error> {
        let progress = ExportProgress {
            asked,
            subject,
            cursor: String::new(),
            after: String::new(),
            counted: PartCounts::default(),
            files: Vec::new(),
            losses: BTreeMap::new(),
        };
        store(&to, &progress, layout.part.0).await?;
        Ok(Self::resume(to, progress, layout))
    }

    /// Resumes an interrupted part.
    #[must_use]
    pub fn resume(to: Destination, progress: ExportProgress, layout: ExportLayout) -> Self {
        let (done, losses) = (progress.files.clone(), progress.losses.clone());
        let files = FileSet::new(to.clone(), layout.clone(), done, losses);
        Self {
            counted: progress.counted.clone(),
            last: progress.after.clone(),
            cursor: progress.cursor.clone(),
            to,
            progress,
            layout,
            files,
        }
    }

    /// Sets the records that the next written records refer to.
    pub fn set_referents(&mut self, referents: Arc<Referents>) {
        self.files.referents = referents;
    }

    /// Writes one response and remembers its resume cursor. Returns the number of records that were not written before.
    ///
    /// # Errors
    /// If it is out of order, or cannot be written.
    pub async fn write(
        &mut self,
        records: Vec<HashedRecord>,
        removed: Vec<Removal>,
        cursor: String,
    ) -> Result<u64, Error> {
        let mut new = 0;
        for record in records {
            new += u64::from(self.write_record(record).await?);
        }
        for removal in removed {
            self.write_removal(removal).await?;
        }
        if !cursor.is_empty() {
            self.cursor = cursor;
        }
        Ok(new)
    }

    /// Writes a record; returns true if it was not written before.
    ///
    /// # Errors
    /// If it is out of order, or cannot be written.
    pub async fn write_record(&mut self, hashed: HashedRecord) -> Result<bool, Error> {
        let HashedRecord { record, lanes } = hashed;
        let name = record.name().to_owned();
        // Records of finished files are sent again after an interruption.
        if name <= self.progress.after {
            return Ok(false);
        }
        if name <= self.last {
            return Err(Error::Broken(format!(
                "{name} came after {}: records have to come in order, each once",
                self.last
            )));
        }
        if self.files.is_full_for(record.kind()) {
            self.files.finish().await?;
            self.progress.after = std::mem::take(&mut self.last);
            self.store_now().await?;
        }
        self.last = name;
        if record.is_tombstone() {
            self.counted.tombstones += 1;
        } else {
            let tally = self.counted.tallies.entry(record.kind().into());
            tally.or_default().add(&lanes);
        }
        self.files.write(record).await?;
        Ok(true)
    }

    async fn write_removal(&mut self, removal: Removal) -> Result<(), Error> {
        let removed = (removal.name, removal.r#type, removal.merged_into);
        self.counted.removals += 1;
        self.counted.removed.push(removed);
        if self.counted.removed.len() as u64 >= self.layout.file_records {
            self.flush_removed().await?;
        }
        Ok(())
    }

    async fn flush_removed(&mut self) -> Result<(), Error> {
        let removals: Vec<Removal> = std::mem::take(&mut self.counted.removed)
            .into_iter()
            .map(|(name, why, merged_into)| Removal {
                name,
                r#type: Type::try_from(why).unwrap_or_default().into(),
                merged_into,
            })
            .collect();
        if removals.is_empty() {
            return Ok(());
        }
        self.files.write_removals(&removals).await
    }

    /// Finishes the part.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn finish(mut self) -> Result<FinishedPart, Error> {
        self.files.finish().await?;
        self.flush_removed().await?;
        Ok(FinishedPart {
            files: self.files.done,
            losses: self.files.losses,
            counted: self.counted,
        })
    }

    async fn store_now(&mut self) -> Result<(), Error> {
        self.progress.cursor.clone_from(&self.cursor);
        self.progress.files.clone_from(&self.files.done);
        self.progress.losses.clone_from(&self.files.losses);
        self.progress.counted = self.counted.clone();
        store(&self.to, &self.progress, self.layout.part.0).await
    }
}

async fn store(to: &Destination, progress: &ExportProgress, part: u16) -> Result<(), Error> {
    to.put(&progress_file(part), serde_json::to_vec(progress)?)
        .await
}

/// Joins the parts of an export. `state` is the digest of the feed at its sequence, if known for the whole state.
#[must_use]
pub fn join(
    subject: Subject,
    layout: &ExportLayout,
    parts: Vec<FinishedPart>,
    state: Option<&Digest>,
) -> Manifest {
    let mut tallies = Tallies::default();
    let (mut files, mut losses) = (Vec::new(), BTreeMap::<Format, Losses>::new());
    let (mut tombstone_records, mut removals) = (0, 0);
    for part in parts {
        for (kind, tally) in &part.counted.tallies {
            let kind = Kind::try_from(*kind).unwrap_or_default();
            tallies.tally_mut(kind).merge(tally);
        }
        tombstone_records += part.counted.tombstones;
        removals += part.counted.removals;
        files.extend(part.files);
        for (format, lost) in part.losses {
            losses.entry(format).or_default().merge(&lost);
        }
    }
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Manifest {
        version: Manifest::version(),
        formats: layout.formats.clone(),
        compression: layout.compression,
        base_uri: layout.options.base_uri.clone(),
        partitions: layout.part.1,
        file_records: layout.file_records,
        digest: DigestText::from(&tallies.to_digest()),
        state: state.map(DigestText::from),
        subject,
        tombstone_records,
        removals,
        files,
        losses,
    }
}
