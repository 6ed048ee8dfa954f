//! A file with a single JSON document: a Bundle, a ninjs item, or a list of items.

use std::{
    io::{BufRead as _, Read as _},
    path::Path,
};

use serde_json::Value;

use super::{
    Error,
    bundle::Bundle,
    item::{ImportedRecord, InputReader},
    lines,
    ninjs::{DroppedFields, to_record},
};

/// Maximum size of a document: Bundles and lists of items hold one article's records, or one day of a news wire.
const MAX_DOCUMENT_BYTES: u64 = 256 * 1024 * 1024;

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
    pub(super) fn bundle(reader: InputReader, path: &Path) -> Result<Self, Error> {
        let bundle = Bundle::new(whole(reader, path)?).map_err(|error| {
            let name = path.display();
            Error::caused(
                format!("{name} is neither a Bundle nor NDJSON of records"),
                error,
            )
        })?;
        Ok(Self::Bundle {
            records: Box::new(bundle),
            count: 0,
        })
    }

    pub(super) fn items(reader: InputReader, path: &Path) -> Result<Self, Error> {
        let text = whole(reader, path)?;
        let read = lines::whole_json(&text)
            .map_err(|error| Error::caused(format!("{} is not JSON", path.display()), error));
        let items = match read? {
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

/// Reads a whole document, up to a maximum size.
///
/// # Errors
/// If it is too large, or not UTF-8.
fn whole(mut reader: InputReader, path: &Path) -> Result<String, Error> {
    let mut bytes = Vec::new();
    let failed = |error| Error::caused(format!("cannot read {}", path.display()), error);
    reader
        .by_ref()
        .take(MAX_DOCUMENT_BYTES)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if !reader.fill_buf().map_err(failed)?.is_empty() {
        return Err(Error::new(format!(
            "{} has more than 256 MiB in one document; write a record per line instead",
            path.display()
        )));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Error::new(format!(
            "{} is not UTF-8: byte {at} begins no character",
            path.display()
        ))
    })?;
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}
