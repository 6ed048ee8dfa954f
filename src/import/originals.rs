//! Original texts of articles as received, matched to their articles.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
};

use anyhow::{Context, Result};
use dateline_proto::v1::{Record, record::Kind as Body};
use sha2::{Digest, Sha256};

/// Maximum size of an original.
const MAX_ORIGINAL_BYTES: u64 = 16 * 1024 * 1024;

/// Originals by SHA-256, the hash that the service computes too.
#[derive(Debug, Default)]
pub(super) struct Originals {
    by_hash: HashMap<String, (String, Vec<u8>)>,
    /// Hashes of the originals whose article was found.
    used: HashSet<String>,
}

impl Originals {
    pub(super) fn read(files: &[PathBuf]) -> Result<Self> {
        let mut by_hash = HashMap::new();
        for file in files {
            let text = dateline_files::read(file, MAX_ORIGINAL_BYTES)
                .with_context(|| format!("cannot read {}", file.display()))?;
            let hash = hex::encode(Sha256::digest(&text));
            by_hash.insert(hash, (file.display().to_string(), text));
        }
        Ok(Self {
            by_hash,
            used: HashSet::new(),
        })
    }

    /// The original of a record; empty if there is none. A single original belongs to the only article of a Bundle,
    /// unless the article has another hash.
    pub(super) fn find(&mut self, record: &Record, is_only_article: bool) -> Vec<u8> {
        let Some(Body::Article(article)) = &record.kind else {
            return Vec::new();
        };
        let takes_any =
            is_only_article && article.original_sha256.is_empty() && self.by_hash.len() == 1;
        let found = self
            .by_hash
            .iter()
            .find(|(hash, _)| takes_any || **hash == article.original_sha256);
        let Some((hash, (_, text))) = found else {
            return Vec::new();
        };
        self.used.insert(hash.clone());
        text.clone()
    }

    pub(super) fn unused(&self) -> impl Iterator<Item = &str> {
        self.by_hash
            .iter()
            .filter(|(hash, _)| !self.used.contains(*hash))
            .map(|(_, (file, _))| file.as_str())
    }
}
