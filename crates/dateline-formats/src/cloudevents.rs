//! The feed as CloudEvents 1.0 in JSON, for tools that do not speak gRPC. The event id consists of feed, epoch and
//! sequence: it is stable for a change, and unique to it.

use dateline_proto::v1::{Change, Checkpoint, Kind, Record, View, record::Kind as Body};
use dateline_record::{name::kind_label, state::change_label};
use serde::Serialize;
use serde_json::Value;

use crate::json;

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

/// The feed that events come from, in one epoch.
#[derive(Debug, Clone)]
pub struct EventSource {
    feed: String,
    epoch: u64,
    /// `urn:dateline:feed:…:published`
    urn: String,
}

impl EventSource {
    /// The source of the events of a view.
    #[must_use]
    pub fn new(feed: &str, epoch: u64, view: View) -> Self {
        let view = view
            .as_str_name()
            .trim_start_matches("VIEW_")
            .to_lowercase();
        Self {
            feed: feed.to_owned(),
            epoch,
            urn: format!("urn:dateline:feed:{feed}:{view}"),
        }
    }

    fn id(&self, rest: impl std::fmt::Display) -> String {
        format!("{}/{}/{rest}", self.feed, self.epoch)
    }

    /// The event of a change.
    ///
    /// # Errors
    /// If JSON cannot express the change.
    pub fn change(
        &self,
        change: &Change,
        cursor: Option<&str>,
    ) -> Result<Value, serde_json::Error> {
        let data = json::value(change)?;
        serde_json::to_value(CloudEvent {
            subject: Some(&change.name),
            time: text(data.get("time")),
            recordkind: word_of(change.kind()),
            batch: Some(change.batch.to_string()),
            lastinbatch: Some(change.last_in_batch),
            ..event(
                self.id(change.sequence),
                &self.urn,
                &format!("record.{}", change_label(change.r#type())),
                change.sequence,
                cursor,
                CHANGE,
                data,
            )
        })
    }

    /// The event of a snapshot record: the state after its last change.
    ///
    /// # Errors
    /// If JSON cannot express the record.
    pub fn record(
        &self,
        record: &Record,
        cursor: Option<&str>,
    ) -> Result<Value, serde_json::Error> {
        let data = json::value(record)?;
        let body = record.kind.as_ref();
        let meta = body
            .and_then(|body| body.meta())
            .cloned()
            .unwrap_or_default();
        let kind = body.and_then(|body| word_of(body.kind()));
        let updated = kind
            .as_ref()
            .and_then(|kind| data.get(kind)?.get("meta")?.get("updateTime"));
        serde_json::to_value(CloudEvent {
            subject: body.map(Body::name),
            time: text(updated),
            recordkind: kind,
            ..event(
                self.id(format_args!("{}/snapshot", meta.sequence)),
                &self.urn,
                "record.snapshot",
                meta.sequence,
                cursor,
                RECORD,
                data,
            )
        })
    }

    /// The event of the point at which a stream has caught up.
    ///
    /// # Errors
    /// If JSON cannot express the checkpoint.
    pub fn checkpoint(
        &self,
        checkpoint: &Checkpoint,
        cursor: Option<&str>,
    ) -> Result<Value, serde_json::Error> {
        let data = json::value(checkpoint)?;
        serde_json::to_value(CloudEvent {
            time: text(data.get("time")),
            ..event(
                self.id(format_args!("{}/caught-up", checkpoint.sequence)),
                &self.urn,
                "feed.caught_up",
                checkpoint.sequence,
                cursor,
                CHECKPOINT,
                data,
            )
        })
    }
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
