//! YAML that version 1.1 and 1.2 read the same: text that either would read as another type is quoted, and the size of
//! input is bounded before it is held in memory.

use serde::Serialize;
use serde_saphyr::{
    Deserializer, UserMessageFormatter,
    options::{DuplicateKeyPolicy, MergeKeyPolicy},
};

/// Maximum nesting depth: a record has fewer than a dozen levels.
const MAX_DEPTH: usize = 64;
/// Maximum number of values of a document, including those that aliases repeat.
const MAX_VALUES: usize = 100_000;
/// Maximum number of aliases of a document.
const MAX_ALIASES: usize = 1000;
/// Maximum length of an error message: it may quote the input.
const MAX_ERROR_CHARS: usize = 400;

/// A document that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

impl Error {
    pub(crate) fn new(what: String) -> Self {
        Self(what)
    }
}

/// Writes a value as a YAML document.
///
/// # Errors
/// If it holds values that YAML cannot represent.
pub fn write(value: &impl Serialize) -> Result<String, Error> {
    let text = with_style(value, true)?;
    // libyaml, and so the fast loader of `PyYAML`, cannot read a block that begins with a tab.
    if begins_a_line_with_a_tab(&text) {
        return with_style(value, false);
    }
    Ok(text)
}

fn with_style(value: &impl Serialize, has_blocks: bool) -> Result<String, Error> {
    let options = serde_saphyr::ser_options! {
        prefer_block_scalars: has_blocks,
        // A paragraph stays on one line: editors wrap, and diffs compare lines.
        folded_wrap_chars: usize::MAX,
    };
    serde_saphyr::to_string_with_options(value, options).map_err(|error| Error(error.to_string()))
}

fn begins_a_line_with_a_tab(text: &str) -> bool {
    text.contains('\t')
        && text
            .lines()
            .any(|line| line.trim_start_matches(' ').starts_with('\t'))
}

/// Reads the only document of a text; `read` consumes its deserializer.
///
/// # Errors
/// The error, with line and column.
pub fn read<'de, T>(
    text: &'de str,
    read: impl for<'e> FnOnce(Deserializer<'de, 'e>) -> Result<T, serde_saphyr::Error>,
) -> Result<T, Error> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_nodes: MAX_VALUES,
            max_events: 4 * MAX_VALUES,
            max_documents: 1,
            max_anchors: MAX_ALIASES,
            max_aliases: MAX_ALIASES,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_VALUES,
        },
        // The caller rejects duplicate keys, in JSON and in YAML alike.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        with_snippet: false,
    };
    serde_saphyr::with_deserializer_from_str_with_options(text, options, read)
        .map_err(|error| Error(shortened(&error_text(&error))))
}

fn error_text(error: &serde_saphyr::Error) -> String {
    match error.without_snippet() {
        serde_saphyr::Error::Budget { location, .. } => format!(
            "is nested deeper or has more values than any record, which are {MAX_DEPTH} levels and {MAX_VALUES} values at most, \
             at line {}",
            location.line()
        ),
        error => error.render_with_formatter(&UserMessageFormatter),
    }
}

/// Shortens a long message in the middle; the end holds the position.
pub(crate) fn shortened(message: &str) -> String {
    let count = message.chars().count();
    if count <= MAX_ERROR_CHARS {
        return message.to_owned();
    }
    let begin: String = message.chars().take(MAX_ERROR_CHARS / 2).collect();
    let end: String = message.chars().skip(count - MAX_ERROR_CHARS / 2).collect();
    format!("{begin} … {end}")
}
