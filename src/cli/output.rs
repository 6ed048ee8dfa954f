//! What goes to stdout: records and changes as a table, JSON, NDJSON or YAML. Everything else goes to
//! stderr. Text from records is shown as text: control characters never reach a terminal.

use std::io::Write;

use anyhow::Result;
use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets::UTF8_BORDERS_ONLY};
use prost_reflect::ReflectMessage;

use super::json;
use crate::proto::v1::{Record, State, record::Kind as Body};

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns for people.
    Table,
    /// One JSON document.
    Json,
    /// One JSON document per line.
    Ndjson,
    /// YAML.
    Yaml,
}

/// Prints messages in a format other than a table. One message is printed bare, several as a list.
///
/// # Errors
/// When stdout is closed.
pub fn messages<M: ReflectMessage>(format: Format, messages: &[M], single: bool) -> Result<()> {
    let mut values = messages.iter().map(json::value).collect::<Result<Vec<_>, _>>()?;
    let mut out = anstream::stdout().lock();
    let whole = match values.pop() {
        Some(only) if single && values.is_empty() => only,
        last => {
            values.extend(last);
            serde_json::Value::Array(values)
        }
    };
    match format {
        Format::Table | Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(&whole)?)?,
        Format::Yaml => write!(out, "{}", serde_norway::to_string(&whole)?)?,
        Format::Ndjson => match whole {
            serde_json::Value::Array(values) => {
                for value in values {
                    writeln!(out, "{value}")?;
                }
            }
            only => writeln!(out, "{only}")?,
        },
    }
    Ok(())
}

/// Prints records; a table has a line each.
///
/// # Errors
/// When stdout is closed.
pub fn records(format: Format, records: &[Record], single: bool) -> Result<()> {
    if format != Format::Table {
        return messages(format, records, single);
    }
    let mut table = Table::new();
    table
        .load_style(UTF8_BORDERS_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(["NAME", "STATE", "REV", "TYPE", "TITLE"]);
    for record in records {
        table.add_row(row(record));
    }
    writeln!(anstream::stdout().lock(), "{table}")?;
    Ok(())
}

fn row(record: &Record) -> [String; 5] {
    let Some(body) = &record.kind else { return Default::default() };
    let meta = body.meta().cloned().unwrap_or_default();
    [
        body.name().to_owned(),
        state_word(meta.state()).to_owned(),
        meta.revision.to_string(),
        type_word(body),
        printable(title(body)),
    ]
}

/// `published`, `in review` …
#[must_use]
pub fn state_word(state: State) -> String {
    crate::model::refusal::state_in_words(state)
}

/// `meeting`, `member_of` …; `article` for articles.
#[must_use]
pub fn type_word(body: &Body) -> String {
    let word = match body {
        Body::Article(_) => return "article".to_owned(),
        Body::Actor(actor) => actor.r#type().as_str_name(),
        Body::Relation(relation) => relation.r#type().as_str_name(),
        Body::Event(event) => event.r#type().as_str_name(),
    };
    word.trim_start_matches("TYPE_").to_ascii_lowercase()
}

/// What a record is called, for a list.
#[must_use]
pub fn title(body: &Body) -> &str {
    match body {
        Body::Article(article) => &article.headline,
        Body::Actor(actor) => &actor.display_name,
        Body::Relation(relation) => {
            if relation.role_title.is_empty() {
                &relation.object
            } else {
                &relation.role_title
            }
        }
        Body::Event(event) => &event.display_name,
    }
}

/// Text without anything that a terminal would act on.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}
