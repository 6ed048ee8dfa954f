//! The schema for people who type records: `dateline explain`, `dateline template` and `dateline schema`. All of it is
//! read from the descriptors, so a new field appears by itself.

mod explain;
mod field;
mod json_schema;
mod template;

use std::{io::Write, process::ExitCode};

use anyhow::Result;

use crate::filter::KindArg;

/// `dateline explain`
#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    /// A kind of record, and fields inside it: event, event.participants, event.participants.role
    #[arg(value_name = "PATH")]
    path: String,
}

/// `dateline template`
#[derive(Debug, clap::Args)]
pub(crate) struct TemplateArgs {
    /// Kind of the record
    #[arg(value_enum, value_name = "KIND")]
    kind: KindArg,
}

/// Prints what a field means, what it may hold, and the fields inside it.
pub(crate) fn explain(args: &ExplainArgs) -> Result<ExitCode> {
    print(&explain::text(&args.path)?)
}

/// Prints a record to fill in.
pub(crate) fn template(args: &TemplateArgs) -> Result<ExitCode> {
    print(&template::text(args.kind.into())?)
}

/// Prints the JSON Schema of a record in a file.
pub(crate) fn schema() -> Result<ExitCode> {
    let schema = serde_json::to_string_pretty(&json_schema::document()?)?;
    print(&format!("{schema}\n"))
}

fn print(text: &str) -> Result<ExitCode> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
