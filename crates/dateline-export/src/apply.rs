//! Applies a delta to a full export. The result is equal to a full export at the sequence of the delta (E5).

use std::{collections::VecDeque, sync::Arc};

use dateline_proto::v1::{Record, Removal};
use dateline_record::encoded::EncodedRecord;

use super::{
    Destination, Error, ExportLayout, Manifest,
    format::Referents,
    manifest::{self, DigestText, MANIFEST},
    reader::{self, RecordReader},
    writer::{ExportWriter, join},
};

/// Applies one delta to a full export, and writes the result below `to`. Returns its destination and manifest.
/// `on_record` is called for every record.
///
/// # Errors
/// If the delta does not begin at the sequence of the full export, a file is damaged, or the result differs from the
/// feed's state.
pub async fn apply(
    full: &Destination,
    delta: &Destination,
    to: &Destination,
    asked: &ExportLayout,
    on_record: &mut dyn FnMut(),
) -> Result<(Destination, Manifest), Error> {
    let (base, change) = (Manifest::read(full).await?, Manifest::read(delta).await?);
    check_base(&base, &change)?;
    let subject = manifest::Subject {
        since: None,
        ..change.subject.clone()
    };
    let to = to.child(&manifest::directory(&subject));
    if let Some(there) = load_result(&to, &subject, &change).await? {
        return Ok((to, there));
    }
    to.remove_temporary_files();
    let mut writer = ExportWriter::begin(
        to.clone(),
        "apply".to_owned(),
        subject.clone(),
        asked.clone(),
    )
    .await?;
    let mut merge = DeltaMerge::open((full, &base), (delta, &change)).await?;
    writer.set_referents(referents(merge).await?);
    merge = DeltaMerge::open((full, &base), (delta, &change)).await?;
    while let Some(record) = merge.next().await? {
        on_record();
        writer
            .write_record(EncodedRecord::from_record(record)?.into())
            .await?;
    }
    let part = writer.finish().await?;
    let mut outcome = join(subject, asked, vec![part], None);
    if let Some(state) = &change.state {
        if outcome.subject.metadata_only && state.counts() == outcome.digest.counts() {
            // The digest of omitted content cannot be computed, so that of the feed is taken.
            outcome.digest = state.clone();
        }
        if *state != outcome.digest {
            return Err(Error::Broken(format!(
                "the outcome has {} records and is not what the feed showed at {} ({} records): the full export and the delta do not belong together",
                outcome.digest.records, change.subject.sequence, state.records
            )));
        }
        outcome.state = Some(state.clone());
    }
    if !to.put_new(MANIFEST, outcome.to_bytes()?).await? {
        return Err(Error::Broken(format!(
            "{} is there already",
            to.display_name()
        )));
    }
    super::writer::ExportProgress::delete(&to, 0).await?;
    Ok((to, outcome))
}

/// The records of the result, the only ones that names in it may lead to. This reads the inputs once more.
async fn referents(mut merge: DeltaMerge) -> Result<Arc<Referents>, Error> {
    let mut referents = Referents::default();
    while let Some(record) = merge.next().await? {
        referents.add(&EncodedRecord::from_record(record)?)?;
    }
    referents.resolve_merges();
    Ok(Arc::new(referents))
}

/// Returns the result of an earlier run, if it is complete.
async fn load_result(
    to: &Destination,
    subject: &manifest::Subject,
    change: &Manifest,
) -> Result<Option<Manifest>, Error> {
    if to.get(MANIFEST).await?.is_none() {
        return Ok(None);
    }
    let there = Manifest::read(to).await?;
    if there.subject != *subject {
        return Err(Error::Broken(format!(
            "{} holds another export of this sequence; choose another --out",
            to.display_name()
        )));
    }
    let is_proved = |state: &DigestText| *state == there.digest;
    Ok(change.state.as_ref().is_none_or(is_proved).then_some(there))
}

fn check_base(base: &Manifest, delta: &Manifest) -> Result<(), Error> {
    let broken = |what: String| Err(Error::Broken(what));
    let Some(since) = delta.subject.since else {
        return broken("what is to be applied is a full export, not a delta".to_owned());
    };
    if base.subject.since.is_some() {
        return broken("a delta is applied to a full export, and this is a delta too".to_owned());
    }
    let what = |manifest: &Manifest| {
        let subject = manifest.subject.clone();
        (
            subject.feed,
            subject.epoch,
            subject.view,
            subject.filter,
            subject.tombstones,
            subject.metadata_only,
        )
    };
    if what(base) != what(delta) {
        return broken(
            "the two are of another feed, view, filter or content: a delta goes with what it was taken for".to_owned(),
        );
    }
    if base.subject.sequence != since {
        return broken(format!(
            "the full export is as of {}, and the delta begins at {since}",
            base.subject.sequence
        ));
    }
    Ok(())
}

/// A sequence of records with its next record read ahead.
struct PeekableRecords {
    records: RecordReader,
    next: Option<Record>,
}

impl PeekableRecords {
    async fn new(mut records: RecordReader) -> Result<Self, Error> {
        let next = records.next().await?;
        Ok(Self { records, next })
    }

    fn name(&self) -> Option<&str> {
        let record = self.next.as_ref()?;
        Some(record.kind.as_ref().map_or("", |body| body.name()))
    }

    async fn pop(&mut self) -> Result<Option<Record>, Error> {
        let taken = self.next.take();
        self.next = self.records.next().await?;
        Ok(taken)
    }
}

/// A merge of two sequences of records by name, in which the newer record wins, without the removed names.
struct DeltaMerge {
    base: PeekableRecords,
    new: PeekableRecords,
    removed: VecDeque<Removal>,
}

impl DeltaMerge {
    async fn open(
        (full, base): (&Destination, &Manifest),
        (delta, change): (&Destination, &Manifest),
    ) -> Result<Self, Error> {
        Ok(Self {
            base: PeekableRecords::new(RecordReader::open(full, base).await?).await?,
            new: PeekableRecords::new(RecordReader::open(delta, change).await?).await?,
            removed: reader::removals(delta, change).await?.into(),
        })
    }

    async fn next(&mut self) -> Result<Option<Record>, Error> {
        loop {
            let new = self.new.name();
            let base = self.base.name();
            match (base, new) {
                (None, None) => return Ok(None),
                (Some(base), Some(new)) if base == new => {
                    self.base.pop().await?;
                }
                (Some(base), new) if new.is_none_or(|new| base < new) => {
                    let base = base.to_owned();
                    let record = self.base.pop().await?;
                    if !self.is_removed(&base) {
                        return Ok(record);
                    }
                }
                _ => return self.new.pop().await,
            }
        }
    }

    fn is_removed(&mut self, name: &str) -> bool {
        while self
            .removed
            .front()
            .is_some_and(|it| it.name.as_str() < name)
        {
            self.removed.pop_front();
        }
        self.removed.front().is_some_and(|it| it.name == name)
    }
}
