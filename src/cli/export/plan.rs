//! What an export is to be, from the words of the command line; the same words find what they have begun.

use anyhow::{Result, bail};

use super::{Args, ViewWord};
use crate::{
    cli::json,
    export::{
        Destination, Manifest, Shape,
        format::{Format, Options},
        manifest::{MANIFEST, Subject},
    },
    proto::{
        DESCRIPTOR_BYTES,
        v1::{ExportBegin, ExportRequest, RecordFilter, View},
    },
};

/// What is to be taken, and how it is written.
#[derive(Debug)]
pub struct Plan {
    pub request: ExportRequest,
    pub shape: Shape,
    /// Which export is built upon, as it was said.
    pub since: Option<String>,
}

impl Plan {
    /// Reads the command line.
    pub fn new(args: &Args) -> Result<Self> {
        let mut formats: Vec<Format> = args.format.iter().map(|it| Format::from(*it)).collect();
        formats.sort_unstable();
        formats.dedup();
        for (one, other) in [
            (ViewWord::Published, ViewWord::Desk),
            (ViewWord::Full, ViewWord::Metadata),
        ] {
            if args.view.contains(&one) && args.view.contains(&other) {
                bail!("--view takes one of each: published or desk, full or metadata");
            }
        }
        if !args.base_uri.ends_with('/') {
            bail!("--base-uri has to end with a slash: names are put after it");
        }
        let shape = Shape {
            formats,
            compression: args.compression(),
            options: Options {
                metadata_only: args.metadata_only(),
                base_uri: args.base_uri.clone(),
            },
            file_records: args.file_records,
            part: (0, args.partitions),
        };
        if args.partitions > 1 && shape.names_actors() {
            bail!(
                "ninjs, followthemoney and schemaorg name actors, which have to have come before: leave --partitions out"
            );
        }
        Ok(Self {
            request: ExportRequest {
                view: args.view().into(),
                filter: Some(args.filter.to_filter()),
                sequence: args.sequence,
                tombstones: args.tombstones,
                partitions: args.partitions.into(),
                ..ExportRequest::default()
            },
            shape,
            since: args.since.clone(),
        })
    }

    /// Whether nothing of the view is left out.
    pub fn is_whole(&self) -> bool {
        self.request.filter.as_ref() == Some(&RecordFilter::default())
    }

    /// How many records will come, where that is known.
    pub fn expected(&self, begin: &ExportBegin) -> Option<u64> {
        let is_known = self.is_whole() && self.request.since_sequence.is_none();
        let digest = begin.digest.as_ref().filter(|_| is_known)?;
        u64::try_from(digest.records).ok()
    }

    /// Everything that decides what the files hold, in one line.
    pub fn asked(&self, since: Option<&Subject>) -> Result<String> {
        let formats: Vec<_> = self.shape.formats.iter().map(ToString::to_string).collect();
        let asked = serde_json::json!({
            "request": json::value(&self.request)?,
            "formats": formats,
            "compression": self.shape.compression,
            "metadataOnly": self.shape.options.metadata_only,
            "baseUri": self.shape.options.base_uri,
            "fileRecords": self.shape.file_records,
            "since": since,
            "schema": schema(),
        });
        Ok(asked.to_string())
    }

    /// What it is of, once the server has said so.
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
            metadata_only: self.shape.options.metadata_only,
            schema: schema(),
        })
    }

    /// The export that is built upon.
    pub async fn base(&self, to: &Destination) -> Result<Option<Subject>> {
        let Some(since) = &self.since else {
            return Ok(None);
        };
        let base = if since == "latest" {
            let Some(newest) = latest(to).await? else {
                bail!(
                    "there is no complete export below {} to build upon; take a full one first",
                    to.shown()
                );
            };
            newest
        } else {
            Manifest::read(&Destination::of_export(since)?)
                .await?
                .subject
        };
        if base.view != view_word(self.request.view()) {
            bail!(
                "the export to build upon is of the other view, {}",
                base.view
            );
        }
        Ok(Some(base))
    }
}

/// The complete export with the newest sequence.
async fn latest(to: &Destination) -> Result<Option<Subject>> {
    let mut newest: Option<Subject> = None;
    for directory in to.directories().await? {
        let below = to.below(&directory);
        if below.get(MANIFEST).await?.is_none() {
            continue;
        }
        let subject = Manifest::read(&below).await?.subject;
        if newest
            .as_ref()
            .is_none_or(|newest| subject.sequence > newest.sequence)
        {
            newest = Some(subject);
        }
    }
    Ok(newest)
}

fn view_word(view: View) -> &'static str {
    match view {
        View::Desk => "desk",
        View::Published | View::Unspecified => "published",
    }
}

/// The schema by name and hash.
fn schema() -> String {
    use sha2::{Digest, Sha256};
    let hash = Sha256::digest(DESCRIPTOR_BYTES);
    format!("dateline.v1 sha256:{}", hex::encode(hash))
}
