//! The feed as CloudEvents 1.0 in JSON, for tools that do not speak gRPC: one event per line (structured mode), or one
//! list per response (batched mode). The event id consists of feed, epoch and sequence: it is stable for a change, and
//! unique to it.

use anyhow::{Context, Result};
use clap::ValueEnum;
use dateline_client::{Client, Connection, Event, Failure};
use dateline_proto::v1::{
    Change, Checkpoint, GetFeedRequest, Kind, Record, View, record::Kind as Body,
};
use dateline_record::name::kind_label;
use serde::Serialize;
use serde_json::Value;

use super::{
    json,
    output::{OutputFormat, change_word},
};

/// Output formats of `dateline watch`: the common ones, and events.
// The variants have no doc comments: clap would lengthen the help with them.
#[allow(missing_docs, reason = "said above")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    Table,
    Json,
    Ndjson,
    Yaml,
    Cloudevents,
}

impl Output {
    /// The format of all output other than events.
    pub(super) fn format(self) -> OutputFormat {
        match self {
            Self::Table => OutputFormat::Table,
            Self::Json => OutputFormat::Json,
            Self::Ndjson | Self::Cloudevents => OutputFormat::Ndjson,
            Self::Yaml => OutputFormat::Yaml,
        }
    }
}

/// The `dataschema` of an event: `data` is this message as canonical proto-JSON.
const CHANGE: &str = "urn:dateline:schema:dateline.v1.Change";
const RECORD: &str = "urn:dateline:schema:dateline.v1.Record";
const CHECKPOINT: &str = "urn:dateline:schema:dateline.v1.Checkpoint";

/// One event. The last five fields are extension attributes; `sequence` is the CloudEvents sequence extension, compared
/// as text.
#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: String,
    source: &'a str,
    r#type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    datacontenttype: &'static str,
    dataschema: &'static str,
    sequence: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    recordkind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lastinbatch: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<&'a str>,
    data: Value,
}

/// Prints events.
pub(super) struct Printer {
    client: Client,
    view: View,
    /// True in batched mode: one list per response.
    is_batched: bool,
    /// Feed and epoch, read once per response.
    history: Option<(String, u64)>,
    /// `urn:dateline:feed:…:published`
    source: String,
    /// Events of the current response in batched mode.
    waiting: Vec<Value>,
}

impl Printer {
    /// Opens a printer if the output format is one of events.
    ///
    /// # Errors
    /// If the server does not answer.
    pub(super) async fn open(
        output: Output,
        server: &Connection,
        view: View,
        is_batched: bool,
    ) -> Result<Option<Self>> {
        if output != Output::Cloudevents {
            return Ok(None);
        }
        Ok(Some(Self {
            client: Client::connect_with(server).await?,
            view,
            is_batched,
            history: None,
            source: String::new(),
            waiting: Vec::new(),
        }))
    }

    /// Writes one item; returns its number of records and changes. `is_last` ends a response.
    pub(super) async fn write(
        &mut self,
        out: &mut Vec<u8>,
        event: &Event,
        cursor: Option<&str>,
        is_last: bool,
    ) -> Result<u64> {
        let (feed, epoch) = self.history().await?;
        let id = |rest: String| format!("{feed}/{epoch}/{rest}");
        let (event, count) = match event {
            Event::Change(change) => (Some(of_change(change, id, &self.source, cursor)?), 1),
            Event::Record(record) => (Some(of_record(record, id, &self.source, cursor)?), 1),
            Event::Checkpoint(checkpoint) if checkpoint.caught_up => (
                Some(of_checkpoint(checkpoint, id, &self.source, cursor)?),
                0,
            ),
            Event::Checkpoint(_) => (None, 0),
        };
        let event = event.map(serde_json::to_value).transpose()?;
        match event {
            Some(event) if self.is_batched => self.waiting.push(event),
            Some(event) => write_line(out, &event)?,
            None => {}
        }
        if is_last {
            self.end_response(out)?;
        }
        Ok(count)
    }

    /// Writes the buffered events, and reads the epoch again before the next response: a database can be restored under
    /// an open stream, and its events then have other ids.
    pub(super) fn end_response(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.history = None;
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return Ok(());
        }
        write_line(out, &Value::Array(waiting))
    }

    async fn history(&mut self) -> Result<(String, u64)> {
        if let Some(history) = &self.history {
            return Ok(history.clone());
        }
        let request = GetFeedRequest {
            view: self.view.into(),
        };
        let answer = self.client.feed.get_feed(request).await;
        let feed = answer.map_err(Failure::from)?.into_inner();
        let view = self
            .view
            .as_str_name()
            .trim_start_matches("VIEW_")
            .to_lowercase();
        self.source = format!("urn:dateline:feed:{}:{view}", feed.feed);
        let history = (feed.feed, feed.epoch);
        Ok(self.history.insert(history).clone())
    }
}

fn write_line(out: &mut Vec<u8>, value: &Value) -> Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.push(b'\n');
    Ok(())
}

fn of_change<'a>(
    change: &'a Change,
    id: impl Fn(String) -> String,
    source: &'a str,
    cursor: Option<&'a str>,
) -> Result<CloudEvent<'a>> {
    let data = json::value(change).context("the change cannot be said in JSON")?;
    Ok(CloudEvent {
        subject: Some(&change.name),
        time: text(data.get("time")),
        recordkind: word_of(change.kind()),
        batch: Some(change.batch.to_string()),
        lastinbatch: Some(change.last_in_batch),
        ..event(
            id(change.sequence.to_string()),
            source,
            &format!("record.{}", change_word(change.r#type())),
            change.sequence,
            cursor,
            CHANGE,
            data,
        )
    })
}

/// The event of a snapshot record: the state after its last change.
fn of_record<'a>(
    record: &'a Record,
    id: impl Fn(String) -> String,
    source: &'a str,
    cursor: Option<&'a str>,
) -> Result<CloudEvent<'a>> {
    let data = json::value(record).context("the record cannot be said in JSON")?;
    let body = record.kind.as_ref();
    let meta = body
        .and_then(|body| body.meta())
        .cloned()
        .unwrap_or_default();
    let kind = body.and_then(|body| word_of(body.kind()));
    let updated = kind
        .as_ref()
        .and_then(|kind| data.get(kind)?.get("meta")?.get("updateTime"));
    Ok(CloudEvent {
        subject: body.map(Body::name),
        time: text(updated),
        recordkind: kind,
        ..event(
            id(format!("{}/snapshot", meta.sequence)),
            source,
            "record.snapshot",
            meta.sequence,
            cursor,
            RECORD,
            data,
        )
    })
}

fn of_checkpoint<'a>(
    checkpoint: &Checkpoint,
    id: impl Fn(String) -> String,
    source: &'a str,
    cursor: Option<&'a str>,
) -> Result<CloudEvent<'a>> {
    let data = json::value(checkpoint).context("the checkpoint cannot be said in JSON")?;
    Ok(CloudEvent {
        time: text(data.get("time")),
        ..event(
            id(format!("{}/caught-up", checkpoint.sequence)),
            source,
            "feed.caught_up",
            checkpoint.sequence,
            cursor,
            CHECKPOINT,
            data,
        )
    })
}

fn event<'a>(
    id: String,
    source: &'a str,
    what: &str,
    sequence: i64,
    cursor: Option<&'a str>,
    dataschema: &'static str,
    data: Value,
) -> CloudEvent<'a> {
    CloudEvent {
        specversion: "1.0",
        id,
        source,
        r#type: format!("dateline.v1.{what}"),
        subject: None,
        time: None,
        datacontenttype: "application/json",
        dataschema,
        // Padded to the width of the largest sequence, so that text order equals numeric order.
        sequence: format!("{sequence:019}"),
        recordkind: None,
        batch: None,
        lastinbatch: None,
        cursor,
        data,
    }
}

fn text(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).map(str::to_owned)
}

/// The word of a kind, such as `actor`; `None` for an unknown kind.
fn word_of(kind: Kind) -> Option<String> {
    (kind != Kind::Unspecified).then(|| kind_label(kind).to_owned())
}
