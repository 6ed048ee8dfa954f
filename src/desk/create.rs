//! `dateline create`: creates drafts from records in YAML or JSON, all or none, or one from the plain text of an
//! article; with `--publish` they are published at once.

use std::{
    io::IsTerminal as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use dateline_formats::import::article_text;
use dateline_proto::v1::{
    Kind, Record, RecordVersion,
    record::Kind as Body,
    write::{self, Action},
};
use prost_types::Timestamp;

use super::{EditorialClient, WriteArgs, document, meta_of, name_of, print, typed};
use crate::{
    FAILED,
    confirm::prompt_line,
    filter::KindArg,
    matching,
    output::{self, OutputFormat, print_message, warn},
    time_arg,
};

/// Maximum size of a record's text: many times the server's limit.
pub(super) const MAX_TEXT_BYTES: u64 = 16 * 1024 * 1024;

/// `dateline create`
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Args {
    /// Records as YAML or JSON, such as {"actor": {...}}, of YAML as many in a file as there are documents; all or none
    /// are created; - reads stdin
    #[arg(required = true, value_name = "FILE|-")]
    files: Vec<PathBuf>,
    /// Kind of the records, if the files hold only their fields
    #[arg(long, value_enum, value_name = "KIND")]
    kind: Option<KindArg>,
    /// Article of evidence that names none [default: the article among the records, if there is one]
    #[arg(long, value_name = "NAME")]
    article: Option<String>,
    /// Create actors without asking, even if they look like some that have records
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(subcommand)]
    from: Option<CreateSource>,
}

#[derive(Debug, clap::Subcommand)]
enum CreateSource {
    /// Create an article from its plain text: headline first, then the body
    #[command(after_help = "Example:
  dateline create article story.txt --language en --source-url https://example.org/story")]
    Article(ArticleArgs),
}

#[derive(Debug, clap::Args)]
struct ArticleArgs {
    /// Text as received; - reads stdin
    #[arg(value_name = "FILE.txt|-")]
    file: PathBuf,
    /// Name of the article [default: derived from the headline]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Language of the text, such as en [default: und, undetermined]
    #[arg(long, value_name = "TAG")]
    language: Option<String>,
    /// Encoding of the file, such as windows-1252 or utf-16le [default: by the byte order mark, otherwise UTF-8]
    #[arg(long, value_name = "NAME")]
    encoding: Option<String>,
    /// URL where it was published
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "URL"
    )]
    source_url: String,
    /// Publisher, such as actors/kazinform
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "NAME"
    )]
    publisher: String,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, clap::Args)]
struct OutputArgs {
    /// Publish what was created, all or nothing
    #[arg(long)]
    publish: bool,
    /// Publish under an embargo until this time: 2026-08-01T06:00:00Z, or a time from now: +30m, +2h, +3d
    #[arg(long, requires = "publish", value_parser = time_arg::parse, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Output format of the records [default: yaml of a draft, otherwise a table with a line per record]
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    output: Option<OutputFormat>,
    #[command(flatten)]
    write_args: WriteArgs,
}

/// Creates drafts and prints them as stored.
pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    match args.from {
        Some(CreateSource::Article(args)) => {
            let original = read_bytes(&args.file)?;
            let record = article(&args, &original)?;
            create(vec![(record, original)], &args.output, true).await
        }
        None => {
            let mut records = read_records(&args.files, args.kind.map(Kind::from))?;
            typed::cite(&mut records, args.article.as_deref());
            let records = records.into_iter().map(|record| (record, Vec::new()));
            create(records.collect(), &args.output, args.yes).await
        }
    }
}

/// Creates drafts, each with the original text of an article.
async fn create(
    drafts: Vec<(Record, Vec<u8>)>,
    output_args: &OutputArgs,
    yes: bool,
) -> Result<ExitCode> {
    let desk = EditorialClient::open(&output_args.write_args).await?;
    // Somebody who can answer is asked; everybody else gets the warning of the write.
    if !yes && !desk.dry_run && std::io::stdin().is_terminal() {
        for (record, _) in &drafts {
            if !is_wanted(&desk, record).await? {
                print_message("nothing was created");
                return Ok(FAILED.into());
            }
        }
    }
    let writes = drafts.into_iter().map(|(record, original)| {
        let name = name_of(&record);
        let create = write::Create {
            record: Some(record),
            original,
        };
        (name, Action::Create(create))
    });
    let mut records = desk.commit(writes.collect(), false).await?;
    if output_args.publish && !desk.dry_run {
        records = publish(&desk, &records, output_args.at).await?;
    }
    let is_one_draft = records.len() == 1 && !output_args.publish;
    match output_args.output {
        None if is_one_draft => output::records(OutputFormat::Yaml, &records, true)?,
        None | Some(OutputFormat::Table) => {
            print(OutputFormat::Table, &records, desk.dry_run, None)?;
        }
        Some(format) => output::records(format, &records, true)?,
    }
    if desk.dry_run {
        print_message("dry run: nothing was created");
    }
    Ok(ExitCode::SUCCESS)
}

/// Publishes drafts that were just created.
async fn publish(
    desk: &EditorialClient,
    drafts: &[Record],
    at: Option<Timestamp>,
) -> Result<Vec<Record>> {
    let writes = drafts.iter().map(|draft| {
        let publish = write::Publish {
            record: Some(RecordVersion {
                name: name_of(draft),
                etag: meta_of(draft).etag,
            }),
            embargo_time: at,
        };
        (name_of(draft), Action::Publish(publish))
    });
    let published = desk.commit(writes.collect(), false).await;
    published.inspect_err(|_| {
        let names: Vec<_> = drafts.iter().map(name_of).collect();
        print_message(format_args!(
            "the drafts were created and not published; once they are as they should be: dateline publish {}",
            names.join(" ")
        ));
    })
}

/// Reads the records of all files.
fn read_records(files: &[PathBuf], kind: Option<Kind>) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    for file in files {
        let text = String::from_utf8(read_bytes(file)?)
            .with_context(|| format!("{} is not UTF-8", display_path(file)))?;
        let documents = typed::documents(&text);
        let count = documents.len();
        for (line, document) in documents {
            let record = document::read_typed(&document, kind).with_context(|| match count {
                1 => display_path(file),
                _ => format!("{}, document from line {line}", display_path(file)),
            })?;
            records.push(record);
        }
    }
    Ok(records)
}

/// Asks whether a new actor is to be created although others look like it. True if there are none.
async fn is_wanted(desk: &EditorialClient, record: &Record) -> Result<bool> {
    let Some(Body::Actor(actor)) = &record.kind else {
        return Ok(true);
    };
    // A request that the server refuses is left to the write, whose error says what is wrong.
    let Ok(candidates) = matching::candidates(&desk.client, actor).await else {
        return Ok(true);
    };
    if candidates.is_empty() {
        return Ok(true);
    }
    let table = matching::candidate_table(&candidates);
    let name = &actor.name;
    print_message(format_args!("these records look like {name}:\n{table}"));
    let answer = prompt_line("Create another one? [y/N] ")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn article(args: &ArticleArgs, original: &[u8]) -> Result<Record> {
    let text = article_text::decode(original, args.encoding.as_deref())
        .with_context(|| display_path(&args.file))?;
    let mut article = article_text::read_text(&text, args.language.as_deref())
        .with_context(|| display_path(&args.file))?;
    for warning in article_text::warnings(&text) {
        warn(warning);
    }
    if let Some(name) = &args.name {
        article.name = name.clone();
    }
    if article.name.is_empty() {
        bail!("the headline suggests no name; give one with --name, such as articles/some-story");
    }
    article.source_url = args.source_url.clone();
    article.publisher = args.publisher.clone();
    Ok(Record {
        kind: Some(Body::Article(article)),
    })
}

fn read_bytes(file: &Path) -> Result<Vec<u8>> {
    let read = || {
        if file.as_os_str() == "-" {
            dateline_files::read_up_to(std::io::stdin().lock(), MAX_TEXT_BYTES)
        } else {
            dateline_files::read(file, MAX_TEXT_BYTES)
        }
    };
    read().with_context(|| format!("cannot read {}", display_path(file)))
}

fn display_path(file: &Path) -> String {
    if file.as_os_str() == "-" {
        "stdin".to_owned()
    } else {
        file.display().to_string()
    }
}
