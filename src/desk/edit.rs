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
    Desk, Reach,
    create::MOST,
    document::{self, Form, Header},
    editor::Draft,
    meta_of, past, print,
    rework::{Edited, Rework},
    show,
};
use crate::{
    confirm::ask,
    output::{Format, say, state_word},
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
    output: Form,
    #[command(flatten)]
    reach: Reach,
}

/// `dateline correct`
#[derive(Debug, clap::Args)]
pub(crate) struct CorrectArgs {
    /// Note to readers: what changed and why; or write it after `# note:` in the editor
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Correction of an error, or an addition
    #[arg(long, value_enum, default_value = "correction", value_name = "KIND")]
    kind: KindArg,
    #[command(flatten)]
    edit: EditArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum KindArg {
    Correction,
    Update,
}

/// Edits a draft.
pub(crate) async fn edit(args: EditArgs) -> Result<ExitCode> {
    Session::open(args, Purpose::Edit).await?.run().await
}

/// Edits a published record, with a note to readers.
pub(crate) async fn correct(args: CorrectArgs) -> Result<ExitCode> {
    let kind = match args.kind {
        KindArg::Correction => correction::Kind::Correction,
        KindArg::Update => correction::Kind::Update,
    };
    let purpose = Purpose::Correct {
        note: args.note.filter(|note| !note.trim().is_empty()),
        kind,
    };
    Session::open(args.edit, purpose).await?.run().await
}

/// The command that a text is edited for.
enum Purpose {
    Edit,
    Correct {
        note: Option<String>,
        kind: correction::Kind,
    },
}

impl Purpose {
    /// The command to resume with; a note is in the text itself.
    fn command(&self, name: &str) -> String {
        match self {
            Purpose::Edit => format!("dateline edit {name}"),
            Purpose::Correct { kind, .. } if *kind == correction::Kind::Update => {
                format!("dateline correct {name} --kind update")
            }
            Purpose::Correct { .. } => format!("dateline correct {name}"),
        }
    }

    /// Rejects early a state that the server would reject after the edit.
    fn check(&self, name: &str, state: State) -> Result<()> {
        let advice = match (self, state) {
            (Purpose::Edit, State::Draft) | (Purpose::Correct { .. }, State::Published) => {
                return Ok(());
            }
            (Purpose::Edit, State::Published) => {
                format!("`dateline correct {name}` changes it, with a note for readers")
            }
            (Purpose::Correct { .. }, State::Draft) => {
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
            Purpose::Edit => {
                "Save and close to send it; leave it unchanged to send nothing.".to_owned()
            }
            Purpose::Correct { note, .. } => format!(
                "For readers: what changed and why. Nothing is sent without it.\nnote: {}",
                note.as_deref().unwrap_or_default()
            ),
        }
    }

    fn action(&self, edited: Edited, text: &str) -> Result<Action> {
        let record = Some(edited.record);
        let update_mask = Some(FieldMask {
            paths: edited.paths,
        });
        let Purpose::Correct { note, kind } = self else {
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
struct Session {
    args: EditArgs,
    purpose: Purpose,
    desk: Desk,
    head: Record,
}

impl Session {
    async fn open(args: EditArgs, purpose: Purpose) -> Result<Self> {
        let desk = Desk::open(&args.reach).await?;
        let head = desk.read_one(&args.name).await?;
        purpose.check(&args.name, meta_of(&head).state())?;
        Ok(Self {
            args,
            purpose,
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
        let bytes =
            dateline_files::read(file, MOST).with_context(|| format!("cannot read {shown}"))?;
        let text = String::from_utf8(bytes).with_context(|| format!("{shown} is not UTF-8"))?;
        let revision = document::base_revision(&text).with_context(|| {
            format!(
                "{shown} does not say what it was made from; write `# revision: N` at its top, N being the \
                 revision that was read"
            )
        })?;
        let base = self.at(revision).await?;
        let rework = Rework::since(&base, &self.head)?;
        match self.send(&rework, &text, self.args.force).await {
            Err(error) if is_conflict(&error) => {
                self.tell_both_sides(&rework, &text).await?;
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
        let rework = Rework::new(&self.head)?;
        let header = document::header(
            &rework.name,
            &rework.meta,
            &state_word(rework.meta.state()),
            &self.purpose.advice(),
        );
        let text = header + &rework.text(self.args.output)?;
        let ending = match self.args.output {
            Form::Yaml => "yaml",
            Form::Json => "json",
        };
        let mut draft = Draft::new(&rework.name, ending, &text)?;
        loop {
            let edited = draft.edit()?;
            if edited == text {
                say("nothing changed");
                return Ok(ExitCode::SUCCESS);
            }
            let error = match self.send(&rework, &edited, false).await {
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
                self.tell_both_sides(&rework, &edited).await?;
            } else if std::io::stdin().is_terminal()
                && ask("Open the editor again? [y/N] ")?
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
    fn keep(&self, draft: &mut Draft) {
        draft.keep();
        let path = draft.path().display();
        let command = self.purpose.command(&self.args.name);
        say(format_args!(
            "your text is kept in {path}; to go on with it:\n  {command} --from {path}"
        ));
    }

    async fn send(&self, rework: &Rework, text: &str, force: bool) -> Result<ExitCode> {
        let Some(edited) = rework.read(text, force)? else {
            say("nothing changed");
            return Ok(ExitCode::SUCCESS);
        };
        let action = self.purpose.action(edited, text)?;
        let writes = vec![(rework.name.clone(), action)];
        let done = self.desk.commit(writes, true).await?;
        print(Format::Table, &done, self.desk.dry_run, None)?;
        Ok(ExitCode::SUCCESS)
    }

    /// Prints what others changed since the text was read, and what the text changes.
    async fn tell_both_sides(&self, rework: &Rework, text: &str) -> Result<()> {
        let bold = anstyle::Style::new().bold();
        let newest = meta_of(&self.desk.read_one(&rework.name).await?).revision;
        let (name, read) = (&rework.name, rework.base_revision);
        let client = &self.desk.client;
        let theirs = past::between(client, name, View::Desk, read, newest).await?;
        say(format_args!(
            "\n{bold}others changed, from revision {read} to {newest}:{bold:#}\n{}",
            show::differences(&theirs)
        ));
        say(format_args!(
            "{bold}you changed:{bold:#}\n{}",
            rework.mine(text)?
        ));
        Ok(())
    }
}

/// True if others changed the record in the meantime.
fn is_conflict(error: &anyhow::Error) -> bool {
    let is_stale = |failure: &Failure| failure.reason == "ETAG_MISMATCH";
    error.downcast_ref::<Failure>().is_some_and(is_stale)
        || error.downcast_ref::<super::rework::Conflict>().is_some()
}
