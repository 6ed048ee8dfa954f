//! From the plain text of an article, as it was copied or received, to a draft that an editor looks over.
//! Text in, draft out: it knows no file, no server, and no record but the article.
//!
//! What it makes of a text:
//!
//! - The headline comes first, the body after it. NFC, LF, no byte order mark, no spaces at the ends of
//!   lines, paragraphs parted by one empty line.
//! - Page furniture goes, but only at the ends of the text and next to the headline. In the middle of the
//!   body nothing is ever dropped.
//! - `By Jane Doe` on a line of its own after the headline becomes bylines, and is no part of the body.
//! - A line `Sources: …` becomes the article's sources, and stays in the body, as it was printed.
//! - Lines are joined only in a text that is clearly hard-wrapped; see [`wrapping_width`].

use std::borrow::Cow;

use crate::{
    model::text::{is_blank, normalize},
    proto::v1::{Article, Byline, SourceCredit},
};

/// Longest headline that the schema takes, in code points.
const MAX_HEADLINE: usize = 500;
/// Longest id of a name, in bytes.
const MAX_ID_BYTES: usize = 63;
/// Longest name of a source or author, in words and in code points. What is longer is a sentence.
const MAX_NAME_WORDS: usize = 12;
const MAX_NAME: usize = 300;
/// How many lines a wrapped headline may have.
const MAX_HEADLINE_LINES: usize = 3;

/// Lines that pages put around a text, in lower case, without punctuation at the end. A line has to be one
/// of them as a whole, and at an end of the text, where hardly any headline or paragraph is one.
const FURNITURE: [&str; 52] = [
    // Comments
    "comments are closed",
    "comments are off for this post",
    "comments",
    "no comments",
    "no comments yet",
    "leave a comment",
    "leave a reply",
    "add a comment",
    "post a comment",
    "view comments",
    // Sharing, and the buttons under it
    "share",
    "share this",
    "share this article",
    "share this post",
    "share this story",
    "share on facebook",
    "share on twitter",
    "share on x",
    "share on linkedin",
    "share on whatsapp",
    "share on telegram",
    "copy link",
    "facebook",
    "twitter",
    "linkedin",
    "whatsapp",
    "telegram",
    "tweet",
    "like this",
    "loading",
    "print",
    "print this article",
    "email this article",
    // Advertisements
    "advertisement",
    "advertisements",
    "sponsored content",
    "story continues below advertisement",
    // Ways to other pages
    "related",
    "related posts",
    "related articles",
    "related stories",
    "you may also like",
    "read more",
    "read next",
    "continue reading",
    "skip to content",
    "skip to main content",
    "back to top",
    // Newsletters and consent
    "sign up for our newsletter",
    "subscribe to our newsletter",
    "accept all",
    "accept all cookies",
];

/// How lines begin that are furniture whatever follows: teasers and banners.
const FURNITURE_BEGINNINGS: [&str; 10] = [
    "read more:",
    "read also:",
    "related:",
    "see also:",
    "we use cookies",
    "this site uses cookies",
    "this website uses cookies",
    "our site uses cookies",
    "our website uses cookies",
    "by continuing to use this",
];

/// Words in names that are not capitalised: "Ursula von der Leyen", "Jane Doe and John Roe".
const PARTICLES: [&str; 22] = [
    "al", "and", "bin", "bint", "da", "de", "del", "della", "den", "der", "di", "dos", "du", "el",
    "ibn", "la", "le", "of", "the", "van", "von", "y",
];

/// Endings that keep their full stop.
const ABBREVIATIONS: [&str; 8] = ["bros", "co", "corp", "inc", "jr", "ltd", "sr", "st"];

/// Why a text is no article.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what each means")]
pub enum Error {
    #[error("the text is not UTF-8: byte {offset} begins no character; save it as UTF-8")]
    NotUtf8 { offset: usize },
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

/// Reads an article: name, headline, body, language, bylines and sources. The language is "und", not
/// known, unless it is given. The name is a proposal, and empty when the headline suggests none.
///
/// # Errors
///
/// Bytes that are not UTF-8, no headline, no body, or a first line that is too long for a headline.
pub fn read(bytes: &[u8], language_code: Option<&str>) -> Result<Article, Error> {
    let text = std::str::from_utf8(bytes).map_err(|error| Error::NotUtf8 {
        offset: error.valid_up_to(),
    })?;
    let text = normalize(text);
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
    let headline = tidy_start(headline).trim_end();
    let length = headline.chars().count();
    if length > MAX_HEADLINE {
        return Err(Error::HeadlineTooLong { length });
    }
    let (bylines, rest) = split_bylines(without_furniture(rest, is_furniture));
    let rest = without_furniture(rest, is_furniture);
    if rest
        .iter()
        .all(|line| line.is_empty() || credits(line).is_some())
    {
        return Err(Error::NoBody {
            headline: headline.to_owned(),
        });
    }
    Ok(Article {
        name: propose_name(headline),
        headline: headline.to_owned(),
        body: body(rest),
        language_code: language_code.unwrap_or("und").to_owned(),
        bylines,
        sources: sources(rest),
        ..Article::default()
    })
}

/// The line without what cannot be seen at its end; empty if there is nothing else.
fn tidy_end(line: &str) -> &str {
    if is_blank(line) { "" } else { line.trim_end() }
}

/// The line without spaces at its start, and without byte order marks, which would be removed where it is
/// stored: quotes would then be found elsewhere.
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

/// Whether a line is one of [`FURNITURE`]. Safe to ask before lines are joined.
fn is_furniture_as_a_whole(line: &str) -> bool {
    let line = line.trim().to_lowercase();
    let line = line.trim_end_matches(|found: char| !found.is_alphanumeric());
    FURNITURE.contains(&line)
}

/// Whether a line is furniture, or begins as a banner does: then all of its lines have to be joined, for
/// the rest of a wrapped banner looks like text.
fn is_furniture(line: &str) -> bool {
    let lower = line.trim_start().to_lowercase();
    is_furniture_as_a_whole(line)
        || FURNITURE_BEGINNINGS
            .iter()
            .any(|beginning| lower.starts_with(beginning))
}

/// The width at which a text is hard-wrapped; `None` unless it clearly is: there are at least three line
/// breaks inside paragraphs, no line is longer than 120 characters, the longest has at least 40, and at
/// nine of ten breaks the first word of the next line would not have fitted any more. Where that is not
/// so, breaks are the author's own (verse, lists, addresses), and stay.
fn wrapping_width(lines: &[&str]) -> Option<usize> {
    let width = lines.iter().map(|line| line.chars().count()).max()?;
    let breaks = || {
        lines
            .windows(2)
            .filter(|pair| pair.iter().all(|line| !line.is_empty()))
    };
    let full = breaks()
        .filter(|pair| is_full(pair[0], pair[1], width))
        .count();
    let enough = breaks().count() >= 3 && full * 10 >= breaks().count() * 9;
    (enough && (40..=120).contains(&width)).then_some(width)
}

/// Whether a line was ended by the width and not by its author. Some programs aim below the width to make
/// lines even, so an eighth of it may be left.
fn is_full(line: &str, next: &str, width: usize) -> bool {
    let word = next.split_whitespace().next().unwrap_or_default();
    line.chars().count() + 1 + word.chars().count() + width / 8 > width
}

/// The lines, those joined that the width parted. A line at the top stays alone unless it is a headline
/// of a few lines; a byline always does.
fn unwrapped<'text>(lines: &[&'text str], width: Option<usize>) -> Vec<Cow<'text, str>> {
    let first_paragraph = lines.iter().take_while(|line| !line.is_empty());
    let headline_lines = match first_paragraph
        .take_while(|line| authors(line).is_none())
        .count()
    {
        several @ 2..=MAX_HEADLINE_LINES if several < lines.len() => several,
        _ => 1,
    };
    let mut joined: Vec<Cow<'text, str>> = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let before = index.checked_sub(1).map_or("", |index| lines[index]);
        let parted = width.is_some_and(|width| is_full(before, line, width))
            && !before.is_empty()
            && !line.is_empty()
            && index != headline_lines
            && authors(before).is_none();
        match joined.last_mut().filter(|_| parted) {
            Some(last) => *last = format!("{last} {}", line.trim_start()).into(),
            None => joined.push((*line).into()),
        }
    }
    joined
}

/// Who wrote it, if the first line says so, and the lines after that.
fn split_bylines<'lines, 'text>(
    lines: &'lines [&'text str],
) -> (Vec<Byline>, &'lines [&'text str]) {
    let Some((authors, rest)) = lines
        .split_first()
        .and_then(|(first, rest)| Some((authors(first)?, rest)))
    else {
        return (Vec::new(), lines);
    };
    let byline = |display_name: &str| Byline {
        display_name: display_name.to_owned(),
        role: "author".to_owned(),
        ..Byline::default()
    };
    (authors.into_iter().map(byline).collect(), rest)
}

/// The names in a line such as "By Jane Doe and John Roe". `None` if it reads like a sentence: "By Monday
/// the troops had left." One author with an employer, "Jane Doe, Kazinform", stays as printed.
fn authors(line: &str) -> Option<Vec<&str>> {
    let (by, names) = line.trim().split_once(' ')?;
    let names = names.trim();
    let is_name_word = |word: &str| {
        PARTICLES.contains(&word)
            || word
                .chars()
                .find(|found| found.is_alphabetic())
                .is_none_or(char::is_uppercase)
    };
    let reads_like_names = by.eq_ignore_ascii_case("by")
        && names.starts_with(char::is_alphabetic)
        && is_short(names)
        && !names.ends_with(['.', '!', '?', ':', ','])
        && names.split_whitespace().all(is_name_word);
    if !reads_like_names {
        return None;
    }
    let parts = split_list(names);
    let all_are_full = parts
        .iter()
        .all(|part| part.split_whitespace().count() >= 2);
    Some(if all_are_full { parts } else { vec![names] })
}

/// The sources of all lines of credits, in order, each once.
fn sources(lines: &[&str]) -> Vec<SourceCredit> {
    let mut sources: Vec<SourceCredit> = Vec::new();
    for display_name in lines.iter().filter_map(|line| credits(line)).flatten() {
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

/// The names in a line of credits, "Sources: Kazinform, NATO and Regnum", wherever it stands. `None` if it
/// is none, or if what follows is a sentence.
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

fn is_short(name: &str) -> bool {
    name.split_whitespace().count() <= MAX_NAME_WORDS && name.chars().count() <= MAX_NAME
}

/// The parts of "A, B; C and D". An "and" parts only the last two: "Ministry of Trade and Industry, NATO"
/// are two.
fn split_list(list: &str) -> Vec<&str> {
    let mut parts: Vec<_> = list.split([',', ';']).map(str::trim).collect();
    if let Some(last) = parts.pop() {
        match (last.strip_prefix("and "), last.split_once(" and ")) {
            (Some(last), _) => parts.push(last.trim()),
            (None, Some((one, other))) => parts.extend([one.trim(), other.trim()]),
            (None, None) => parts.push(last),
        }
    }
    parts.retain(|part| part.chars().any(char::is_alphanumeric));
    parts
}

/// A name without the full stop of its sentence: "Regnum.", but "U.S." and "Acme Inc.".
fn without_full_stop(name: &str) -> &str {
    let Some(bare) = name.strip_suffix('.') else {
        return name;
    };
    let last = bare.split_whitespace().next_back().unwrap_or_default();
    let is_abbreviation =
        last.contains('.') || ABBREVIATIONS.contains(&last.to_lowercase().as_str());
    if is_abbreviation {
        name
    } else {
        bare.trim_end()
    }
}

/// The lines as prose: one empty line between paragraphs. Without any empty line each line is a paragraph.
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

/// A name made of a headline: "articles/kazakhstan-confirms-partnership-with-nato-us". Cut after a word;
/// empty when nothing of the headline can be written in a to z and 0 to 9.
pub(super) fn propose_name(headline: &str) -> String {
    // What a script cannot say in ASCII is left out: a name is a handle, not a transliteration.
    let ascii = deunicode::deunicode_with_tofu(headline, " ").to_lowercase();
    // "U.S." is one word, and so is "Kazakhstan's"; "3.5" are two.
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
