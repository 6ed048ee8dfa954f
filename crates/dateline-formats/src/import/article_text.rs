//! Reads the plain text of an article, as copied or received, into a draft for an editor to review. A pure function of
//! the text: no files, no server, no records other than the article.
//!
//! Rules:
//!
//! - The headline comes first, then the body. The text becomes NFC with LF, no byte order mark, no trailing spaces, and
//!   one empty line between paragraphs.
//! - Page furniture is removed, but only at the ends of the text and next to the headline. Nothing is ever dropped from
//!   the middle of the body.
//! - A line `By Jane Doe, AP` after the headline becomes bylines and a source, and is removed from the body; so are
//!   `Von …` and `Par …`. A line that is a date becomes `published`.
//! - Page breaks and soft hyphens are removed, soft returns are line breaks, and words cut by a line end are joined;
//!   see `layout`.
//! - A line `Sources: …` becomes the article's sources and also stays in the body, as printed.
//! - Lines are joined only in a text that is clearly hard-wrapped; see `wrapping_width`.

mod bylines;
mod date_line;
mod encoding;
mod furniture;
mod layout;

use std::borrow::Cow;

use dateline_proto::v1::{Article, Byline, FuzzyDate, SourceCredit};
use dateline_record::text::{is_blank, normalize};

pub use self::{
    bylines::byline_names,
    encoding::decode,
    layout::{one_line, tidy_layout},
};
use self::{
    bylines::{agency, byline, is_short, split_list, without_full_stop},
    date_line::{date_line, place_line},
    furniture::{is_furniture, is_furniture_as_a_whole},
    layout::{SOFT_RETURN, Words, is_cut, join, tidy_lines},
};
use super::html_text::has_markup;

/// Longest headline that the schema accepts, in code points.
const MAX_HEADLINE: usize = 500;
/// Longest id of a name, in bytes.
const MAX_ID_BYTES: usize = 63;
/// Longest name of a source or author, in words and in code points. Longer text is a sentence.
const MAX_NAME_WORDS: usize = 12;
const MAX_NAME: usize = 300;
/// Maximum lines of a wrapped headline.
const MAX_HEADLINE_LINES: usize = 3;

/// Abbreviations at the end of a name that keep their full stop.
const ABBREVIATIONS: [&str; 8] = ["bros", "co", "corp", "inc", "jr", "ltd", "sr", "st"];

/// Reasons why a text cannot be read as an article.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what each means")]
pub enum Error {
    #[error(
        "the text is not UTF-8: byte {offset} begins no character; save it as UTF-8, or name its encoding: it looks \
         like --encoding {looks_like}"
    )]
    NotUtf8 {
        offset: usize,
        looks_like: &'static str,
    },
    #[error("the text is not {name}: some of its bytes are no characters there")]
    Misencoded { name: String },
    #[error(
        "there is no encoding {label:?}; such as utf-8, utf-16le, windows-1252, iso-8859-2, gb18030"
    )]
    UnknownEncoding { label: String },
    #[error("the text is empty")]
    Empty,
    #[error("the text holds nothing but page furniture, such as {example:?}")]
    OnlyFurniture { example: String },
    #[error("the text has a headline but no body: {headline:?} is all there is")]
    NoBody { headline: String },
    #[error(
        "the first line has {length} characters, and a headline at most {MAX_HEADLINE}; \
         put the headline on a line of its own"
    )]
    HeadlineTooLong { length: usize },
}

/// Reads an article: name, headline, body, language, bylines, date and sources. The language is "und" (undetermined)
/// unless given. The name is a proposal, empty if the headline suggests none.
///
/// # Errors
///
/// Bytes that are not UTF-8 and have no byte order mark, no headline, no body, or a first line that is too long for a
/// headline.
pub fn read(bytes: &[u8], language_code: Option<&str>) -> Result<Article, Error> {
    read_text(&decode(bytes, None)?, language_code)
}

/// Reads an article from decoded text.
///
/// # Errors
///
/// No headline, no body, or a first line that is too long for a headline.
pub fn read_text(text: &str, language_code: Option<&str>) -> Result<Article, Error> {
    let text = tidy_lines(text);
    let text = normalize(&text);
    let lines: Vec<&str> = text.lines().map(tidy_end).collect();
    let trimmed = without_furniture(&lines, is_furniture_as_a_whole);
    let Some(first) = trimmed.first() else {
        let example = lines.iter().find(|line| !line.is_empty());
        return Err(example.map_or(Error::Empty, |line| Error::OnlyFurniture {
            example: (*line).to_owned(),
        }));
    };
    let width = wrapping_width(trimmed);
    let lines = unwrapped(trimmed, width);
    let lines: Vec<&str> = lines.iter().map(AsRef::as_ref).collect();
    let Some((headline, rest)) = without_furniture(&lines, is_furniture).split_first() else {
        return Err(Error::OnlyFurniture {
            example: (*first).to_owned(),
        });
    };
    let headline = one_line(tidy_start(headline));
    let length = headline.chars().count();
    if length > MAX_HEADLINE {
        return Err(Error::HeadlineTooLong { length });
    }
    let (top, rest) = Top::split(rest);
    if rest
        .iter()
        .all(|line| line.is_empty() || credits(line).is_some())
    {
        return Err(Error::NoBody { headline });
    }
    let body = body(rest).replace(SOFT_RETURN, "\n");
    let said = place_line(&body);
    let agencies = top.agencies.iter().copied().chain(said.agencies);
    Ok(Article {
        name: propose_name(&headline),
        bylines: top.bylines,
        published: top.published.or(said.date),
        sources: sources(agencies, rest),
        language_code: language_code.unwrap_or("und").to_owned(),
        headline,
        body,
        ..Article::default()
    })
}

/// Warnings for the editor to check before the text is published unchanged.
#[must_use]
pub fn warnings(text: &str) -> Vec<&'static str> {
    let mut warnings = Vec::new();
    if has_markup(text) {
        warnings.push(
            "the text looks like HTML: tags and entities are stored as they are; paste the text that a browser shows",
        );
    }
    if is_markdown(text) {
        warnings
            .push("the text looks like Markdown: its marks (#, **, []()) are stored as they are");
    }
    warnings
}

/// True if the text contains a heading, a link, or two other Markdown marks. A single star is no Markdown.
fn is_markdown(text: &str) -> bool {
    let is_heading = |line: &str| {
        let marks = line.chars().take_while(|found| *found == '#').count();
        (1..=6).contains(&marks) && line[marks..].starts_with(' ')
    };
    let has_link = |line: &str| {
        line.split_once("](").is_some_and(|(before, after)| {
            before.contains('[')
                && after
                    .split_once(')')
                    .is_some_and(|(url, _)| url.starts_with("http") || url.starts_with('/'))
        })
    };
    let emphasis = text.matches("**").count() / 2 + text.matches("__").count() / 2;
    let fences = text
        .lines()
        .filter(|line| line.trim_start().starts_with("```"))
        .count();
    text.lines().any(|line| is_heading(line) || has_link(line)) || emphasis > 0 || fences > 1
}

/// The line without invisible characters at its end; empty if it contains nothing else.
fn tidy_end(line: &str) -> &str {
    if is_blank(line) { "" } else { line.trim_end() }
}

/// The line without leading spaces and byte order marks. The store would remove the marks, and shift the positions of
/// quotes.
fn tidy_start(line: &str) -> &str {
    line.trim_start_matches(|found: char| found.is_whitespace() || found == '\u{feff}')
}

/// The lines from the first to the last that is neither empty nor furniture.
fn without_furniture<'lines, 'text>(
    lines: &'lines [&'text str],
    is_furniture: fn(&str) -> bool,
) -> &'lines [&'text str] {
    let says_something = |line: &&str| !line.is_empty() && !is_furniture(line);
    let start = lines.iter().position(says_something);
    let end = lines.iter().rposition(says_something);
    match (start, end) {
        (Some(start), Some(end)) => &lines[start..=end],
        _ => &[],
    }
}

/// The width at which a text is hard-wrapped; `None` unless it clearly is. Conditions: at least three line breaks
/// inside paragraphs, no line over 120 characters, the longest of at least 40, and at nine of ten breaks the next word
/// would not have fitted. In any other text the breaks are the author's own (verse, lists, addresses) and are kept.
fn wrapping_width(lines: &[&str]) -> Option<usize> {
    let width = lines.iter().map(|line| line.chars().count()).max()?;
    let breaks = || {
        lines
            .windows(2)
            .filter(|pair| pair.iter().all(|line| !line.is_empty()))
    };
    let full = breaks()
        .filter(|pair| is_full(pair[0], pair[1], width) || is_cut(pair[0], pair[1]))
        .count();
    let enough = breaks().count() >= 3 && full * 10 >= breaks().count() * 9;
    (enough && (40..=120).contains(&width)).then_some(width)
}

/// True if a line was broken by the width and not by its author. Some programs aim below the width to even out the
/// lines, so up to an eighth of it may be unused.
fn is_full(line: &str, next: &str, width: usize) -> bool {
    let word = next.split_whitespace().next().unwrap_or_default();
    line.chars().count() + 1 + word.chars().count() + width / 8 > width
}

/// The lines, with those joined that were broken at the width. A line above the body stays separate unless it belongs
/// to a headline of a few lines; a byline always stays separate.
fn unwrapped<'text>(lines: &[&'text str], width: Option<usize>) -> Vec<Cow<'text, str>> {
    let first_paragraph = lines.iter().take_while(|line| !line.is_empty());
    let headline_lines = match first_paragraph.take_while(|line| !is_of_top(line)).count() {
        several @ 2..=MAX_HEADLINE_LINES if several < lines.len() => several,
        _ => 1,
    };
    let mut joined: Vec<Cow<'text, str>> = Vec::new();
    let mut words = None;
    for (index, line) in lines.iter().enumerate() {
        let before = index.checked_sub(1).map_or("", |index| lines[index]);
        let is_wrapped = width.is_some_and(|width| is_full(before, line, width));
        let parted = (is_wrapped || is_cut(before, line))
            && !before.is_empty()
            && !line.is_empty()
            && index != headline_lines
            && !is_of_top(before);
        match joined.last_mut().filter(|_| parted) {
            Some(last) => {
                let words = words.get_or_insert_with(|| Words::collect(lines));
                *last = join(last, line, words).into();
            }
            None => joined.push((*line).into()),
        }
    }
    joined
}

/// True for a line that belongs between headline and body.
fn is_of_top(line: &str) -> bool {
    byline(line).is_some() || date_line(line).is_some()
}

/// Lines between headline and body: authors, agencies and date.
#[derive(Default)]
struct Top<'text> {
    bylines: Vec<Byline>,
    agencies: Vec<&'text str>,
    published: Option<FuzzyDate>,
}

impl<'text> Top<'text> {
    /// Splits the lines into the top and the rest.
    fn split<'lines>(lines: &'lines [&'text str]) -> (Self, &'lines [&'text str]) {
        let mut top = Self::default();
        let mut rest = without_furniture(lines, is_furniture);
        while let Some((first, after)) = rest.split_first() {
            if !top.accept(first) {
                break;
            }
            rest = without_furniture(after, is_furniture);
        }
        (top, rest)
    }

    /// Returns true if the line belongs to the top. Each kind occurs once: a second date is body text.
    fn accept(&mut self, line: &'text str) -> bool {
        if let (true, Some(date)) = (self.published.is_none(), date_line(line)) {
            self.published = Some(date);
            return true;
        }
        if let (true, Some(name)) = (self.agencies.is_empty(), agency(line)) {
            self.agencies.push(name);
            return true;
        }
        let Some(credits) = byline(line).filter(|_| self.bylines.is_empty()) else {
            return false;
        };
        let byline = |display_name: &str| Byline {
            display_name: display_name.to_owned(),
            role: "author".to_owned(),
            ..Byline::default()
        };
        self.bylines.extend(credits.authors.into_iter().map(byline));
        self.agencies.extend(credits.agencies);
        true
    }
}

/// The agencies, then the sources of all credit lines, in order and without duplicates.
fn sources<'a>(agencies: impl Iterator<Item = &'a str>, lines: &[&'a str]) -> Vec<SourceCredit> {
    let mut sources: Vec<SourceCredit> = Vec::new();
    let credited = lines.iter().filter_map(|line| credits(line)).flatten();
    for display_name in agencies.chain(credited) {
        if sources
            .iter()
            .all(|source| source.display_name != display_name)
        {
            sources.push(SourceCredit {
                display_name: display_name.to_owned(),
                ..SourceCredit::default()
            });
        }
    }
    sources
}

/// The names in a credit line, "Sources: Kazinform, NATO and Regnum", anywhere in the text. `None` for other lines, and
/// if a sentence follows the colon.
fn credits(line: &str) -> Option<Vec<&str>> {
    let (label, names) = line.split_once(':')?;
    let label = label.trim();
    if !label.eq_ignore_ascii_case("sources") && !label.eq_ignore_ascii_case("source") {
        return None;
    }
    let names = split_list(names).into_iter().map(without_full_stop);
    let names: Vec<_> = names.collect();
    (!names.is_empty() && names.iter().all(|name| is_short(name))).then_some(names)
}

/// The lines as prose, with one empty line between paragraphs. If no line is empty, each line is a paragraph.
fn body(lines: &[&str]) -> String {
    let every_line = lines.iter().all(|line| !line.is_empty());
    let mut body = String::new();
    let mut after_empty = false;
    for line in lines {
        if !line.is_empty() {
            match (body.is_empty(), every_line || after_empty) {
                (true, _) => {}
                (false, true) => body.push_str("\n\n"),
                (false, false) => body.push('\n'),
            }
            body.push_str(if body.is_empty() {
                tidy_start(line)
            } else {
                line
            });
        }
        after_empty = line.is_empty();
    }
    body
}

/// Derives a name from a headline: "articles/kazakhstan-confirms-partnership-with-nato-us". Cut at a word boundary;
/// empty if no part of the headline can be written in a to z and 0 to 9.
pub(super) fn propose_name(headline: &str) -> String {
    // Characters without an ASCII form are left out: a name is a handle, not a transliteration.
    let ascii = deunicode::deunicode_with_tofu(headline, " ").to_lowercase();
    // "U.S." and "Kazakhstan's" are one word each; "3.5" is two.
    let characters: Vec<char> = ascii.chars().collect();
    let joins = |index: usize| match characters[index] {
        '\'' | '`' => true,
        '.' => !characters.get(index + 1).is_some_and(char::is_ascii_digit),
        _ => false,
    };
    let joined: String = (0..characters.len())
        .filter(|index| !joins(*index))
        .map(|index| characters[index])
        .collect();
    let words: Vec<_> = joined
        .split(|found: char| !found.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let Some(first) = words.first() else {
        return String::new();
    };
    // An id begins with a letter: "article-2021-in-review".
    let mut id = if first.starts_with(|found: char| found.is_ascii_digit()) {
        "article".to_owned()
    } else {
        String::new()
    };
    for word in words {
        let parted = usize::from(!id.is_empty());
        if id.len() + parted + word.len() > MAX_ID_BYTES {
            if id.is_empty() {
                id = word.chars().take(MAX_ID_BYTES).collect();
            }
            break;
        }
        if parted == 1 {
            id.push('-');
        }
        id.push_str(word);
    }
    format!("articles/{id}")
}

#[cfg(test)]
#[path = "article_text_tests.rs"]
mod tests;
