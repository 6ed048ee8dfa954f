//! Commands that move records from one state to the next. All of them are the same: read the etags, make a
//! write of each record, commit, tell what was done.

use std::{collections::HashSet, process::ExitCode};

use anyhow::Result;
use dateline_client::Failure;
use dateline_proto::v1::{
    ListRevisionsRequest, Record, RecordVersion, View,
    write::{self, Action},
};
use prost_types::Timestamp;

use super::{Act, Desk, company, meta_of, name_of, print};
use crate::{
    confirm::{Question, confirm},
    output::say,
    when,
};

/// `dateline submit` and `dateline delete`
#[derive(Debug, clap::Args)]
pub(crate) struct NamesArgs {
    /// Names, such as actors/nato; all or none
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    act: Act,
}

/// `dateline send-back`
#[derive(Debug, clap::Args)]
pub(crate) struct SendBackArgs {
    /// For the authors: what is missing
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "TEXT"
    )]
    note: String,
    #[command(flatten)]
    names: NamesArgs,
}

/// `dateline publish`
#[derive(Debug, clap::Args)]
pub(crate) struct PublishArgs {
    /// Hide them until then: 2026-08-01T06:00:00Z, or so long from now: +30m, +2h, +3d
    #[arg(long, value_parser = when::parse, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Do not ask when the time of --at has passed: they are published at once then
    #[arg(long)]
    yes: bool,
    /// Publish with them every draft and record in review that they refer to, and those that these refer to
    #[arg(long)]
    with_references: bool,
    #[command(flatten)]
    names: NamesArgs,
}

/// `dateline retract`
#[derive(Debug, clap::Args)]
pub(crate) struct RetractArgs {
    /// For readers: what was wrong
    #[arg(long, value_name = "TEXT")]
    note: String,
    /// Withdraw with them, and with the same note, what no other article supports
    #[arg(long)]
    cascade: bool,
    #[command(flatten)]
    names: NamesArgs,
}

/// `dateline merge`
#[derive(Debug, clap::Args)]
pub(crate) struct MergeArgs {
    /// The duplicate
    #[arg(value_name = "NAME")]
    name: String,
    /// The record that takes its place
    #[arg(long, value_name = "NAME")]
    into: String,
    /// For readers: why they are the same
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "TEXT"
    )]
    note: String,
    #[command(flatten)]
    act: Act,
}

/// `dateline unmerge`
#[derive(Debug, clap::Args)]
pub(crate) struct UnmergeArgs {
    /// The record that was merged into another one
    #[arg(value_name = "NAME")]
    name: String,
    /// For readers: why they are not the same
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "TEXT"
    )]
    note: String,
    #[command(flatten)]
    act: Act,
}

/// `dateline restore`
#[derive(Debug, clap::Args)]
pub(crate) struct RestoreArgs {
    /// Which record
    #[arg(value_name = "NAME")]
    name: String,
    /// Whose content is to be the newest; `dateline history` lists them
    #[arg(value_name = "REVISION")]
    revision: i64,
    /// For readers: why; needed if the record is published
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "TEXT"
    )]
    note: String,
    #[command(flatten)]
    act: Act,
}

/// `dateline purge`
#[derive(Debug, clap::Args)]
pub(crate) struct PurgeArgs {
    /// Which record
    #[arg(value_name = "NAME")]
    name: String,
    /// On what ground, without repeating what is erased; it stays
    #[arg(long, value_name = "TEXT")]
    note: String,
    /// Withdraw with it what no other article supports
    #[arg(long)]
    cascade: bool,
    /// Do not ask for the name once more
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    act: Act,
}

/// Hands drafts in for review.
pub(crate) async fn submit(args: NamesArgs) -> Result<ExitCode> {
    let action = |record| {
        Action::Submit(write::Submit {
            record: Some(record),
        })
    };
    each(&args, None, action).await
}

/// Makes records drafts again.
pub(crate) async fn send_back(args: SendBackArgs) -> Result<ExitCode> {
    let action = |record| {
        let note = args.note.clone();
        Action::SendBack(write::SendBack {
            record: Some(record),
            note,
        })
    };
    each(&args.names, None, action).await
}

/// Makes records visible, now or at a time.
pub(crate) async fn publish(args: PublishArgs) -> Result<ExitCode> {
    if let Some(at) = args.at.filter(when::is_past) {
        confirm_past(&at, args.yes || args.names.act.reach.dry_run)?;
    }
    let action = |record| {
        Action::Publish(write::Publish {
            record: Some(record),
            embargo_time: args.at,
        })
    };
    if !args.with_references {
        let done = each(&args.names, None, action).await;
        return done.or_else(advise_references);
    }
    let desk = Desk::open(&args.names.act.reach).await?;
    let records = company::with_references(&desk, &unique(&args.names.names)).await?;
    carry_out(&desk, &args.names.act, &records, None, action).await
}

/// Says what publishes what is missing.
fn advise_references(error: anyhow::Error) -> Result<ExitCode> {
    let failure = error.downcast_ref::<Failure>();
    if failure.is_none_or(|failure| failure.reason != "UNRESOLVED_REFERENCES") {
        return Err(error);
    }
    let code = crate::failed(&error);
    say(
        "to publish with them every draft and record in review that they refer to, add: --with-references",
    );
    Ok(code)
}

/// Withdraws published records.
pub(crate) async fn retract(args: RetractArgs) -> Result<ExitCode> {
    let action = |record| {
        Action::Retract(write::Retract {
            record: Some(record),
            note: args.note.clone(),
            cascade: args.cascade,
        })
    };
    each(&args.names, None, action).await
}

/// Deletes drafts.
pub(crate) async fn delete(args: NamesArgs) -> Result<ExitCode> {
    each(&args, Some("deleted"), Action::Delete).await
}

/// Makes one record of two.
pub(crate) async fn merge(args: MergeArgs) -> Result<ExitCode> {
    let desk = Desk::open(&args.act.reach).await?;
    let into = desk.read_one(&args.into).await?;
    let records = [desk.read_one(&args.name).await?];
    let action = |record| {
        Action::Merge(write::Merge {
            record: Some(record),
            into: Some(version(&into)),
            note: args.note.clone(),
        })
    };
    carry_out(&desk, &args.act, &records, None, action).await
}

/// Makes two records of one again.
pub(crate) async fn unmerge(args: UnmergeArgs) -> Result<ExitCode> {
    let action = |record| {
        let note = args.note.clone();
        Action::Unmerge(write::Unmerge {
            record: Some(record),
            note,
        })
    };
    one(&args.name, &args.act, action).await
}

/// Makes an older revision's content the newest.
pub(crate) async fn restore(args: RestoreArgs) -> Result<ExitCode> {
    let action = |record| {
        Action::Restore(write::Restore {
            record: Some(record),
            revision: args.revision,
            note: args.note.clone(),
        })
    };
    one(&args.name, &args.act, action).await
}

/// Erases a record's content for good, once it is sure that this is meant.
pub(crate) async fn purge(args: PurgeArgs) -> Result<ExitCode> {
    let desk = Desk::open(&args.act.reach).await?;
    let etag = etag_of_any(&desk, &args.name).await?;
    if !args.yes && !desk.dry_run {
        confirm_purge(&args.name)?;
    }
    let record = RecordVersion {
        name: args.name.clone(),
        etag,
    };
    let action = Action::Purge(write::Purge {
        record: Some(record),
        note: args.note.clone(),
        cascade: args.cascade,
    });
    let done = desk.commit(vec![(args.name, action)], true).await?;
    print(args.act.output, &done, desk.dry_run, Some(("purged", 1)))?;
    Ok(ExitCode::SUCCESS)
}

async fn each(
    args: &NamesArgs,
    state: Option<&str>,
    action: impl Fn(RecordVersion) -> Action,
) -> Result<ExitCode> {
    let desk = Desk::open(&args.act.reach).await?;
    let records = desk.read(&unique(&args.names)).await?;
    carry_out(&desk, &args.act, &records, state, action).await
}

async fn one(name: &str, act: &Act, action: impl Fn(RecordVersion) -> Action) -> Result<ExitCode> {
    let desk = Desk::open(&act.reach).await?;
    let records = [desk.read_one(name).await?];
    carry_out(&desk, act, &records, None, action).await
}

/// Does the same to records as they were read, all or none, and prints what was done.
async fn carry_out(
    desk: &Desk,
    act: &Act,
    records: &[Record],
    state: Option<&str>,
    action: impl Fn(RecordVersion) -> Action,
) -> Result<ExitCode> {
    let writes = records
        .iter()
        .map(|record| (name_of(record), action(version(record))));
    let done = desk.commit(writes.collect(), true).await?;
    let state = state.map(|state| (state, records.len()));
    print(act.output, &done, desk.dry_run, state)?;
    Ok(ExitCode::SUCCESS)
}

/// Names as typed, each once.
fn unique(names: &[String]) -> Vec<String> {
    let mut seen = HashSet::new();
    let names = names.iter().filter(|name| seen.insert(name.as_str()));
    names.cloned().collect()
}

fn version(record: &Record) -> RecordVersion {
    RecordVersion {
        name: name_of(record),
        etag: meta_of(record).etag,
    }
}

/// The newest etag of a record, even if it is a deleted draft: those can be erased too.
async fn etag_of_any(desk: &Desk, name: &str) -> Result<String> {
    let request = ListRevisionsRequest {
        name: name.to_owned(),
        view: View::Desk.into(),
        page_size: 1,
        page_token: String::new(),
    };
    let answer = desk.client.revisions(request).await;
    let newest = answer.map_err(Failure::from)?.revisions.pop();
    Ok(newest.map(|revision| revision.etag).unwrap_or_default())
}

/// A time that has passed is a slip more often than not, and what is published cannot be called back.
fn confirm_past(at: &Timestamp, is_sure: bool) -> Result<()> {
    let what = format!("{} has passed, so this publishes at once", when::shown(at));
    if is_sure {
        say(what);
        return Ok(());
    }
    confirm(&Question {
        unasked: &format!("{what}; say --yes if that is meant"),
        warning: &format!("{what}."),
        prompt: "Type publish to go on: ",
        answer: "publish",
        otherwise: "nothing was published",
    })
}

fn confirm_purge(name: &str) -> Result<()> {
    confirm(&Question {
        unasked: &format!("this erases {name} for good; say --yes if that is meant"),
        warning: &format!(
            "This erases the content of {name} from every revision, for good; nothing brings it back."
        ),
        prompt: "Type its name to go on: ",
        answer: name,
        otherwise: "that is not its name; nothing was changed",
    })
}
