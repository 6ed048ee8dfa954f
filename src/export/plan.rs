//! The plan of an export, from the command line and from the export that a delta builds on.

use anyhow::{Result, bail};
use dateline_formats::export::{
    Compression, Destination, ExportLayout, Manifest,
    format::{Format, Options},
    layout::MANIFEST,
    manifest::Subject,
};
use dateline_proto::{
    DESCRIPTOR_BYTES,
    v1::{ExportBegin, ExportRequest, RecordFilter, View},
};

use super::{Args, ViewWord};
use crate::json;

/// Default number of records per file.
const FILE_RECORDS: u64 = 50_000;

/// Options given on the command line. The others are taken from the base of a delta, or have their defaults.
#[derive(Debug, Clone)]
pub struct RequestedOptions {
    formats: Option<Vec<Format>>,
    compression: Option<Compression>,
    view: Option<View>,
    metadata_only: Option<bool>,
    filter: Option<RecordFilter>,
    tombstones: bool,
    partitions: Option<u16>,
    file_records: Option<u64>,
    base_uri: Option<String>,
    sequence: Option<i64>,
    /// The base of a delta, as typed.
    since: Option<String>,
}

/// The request of an export, and the layout of its files.
#[derive(Debug)]
pub struct ExportPlan {
    pub request: ExportRequest,
    pub layout: ExportLayout,
}

impl RequestedOptions {
    /// Reads the command line.
    pub fn new(args: &Args) -> Result<Self> {
        let mut formats: Vec<Format> = args.format.iter().map(|it| Format::from(*it)).collect();
        formats.sort_unstable();
        formats.dedup();
        formats.iter().try_for_each(|format| format.check())?;
        let base_uri = args.base_uri.as_ref();
        if base_uri.is_some_and(|uri| !uri.ends_with('/')) {
            bail!("--base-uri has to end with a slash: names are put after it");
        }
        let filter = args.filter.to_filter();
        let desk = one_of(args, ViewWord::Published, ViewWord::Desk)?;
        Ok(Self {
            formats: Some(formats).filter(|formats| !formats.is_empty()),
            compression: args.compress.map(Compression::from),
            view: desk.map(|desk| if desk { View::Desk } else { View::Published }),
            metadata_only: one_of(args, ViewWord::Full, ViewWord::Metadata)?,
            filter: Some(filter).filter(|filter| *filter != RecordFilter::default()),
            tombstones: args.tombstones,
            partitions: args.partitions,
            file_records: args.records_per_file,
            base_uri: base_uri.cloned(),
            sequence: args.sequence,
            since: args.since.clone(),
        })
    }

    /// The base of a delta, which must have the same content options.
    pub async fn base(&self, to: &Destination) -> Result<Option<Manifest>> {
        let Some(since) = &self.since else {
            return Ok(None);
        };
        if since != "latest" {
            let base = Manifest::read(&Destination::open_export(since)?).await?;
            self.check(&base.subject)?;
            return Ok(Some(base));
        }
        let (mut newest, mut misfit) = (None::<Manifest>, None);
        for directory in to.directories().await? {
            let below = to.child(&directory);
            if below.get(MANIFEST).await?.is_none() {
                continue;
            }
            let manifest = Manifest::read(&below).await?;
            if let Err(error) = self.check(&manifest.subject) {
                misfit = Some(error);
                continue;
            }
            // Of two exports at the same sequence the full one is preferred.
            let rank = |it: &Manifest| (it.subject.sequence, it.subject.since.is_none());
            if newest
                .as_ref()
                .is_none_or(|newest| rank(&manifest) > rank(newest))
            {
                newest = Some(manifest);
            }
        }
        match (newest, misfit) {
            (None, Some(misfit)) => Err(misfit),
            (None, None) => bail!(
                "there is no complete export below {} to build upon; take a full one first",
                to.display_name()
            ),
            (newest, _) => Ok(newest),
        }
    }

    /// Rejects a base of different content.
    fn check(&self, base: &Subject) -> Result<()> {
        let view = view_of(base);
        if self.view.is_some_and(|asked| asked != view) {
            bail!(
                "the export to build upon is of the other view, {}",
                base.view
            );
        }
        let asked = self.metadata_only.unwrap_or(base.metadata_only);
        if asked != base.metadata_only {
            let is = if base.metadata_only {
                "metadata alone"
            } else {
                "full records"
            };
            bail!(
                "the export to build upon is of {is}; leave that word of --view out, or take a full export"
            );
        }
        if self.tombstones && !base.tombstones {
            bail!(
                "the export to build upon has no tombstones; leave --tombstones out, or take a full export"
            );
        }
        if let Some(filter) = &self.filter
            && *filter != filter_of(base)?
        {
            bail!(
                "the export to build upon is under another filter; leave the filter out, or take a full export"
            );
        }
        Ok(())
    }

    /// The plan of a full export, or of a delta on a base.
    pub fn plan(&self, base: Option<&Manifest>) -> Result<ExportPlan> {
        let of_base = |subject: fn(&Subject) -> bool| base.is_some_and(|it| subject(&it.subject));
        let view = base.map(|base| view_of(&base.subject));
        let filter = base.map(|base| filter_of(&base.subject)).transpose()?;
        let formats = base.map(|base| base.formats.clone());
        let formats = self.formats.clone().or(formats);
        let metadata_only = of_base(|it| it.metadata_only);
        let base_uri = base.map(|base| base.base_uri.clone());
        let partitions = base.map(|base| base.partitions.max(1));
        let partitions = self.partitions.or(partitions).unwrap_or(1);
        let file_records = base.map(|base| base.file_records);
        let options = Options::default();
        let formats = formats.unwrap_or_else(|| vec![Format::Ndjson]);
        formats.iter().try_for_each(|format| format.check())?;
        let layout = ExportLayout {
            formats,
            compression: self
                .compression
                .or(base.map(|base| base.compression))
                .unwrap_or_default(),
            options: Options {
                metadata_only: self.metadata_only.unwrap_or(metadata_only),
                base_uri: self
                    .base_uri
                    .clone()
                    .or(base_uri)
                    .unwrap_or(options.base_uri),
            },
            file_records: self.file_records.or(file_records).unwrap_or(FILE_RECORDS),
            part: (0, partitions),
        };
        Ok(ExportPlan {
            request: ExportRequest {
                view: self.view.or(view).unwrap_or(View::Published).into(),
                filter: Some(self.filter.clone().or(filter).unwrap_or_default()),
                sequence: self.sequence,
                since_sequence: base.map(|base| base.subject.sequence),
                tombstones: self.tombstones || of_base(|it| it.tombstones),
                partitions: partitions.into(),
                references: true,
                dependants: base.is_some() && layout.embeds_references(),
                ..ExportRequest::default()
            },
            layout,
        })
    }
}

/// Chooses between two words of `--view`: true for the second, `None` if neither is given.
fn one_of(args: &Args, first: ViewWord, second: ViewWord) -> Result<Option<bool>> {
    let has = |word| args.view.contains(&word);
    if has(first) && has(second) {
        bail!("--view takes one of each: published or desk, full or metadata");
    }
    Ok((has(first) || has(second)).then(|| has(second)))
}

impl ExportPlan {
    /// True if no record of the view is left out.
    pub fn is_whole(&self) -> bool {
        self.request.filter.as_ref() == Some(&RecordFilter::default())
    }

    /// Number of records to expect, if known.
    pub fn expected(&self, begin: &ExportBegin) -> Option<u64> {
        let is_known = self.is_whole() && self.request.since_sequence.is_none();
        let digest = begin.digest.as_ref().filter(|_| is_known)?;
        u64::try_from(digest.records).ok()
    }

    /// All options that determine the content of the files, in one line.
    pub fn asked(&self, since: Option<&Subject>) -> Result<String> {
        let formats: Vec<_> = self
            .layout
            .formats
            .iter()
            .map(ToString::to_string)
            .collect();
        let asked = serde_json::json!({
            "request": json::value(&self.request)?,
            "formats": formats,
            "compression": self.layout.compression,
            "metadataOnly": self.layout.options.metadata_only,
            "baseUri": self.layout.options.base_uri,
            "fileRecords": self.layout.file_records,
            "since": since,
            "schema": schema(),
        });
        Ok(asked.to_string())
    }

    /// The subject of the export, from the server's first response.
    pub fn subject(&self, begin: &ExportBegin) -> Result<Subject> {
        let filter = self.request.filter.as_ref().map(json::value).transpose()?;
        Ok(Subject {
            feed: begin.feed.clone(),
            epoch: begin.epoch,
            view: view_word(self.request.view()).to_owned(),
            sequence: begin.sequence,
            since: self.request.since_sequence,
            filter: filter.unwrap_or_default(),
            tombstones: self.request.tombstones,
            metadata_only: self.layout.options.metadata_only,
            schema: schema(),
        })
    }
}

fn view_of(subject: &Subject) -> View {
    if subject.view == view_word(View::Desk) {
        View::Desk
    } else {
        View::Published
    }
}

fn filter_of(subject: &Subject) -> Result<RecordFilter> {
    if subject.filter.is_null() {
        return Ok(RecordFilter::default());
    }
    Ok(json::read(&subject.filter.to_string())?)
}

fn view_word(view: View) -> &'static str {
    match view {
        View::Desk => "desk",
        View::Published | View::Unspecified => "published",
    }
}

/// Identifier of the schema: its name and hash.
fn schema() -> String {
    use sha2::{Digest, Sha256};
    let hash = Sha256::digest(DESCRIPTOR_BYTES);
    format!("dateline.v1 sha256:{}", hex::encode(hash))
}
