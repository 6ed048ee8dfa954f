//! An export on its way: what comes from the feed goes to files, and after every file it is written down how far it
//! came. Cut anywhere, it goes on behind the last finished file (E3).

use std::{collections::BTreeMap, sync::Arc};

use dateline_proto::v1::{Digest, Kind, Removal, change::Type};
use dateline_record::{
    digest::{Tallies, Tally, WORDS},
    encoded::Encoded,
};
use serde::{Deserialize, Serialize};

use super::{
    Destination, Error,
    files::{Files, Shape},
    format::{Format, Losses, Referents},
    manifest::{DigestText, FileEntry, Manifest, Subject},
};

/// How the file of a part's progress begins.
const PROGRESS: &str = "_progress";

/// How far one part of an export has come.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// What was asked for, in one line: the same command finds its own.
    pub asked: String,
    /// What it is of.
    pub subject: Subject,
    /// Where it goes on; empty at the beginning.
    cursor: String,
    /// The last name that is in a finished file: it may come again.
    after: String,
    /// What is in them.
    counted: Counts,
    files: Vec<FileEntry>,
    losses: BTreeMap<Format, Losses>,
}

/// What has been counted.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    /// By kind, as the schema numbers it.
    tallies: BTreeMap<i32, Tally>,
    tombstones: u64,
    removals: u64,
    /// Removals that are in no file yet: name, type, successor.
    removed: Vec<(String, i32, String)>,
}

impl Progress {
    /// What a directory says of a part that was begun there.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn read(from: &Destination, part: u16) -> Result<Option<Self>, Error> {
        let Some(bytes) = from.get(&file(part)).await? else {
            return Ok(None);
        };
        Ok(serde_json::from_slice(&bytes).ok())
    }

    /// Forgets it.
    ///
    /// # Errors
    /// When it cannot be deleted.
    pub async fn forget(from: &Destination, part: u16) -> Result<(), Error> {
        from.delete(&file(part)).await
    }

    /// Names of the files that are finished.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|file| file.name.as_str())
    }

    /// Records that are in them.
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

    /// Where the export goes on; `None` if it has to begin.
    #[must_use]
    pub fn cursor(&self) -> Option<&str> {
        Some(self.cursor.as_str()).filter(|cursor| !cursor.is_empty())
    }

    /// The last name that is in a finished file.
    #[must_use]
    pub fn after(&self) -> &str {
        &self.after
    }
}

fn file(part: u16) -> String {
    format!("{PROGRESS}-{part:03}.json")
}

/// Whether a file is one of progress.
#[must_use]
pub fn is_progress(name: &str) -> bool {
    name.starts_with(PROGRESS)
}

/// A record, and what it adds to the digest.
#[derive(Debug, Clone)]
pub struct Counted {
    record: Encoded,
    words: [u32; WORDS],
}

impl From<Encoded> for Counted {
    fn from(record: Encoded) -> Self {
        Self {
            words: record.words(),
            record,
        }
    }
}

/// One part of an export that is being written.
pub struct Session {
    to: Destination,
    progress: Progress,
    shape: Shape,
    files: Files,
    /// Counted so far, more than is in finished files.
    counted: Counts,
    /// The last name that came.
    last: String,
    /// Where the response began that is being taken.
    cursor: String,
}

/// What a finished part consists of.
pub struct Part {
    files: Vec<FileEntry>,
    losses: BTreeMap<Format, Losses>,
    counted: Counts,
}

impl Session {
    /// Begins a part, and writes that down.
    ///
    /// # Errors
    /// When the place cannot be written to.
    pub async fn begin(
        to: Destination,
        asked: String,
        subject: Subject,
        shape: Shape,
    ) -> Result<Self, Error> {
        let progress = Progress {
            asked,
            subject,
            cursor: String::new(),
            after: String::new(),
            counted: Counts::default(),
            files: Vec::new(),
            losses: BTreeMap::new(),
        };
        store(&to, &progress, shape.part.0).await?;
        Ok(Self::go_on(to, progress, shape))
    }

    /// Goes on with a part that was cut.
    #[must_use]
    pub fn go_on(to: Destination, progress: Progress, shape: Shape) -> Self {
        let (done, losses) = (progress.files.clone(), progress.losses.clone());
        let files = Files::new(to.clone(), shape.clone(), done, losses);
        Self {
            counted: progress.counted.clone(),
            last: progress.after.clone(),
            cursor: progress.cursor.clone(),
            to,
            progress,
            shape,
            files,
        }
    }

    /// The records that those that are taken next refer to.
    pub fn refer(&mut self, referents: Arc<Referents>) {
        self.files.referents = referents;
    }

    /// Takes in what came, and where to go on behind it; answers how many of the records are new.
    ///
    /// # Errors
    /// When it is out of order, or cannot be written.
    pub async fn take(
        &mut self,
        records: Vec<Counted>,
        removed: Vec<Removal>,
        cursor: String,
    ) -> Result<u64, Error> {
        let mut new = 0;
        for record in records {
            new += u64::from(self.record(record).await?);
        }
        for removal in removed {
            self.removal(removal).await?;
        }
        if !cursor.is_empty() {
            self.cursor = cursor;
        }
        Ok(new)
    }

    /// Takes a record; answers whether it is new.
    ///
    /// # Errors
    /// When it is out of order, or cannot be written.
    pub async fn record(&mut self, counted: Counted) -> Result<bool, Error> {
        let Counted { record, words } = counted;
        let name = record.name().to_owned();
        // What is in a finished file comes again after a cut.
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
            tally.or_default().add(&words);
        }
        self.files.write(record).await?;
        Ok(true)
    }

    async fn removal(&mut self, removal: Removal) -> Result<(), Error> {
        let told = (removal.name, removal.r#type, removal.merged_into);
        self.counted.removals += 1;
        self.counted.removed.push(told);
        if self.counted.removed.len() as u64 >= self.shape.file_records {
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
        self.files.removed(&removals).await
    }

    /// Finishes the part.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn finish(mut self) -> Result<Part, Error> {
        self.files.finish().await?;
        self.flush_removed().await?;
        Ok(Part {
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
        store(&self.to, &self.progress, self.shape.part.0).await
    }
}

async fn store(to: &Destination, progress: &Progress, part: u16) -> Result<(), Error> {
    to.put(&file(part), serde_json::to_vec(progress)?).await
}

/// Joins the parts of an export. `state` is what the feed shows at its sequence, where that is known of all of it.
#[must_use]
pub fn join(subject: Subject, shape: &Shape, parts: Vec<Part>, state: Option<&Digest>) -> Manifest {
    let mut tallies = Tallies::default();
    let (mut files, mut losses) = (Vec::new(), BTreeMap::<Format, Losses>::new());
    let (mut tombstone_records, mut removals) = (0, 0);
    for part in parts {
        for (kind, tally) in &part.counted.tallies {
            let kind = Kind::try_from(*kind).unwrap_or_default();
            tallies.of(kind).merge(tally);
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
        formats: shape.formats.clone(),
        compression: shape.compression,
        base_uri: shape.options.base_uri.clone(),
        partitions: shape.part.1,
        file_records: shape.file_records,
        digest: DigestText::from(&tallies.to_digest()),
        state: state.map(DigestText::from),
        subject,
        tombstone_records,
        removals,
        files,
        losses,
    }
}
