//! Prints the feed as CloudEvents: one event per line (structured mode), or one list per response (batched mode).

use anyhow::{Context, Result};
use clap::ValueEnum;
use dateline_client::{Client, Connection, Event, Failure};
use dateline_formats::cloudevents::EventSource;
use dateline_proto::v1::{GetFeedRequest, View};
use serde_json::Value;

use super::output::OutputFormat;

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

/// Prints events.
pub(super) struct Printer {
    client: Client,
    view: View,
    /// True in batched mode: one list per response.
    is_batched: bool,
    /// Feed and epoch, read once per response.
    source: Option<EventSource>,
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
            source: None,
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
        let source = self.source().await?;
        let (event, count) = match event {
            Event::Change(change) => {
                let event = source.change(change, cursor);
                let event = event.context("the change cannot be said in JSON")?;
                (Some(event), 1)
            }
            Event::Record(record) => {
                let event = source.record(record, cursor);
                let event = event.context("the record cannot be said in JSON")?;
                (Some(event), 1)
            }
            Event::Checkpoint(checkpoint) if checkpoint.caught_up => {
                let event = source.checkpoint(checkpoint, cursor);
                let event = event.context("the checkpoint cannot be said in JSON")?;
                (Some(event), 0)
            }
            Event::Checkpoint(_) => (None, 0),
        };
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
        self.source = None;
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return Ok(());
        }
        write_line(out, &Value::Array(waiting))
    }

    async fn source(&mut self) -> Result<EventSource> {
        if let Some(source) = &self.source {
            return Ok(source.clone());
        }
        let request = GetFeedRequest {
            view: self.view.into(),
        };
        let answer = self.client.feed.get_feed(request).await;
        let feed = answer.map_err(Failure::from)?.into_inner();
        let source = EventSource::new(&feed.feed, feed.epoch, self.view);
        Ok(self.source.insert(source).clone())
    }
}

fn write_line(out: &mut Vec<u8>, value: &Value) -> Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.push(b'\n');
    Ok(())
}
