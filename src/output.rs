//! Output to stdout: records and changes as a table, JSON, NDJSON or YAML. Everything else is written to stderr. Text
//! from records is escaped: control characters never reach a terminal.

use std::{
    borrow::Cow,
    fmt::Display,
    io::Write,
    sync::Mutex,
    time::{Duration, Instant},
};

use anyhow::Result;
use clap::ValueEnum;
use dateline_formats::{json, yaml};
use dateline_proto::v1::{Record, State, change, record::Kind as Body};
pub use dateline_serve::terminal::{lines, print_above, print_message, printable};
use serde::Serialize;

use super::table::Table;

/// Output formats: columns for people, one JSON document, one document per line, or YAML.
// The variants have no doc comments: clap would lengthen every command's help with them.
#[allow(missing_docs, reason = "said above")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    Table,
    Json,
    Ndjson,
    Yaml,
}

/// Prints a warning to stderr.
pub fn warn(text: impl Display) {
    let yellow = anstyle::Style::new().fg_color(Some(anstyle::AnsiColor::Yellow.into()));
    print_message(format_args!("{yellow}warning:{yellow:#} {text}"));
}

/// Intervals at which an outage is reported; the last one repeats.
const REPORT_INTERVALS: [Duration; 3] = [
    Duration::from_secs(10),
    Duration::from_mins(1),
    Duration::from_mins(10),
];

/// After this long without an attempt, the next one starts a new outage.
const OUTAGE_EXPIRY: Duration = Duration::from_mins(1);

/// The current outage, of any server: several streams report it once.
static OUTAGE: Mutex<Option<Outage>> = Mutex::new(None);

#[derive(Debug, Clone, Copy)]
struct Outage {
    began: Instant,
    reported: Instant,
    reports: usize,
    attempted: Instant,
    attempts: u32,
}

/// Reports the reason of an outage, at the first attempt and then at growing intervals.
pub fn report_outage(reason: &str) {
    let Ok(mut current) = OUTAGE.lock() else {
        return;
    };
    let now = Instant::now();
    let outage = current.filter(|outage| now.duration_since(outage.attempted) < OUTAGE_EXPIRY);
    let Some(mut outage) = outage else {
        print_message(format_args!("waiting for the server: {reason}"));
        *current = Some(Outage {
            began: now,
            reported: now,
            reports: 0,
            attempted: now,
            attempts: 1,
        });
        return;
    };
    outage.attempted = now;
    outage.attempts += 1;
    let interval = REPORT_INTERVALS[outage.reports.min(REPORT_INTERVALS.len() - 1)];
    if now.duration_since(outage.reported) >= interval {
        outage.reported = now;
        outage.reports += 1;
        print_message(format_args!(
            "still waiting for the server, after {} and {} attempts: {reason}",
            seconds(now.duration_since(outage.began)),
            outage.attempts
        ));
    }
    *current = Some(outage);
}

/// Reports the end of an outage, if there was one.
pub fn report_recovery() {
    let outage = OUTAGE.lock().ok().and_then(|mut current| current.take());
    if let Some(outage) = outage {
        print_message(format_args!(
            "the server is back after {}",
            seconds(outage.began.elapsed())
        ));
    }
}

/// Formats a time span for people, such as `1m 5s`.
fn seconds(span: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(span.as_secs().max(1)))
}

/// Prints documents in a format other than a table. `single` prints one document bare, otherwise they form a list.
///
/// # Errors
/// If stdout is closed.
pub fn documents<D: Serialize>(format: OutputFormat, documents: &[D], single: bool) -> Result<()> {
    let mut out = anstream::stdout().lock();
    match (format, documents) {
        (OutputFormat::Table | OutputFormat::Json, [only]) if single => {
            writeln!(out, "{}", serde_json::to_string_pretty(only)?)?;
        }
        (OutputFormat::Table | OutputFormat::Json, all) => {
            writeln!(out, "{}", serde_json::to_string_pretty(all)?)?;
        }
        (OutputFormat::Yaml, [only]) if single => write!(out, "{}", yaml::write(only)?)?,
        (OutputFormat::Yaml, all) => write!(out, "{}", yaml::write(&all)?)?,
        (OutputFormat::Ndjson, all) => {
            for document in all {
                writeln!(out, "{}", serde_json::to_string(document)?)?;
            }
        }
    }
    out.flush()?;
    Ok(())
}

/// Prints records; a table has one row each.
///
/// # Errors
/// If stdout is closed.
pub fn records(format: OutputFormat, records: &[Record], single: bool) -> Result<()> {
    if format != OutputFormat::Table {
        let all: Vec<_> = records.iter().map(json::document).collect();
        return documents(format, &all, single);
    }
    if records.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(&["NAME", "STATE", "REV", "TYPE", "TITLE"]);
    for record in records {
        table.add_row(row(record));
    }
    writeln!(anstream::stdout().lock(), "{table}")?;
    Ok(())
}

/// The cells of a record: name, state, revision, type, title.
#[must_use]
pub fn row(record: &Record) -> [String; 5] {
    let Some(body) = &record.kind else {
        return Default::default();
    };
    let meta = body.meta().cloned().unwrap_or_default();
    [
        body.name().to_owned(),
        state_word(meta.state()).clone(),
        meta.revision.to_string(),
        type_word(body),
        printable(&title(body)),
    ]
}

/// `published`, `in review` …
#[must_use]
pub fn state_word(state: State) -> String {
    dateline_record::state::state_label(state)
}

/// `created`, `published` …
#[must_use]
pub fn change_word(what: change::Type) -> String {
    dateline_record::state::change_label(what)
}

/// `meeting`, `member_of` …; `article` for articles.
#[must_use]
pub fn type_word(body: &Body) -> String {
    body.type_label().unwrap_or_else(|| "article".to_owned())
}

/// The title of a record in lists. A relation has none: its subject, object and role describe it.
#[must_use]
pub fn title(body: &Body) -> Cow<'_, str> {
    match body {
        Body::Article(article) => article.headline.as_str().into(),
        Body::Actor(actor) => actor.display_name.as_str().into(),
        Body::Relation(relation) => {
            let (subject, object) = (&relation.subject, &relation.object);
            match relation.role_title.as_str() {
                "" => format!("{subject} → {object}").into(),
                role => format!("{subject} → {object}, {role}").into(),
            }
        }
        Body::Event(event) => event.display_name.as_str().into(),
    }
}
