//! Checks that a quote occurs at its offsets: mentions against their own article, and evidence against the revision of
//! the article that it pins.

use dateline_proto::v1::{Article, TextSpan, text_span::Part};

use super::{
    RuleReporter,
    locate::{is_located, locate},
};
use crate::text::{self, OffsetIndex};

/// Bytes past which a headline or body exceeds the schema's limit in any encoding of its characters.
const TOO_LONG: usize = 4 * 200_000;

/// Checks that a span has either offsets and a part, or what tells its place.
pub(super) fn check_span(span: &TextSpan, report: &mut RuleReporter<'_>) {
    if !is_located(span) {
        return;
    }
    if span.part() == Part::Unspecified && span.part == 0 {
        report.refuse("part", "must be set to one of the values");
    }
    for (field, is_set) in [
        ("prefix", !span.prefix.is_empty()),
        ("suffix", !span.suffix.is_empty()),
        ("occurrence", span.occurrence != 0),
    ] {
        if is_set {
            let what = "is for a quote without offsets: leave it out, or start and end";
            report.refuse(field, what);
        }
    }
}

/// Gives part and offsets to the spans of an article that have none.
pub(super) fn locate_mentions(article: &mut Article, report: &mut RuleReporter<'_>) {
    if article.headline.len().max(article.body.len()) > TOO_LONG {
        return;
    }
    let Article {
        headline,
        body,
        mentions,
        ..
    } = article;
    for (index, mention) in mentions.iter_mut().enumerate() {
        if report.findings.is_full() {
            return;
        }
        let Some(span) = mention.span.as_mut().filter(|span| !is_located(span)) else {
            continue;
        };
        match locate(span, headline, body) {
            Ok(located) => *span = located,
            Err(what) => report.refuse(&format!("mentions[{index}].span"), what),
        }
    }
}

/// Checks the spans of an article against its own text.
pub(super) fn mentions(article: &Article, report: &mut RuleReporter<'_>) {
    // A text that is refused for its length is not searched for quotes.
    if article.headline.len().max(article.body.len()) > TOO_LONG {
        return;
    }
    // A long text may have thousands of mentions, and nearly all are right.
    let indexes = [&article.headline, &article.body].map(|text| OffsetIndex::new(text));
    for (index, mention) in article.mentions.iter().enumerate() {
        // Searching for the quote takes time, and no more findings are listed.
        if report.findings.is_full() {
            return;
        }
        if let Some(span) = &mention.span
            && is_located(span)
            && !fits(span, &indexes)
            && part(span, &article.headline, &article.body).is_some()
        {
            let checked = check_quote(span, &article.headline, &article.body);
            report.require(&format!("mentions[{index}].span"), checked);
        }
    }
}

fn fits(span: &TextSpan, [headline, body]: &[OffsetIndex<'_>; 2]) -> bool {
    let ruler = match span.part() {
        Part::Unspecified => return false,
        Part::Headline => headline,
        Part::Body => body,
    };
    let offsets = usize::try_from(span.start)
        .ok()
        .zip(usize::try_from(span.end).ok());
    offsets.and_then(|(start, end)| ruler.slice(start, end)) == Some(&span.exact)
}

/// Checks that the article has the quote at its offsets. All three texts have to be normalised (`text::normalize`),
/// like those of stored records.
///
/// # Errors
/// The text found there instead, and the offsets of the quote if it occurs once (D5, D6). Safe to send to a client:
/// parts of the input are escaped and short.
pub fn check_quote(span: &TextSpan, headline: &str, body: &str) -> Result<(), String> {
    let Some((name, quoted)) = part(span, headline, body) else {
        return Err("must say whether it is of the headline or the body".to_owned());
    };
    let offsets = (usize::try_from(span.start), usize::try_from(span.end));
    let found = match offsets {
        (Ok(start), Ok(end)) => text::slice(quoted, start, end),
        _ => None,
    };
    if found == Some(&span.exact) {
        return Ok(());
    }
    let (start, end) = (span.start, span.end);
    let what = match found {
        Some(found) => format!(
            "the {name} has {} from {start} to {end}, not this quote",
            text::quote_for_error(found)
        ),
        None if start < 0 || start >= end => format!(
            "starts at {start} and ends at {end}; the start must be at least 0, and the end, which is \
             exclusive, greater"
        ),
        None => format!(
            "ends at {end}, but the {name} has {} characters",
            quoted.chars().count()
        ),
    };
    Err(format!("{what}; {}", whereabouts(span, headline, body)))
}

/// The part of the article that a span refers to, with its name; `None` if the part is not set.
fn part<'a>(span: &TextSpan, headline: &'a str, body: &'a str) -> Option<(&'static str, &'a str)> {
    match span.part() {
        Part::Unspecified => None,
        Part::Headline => Some(("headline", headline)),
        Part::Body => Some(("body", body)),
    }
}

/// Describes where the quote occurs instead.
fn whereabouts(span: &TextSpan, headline: &str, body: &str) -> String {
    let Some((name, quoted)) = part(span, headline, body) else {
        return String::new();
    };
    match text::find_spans(quoted, &span.exact).as_slice() {
        [] => match elsewhere(span, headline, body) {
            Some(there) => there,
            None => "the quote does not occur in the article".to_owned(),
        },
        [(start, end)] => format!("the quote occurs once, from {start} to {end}"),
        several => format!(
            "the quote occurs {} times in the {name}, first from {} to {}",
            several.len(),
            several[0].0,
            several[0].1
        ),
    }
}

/// Describes a quote that occurs once in the other part.
fn elsewhere(span: &TextSpan, headline: &str, body: &str) -> Option<String> {
    let (name, other) = match span.part() {
        Part::Unspecified => return None,
        Part::Headline => ("body", body),
        Part::Body => ("headline", headline),
    };
    match text::find_spans(other, &span.exact).as_slice() {
        [(start, end)] => Some(format!(
            "the quote occurs once in the {name}, from {start} to {end}"
        )),
        _ => None,
    }
}
