//! `dateline match`, `duplicates` and `suggest`: the records of actors that somebody writes about. Nothing is changed.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use dateline_client::{Client, Failure};
use dateline_formats::json;
use dateline_proto::v1::{
    Actor, ActorExample, ActorMatches, ExternalId, FindDuplicatesRequest, MatchActorsRequest,
    MatchCandidate, MatchReason, Name, State, SuggestMentionsRequest, SuggestMentionsResponse,
    View, actor, match_reason, name,
};
use dateline_serve::{connection::Server, exit::NOT_FOUND};
use serde_json::{Value, json};

use super::{
    filter::ViewArg,
    output::{self, OutputFormat, print_message, printable, state_word},
    table::Table,
};

/// Examples of a call.
const EXAMPLES_PER_CALL: usize = 20;
/// Names and identifiers of an example.
const EXAMPLE_NAMES: usize = 20;
const EXAMPLE_IDS: usize = 16;
/// Largest text that is read.
const MAX_TEXT_BYTES: u64 = 4 * 1024 * 1024;

/// Flags of all three commands.
#[derive(Debug, clap::Args)]
struct ViewArgs {
    /// Published records only, or the desk's: every record in every state
    #[arg(long, value_enum, default_value_t)]
    view: ViewArg,
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

/// `dateline match`
#[derive(Debug, clap::Args)]
pub(super) struct MatchArgs {
    /// Names to look for, each of another actor
    #[arg(value_name = "NAME", required_unless_present = "file")]
    names: Vec<String>,
    /// File with a name in each line; - reads stdin
    #[arg(short, long, value_name = "FILE|-")]
    file: Option<PathBuf>,
    /// Type of the actors, such as person or media
    #[arg(long = "type", value_name = "TYPE", value_parser = parse_type)]
    actor_type: Option<actor::Type>,
    /// Region of the actors as an ISO 3166-1 code, such as KZ
    #[arg(
        long,
        value_name = "CODE",
        default_value = "",
        hide_default_value = true
    )]
    region: String,
    /// Identifier of the actor in an external list, such as wikidata=Q7184; repeatable
    #[arg(long = "id", value_name = "SCHEME=VALUE", value_parser = parse_id)]
    ids: Vec<ExternalId>,
    /// Least score, from 0 to 1 [default: 0.75]
    #[arg(long, value_name = "SCORE")]
    min_score: Option<f64>,
    /// Most records for each name [default: 5]
    #[arg(long, value_name = "N")]
    limit: Option<i32>,
    /// Print the reasons of each score
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    common: ViewArgs,
}

/// `dateline duplicates`
#[derive(Debug, clap::Args)]
pub(super) struct DuplicatesArgs {
    /// Type of the newer record, such as person; repeatable
    #[arg(long = "type", value_name = "TYPE", value_parser = parse_type)]
    types: Vec<actor::Type>,
    /// Least score, from 0 to 1 [default: 0.75]
    #[arg(long, value_name = "SCORE")]
    min_score: Option<f64>,
    /// Stop after this many pairs
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Print the reasons of each score
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    common: ViewArgs,
}

/// `dateline suggest`
#[derive(Debug, clap::Args)]
pub(super) struct SuggestArgs {
    /// Text in UTF-8; - reads stdin
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
    #[command(flatten)]
    common: ViewArgs,
}

fn parse_type(word: &str) -> Result<actor::Type, String> {
    let name = format!("TYPE_{}", word.replace('-', "_").to_ascii_uppercase());
    let known = actor::Type::from_str_name(&name).filter(|it| *it != actor::Type::Unspecified);
    known.ok_or_else(|| {
        let all = (1..).map_while(|number| actor::Type::try_from(number).ok());
        let words: Vec<_> = all.map(type_label).collect();
        format!("is no type of an actor; there are: {}", words.join(", "))
    })
}

fn type_label(of: actor::Type) -> String {
    let name = of.as_str_name();
    name.trim_start_matches("TYPE_").to_ascii_lowercase()
}

fn parse_id(text: &str) -> Result<ExternalId, String> {
    let (scheme, value) = text
        .split_once('=')
        .ok_or("is not SCHEME=VALUE, such as wikidata=Q7184")?;
    Ok(ExternalId {
        scheme: scheme.to_owned(),
        value: value.to_owned(),
    })
}

/// Prints the records that may be the actors of these names.
pub(super) async fn match_names(args: MatchArgs) -> Result<ExitCode> {
    let mut names = args.names.clone();
    if let Some(file) = &args.file {
        let text = read_text(file)?;
        let lines = text.lines().map(str::trim);
        names.extend(lines.filter(|line| !line.is_empty()).map(str::to_owned));
    }
    if !args.ids.is_empty() && names.len() > 1 {
        bail!("--id is of one actor; give one name with it");
    }
    let mut client = args.common.server.connect().await?;
    let mut found = Vec::with_capacity(names.len());
    for names in names.chunks(EXAMPLES_PER_CALL) {
        let request = MatchActorsRequest {
            examples: names.iter().map(|name| example(name, &args)).collect(),
            view: View::from(args.common.view).into(),
            min_score: args.min_score,
            max_candidates: args.limit.unwrap_or_default(),
            ..MatchActorsRequest::default()
        };
        let answer = client.matching.match_actors(request).await;
        let matches = answer.map_err(Failure::from)?.into_inner().matches;
        found.extend(names.iter().cloned().zip(matches));
    }
    let is_found = found.iter().any(|(_, it)| !it.candidates.is_empty());
    match args.common.output {
        OutputFormat::Table => print_matches(&found, args.explain)?,
        format => {
            let documents = found
                .iter()
                .map(|(name, matches)| with(matches, "example", name));
            let documents = documents.collect::<Result<Vec<_>>>()?;
            output::documents(format, &documents, false)?;
        }
    }
    Ok(exit_code(is_found))
}

/// The records of the desk that may be this actor; names beyond the first of an example's are left out.
pub(super) async fn candidates(client: &Client, actor: &Actor) -> Result<Vec<MatchCandidate>> {
    let example = ActorExample {
        names: actor.names.iter().take(EXAMPLE_NAMES).cloned().collect(),
        r#type: actor.r#type,
        region_code: actor.region_code.clone(),
        active: actor.active.clone(),
        external_ids: actor
            .external_ids
            .iter()
            .take(EXAMPLE_IDS)
            .cloned()
            .collect(),
    };
    let request = MatchActorsRequest {
        examples: vec![example],
        view: View::Desk.into(),
        ..MatchActorsRequest::default()
    };
    let answer = client.matching.clone().match_actors(request).await;
    let mut matches = answer.map_err(Failure::from)?.into_inner().matches;
    let candidates = matches.pop().unwrap_or_default().candidates.into_iter();
    Ok(candidates.filter(|it| it.record != actor.name).collect())
}

fn example(text: &str, args: &MatchArgs) -> ActorExample {
    ActorExample {
        names: vec![Name {
            text: text.to_owned(),
            language_code: "und".to_owned(),
            r#type: name::Type::Full.into(),
        }],
        r#type: args.actor_type.unwrap_or_default().into(),
        region_code: args.region.to_ascii_uppercase(),
        external_ids: args.ids.clone(),
        active: None,
    }
}

/// A message as JSON, with one more member.
fn with(message: &impl prost_reflect::ReflectMessage, key: &str, text: &str) -> Result<Value> {
    let mut document = json!({ key: text });
    if let (Value::Object(all), Value::Object(more)) = (&mut document, json::value(message)?) {
        all.extend(more);
    }
    Ok(document)
}

fn print_matches(found: &[(String, ActorMatches)], explain: bool) -> Result<()> {
    let mut out = anstream::stdout().lock();
    for (index, (name, matches)) in found.iter().enumerate() {
        if matches.candidates.is_empty() {
            print_message(format_args!("there is no record like {}", printable(name)));
            continue;
        }
        if found.len() > 1 {
            let gap = if index > 0 { "\n" } else { "" };
            let bold = anstyle::Style::new().bold();
            writeln!(out, "{gap}{bold}{}{bold:#}", printable(name))?;
        }
        writeln!(out, "{}", candidate_table(&matches.candidates))?;
        if explain {
            for candidate in &matches.candidates {
                write!(out, "\n{}", explanation(candidate))?;
            }
        }
        if matches.truncated {
            print_message(
                "more than 500 records are a little like it; the likeliest were compared",
            );
        }
    }
    out.flush()?;
    Ok(())
}

/// A row for each candidate.
pub(super) fn candidate_table(candidates: &[MatchCandidate]) -> Table {
    let mut table = Table::new(&["SCORE", "RECORD", "TYPE", "REGION", "STATE", "NAME"]);
    for candidate in candidates {
        table.add_row([
            format!("{:.2}", candidate.score),
            candidate.record.clone(),
            type_label(candidate.r#type()),
            candidate.region_code.clone(),
            state_word(candidate.state()),
            printable(&candidate.display_name),
        ]);
    }
    table
}

/// The reasons of a score, a line each.
fn explanation(candidate: &MatchCandidate) -> String {
    let compared = format!(
        "{}: {} = {}\n",
        candidate.record, candidate.example_name, candidate.record_name
    );
    let lines = candidate.reasons.iter().map(|reason| {
        let line = printable(&reason_text(reason));
        format!("  {line}\n")
    });
    printable(compared.trim_end()) + "\n" + &lines.collect::<String>()
}

fn reason_text(reason: &MatchReason) -> String {
    let MatchReason {
        class,
        example_text,
        record_text,
        score,
        weight,
        detail,
        ..
    } = reason;
    match reason.r#type() {
        match_reason::Type::Part => {
            format!("{class}: {example_text} = {record_text}, {score:.2}, weight {weight:.2}")
        }
        match_reason::Type::Unmatched => {
            let side = if example_text.is_empty() {
                "record"
            } else {
                "example"
            };
            format!("only in the {side}: {example_text}{record_text} ({class}), weight {weight:.2}")
        }
        match_reason::Type::Veto => format!("contradicts: {detail}"),
        match_reason::Type::Feature if reason.agrees => format!("{class} agrees: {detail}"),
        match_reason::Type::Feature => format!("{class} differs: {detail}"),
        match_reason::Type::Unspecified => detail.clone(),
    }
}

/// Prints pairs of actors that may be the same one, page by page.
pub(super) async fn duplicates(args: DuplicatesArgs) -> Result<ExitCode> {
    let mut client = args.common.server.connect().await?;
    let mut left = args.limit.unwrap_or(usize::MAX);
    let mut request = FindDuplicatesRequest {
        view: View::from(args.common.view).into(),
        types: args.types.iter().map(|it| (*it).into()).collect(),
        min_score: args.min_score,
        page_size: i32::try_from(left.min(200)).unwrap_or(200),
        ..FindDuplicatesRequest::default()
    };
    let mut kept = Vec::new();
    let mut is_found = false;
    while left > 0 {
        let answer = client.matching.find_duplicates(request.clone()).await;
        let mut page = answer.map_err(Failure::from)?.into_inner();
        page.pairs.truncate(left);
        left -= page.pairs.len();
        is_found |= !page.pairs.is_empty();
        if args.common.output == OutputFormat::Ndjson {
            let pairs: Vec<_> = page.pairs.iter().map(json::document).collect();
            output::documents(OutputFormat::Ndjson, &pairs, false)?;
        } else {
            kept.extend(page.pairs);
        }
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    match args.common.output {
        OutputFormat::Ndjson => {}
        OutputFormat::Table if kept.is_empty() => print_message("no two actors look the same"),
        OutputFormat::Table => {
            let mut out = anstream::stdout().lock();
            let mut table = Table::new(&["SCORE", "NEWER", "OLDER", "NAMES"]);
            for pair in &kept {
                let candidate = pair.candidate.clone().unwrap_or_default();
                let names = format!("{} = {}", candidate.example_name, candidate.record_name);
                table.add_row([
                    format!("{:.2}", candidate.score),
                    pair.record.clone(),
                    candidate.record,
                    printable(&names),
                ]);
            }
            writeln!(out, "{table}")?;
            for candidate in kept.iter().filter_map(|pair| pair.candidate.as_ref()) {
                if args.explain {
                    write!(out, "\n{}", explanation(candidate))?;
                }
            }
        }
        format => {
            let pairs: Vec<_> = kept.iter().map(json::document).collect();
            output::documents(format, &pairs, false)?;
        }
    }
    Ok(exit_code(is_found))
}

/// Prints the actors that a text names.
pub(super) async fn suggest(args: SuggestArgs) -> Result<ExitCode> {
    let text = read_text(&args.file)?;
    let mut client = args.common.server.connect().await?;
    let request = SuggestMentionsRequest {
        text: text.clone(),
        view: View::from(args.common.view).into(),
        min_sequence: 0,
    };
    let answer = client.matching.suggest_mentions(request).await;
    let answer = answer.map_err(Failure::from)?.into_inner();
    let points: Vec<char> = text.chars().collect();
    let stretch = |start: i32, end: i32| -> String {
        let range = usize::try_from(start).unwrap_or(0)..usize::try_from(end).unwrap_or(0);
        points.get(range).unwrap_or_default().iter().collect()
    };
    match args.common.output {
        OutputFormat::Table if answer.mentions.is_empty() => {
            print_message("the text names no actor that has a record");
        }
        OutputFormat::Table => {
            writeln!(
                anstream::stdout().lock(),
                "{}",
                mention_table(&answer, stretch)
            )?;
        }
        format => {
            let mentions = answer.mentions.iter();
            let mentions = mentions.map(|it| with(it, "text", &stretch(it.start, it.end)));
            let mentions = mentions.collect::<Result<Vec<_>>>()?;
            output::documents(format, &mentions, false)?;
        }
    }
    if answer.omitted > 0 {
        print_message(format_args!(
            "{} further mentions are not listed",
            answer.omitted
        ));
    }
    if answer.names_omitted {
        print_message("the server knows more names than it keeps; some mentions may be missing");
    }
    Ok(exit_code(!answer.mentions.is_empty()))
}

/// A row for each candidate of each mention; those after the first of an ambiguous one leave the text out.
fn mention_table(answer: &SuggestMentionsResponse, stretch: impl Fn(i32, i32) -> String) -> Table {
    let mut table = Table::new(&["AT", "TEXT", "RECORD", "TYPE", "NAME"]);
    for mention in &answer.mentions {
        for (index, record) in mention.actors.iter().enumerate() {
            let actor = answer.actors.iter().find(|actor| actor.record == *record);
            let actor = actor.cloned().unwrap_or_default();
            let (at, text) = if index == 0 {
                let at = format!("{}-{}", mention.start, mention.end);
                let text = stretch(mention.start, mention.end);
                (at, printable(&text.replace('\n', " ")))
            } else {
                (String::new(), String::new())
            };
            let state = match actor.state() {
                State::Published | State::Unspecified => String::new(),
                other => format!(" ({})", state_word(other)),
            };
            table.add_row([
                at,
                text,
                record.clone(),
                type_label(actor.r#type()),
                printable(&actor.display_name) + &state,
            ]);
        }
    }
    table
}

fn exit_code(is_found: bool) -> ExitCode {
    if is_found {
        ExitCode::SUCCESS
    } else {
        NOT_FOUND.into()
    }
}

fn read_text(file: &Path) -> Result<String> {
    let (read, name) = if file.as_os_str() == "-" {
        let stdin = std::io::stdin().lock();
        (
            dateline_files::read_up_to(stdin, MAX_TEXT_BYTES),
            "stdin".to_owned(),
        )
    } else {
        let read = dateline_files::read(file, MAX_TEXT_BYTES);
        (read, file.display().to_string())
    };
    let bytes = read.with_context(|| format!("cannot read {name}"))?;
    String::from_utf8(bytes).with_context(|| format!("{name} is not UTF-8"))
}
