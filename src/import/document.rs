//! A file with a single JSON document: a Bundle, a ninjs item, or a list of items.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{
    batches::ImportedRecord,
    bundle::Bundle,
    lines,
    ninjs::{DroppedFields, to_record},
    source::{InputReader, whole},
};
/// The rest of the document, not read yet.
pub(super) enum JsonDocument {
    Bundle {
        records: Box<Bundle>,
        count: u64,
    },
    Items {
        items: std::vec::IntoIter<Value>,
        count: u64,
    },
}

impl JsonDocument {
    pub(super) fn bundle(reader: InputReader, path: &Path) -> Result<Self> {
        let bundle = Bundle::new(whole(reader, path)?).with_context(|| {
            let name = path.display();
            format!("{name} is neither a Bundle nor NDJSON of records")
        })?;
        Ok(Self::Bundle {
            records: Box::new(bundle),
            count: 0,
        })
    }

    pub(super) fn items(reader: InputReader, path: &Path) -> Result<Self> {
        let text = whole(reader, path)?;
        let read = lines::whole_json(&text);
        let items = match read.with_context(|| format!("{} is not JSON", path.display()))? {
            Value::Array(items) => items,
            item => vec![item],
        };
        Ok(Self::Items {
            items: items.into_iter(),
            count: 0,
        })
    }

    pub(super) fn next(&mut self, losses: &mut DroppedFields) -> Option<ImportedRecord> {
        match self {
            Self::Bundle { records, count } => {
                *count += 1;
                Some(ImportedRecord {
                    content: records.next()?.map(Into::into),
                    position: String::new(),
                    line: *count,
                    is_only_article: records.has_one_article,
                })
            }
            Self::Items { items, count } => {
                *count += 1;
                Some(ImportedRecord {
                    content: to_record(&items.next()?, losses),
                    position: format!("item {count}"),
                    line: *count,
                    is_only_article: false,
                })
            }
        }
    }
}
