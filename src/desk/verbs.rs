//! Commands that move records from one state to another. All follow one scheme: read the etags, build one write per
//! record, commit, print the outcome.

use std::{collections::HashSet, process::ExitCode};

use anyhow::Result;
use dateline_client::Failure;
use dateline_proto::v1::{
    ListRevisionsRequest, Record, RecordVersion, View,
    write::{self, Action},
};
use prost_types::Timestamp;

use super::{EditorialClient, TransitionArgs, meta_of, name_of, print, reference_closure};
use crate::{
    confirm::{Confirmation, confirm},
    output::print_message,
    time_arg,
};

/// `dateline submit` and `dateline delete`
#[derive(Debug, clap::Args)]
pub(crate) struct NamesArgs {
    /// Names of records, such as actors/nato; all or none are changed
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    transition: TransitionArgs,
}

/// `dateline send-back`
#[derive(Debug, clap::Args)]
pub(crate) struct SendBackArgs {
    /// Note to the authors, such as what is missing
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
    /// Embargo until this time: 2026-08-01T06:00:00Z, or a time from now: +30m, +2h, +3d
    #[arg(long, value_parser = time_arg::parse, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Do not ask for confirmation if the time of --at has passed: the records are then published at once
    #[arg(long)]
    yes: bool,
    /// Also publish every draft and record in review that they refer to, directly or indirectly
    #[arg(long)]
    with_references: bool,
    #[command(flatten)]
    names: NamesArgs,
}

/// `dateline retract`
#[derive(Debug, clap::Args)]
pub(crate) struct RetractArgs {
    /// Note to readers: what was wrong
    #[arg(long, value_name = "TEXT")]
    note: String,
    /// Also retract, with the same note, records that no other article supports
    #[arg(long)]
    cascade: bool,
    #[command(flatten)]
    names: NamesArgs,
}

/// `dateline merge`
#[derive(Debug, clap::Args)]
pub(crate) struct MergeArgs {
    /// Name of the duplicate
    #[arg(value_name = "NAME")]
    name: String,
    /// Name of the record that replaces it
    #[arg(long, value_name = "NAME")]
    into: String,
    /// Note to readers: why they are the same
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "TEXT"
    )]
    note: String,
    #[command(flatten)]
    transition: TransitionArgs,
}

/// `dateline unmerge`
#[derive(Debug, clap::Args)]
pub(crate) struct UnmergeArgs {
    /// Name of the record that was merged into another one
    #[arg(value_name = "NAME")]
    name: String,
    /// Note to readers: why they are not the same
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "TEXT"
    )]
    note: String,
    #[command(flatten)]
    transition: TransitionArgs,
}

/// `dateline restore`
#[derive(Debug, clap::Args)]
pub(crate) struct RestoreArgs {
    /// Name of the record
    #[arg(value_name = "NAME")]
    name: String,
    /// Revision to restore; `dateline history` lists them
    #[arg(value_name = "REVISION")]
    revision: i64,
    /// Note to readers; required if the record is published
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "TEXT"
    )]
    note: String,
    #[command(flatten)]
    transition: TransitionArgs,
}

/// `dateline purge`
#[derive(Debug, clap::Args)]
pub(crate) struct PurgeArgs {
    /// Name of the record
    #[arg(value_name = "NAME")]
    name: String,
    /// Legal ground, without repeating the erased content; it is stored
    #[arg(long, value_name = "TEXT")]
    note: String,
    /// Also retract records that no other article supports
    #[arg(long)]
    cascade: bool,
    /// Do not ask to type the name
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    transition: TransitionArgs,
}

/// Submits drafts for review.
pub(crate) async fn submit(args: NamesArgs) -> Result<ExitCode> {
    let action = |record| {
        Action::Submit(write::Submit {
            record: Some(record),
        })
    };
    each(&args, None, action).await
}

/// Returns records to draft.
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

/// Publishes records, now or at a given time.
pub(crate) async fn publish(args: PublishArgs) -> Result<ExitCode> {
    if let Some(at) = args.at.filter(time_arg::is_past) {
        confirm_past(&at, args.yes || args.names.transition.write_args.dry_run)?;
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
    let desk = EditorialClient::open(&args.names.transition.write_args).await?;
    let records = reference_closure::with_references(&desk, &unique(&args.names.names)).await?;
    carry_out(&desk, &args.names.transition, &records, None, action).await
}

/// Adds the advice to publish the missing references too.
fn advise_references(error: anyhow::Error) -> Result<ExitCode> {
    let failure = error.downcast_ref::<Failure>();
    if failure.is_none_or(|failure| failure.reason != "UNRESOLVED_REFERENCES") {
        return Err(error);
    }
    let code = crate::failed(&error);
    print_message(
        "to publish with them every draft and record in review that they refer to, add: --with-references",
    );
    Ok(code)
}

/// Retracts published records.
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

/// Merges a record into another one.
pub(crate) async fn merge(args: MergeArgs) -> Result<ExitCode> {
    let desk = EditorialClient::open(&args.transition.write_args).await?;
    let into = desk.read_one(&args.into).await?;
    let records = [desk.read_one(&args.name).await?];
    let action = |record| {
        Action::Merge(write::Merge {
            record: Some(record),
            into: Some(version(&into)),
            note: args.note.clone(),
        })
    };
    carry_out(&desk, &args.transition, &records, None, action).await
}

/// Undoes a merge.
pub(crate) async fn unmerge(args: UnmergeArgs) -> Result<ExitCode> {
    let action = |record| {
        let note = args.note.clone();
        Action::Unmerge(write::Unmerge {
            record: Some(record),
            note,
        })
    };
    one(&args.name, &args.transition, action).await
}

/// Restores the content of an older revision.
pub(crate) async fn restore(args: RestoreArgs) -> Result<ExitCode> {
    let action = |record| {
        Action::Restore(write::Restore {
            record: Some(record),
            revision: args.revision,
            note: args.note.clone(),
        })
    };
    one(&args.name, &args.transition, action).await
}

/// Erases a record's content irreversibly, after confirmation.
pub(crate) async fn purge(args: PurgeArgs) -> Result<ExitCode> {
    let desk = EditorialClient::open(&args.transition.write_args).await?;
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
    print(
        args.transition.output,
        &done,
        desk.dry_run,
        Some(("purged", 1)),
    )?;
    Ok(ExitCode::SUCCESS)
}

async fn each(
    args: &NamesArgs,
    state: Option<&str>,
    action: impl Fn(RecordVersion) -> Action,
) -> Result<ExitCode> {
    let desk = EditorialClient::open(&args.transition.write_args).await?;
    let records = desk.read(&unique(&args.names)).await?;
    carry_out(&desk, &args.transition, &records, state, action).await
}

async fn one(
    name: &str,
    transition: &TransitionArgs,
    action: impl Fn(RecordVersion) -> Action,
) -> Result<ExitCode> {
    let desk = EditorialClient::open(&transition.write_args).await?;
    let records = [desk.read_one(name).await?];
    carry_out(&desk, transition, &records, None, action).await
}

/// Applies an action to records as they were read, all or none, and prints the outcome.
async fn carry_out(
    desk: &EditorialClient,
    transition: &TransitionArgs,
    records: &[Record],
    state: Option<&str>,
    action: impl Fn(RecordVersion) -> Action,
) -> Result<ExitCode> {
    let writes = records
        .iter()
        .map(|record| (name_of(record), action(version(record))));
    let done = desk.commit(writes.collect(), true).await?;
    let state = state.map(|state| (state, records.len()));
    print(transition.output, &done, desk.dry_run, state)?;
    Ok(ExitCode::SUCCESS)
}

/// The names without duplicates, in their order.
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

/// The newest etag of a record, including deleted drafts: they can be purged too.
async fn etag_of_any(desk: &EditorialClient, name: &str) -> Result<String> {
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

/// Asks for confirmation: a past time is usually a mistake, and a publication cannot be undone.
fn confirm_past(at: &Timestamp, is_sure: bool) -> Result<()> {
    let what = format!(
        "{} has passed, so this publishes at once",
        time_arg::format_time(at)
    );
    if is_sure {
        print_message(what);
        return Ok(());
    }
    confirm(&Confirmation {
        unasked: &format!("{what}; say --yes if that is meant"),
        warning: &format!("{what}."),
        prompt: "Type publish to go on: ",
        answer: "publish",
        otherwise: "nothing was published",
    })
}

fn confirm_purge(name: &str) -> Result<()> {
    confirm(&Confirmation {
        unasked: &format!("this erases {name} for good; say --yes if that is meant"),
        warning: &format!(
            "This erases the content of {name} from every revision, for good; nothing brings it back."
        ),
        prompt: "Type its name to go on: ",
        answer: name,
        otherwise: "that is not its name; nothing was changed",
    })
}
