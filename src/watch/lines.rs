//! Output lines of the feed: changes, snapshot records and the end of a snapshot, in each format.

use std::io::Write;

use anyhow::Result;
use dateline_client::Event;
use dateline_proto::v1::{Change, Record, change::Type, record::Kind as Body};
use prost_reflect::DynamicMessage;
use serde::Serialize;

use crate::{
    json,
    output::{OutputFormat, change_word, printable, title, type_word},
    table::{cut, terminal_width},
    yaml,
};

/// Writes an event; returns its number of records and changes. Checkpoints within a stream are not written.
pub(super) fn write(
    out: &mut Vec<u8>,
    format: OutputFormat,
    event: &Event,
    cursor: Option<&str>,
) -> Result<u64> {
    match event {
        Event::Record(record) => {
            let line = |record: &Record| record.kind.as_ref().map(record_line).unwrap_or_default();
            write_one(out, format, &SnapshotLine::new(record, cursor), || {
                line(record)
            })?;
            Ok(1)
        }
        Event::Change(change) => {
            write_one(out, format, &ChangeLine::new(change, cursor), || {
                line(change)
            })?;
            Ok(1)
        }
        Event::Checkpoint(checkpoint) if checkpoint.caught_up => {
            let caught_up = CaughtUpLine {
                caught_up: checkpoint.sequence.to_string(),
                cursor,
            };
            write_one(out, format, &caught_up, || {
                format!("{:>6}  caught up; what follows is new", checkpoint.sequence)
            })?;
            Ok(0)
        }
        Event::Checkpoint(_) => Ok(0),
    }
}

fn write_one<D: Serialize>(
    out: &mut Vec<u8>,
    format: OutputFormat,
    document: &D,
    line: impl FnOnce() -> String,
) -> Result<()> {
    match format {
        OutputFormat::Table => writeln!(out, "{}", line())?,
        OutputFormat::Ndjson => writeln!(out, "{}", serde_json::to_string(document)?)?,
        OutputFormat::Json => writeln!(out, "{}", serde_json::to_string_pretty(document)?)?,
        OutputFormat::Yaml => write!(out, "---\n{}", yaml::write(document)?)?,
    }
    Ok(())
}

/// A change as data; the last one of a response holds the cursor to resume after it.
#[derive(Serialize)]
struct ChangeLine<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<&'a str>,
    #[serde(flatten)]
    change: DynamicMessage,
}

impl<'a> ChangeLine<'a> {
    fn new(change: &Change, cursor: Option<&'a str>) -> Self {
        Self {
            cursor,
            change: json::document(change),
        }
    }
}

/// A snapshot record as data.
#[derive(Serialize)]
struct SnapshotLine<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<&'a str>,
    snapshot: DynamicMessage,
}

impl<'a> SnapshotLine<'a> {
    fn new(record: &Record, cursor: Option<&'a str>) -> Self {
        Self {
            cursor,
            snapshot: json::document(record),
        }
    }
}

/// The end of a snapshot, with its sequence.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CaughtUpLine<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<&'a str>,
    /// A string, as proto-JSON writes 64-bit numbers.
    caught_up: String,
}

/// Width of the name column on a wide terminal, and on others.
const NAMES: [usize; 2] = [55, 32];
/// Minimum columns of a wide terminal.
const TITLE_WIDTH: usize = 110;

/// Formats a snapshot record in the columns of changes.
fn record_line(body: &Body) -> String {
    let about = format!("{:<17} {}", type_word(body), title(body));
    columns("", "is there", None, body.name(), &about, terminal_width())
}

/// Formats a change: sequence, change type, name, and a description of the record.
pub(crate) fn line(change: &Change) -> String {
    let colour = match change.r#type() {
        Type::Published => anstyle::AnsiColor::Green,
        Type::Retracted | Type::Merged | Type::Deleted | Type::Purged | Type::Left => {
            anstyle::AnsiColor::Red
        }
        _ => anstyle::AnsiColor::Cyan,
    };
    let body = change
        .record
        .as_ref()
        .and_then(|record| record.kind.as_ref());
    let about = body
        .map(|body| format!("{:<17} {}", type_word(body), title(body)))
        .unwrap_or_default();
    let about = if change.note.is_empty() {
        about
    } else {
        format!("{about} \"{}\"", change.note)
    };
    let (sequence, what) = (change.sequence.to_string(), change_word(change.r#type()));
    let width = terminal_width();
    columns(&sequence, &what, Some(colour), &change.name, &about, width)
}

/// Formats the columns. Names are never cut; the description is cut to the terminal's width.
fn columns(
    sequence: &str,
    what: &str,
    colour: Option<anstyle::AnsiColor>,
    name: &str,
    about: &str,
    width: Option<usize>,
) -> String {
    let style = anstyle::Style::new().fg_color(colour.map(Into::into));
    let is_narrow = width.is_some_and(|width| width < TITLE_WIDTH);
    let name = format!("{name:<pad$}", pad = NAMES[usize::from(is_narrow)]);
    let before = 6 + 2 + what.len().max(9) + 2 + name.chars().count() + 2;
    let left = width.map_or(usize::MAX, |width| width.saturating_sub(before));
    let about = match left {
        0..8 => String::new(),
        left => cut(&printable(about), left),
    };
    format!("{sequence:>6}  {style}{what:<9}{style:#}  {name}  {about}")
        .trim_end()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::columns;

    #[test]
    fn no_line_is_wider_than_the_terminal_and_no_name_is_cut() {
        let name = "articles/kazakhstan-confirms-partnership-with-nato-us";
        let about = "article           Kazakhstan Confirms Partnership with NATO, U.S.";
        for width in [80, 100, 120] {
            for name in [name, "actors/nato"] {
                let line = columns("47", "published", None, name, about, Some(width));
                let line = anstream::adapter::strip_str(&line).to_string();
                assert!(
                    line.chars().count() <= width && line.contains(name),
                    "{line}"
                );
            }
        }
        let line = columns("47", "published", None, "actors/nato", about, Some(80));
        assert!(line.contains("Kazakhst…"), "{line}");
        let whole = columns("47", "published", None, name, about, None);
        assert!(whole.ends_with(about), "{whole}");
    }
}
