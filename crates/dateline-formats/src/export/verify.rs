//! Verifies that an export is complete and matches its manifest: every file by length and SHA-256, every record by its
//! position, all of them by count and digest (E4, F11). Each fault is reported with its file or record.

use dateline_proto::v1::Record;
use dateline_record::{
    digest::{Tallies, record_lanes},
    revision::Revision,
    state::is_tombstone,
};

use super::{
    Destination, Error, Manifest,
    format::Format,
    manifest::{DigestText, FileEntry, REMOVED, collection_word},
    reader::{self, READABLE_FORMATS},
};

/// Results of a verification.
#[derive(Debug, Default)]
pub struct VerifyReport {
    /// Number of files that were read.
    pub files: usize,
    /// Number of records, including tombstones.
    pub records: u64,
    /// Faults: file or record, and description.
    pub faults: Vec<(String, String)>,
    /// True if the digest was computed, which needs full content and a format that can be read back.
    pub is_proved: bool,
}

/// Verifies an export. `on_file` is called for each finished file.
///
/// # Errors
/// If it has no manifest, or cannot be read.
pub async fn verify(
    from: &Destination,
    on_file: &mut (dyn FnMut(&FileEntry) + Send),
) -> Result<(Manifest, VerifyReport), Error> {
    let manifest = Manifest::read(from).await?;
    let mut report = VerifyReport::default();
    let formats: Vec<_> = READABLE_FORMATS
        .into_iter()
        .filter(|format| manifest.files.iter().any(|file| is_of(file, *format)))
        .collect();
    let mut counts = vec![FormatTally::default(); formats.len()];
    for file in &manifest.files {
        let place = formats.iter().position(|format| is_of(file, *format));
        let checked = match place.and_then(|place| counts.get_mut(place)) {
            Some(tally) => tally.file(from, &manifest, file, &mut report).await,
            None => reader::check(from, file).await,
        };
        if let Err(error) = checked {
            report.faults.push((file.name.clone(), message_of(&error)));
        }
        report.files += 1;
        on_file(file);
    }
    let is_whole = report.faults.is_empty();
    if let Some(tally) = counts.first().filter(|_| is_whole) {
        report.records = tally.records;
    }
    let is_empty = manifest.digest.records == 0 && manifest.tombstone_records == 0;
    report.is_proved = is_empty && is_whole;
    if !manifest.subject.metadata_only && is_whole {
        for (format, tally) in formats.iter().zip(&counts) {
            let found = DigestText::from(&tally.tallies.to_digest());
            report.is_proved = true;
            if found != manifest.digest {
                report.faults.push((
                    format.to_string(),
                    describe_mismatch(&found, &manifest.digest),
                ));
            }
        }
    }
    if let Some(state) = manifest
        .state
        .as_ref()
        .filter(|_| manifest.subject.since.is_none())
        && *state != manifest.digest
    {
        let what = describe_mismatch(&manifest.digest, state);
        report.faults.push(("manifest.json".to_owned(), what));
    }
    Ok((manifest, report))
}

fn is_of(file: &FileEntry, format: Format) -> bool {
    file.format == format && file.holds != REMOVED
}

/// The message of an error without the name of the file, which the finding already has.
fn message_of(error: &Error) -> String {
    match error {
        Error::Damaged { what, .. } => what.clone(),
        Error::Store {
            source: object_store::Error::NotFound { .. },
            ..
        } => "is not there".to_owned(),
        other => other.to_string(),
    }
}

fn describe_mismatch(found: &DigestText, said: &DigestText) -> String {
    let brief = |it: &DigestText| {
        let digest: String = it.digest.chars().take(8).collect();
        format!("{} records ({digest}…)", it.records)
    };
    format!("comes to {}, and should to {}", brief(found), brief(said))
}

/// Counts and digest of the files of one format.
#[derive(Clone, Default)]
struct FormatTally {
    tallies: Tallies,
    records: u64,
    /// Last name of the kind and part.
    last: String,
}

impl FormatTally {
    async fn file(
        &mut self,
        from: &Destination,
        manifest: &Manifest,
        file: &FileEntry,
        report: &mut VerifyReport,
    ) -> Result<(), Error> {
        let mut records = reader::open::<Record>(from, file, manifest.compression).await?;
        let mut number = 0;
        while let Some(record) = records.next().await? {
            number += 1;
            if let Some((name, what)) = self.record(record, file) {
                let what = format!("record {number} of {}: {what}", file.name);
                report.faults.push((name, what));
            }
        }
        Ok(())
    }

    /// Counts a record; returns its name and fault if it has one.
    fn record(&mut self, record: Record, file: &FileEntry) -> Option<(String, String)> {
        let Some(mut body) = record.kind else {
            return Some(("a record of no kind".to_owned(), "has no body".to_owned()));
        };
        let name = body.name().to_owned();
        self.records += 1;
        if collection_word(body.kind()) != file.holds {
            return Some((name, "is of another kind than the file".to_owned()));
        }
        // Parts are interleaved in the list of files, so names ascend only within a part.
        let place = format!("{}/{:03}/{name}", file.holds, file.partition);
        if place <= self.last {
            return Some((name, "does not follow the record before it".to_owned()));
        }
        self.last = place;
        let meta = body.take_meta().unwrap_or_default();
        if !is_tombstone(meta.state()) {
            let words = record_lanes(Revision::new(meta.revision), [body.to_content().as_slice()]);
            self.tallies.tally_mut(body.kind()).add(&words);
        }
        None
    }
}
