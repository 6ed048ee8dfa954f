//! `dateline find`: records by the words that people type.

use std::{collections::BTreeSet, io::Write, process::ExitCode};

use anyhow::Result;
use dateline_client::Failure;
use dateline_formats::json;
use dateline_proto::v1::{
    FacetCounts, SearchHit, SearchRecordsRequest, SearchRecordsResponse, View,
    facet_counts::Dimension, search_records_request::Order,
};
use dateline_serve::{
    connection::Server,
    exit::{NOT_FOUND, misused},
    time_arg,
};
use prost_types::Timestamp;

use super::{
    filter::{self, ViewArg},
    output::{self, OutputFormat, printable},
    table::Table,
};

/// Most hits of one call.
const PAGE_SIZE: usize = 1000;
/// Code points of a text around its match in a table.
const SNIPPET: usize = 60;

/// `dateline find`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Words to find: all of them, in any order and script; the last may be a beginning. '"words in quotes"' follow each
    /// other, OR takes either, and in one argument with others -word must not occur
    #[arg(required = true, value_name = "WORD")]
    query: Vec<String>,
    /// Published records only, or the desk's: every record in every state
    #[arg(long, value_enum, default_value_t)]
    view: ViewArg,
    /// Stop after this many records
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Count the hits by a dimension; can be repeated
    #[arg(long, value_enum, value_name = "DIMENSION")]
    count: Vec<CountArg>,
    #[command(flatten)]
    order: OrderArgs,
    /// Wait until search has this sequence of the view's feed
    #[arg(long, value_name = "SEQUENCE", default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..))]
    min_sequence: i64,
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
    #[command(flatten)]
    filter: filter::Args,
}

/// Order, and the latest change of a record: flags of `find` and `list`.
#[derive(Debug, clap::Args)]
pub(super) struct OrderArgs {
    /// Order of the records
    #[arg(long, value_enum, value_name = "ORDER")]
    order: Option<OrderArg>,
    /// The latest change first; short for --order newest
    #[arg(long, conflicts_with = "order")]
    newest: bool,
    /// Desk only: author of the latest change
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
    /// Changed at this time or later: 2026-08-01T06:00:00Z, 2026-08-01, today, -2h, -3d
    #[arg(long, value_name = "TIME", value_parser = time_arg::parse_past, allow_hyphen_values = true)]
    since: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum OrderArg {
    Relevance,
    Newest,
    Time,
    Name,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum CountArg {
    Kind,
    Type,
    Region,
    Topic,
    Language,
    State,
    Author,
    Year,
}

impl From<CountArg> for Dimension {
    fn from(count: CountArg) -> Self {
        match count {
            CountArg::Kind => Self::Kind,
            CountArg::Type => Self::Type,
            CountArg::Region => Self::Region,
            CountArg::Topic => Self::Topic,
            CountArg::Language => Self::Language,
            CountArg::State => Self::State,
            CountArg::Author => Self::Author,
            CountArg::Year => Self::Year,
        }
    }
}

impl OrderArgs {
    /// True if any of the flags is given: then the records do not come in the order of lists.
    pub(super) fn is_given(&self) -> bool {
        self.order.is_some() || self.newest || self.author.is_some() || self.since.is_some()
    }

    /// An error for flags that readers cannot use.
    pub(super) fn misuse(&self, view: View) -> Option<String> {
        let author = self.author.as_ref().filter(|_| view != View::Desk)?;
        Some(format!(
            "--author {author}: readers never see authors; add --view desk"
        ))
    }

    /// Adds the flags to a request.
    pub(super) fn apply(&self, request: &mut SearchRecordsRequest) {
        let order = match self.order {
            _ if self.newest => Order::Newest,
            None => Order::Unspecified,
            Some(OrderArg::Relevance) => Order::Relevance,
            Some(OrderArg::Newest) => Order::Newest,
            Some(OrderArg::Time) => Order::Time,
            Some(OrderArg::Name) => Order::Name,
        };
        request.order = order.into();
        request.author = self.author.clone().unwrap_or_default();
        request.since = self.since;
    }
}

/// Prints the records that match. Exit code 3 if there are none.
pub(super) async fn run(args: Args) -> Result<ExitCode> {
    let view = View::from(args.view);
    if let Some(wrong) = args.filter.misuse(view).or_else(|| args.order.misuse(view)) {
        return Ok(misused(&wrong));
    }
    let mut client = args.server.connect().await?;
    let mut request = SearchRecordsRequest {
        query: args.query.join(" "),
        filter: Some(args.filter.to_filter()),
        view: view.into(),
        page_size: i32::try_from(args.limit.clamp(1, PAGE_SIZE)).unwrap_or(i32::MAX),
        min_sequence: args.min_sequence,
        facets: args
            .count
            .iter()
            .map(|it| Dimension::from(*it).into())
            .collect(),
        ..SearchRecordsRequest::default()
    };
    args.order.apply(&mut request);
    let mut found = SearchRecordsResponse::default();
    loop {
        let answer = client.search.search_records(request.clone()).await;
        let mut page = answer
            .map_err(|status| explain(args.filter.explain(status.into())))?
            .into_inner();
        page.hits.truncate(args.limit - found.hits.len());
        found.hits.append(&mut page.hits);
        found.total = page.total;
        found.total_is_lower_bound = page.total_is_lower_bound;
        found.facets = page.facets;
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() || found.hits.len() >= args.limit {
            break;
        }
    }
    print(&args, &found)?;
    Ok(if found.total == 0 {
        NOT_FOUND.into()
    } else {
        ExitCode::SUCCESS
    })
}

/// Names the words that were typed where the request says `query`.
fn explain(failure: Failure) -> Failure {
    failure.map_fields(|field| match field {
        "query" => "the words".to_owned(),
        "order" => "--order".to_owned(),
        "author" => "--author".to_owned(),
        "facets" => "--count".to_owned(),
        "min_sequence" => "--min-sequence".to_owned(),
        _ => field.to_owned(),
    })
}

fn print(args: &Args, found: &SearchRecordsResponse) -> Result<()> {
    if args.output != OutputFormat::Table {
        let hits: Vec<_> = found.hits.iter().map(json::document).collect();
        output::documents(args.output, &hits, false)?;
        return Ok(());
    }
    print_table(&found.hits)?;
    for counts in &found.facets {
        print_counts(counts)?;
    }
    let more = if found.total_is_lower_bound {
        "at least "
    } else {
        ""
    };
    let word = if found.total == 1 {
        "record"
    } else {
        "records"
    };
    let shown = match usize::try_from(found.total) {
        Ok(total) if total > found.hits.len() => format!("; {} shown (--limit)", found.hits.len()),
        _ => String::new(),
    };
    output::print_message(format_args!("{more}{} {word}{shown}", found.total));
    Ok(())
}

fn print_table(hits: &[SearchHit]) -> Result<()> {
    if hits.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(&["NAME", "STATE", "REV", "TYPE", "TITLE"]);
    let mut marked = BTreeSet::new();
    for hit in hits {
        let Some(record) = &hit.record else { continue };
        marked.extend(hit.fragments.iter().flat_map(matches));
        let mut cells = output::row(record);
        if let Some(snippet) = snippet(hit) {
            let title = &mut cells[4];
            let gap = if title.is_empty() { "" } else { "  " };
            title.extend([gap, snippet.as_str()]);
        }
        table.add_row(cells);
    }
    let text = table.to_string();
    let mut out = anstream::stdout().lock();
    writeln!(out, "{}", embolden(&text, &marked))?;
    Ok(())
}

/// The words of a fragment that match.
fn matches(fragment: &dateline_proto::v1::SearchFragment) -> Vec<String> {
    let characters: Vec<char> = fragment.text.chars().collect();
    let spans = fragment.spans.iter().filter_map(|span| {
        let (start, end) = (
            usize::try_from(span.start).ok()?,
            usize::try_from(span.end).ok()?,
        );
        characters
            .get(start..end)
            .map(|word| printable(&word.iter().collect::<String>()))
    });
    spans.collect()
}

/// The best part of a record that matches, if it is not its title.
fn snippet(hit: &SearchHit) -> Option<String> {
    let best = hit.fragments.first();
    let fragment = best.filter(|it| it.text != hit.title && it.path != "name")?;
    let first = fragment.spans.first();
    let first = first.map_or(0, |span| usize::try_from(span.start).unwrap_or(0));
    let before = first.saturating_sub(SNIPPET / 3);
    let text: String = fragment.text.chars().skip(before).take(SNIPPET).collect();
    let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let start = if before > 0 || fragment.offset > 0 {
        "…"
    } else {
        ""
    };
    Some(printable(&format!("“{start}{one_line}”")))
}

/// Marks words in a text with bold letters, which are left out where stdout is no terminal.
fn embolden(text: &str, words: &BTreeSet<String>) -> String {
    let bold = anstyle::Style::new().bold();
    let (start, end) = (bold.render().to_string(), bold.render_reset().to_string());
    let mut marked = String::with_capacity(text.len());
    let mut rest = text;
    // The header has no words of records.
    if let Some((header, rows)) = text.split_once('\n') {
        marked.push_str(header);
        marked.push('\n');
        rest = rows;
    }
    let mut is_inside = false;
    while let Some(next) = rest.chars().next() {
        let found = words
            .iter()
            .filter(|word| !is_inside && !word.is_empty() && rest.starts_with(word.as_str()))
            .filter(|word| {
                let after = rest[word.len()..].chars().next();
                !after.is_some_and(char::is_alphanumeric) || word.chars().any(is_unspaced)
            })
            .max_by_key(|word| word.len());
        if let Some(word) = found {
            marked.extend([start.as_str(), word, end.as_str()]);
            rest = &rest[word.len()..];
            is_inside = !word.chars().any(is_unspaced);
        } else {
            marked.push(next);
            rest = &rest[next.len_utf8()..];
            is_inside = next.is_alphanumeric() && !is_unspaced(next);
        }
    }
    marked
}

/// True for a sign of a script without spaces between words.
fn is_unspaced(sign: char) -> bool {
    matches!(sign, '\u{E00}'..='\u{EFF}' | '\u{3041}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7A3}')
}

fn print_counts(counts: &FacetCounts) -> Result<()> {
    let dimension = counts
        .dimension()
        .as_str_name()
        .trim_start_matches("DIMENSION_");
    let mut table = Table::new(&[dimension, "RECORDS"]);
    for value in &counts.values {
        table.add_row([printable(&value.value), value.count.to_string()]);
    }
    writeln!(anstream::stdout().lock(), "\n{table}")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_marked_where_they_are_whole() {
        let words = BTreeSet::from(["NATO".to_owned(), "un".to_owned(), "東京".to_owned()]);
        let text = "NATO\nNATO, fun un 東京都 NATOs";
        let marked = embolden(text, &words);
        let bold = |word: &str| format!("\u{1b}[1m{word}\u{1b}[0m");
        let expected = format!(
            "NATO\n{}, fun {} {}都 NATOs",
            bold("NATO"),
            bold("un"),
            bold("東京")
        );
        assert_eq!(marked, expected);
    }
}
