//! `dateline edit` and `dateline correct`: opens a record in an editor and sends the result. Edits are never lost: a
//! text that was not sent stays in a file, and `--from` resumes it on top of the newest revision.

use std::{io::IsTerminal, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use dateline_client::Failure;
use dateline_proto::v1::{
    GetRecordRequest, Record, State, View, correction,
    write::{self, Action},
};
use prost_types::FieldMask;

use super::{
    EditorialClient, WriteArgs,
    create::MAX_TEXT_BYTES,
    document::{self, Header, TextFormat},
    editor::DraftFile,
    history, meta_of, print,
    rebase::{EditedRecord, Rebase},
    show,
};
use crate::{
    confirm::prompt_line,
    output::{OutputFormat, print_message, state_word},
};

/// `dateline edit`
#[derive(Debug, clap::Args)]
pub(crate) struct EditArgs {
    /// Name of the record
    #[arg(value_name = "NAME")]
    name: String,
    /// Send a kept text on top of the newest revision, without opening an editor
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Overwrite changes that others made in the meantime to the same fields
    #[arg(long, requires = "from")]
    force: bool,
    /// Format of the text to edit
    #[arg(short, long, value_enum, default_value = "yaml", value_name = "FORMAT")]
    output: TextFormat,
    #[command(flatten)]
    write_args: WriteArgs,
}

/// `dateline correct`
#[derive(Debug, clap::Args)]
pub(crate) struct CorrectArgs {
    /// Note to readers: what changed and why; or write it after `# note:` in the editor
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Correction of an error, or an addition
    #[arg(long, value_enum, default_value = "correction", value_name = "KIND")]
    kind: CorrectionKindArg,
    #[command(flatten)]
    edit: EditArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum CorrectionKindArg {
    Correction,
    Update,
}

/// Edits a draft.
pub(crate) async fn edit(args: EditArgs) -> Result<ExitCode> {
    EditSession::open(args, EditMode::Edit).await?.run().await
}

/// Edits a published record, with a note to readers.
pub(crate) async fn correct(args: CorrectArgs) -> Result<ExitCode> {
    let kind = match args.kind {
        CorrectionKindArg::Correction => correction::Kind::Correction,
        CorrectionKindArg::Update => correction::Kind::Update,
    };
    let mode = EditMode::Correct {
        note: args.note.filter(|note| !note.trim().is_empty()),
        kind,
    };
    EditSession::open(args.edit, mode).await?.run().await
}

/// The command that a text is edited for.
enum EditMode {
    Edit,
    Correct {
        note: Option<String>,
        kind: correction::Kind,
    },
}

impl EditMode {
    /// The command to resume with; a note is in the text itself.
    fn command(&self, name: &str) -> String {
        match self {
            EditMode::Edit => format!("dateline edit {name}"),
            EditMode::Correct { kind, .. } if *kind == correction::Kind::Update => {
                format!("dateline correct {name} --kind update")
            }
            EditMode::Correct { .. } => format!("dateline correct {name}"),
        }
    }

    /// Rejects early a state that the server would reject after the edit.
    fn check(&self, name: &str, state: State) -> Result<()> {
        let advice = match (self, state) {
            (EditMode::Edit, State::Draft) | (EditMode::Correct { .. }, State::Published) => {
                return Ok(());
            }
            (EditMode::Edit, State::Published) => {
                format!("`dateline correct {name}` changes it, with a note for readers")
            }
            (EditMode::Correct { .. }, State::Draft) => {
                format!("`dateline edit {name}` changes it, without a note")
            }
            (_, State::InReview | State::Embargoed) => {
                format!("`dateline send-back {name}` makes it a draft again")
            }
            (_, State::Merged) => "it only points at the record that took its place".to_owned(),
            _ => "it cannot be changed".to_owned(),
        };
        bail!("{name} is {}: {advice}", state_word(state))
    }

    /// The advice in the header of the text.
    fn advice(&self) -> String {
        match self {
            EditMode::Edit => {
                "Save and close to send it; leave it unchanged to send nothing.".to_owned()
            }
            EditMode::Correct { note, .. } => format!(
                "For readers: what changed and why. Nothing is sent without it.\nnote: {}",
                note.as_deref().unwrap_or_default()
            ),
        }
    }

    fn action(&self, edited: EditedRecord, text: &str) -> Result<Action> {
        let record = Some(edited.record);
        let update_mask = Some(FieldMask {
            paths: edited.paths,
        });
        let EditMode::Correct { note, kind } = self else {
            return Ok(Action::Update(write::Update {
                record,
                update_mask,
            }));
        };
        // The latest note wins.
        let written = Some(Header::read(text).note).filter(|note| !note.is_empty());
        let note = written.or_else(|| note.clone()).context(
            "note: readers are told what changed and why; give --note, or write it after `# note:`",
        )?;
        Ok(Action::Correct(write::Correct {
            record,
            update_mask,
            note,
            kind: (*kind).into(),
        }))
    }
}

/// An edit of one record.
struct EditSession {
    args: EditArgs,
    mode: EditMode,
    desk: EditorialClient,
    head: Record,
}

impl EditSession {
    async fn open(args: EditArgs, mode: EditMode) -> Result<Self> {
        let desk = EditorialClient::open(&args.write_args).await?;
        let head = desk.read_one(&args.name).await?;
        mode.check(&args.name, meta_of(&head).state())?;
        Ok(Self {
            args,
            mode,
            desk,
            head,
        })
    }

    async fn run(self) -> Result<ExitCode> {
        match &self.args.from {
            Some(file) => self.resume(file).await,
            None => self.in_editor().await,
        }
    }

    /// Sends a kept text.
    async fn resume(&self, file: &std::path::Path) -> Result<ExitCode> {
        let shown = file.display();
        let bytes = dateline_files::read(file, MAX_TEXT_BYTES)
            .with_context(|| format!("cannot read {shown}"))?;
        let text = String::from_utf8(bytes).with_context(|| format!("{shown} is not UTF-8"))?;
        let revision = document::base_revision(&text).with_context(|| {
            format!(
                "{shown} does not say what it was made from; write `# revision: N` at its top, N being the \
                 revision that was read"
            )
        })?;
        let base = self.at(revision).await?;
        let rebase = Rebase::since(&base, &self.head)?;
        match self.send(&rebase, &text, self.args.force).await {
            Err(error) if is_conflict(&error) => {
                self.print_both_sides(&rebase, &text).await?;
                Err(error)
            }
            sent => sent,
        }
    }

    async fn at(&self, revision: i64) -> Result<Record> {
        if revision == meta_of(&self.head).revision {
            return Ok(self.head.clone());
        }
        let request = GetRecordRequest {
            name: self.args.name.clone(),
            view: View::Desk.into(),
            revision: Some(revision),
            ..GetRecordRequest::default()
        };
        let answer = self.desk.client.get(request).await.map_err(Failure::from);
        let answer =
            answer.with_context(|| format!("revision {revision} of {}", self.args.name))?;
        answer
            .record
            .context("the server answered without a record")
    }

    /// Opens the editor until the text is sent, left unchanged, or given up.
    async fn in_editor(&self) -> Result<ExitCode> {
        let rebase = Rebase::new(&self.head)?;
        let header = document::header(
            &rebase.name,
            &rebase.meta,
            &state_word(rebase.meta.state()),
            &self.mode.advice(),
        );
        let text = header + &rebase.text(self.args.output)?;
        let ending = match self.args.output {
            TextFormat::Yaml => "yaml",
            TextFormat::Json => "json",
        };
        let mut draft = DraftFile::new(&rebase.name, ending, &text)?;
        loop {
            let edited = draft.edit()?;
            if edited == text {
                print_message("nothing changed");
                return Ok(ExitCode::SUCCESS);
            }
            let error = match self.send(&rebase, &edited, false).await {
                Ok(code) => {
                    // After a dry run the text is still to be sent.
                    if self.desk.dry_run {
                        self.keep(&mut draft);
                    }
                    return Ok(code);
                }
                // The text was sent; only the output could not be written.
                Err(error) if crate::is_closed_pipe(&error) => return Err(error),
                Err(error) => error,
            };
            draft.keep();
            let code = crate::failed(&error);
            let is_conflict = is_conflict(&error);
            if is_conflict {
                self.print_both_sides(&rebase, &edited).await?;
            } else if std::io::stdin().is_terminal()
                && prompt_line("Open the editor again? [y/N] ")?
                    .trim()
                    .eq_ignore_ascii_case("y")
            {
                continue;
            }
            self.keep(&mut draft);
            return Ok(code);
        }
    }

    /// Keeps the text in its file, and prints how to resume.
    fn keep(&self, draft: &mut DraftFile) {
        draft.keep();
        let path = draft.path().display();
        let command = self.mode.command(&self.args.name);
        print_message(format_args!(
            "your text is kept in {path}; to go on with it:\n  {command} --from {path}"
        ));
    }

    async fn send(&self, rebase: &Rebase, text: &str, force: bool) -> Result<ExitCode> {
        let Some(edited) = rebase.read(text, force)? else {
            print_message("nothing changed");
            return Ok(ExitCode::SUCCESS);
        };
        let action = self.mode.action(edited, text)?;
        let writes = vec![(rebase.name.clone(), action)];
        let done = self.desk.commit(writes, true).await?;
        print(OutputFormat::Table, &done, self.desk.dry_run, None)?;
        Ok(ExitCode::SUCCESS)
    }

    /// Prints what others changed since the text was read, and what the text changes.
    async fn print_both_sides(&self, rebase: &Rebase, text: &str) -> Result<()> {
        let bold = anstyle::Style::new().bold();
        let newest = meta_of(&self.desk.read_one(&rebase.name).await?).revision;
        let (name, read) = (&rebase.name, rebase.base_revision);
        let client = &self.desk.client;
        let theirs = history::diff_between(client, name, View::Desk, read, newest).await?;
        print_message(format_args!(
            "\n{bold}others changed, from revision {read} to {newest}:{bold:#}\n{}",
            show::differences(&theirs)
        ));
        print_message(format_args!(
            "{bold}you changed:{bold:#}\n{}",
            rebase.own_changes(text)?
        ));
        Ok(())
    }
}

/// True if others changed the record in the meantime.
fn is_conflict(error: &anyhow::Error) -> bool {
    let is_stale = |failure: &Failure| failure.reason == "ETAG_MISMATCH";
    error.downcast_ref::<Failure>().is_some_and(is_stale)
        || error.downcast_ref::<super::rebase::Conflict>().is_some()
}
