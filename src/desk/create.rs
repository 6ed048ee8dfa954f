//! `dateline create`: creates a draft from a record in YAML or JSON, or from the plain text of an article.

use std::{
    io::IsTerminal as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use dateline_formats::import::article_text;
use dateline_proto::v1::{
    Kind, Record,
    record::Kind as Body,
    write::{self, Action},
};

use super::{EditorialClient, WriteArgs, document, name_of};
use crate::{
    FAILED,
    confirm::prompt_line,
    filter::KindArg,
    matching,
    output::{self, OutputFormat, print_message, warn},
};

/// Maximum size of a record's text: many times the server's limit.
pub(super) const MAX_TEXT_BYTES: u64 = 16 * 1024 * 1024;

/// `dateline create`
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Args {
    /// A record as YAML or JSON, such as {"actor": {...}}; - reads stdin
    #[arg(required = true, value_name = "FILE|-")]
    file: Option<PathBuf>,
    /// Kind of the record, if the file holds only its fields
    #[arg(long, value_enum, value_name = "KIND")]
    kind: Option<KindArg>,
    /// Create an actor without asking, even if it looks like one that has a record
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
    /// Output format of the draft
    #[arg(short, long, value_enum, default_value = "yaml", value_name = "FORMAT")]
    output: OutputFormat,
    #[command(flatten)]
    write_args: WriteArgs,
}

/// Creates a draft and prints it as stored.
pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    match (args.from, args.file) {
        (Some(CreateSource::Article(args)), _) => {
            let original = read_bytes(&args.file)?;
            let record = article(&args, &original)?;
            create(record, original, &args.output, true).await
        }
        (None, Some(file)) => {
            let record = read_record(&file, args.kind.map(Kind::from))?;
            create(record, Vec::new(), &args.output, args.yes).await
        }
        (None, None) => bail!("there is no file to read"),
    }
}

async fn create(
    record: Record,
    original: Vec<u8>,
    output_args: &OutputArgs,
    yes: bool,
) -> Result<ExitCode> {
    let desk = EditorialClient::open(&output_args.write_args).await?;
    // Somebody who can answer is asked; everybody else gets the warning of the write.
    if !yes && !desk.dry_run && std::io::stdin().is_terminal() && !is_wanted(&desk, &record).await?
    {
        print_message("nothing was created");
        return Ok(FAILED.into());
    }
    let name = name_of(&record);
    let action = Action::Create(write::Create {
        record: Some(record),
        original,
    });
    let records = desk.commit(vec![(name, action)], false).await?;
    output::records(output_args.output, &records, true)?;
    if desk.dry_run {
        print_message("dry run: nothing was created");
    }
    Ok(ExitCode::SUCCESS)
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
    print_message(format_args!("these records look like it:\n{table}"));
    let answer = prompt_line("Create another one? [y/N] ")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn read_record(file: &Path, kind: Option<Kind>) -> Result<Record> {
    let text = String::from_utf8(read_bytes(file)?)
        .with_context(|| format!("{} is not UTF-8", display_path(file)))?;
    document::read(&text, kind).with_context(|| display_path(file))
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
