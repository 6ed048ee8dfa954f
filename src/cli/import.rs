//! `dateline import`: a file of records becomes drafts, in batches; with `--publish`, published ones. Run
//! twice, it finds what is there already and does the rest.

use std::{
    collections::{HashMap, HashSet},
    io::{BufRead, BufReader, Read},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use sha2::{Digest, Sha256};

use super::{
    Server, json,
    output::say,
    send::{Outgoing, Report, Sender},
};
use crate::{
    client::Client,
    proto::v1::{Bundle, Record, record::Kind as Body},
};

/// Records that wait for a commit.
const BATCH_RECORDS: usize = 1000;
/// Encoded bytes that wait for a commit: below what the server takes, with room for the envelope.
const BATCH_BYTES: usize = 3 * 1024 * 1024;

/// `dateline import`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A Bundle as JSON, or NDJSON with a Record per line; - reads stdin
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
    /// Publish everything once it is in
    #[arg(long)]
    publish: bool,
    /// The text of an article as received; it goes to the article with its SHA-256, or else to the only
    /// article of a Bundle
    #[arg(long, value_name = "FILE")]
    original: Vec<PathBuf>,
    #[command(flatten)]
    server: Server,
}

/// Sends a file.
pub(super) async fn run(args: Args) -> Result<ExitCode> {
    let mut originals = Originals::read(&args.original)?;
    let input = Input::open(&args.file)?;
    let bar = progress_bar(input.bytes);
    let client = Client::connect(&args.server.server).await?;
    let report = import(client, input, &mut originals, args.publish, &bar).await;
    bar.finish_and_clear();
    let report = report?;
    say(&report);
    for unused in originals.unused() {
        say(format_args!(
            "no article in the file has the SHA-256 of {unused}; it was not sent"
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn progress_bar(bytes: Option<u64>) -> ProgressBar {
    let style = match bytes {
        Some(_) => "{spinner} {bytes}/{total_bytes} {wide_bar} {msg} {eta}",
        None => "{spinner} {bytes} {msg} {elapsed}",
    };
    let bar = bytes.map_or_else(ProgressBar::no_length, ProgressBar::new);
    // A style that does not parse leaves the default one.
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar
}

async fn import(
    client: Client,
    mut input: Input,
    originals: &mut Originals,
    publish: bool,
    bar: &ProgressBar,
) -> Result<Report> {
    let mut sender = Sender::new(client);
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while let Some(outgoing) = input.next(originals)? {
        let size = outgoing.encoded_len();
        if batch.len() == BATCH_RECORDS || !batch.is_empty() && bytes + size > BATCH_BYTES {
            sender.create(std::mem::take(&mut batch)).await?;
            bytes = 0;
        }
        bytes += size;
        batch.push(outgoing);
        bar.set_position(input.read);
        bar.set_message(format!("{} records", sender.report.sent()));
    }
    sender.create(batch).await?;
    if publish {
        bar.set_message("publishing");
        sender.publish().await?;
    }
    Ok(sender.report)
}

/// Originals of articles, by the SHA-256 that the service computes too.
#[derive(Debug, Default)]
struct Originals {
    by_hash: HashMap<String, (String, Vec<u8>)>,
    /// Hashes of those that an article was found for.
    used: HashSet<String>,
}

impl Originals {
    fn read(files: &[PathBuf]) -> Result<Self> {
        let mut by_hash = HashMap::new();
        for file in files {
            let text =
                std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            let hash = hex::encode(Sha256::digest(&text));
            by_hash.insert(hash, (file.display().to_string(), text));
        }
        Ok(Self {
            by_hash,
            used: HashSet::new(),
        })
    }

    /// The original of a record, empty if there is none. The only article takes the only original.
    fn of(&mut self, record: &Record, is_only_article: bool) -> Vec<u8> {
        let Some(Body::Article(article)) = &record.kind else {
            return Vec::new();
        };
        let takes_any =
            is_only_article && article.original_sha256.is_empty() && self.by_hash.len() == 1;
        let found = self
            .by_hash
            .iter()
            .find(|(hash, _)| takes_any || **hash == article.original_sha256);
        let Some((hash, (_, text))) = found else {
            return Vec::new();
        };
        self.used.insert(hash.clone());
        text.clone()
    }

    fn unused(&self) -> impl Iterator<Item = &str> {
        self.by_hash
            .iter()
            .filter(|(hash, _)| !self.used.contains(*hash))
            .map(|(_, (file, _))| file.as_str())
    }
}

/// Records one after the other, whatever the file's form.
struct Input {
    form: Form,
    /// Length of the file, if it is one.
    bytes: Option<u64>,
    /// Bytes read so far.
    read: u64,
}

enum Form {
    Bundle {
        records: std::vec::IntoIter<Record>,
        has_one_article: bool,
    },
    Lines {
        first: Option<String>,
        rest: Box<dyn BufRead + Send>,
        /// For messages; empty for stdin.
        file: String,
        line: u64,
    },
}

impl Input {
    fn open(file: &std::path::Path) -> Result<Self> {
        let context = || format!("cannot read {}", file.display());
        let (reader, bytes): (Box<dyn Read + Send>, _) = if file.as_os_str() == "-" {
            (Box::new(std::io::stdin()), None)
        } else {
            let opened = std::fs::File::open(file).with_context(context)?;
            let bytes = opened
                .metadata()
                .ok()
                .filter(std::fs::Metadata::is_file)
                .map(|metadata| metadata.len());
            (Box::new(opened), bytes)
        };
        let mut reader = BufReader::new(reader);
        let (mut first, mut read, mut line) = (String::new(), 0, 0);
        while is_empty(&first) {
            first.clear();
            match reader.read_line(&mut first).with_context(context)? {
                0 => break,
                length => (read, line) = (read + length as u64, line + 1),
            }
        }
        if is_empty(&first) || is_record_line(&first) {
            let form = Form::Lines {
                first: Some(first),
                rest: Box::new(reader),
                file: if file.as_os_str() == "-" {
                    String::new()
                } else {
                    format!("{}: ", file.display())
                },
                // The first line is counted once more when it is taken.
                line: u64::max(line, 1) - 1,
            };
            return Ok(Self { form, bytes, read });
        }
        let mut text = first;
        read += reader.read_to_string(&mut text).with_context(context)? as u64;
        let bundle: Bundle =
            json::read(text.trim_start_matches('\u{feff}')).with_context(|| {
                format!(
                    "{} is neither a Bundle nor NDJSON of records",
                    file.display()
                )
            })?;
        let has_one_article = bundle.articles.len() == 1;
        let records = Vec::<Record>::from(bundle).into_iter();
        Ok(Self {
            form: Form::Bundle {
                records,
                has_one_article,
            },
            bytes,
            read,
        })
    }

    fn next(&mut self, originals: &mut Originals) -> Result<Option<Outgoing>> {
        let (record, place, is_only_article) = match &mut self.form {
            Form::Bundle {
                records,
                has_one_article,
            } => match records.next() {
                Some(record) => (record, String::new(), *has_one_article),
                None => return Ok(None),
            },
            Form::Lines {
                first,
                rest,
                file,
                line,
            } => loop {
                let place = format!("line {}", *line + 1);
                let mut text = first.take().unwrap_or_default();
                if text.is_empty() {
                    let read = rest.read_line(&mut text);
                    if read.with_context(|| format!("{file}{place}"))? == 0 {
                        return Ok(None);
                    }
                    self.read += text.len() as u64;
                }
                *line += 1;
                if is_empty(&text) {
                    continue;
                }
                match json::read::<Record>(without_mark(&text)) {
                    Ok(record) => break (record, place, false),
                    Err(error) => bail!("{file}{place}{}", json::in_line(&error)),
                }
            },
        };
        let original = originals.of(&record, is_only_article);
        Ok(Some(Outgoing {
            record,
            original,
            place,
        }))
    }
}

/// A line without the mark that some editors begin a file with.
fn without_mark(line: &str) -> &str {
    line.trim_start_matches('\u{feff}')
}

fn is_empty(line: &str) -> bool {
    without_mark(line).trim().is_empty()
}

/// A line that is a whole JSON object with the key of a kind is a record; a bundle's first line is not.
fn is_record_line(line: &str) -> bool {
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(without_mark(line))
        .is_ok_and(|object| {
            ["article", "actor", "relation", "event"]
                .iter()
                .any(|kind| object.contains_key(*kind))
        })
}
