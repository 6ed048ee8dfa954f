//! `dateline feed` and `dateline compact`: prints the identity of a feed, forks it, or drops its history.

use std::process::ExitCode;

use anyhow::Result;
use dateline_client::{Client, Failure};
use dateline_proto::v1::{
    CompactFeedRequest, CompactFeedResponse, Digest, ForkFeedRequest, GetFeedRequest,
    GetFeedResponse, View, compact_feed_request::Before,
};
use dateline_record::name::kind_label;
use serde::Serialize;

use super::{
    Server,
    confirm::{Confirmation, confirm},
    output::{self, OutputFormat, print_message},
    table::Table,
    time_arg,
};

/// `dateline feed`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    act: Option<FeedCommand>,
    /// Output format
    #[arg(
        short,
        long,
        value_enum,
        default_value = "table",
        value_name = "FORMAT"
    )]
    output: OutputFormat,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, clap::Subcommand)]
enum FeedCommand {
    /// Make a copied database a feed of its own; cursors of the original are then rejected
    Fork {
        /// Do not ask for confirmation
        #[arg(long)]
        yes: bool,
    },
}

/// `dateline compact`
#[derive(Debug, clap::Args)]
pub(super) struct CompactArgs {
    /// Start of the remaining history: a sequence of the desk feed, a time such as 2026-01-01T00:00:00Z, or an age,
    /// -90d
    #[arg(long, value_name = "SEQUENCE|TIME", value_parser = before, allow_hyphen_values = true)]
    before: Before,
    /// Only report what would be dropped
    #[arg(long)]
    dry_run: bool,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    server: Server,
}

fn before(text: &str) -> Result<Before, String> {
    match text.parse() {
        Ok(sequence) => Ok(Before::DeskSequence(sequence)),
        Err(_) => time_arg::parse_past(text).map(Before::Time),
    }
}

/// One view of a feed, as printed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FeedReport {
    feed: String,
    epoch: u64,
    view: &'static str,
    head_sequence: i64,
    earliest_sequence: i64,
    /// `None` for a token that is restricted by a scope.
    #[serde(skip_serializing_if = "Option::is_none")]
    records: Option<i64>,
    digest: String,
    kinds: Vec<KindCounts>,
}

#[derive(Serialize)]
struct KindCounts {
    #[serde(rename = "kind")]
    name: &'static str,
    records: i64,
    digest: String,
}

impl FeedReport {
    fn new(view: &'static str, feed: GetFeedResponse) -> Self {
        let has_digest = feed.digest.is_some();
        let Digest {
            records,
            digest,
            kinds,
        } = feed.digest.unwrap_or_default();
        let kinds = kinds.into_iter().map(|of| KindCounts {
            name: kind_label(of.kind()),
            records: of.records,
            digest: hex::encode(of.digest),
        });
        Self {
            feed: feed.feed,
            epoch: feed.epoch,
            view,
            head_sequence: feed.head_sequence,
            earliest_sequence: feed.earliest_sequence,
            records: has_digest.then_some(records),
            digest: hex::encode(digest),
            kinds: kinds.collect(),
        }
    }
}

/// Reads the feed of a view.
pub(super) async fn get(client: &Client, view: View) -> Result<GetFeedResponse> {
    let request = GetFeedRequest { view: view.into() };
    let answer = client.clone().feed.get_feed(request).await;
    Ok(answer.map_err(Failure::from)?.into_inner())
}

/// Prints the feed, or forks it.
pub(super) async fn run(args: Args) -> Result<ExitCode> {
    if let Some(FeedCommand::Fork { yes }) = args.act {
        return fork(&args.server, yes).await;
    }
    let client = args.server.connect().await?;
    let mut views = Vec::new();
    for (view, word) in [(View::Published, "published"), (View::Desk, "desk")] {
        match get(&client, view).await {
            Ok(feed) => views.push(FeedReport::new(word, feed)),
            // A caller without access to the desk feed still gets the wire feed.
            Err(error) if !views.is_empty() && is_denied(&error) => {
                print_message("the desk's view is not for this token");
            }
            Err(error) => return Err(error),
        }
    }
    if args.output == OutputFormat::Table {
        print(&views)?;
    } else {
        output::documents(args.output, &views, false)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn is_denied(error: &anyhow::Error) -> bool {
    let failure = error.downcast_ref::<Failure>();
    failure.is_some_and(|failure| failure.code == tonic::Code::PermissionDenied)
}

fn print(views: &[FeedReport]) -> Result<()> {
    use std::io::Write;
    let mut table = Table::new(&["VIEW", "HEAD", "EARLIEST", "KIND", "RECORDS", "DIGEST"]);
    for view in views {
        let (head, earliest) = (view.head_sequence, view.earliest_sequence);
        let start = [view.view.to_owned(), head.to_string(), earliest.to_string()];
        let all = [
            "all".to_owned(),
            view.records
                .map(|count| count.to_string())
                .unwrap_or_default(),
            short(&view.digest),
        ];
        table.add_row(start.into_iter().chain(all));
        for of in &view.kinds {
            let kind = [
                of.name.to_owned(),
                of.records.to_string(),
                short(&of.digest),
            ];
            table.add_row([const { String::new() }; 3].into_iter().chain(kind));
        }
    }
    let mut out = anstream::stdout().lock();
    if let Some(view) = views.first() {
        writeln!(out, "feed {}, epoch {}", view.feed, view.epoch)?;
    }
    writeln!(out, "{table}")?;
    Ok(())
}

fn short(digest: &str) -> String {
    digest.chars().take(16).collect()
}

async fn fork(server: &Server, yes: bool) -> Result<ExitCode> {
    let mut client = server.connect().await?;
    let feed = get(&client, View::Published).await?.feed;
    if !yes {
        let what = format!(
            "This makes feed {feed} another one: every consumer has to begin anew, and open streams end."
        );
        confirm_word(&what, "fork")?;
    }
    let answer = client
        .admin
        .fork_feed(ForkFeedRequest { feed: feed.clone() })
        .await;
    let forked = answer.map_err(Failure::from)?.into_inner().feed;
    print_message(format_args!("feed {feed} is feed {forked} now"));
    Ok(ExitCode::SUCCESS)
}

/// Drops history.
pub(super) async fn compact(args: CompactArgs) -> Result<ExitCode> {
    let mut client = args.server.connect().await?;
    let mut call = async |validate_only| -> Result<CompactFeedResponse> {
        let request = CompactFeedRequest {
            before: Some(args.before),
            validate_only,
        };
        let answer = client.admin.compact_feed(request).await;
        Ok(answer.map_err(Failure::from)?.into_inner())
    };
    let counted = call(true).await?;
    let report = |what: &str, counted: &CompactFeedResponse| {
        let CompactFeedResponse {
            revisions,
            earliest_desk_sequence: desk,
            earliest_wire_sequence: wire,
        } = counted;
        print_message(format_args!(
            "{what} {revisions} superseded revisions; history begins at {desk} for the desk and {wire} for readers"
        ));
    };
    if args.dry_run {
        report("would drop", &counted);
        return Ok(ExitCode::SUCCESS);
    }
    if !args.yes {
        let what = format!(
            "This drops {} superseded revisions for good; consumers that stand before {} (readers) have to begin anew.",
            counted.revisions, counted.earliest_wire_sequence
        );
        confirm_word(&what, "compact")?;
    }
    report("dropped", &call(false).await?);
    Ok(ExitCode::SUCCESS)
}

fn confirm_word(what: &str, word: &str) -> Result<()> {
    confirm(&Confirmation {
        unasked: &format!("{what} Say --yes if that is meant."),
        warning: what,
        prompt: &format!("Type {word} to go on: "),
        answer: word,
        otherwise: "nothing was changed",
    })
}
