//! The desk: commands that write, correct and move records. Each makes one commit, with etags read just before, so that
//! no concurrent change is overwritten (W3).

mod create;
mod document;
mod edit;
mod editor;
mod history;
mod rebase;
mod reference_closure;
mod show;
mod typed;
mod verbs;

use std::io::Write as _;

use anyhow::Result;
use dateline_client::{Client, Failure, bulk::field_path};
use dateline_proto::v1::{
    BatchGetRecordsRequest, CommitRequest, Record, RecordMeta, State, View, Write,
    record::Kind as Body, write::Action,
};

pub(super) use self::document::{TextFormat, read as read_document, write as write_document};
pub(super) use self::{
    create::{Args as CreateArgs, run as create},
    edit::{CorrectArgs, EditArgs, correct, edit},
    history::{DiffArgs, HistoryArgs, diff, history},
    verbs::{
        MergeArgs, NamesArgs, PublishArgs, PurgeArgs, RestoreArgs, RetractArgs, SendBackArgs,
        UnmergeArgs, delete, merge, publish, purge, restore, retract, send_back, submit, unmerge,
    },
};
use super::{
    Server,
    output::{self, OutputFormat, printable, state_word, warn},
    table::Table,
    time_arg,
};

/// Maximum number of names per call.
const NAMES_PER_CALL: usize = 1000;

/// Flags of every command that writes.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct WriteArgs {
    /// Check everything and print what would be done, without doing it
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    server: Server,
}

/// Flags of every command that moves records.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct TransitionArgs {
    /// Output format; a table has a line per record
    #[arg(
        short,
        long,
        value_enum,
        default_value = "table",
        value_name = "FORMAT"
    )]
    output: OutputFormat,
    #[command(flatten)]
    write_args: WriteArgs,
}

/// The connection of a command.
struct EditorialClient {
    client: Client,
    dry_run: bool,
}

impl EditorialClient {
    async fn open(write_args: &WriteArgs) -> Result<Self> {
        Ok(Self {
            client: write_args.server.connect().await?,
            dry_run: write_args.dry_run,
        })
    }

    /// Reads records in the desk's view, without duplicates, in the order asked; also returns the missing names.
    async fn find(&self, names: &[String]) -> Result<(Vec<Record>, Vec<String>)> {
        let (mut records, mut missing) = (Vec::new(), Vec::new());
        for names in names.chunks(NAMES_PER_CALL) {
            let request = BatchGetRecordsRequest {
                names: names.to_vec(),
                view: View::Desk.into(),
                min_sequence: 0,
            };
            let answer = self.client.batch_get(request).await;
            let answer = answer.map_err(|status| field_path::with_names(status.into(), names))?;
            records.extend(answer.records);
            missing.extend(answer.missing);
        }
        Ok((records, missing))
    }

    /// Reads records, all of which must exist.
    async fn read(&self, names: &[String]) -> Result<Vec<Record>> {
        let (records, missing) = self.find(names).await?;
        if missing.is_empty() {
            return Ok(records);
        }
        Err(Failure::records_not_found(&missing).into())
    }

    /// Reads one record.
    async fn read_one(&self, name: &str) -> Result<Record> {
        let mut records = self.read(&[name.to_owned()]).await?;
        Ok(records.pop().unwrap_or_default())
    }

    /// Commits all writes or none, and prints warnings. Errors are reported by the names.
    async fn commit(
        &self,
        writes: Vec<(String, Action)>,
        omit_content: bool,
    ) -> Result<Vec<Record>> {
        let (names, actions): (Vec<_>, Vec<_>) = writes.into_iter().unzip();
        let describe = |field: &str| field_path::describe(field, |index| names.get(index).cloned());
        let request = CommitRequest {
            writes: actions
                .into_iter()
                .map(|action| Write {
                    action: Some(action),
                })
                .collect(),
            validate_only: self.dry_run,
            omit_content,
            ..CommitRequest::default()
        };
        let answer = self.client.commit(request).await;
        let answer = answer.map_err(|status| Failure::from(status).map_fields(describe))?;
        for warning in &answer.warnings {
            let text = format!("{}: {}", describe(&warning.field), warning.description);
            warn(printable(text.trim_start_matches(": ")));
        }
        Ok(answer.records)
    }
}

fn name_of(record: &Record) -> String {
    record
        .kind
        .as_ref()
        .map(|body| body.name().to_owned())
        .unwrap_or_default()
}

fn meta_of(record: &Record) -> RecordMeta {
    record
        .kind
        .as_ref()
        .and_then(Body::meta)
        .cloned()
        .unwrap_or_default()
}

/// Prints the outcome: a line per record, or names and meta as data. `state` replaces the state of the first `named`
/// records, if the record does not hold it.
fn print(
    output: OutputFormat,
    records: &[Record],
    dry_run: bool,
    state: Option<(&str, usize)>,
) -> Result<()> {
    if output != OutputFormat::Table {
        return output::records(output, records, false);
    }
    let mut table = Table::new(&[]);
    for (index, record) in records.iter().enumerate() {
        let own = state.filter(|(_, named)| index < *named);
        let meta = meta_of(record);
        let state = own.map_or_else(|| describe_state(&meta), |(state, _)| state.to_owned());
        let revision = format!("revision {}", meta.revision);
        let name = printable(&name_of(record));
        if dry_run {
            table.add_row([name, format!("would be {state}"), revision]);
        } else {
            table.add_row([name, state, revision, format!("sequence {}", meta.sequence)]);
        }
    }
    let mut out = anstream::stdout().lock();
    if !records.is_empty() {
        writeln!(out, "{table}")?;
    }
    out.flush()?;
    Ok(())
}

/// The state of a record, with its embargo.
fn describe_state(meta: &RecordMeta) -> String {
    match (meta.state(), &meta.embargo_time) {
        (State::Embargoed, Some(time)) => {
            format!("embargoed until {}", time_arg::format_time(time))
        }
        (State::Merged, _) => format!("merged into {}", meta.merged_into),
        (state, _) => state_word(state),
    }
}
