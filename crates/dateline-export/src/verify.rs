//! That an export is whole and what its manifest says: every file by length and SHA-256, every record by its place, all
//! of them by count and digest (E4, F11). What is wrong is named.

use dateline_proto::v1::Record;
use dateline_record::{
    digest::{Tallies, record_words},
    state::is_tombstone,
};

use super::{
    Destination, Error, Manifest,
    format::Format,
    manifest::{DigestText, FileEntry, REMOVED, holds},
    read::{self, READABLE},
};

/// What was found out.
#[derive(Debug, Default)]
pub struct Findings {
    /// Files that were read.
    pub files: usize,
    /// Records that were counted, tombstones among them.
    pub records: u64,
    /// What is wrong: which file or record, and how.
    pub wrong: Vec<(String, String)>,
    /// Whether the digest was computed: it cannot be where content was left out, or from foreign formats.
    pub is_proved: bool,
}

/// Verifies an export. `told` hears of each file that is done.
///
/// # Errors
/// When it has no manifest, or cannot be read.
pub async fn verify(
    from: &Destination,
    told: &mut (dyn FnMut(&FileEntry) + Send),
) -> Result<(Manifest, Findings), Error> {
    let manifest = Manifest::read(from).await?;
    let mut findings = Findings::default();
    let formats: Vec<_> = READABLE
        .into_iter()
        .filter(|format| manifest.files.iter().any(|file| is_of(file, *format)))
        .collect();
    let mut counts = vec![Counting::default(); formats.len()];
    for file in &manifest.files {
        let place = formats.iter().position(|format| is_of(file, *format));
        let checked = match place.and_then(|place| counts.get_mut(place)) {
            Some(counting) => counting.file(from, &manifest, file, &mut findings).await,
            None => read::check(from, file).await,
        };
        if let Err(error) = checked {
            findings.wrong.push((file.name.clone(), what(&error)));
        }
        findings.files += 1;
        told(file);
    }
    let is_whole = findings.wrong.is_empty();
    if let Some(counting) = counts.first().filter(|_| is_whole) {
        findings.records = counting.records;
    }
    let is_empty = manifest.digest.records == 0 && manifest.tombstone_records == 0;
    findings.is_proved = is_empty && is_whole;
    if !manifest.subject.metadata_only && is_whole {
        for (format, counting) in formats.iter().zip(&counts) {
            let found = DigestText::from(&counting.tallies.to_digest());
            findings.is_proved = true;
            if found != manifest.digest {
                findings
                    .wrong
                    .push((format.to_string(), differs(&found, &manifest.digest)));
            }
        }
    }
    if let Some(state) = manifest
        .state
        .as_ref()
        .filter(|_| manifest.subject.since.is_none())
        && *state != manifest.digest
    {
        let what = differs(&manifest.digest, state);
        findings.wrong.push(("manifest.json".to_owned(), what));
    }
    Ok((manifest, findings))
}

fn is_of(file: &FileEntry, format: Format) -> bool {
    file.format == format && file.holds != REMOVED
}

/// Without the name of the file, which is told already.
fn what(error: &Error) -> String {
    match error {
        Error::Damaged { what, .. } => what.clone(),
        Error::Store {
            source: object_store::Error::NotFound { .. },
            ..
        } => "is not there".to_owned(),
        other => other.to_string(),
    }
}

fn differs(found: &DigestText, said: &DigestText) -> String {
    let brief = |it: &DigestText| {
        let digest: String = it.digest.chars().take(8).collect();
        format!("{} records ({digest}…)", it.records)
    };
    format!("comes to {}, and should to {}", brief(found), brief(said))
}

/// What the files of one format add up to.
#[derive(Clone, Default)]
struct Counting {
    tallies: Tallies,
    records: u64,
    /// The last name of the kind and part.
    last: String,
}

impl Counting {
    async fn file(
        &mut self,
        from: &Destination,
        manifest: &Manifest,
        file: &FileEntry,
        findings: &mut Findings,
    ) -> Result<(), Error> {
        let mut records = read::open::<Record>(from, file, manifest.compression).await?;
        let mut number = 0;
        while let Some(record) = records.next().await? {
            number += 1;
            if let Some((name, what)) = self.record(record, file) {
                let what = format!("record {number} of {}: {what}", file.name);
                findings.wrong.push((name, what));
            }
        }
        Ok(())
    }

    /// Counts a record; answers what is wrong with it.
    fn record(&mut self, record: Record, file: &FileEntry) -> Option<(String, String)> {
        let Some(mut body) = record.kind else {
            return Some(("a record of no kind".to_owned(), "has no body".to_owned()));
        };
        let name = body.name().to_owned();
        self.records += 1;
        if holds(body.kind()) != file.holds {
            return Some((name, "is of another kind than the file".to_owned()));
        }
        // Files of several parts take turns: only within a part names ascend.
        let place = format!("{}/{:03}/{name}", file.holds, file.partition);
        if place <= self.last {
            return Some((name, "does not follow the record before it".to_owned()));
        }
        self.last = place;
        let meta = body.take_meta().unwrap_or_default();
        if !is_tombstone(meta.state()) {
            let words = record_words(meta.revision, [body.to_content().as_slice()]);
            self.tallies.of(body.kind()).add(&words);
        }
        None
    }
}
