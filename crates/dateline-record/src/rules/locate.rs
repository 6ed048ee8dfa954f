//! Finds a quote that is given by its text (W3C TextQuoteSelector): part and offsets follow from the article. White
//! space may differ, nothing else may: the article's own text is taken. Texts have to be normalised
//! (`text::normalize`).

use std::{collections::HashMap, ops::Range};

use dateline_proto::v1::{TextSpan, text_span::Part};
use regex::Regex;
use similar::{ChangeTag, TextDiff};

use crate::text;

/// Most occurrences that are told apart.
const MAX_OCCURRENCES: usize = 1000;
/// Most occurrences that an error lists.
const MAX_LISTED: usize = 5;
/// Characters of context on either side of a listed occurrence.
const CONTEXT_CHARS: usize = 24;
/// Most characters of the nearest passage that an error shows.
const MAX_PASSAGE_CHARS: usize = 300;

/// One place at which the quoted text occurs.
struct Occurrence<'a> {
    part: Part,
    text: &'a str,
    /// In bytes of the text.
    bytes: Range<usize>,
}

/// True if the span has offsets. Otherwise it is given by its text.
#[must_use]
pub fn is_located(span: &TextSpan) -> bool {
    (span.start, span.end) != (0, 0)
}

/// Returns the span with part and offsets, and without what helped to find it.
///
/// # Errors
/// The nearest passage, if the text does not occur; the occurrences, if there are several. Safe to send to a client:
/// parts of the input are short.
pub fn locate(span: &TextSpan, headline: &str, body: &str) -> Result<TextSpan, String> {
    let mut found = occurrences(span, headline, body);
    if found.is_empty() {
        return Err(not_found(span, headline, body));
    }
    if found.len() >= MAX_OCCURRENCES {
        return Err(format!(
            "occurs {MAX_OCCURRENCES} times or more; quote more of the text"
        ));
    }
    let count = found.len();
    found.retain(|it| fits_context(it, span));
    if found.is_empty() {
        return Err(format!(
            "occurs {count} times, but never between this prefix and suffix"
        ));
    }
    let index = match (usize::try_from(span.occurrence).unwrap_or(0), found.len()) {
        (0, 1) => 0,
        (0, _) => return Err(ambiguous(&found)),
        (wanted, count) if wanted > count => {
            return Err(format!(
                "occurs {count} times; there is no occurrence {wanted}"
            ));
        }
        (wanted, _) => wanted - 1,
    };
    Ok(found[index].to_span())
}

/// Returns the occurrences in the headline and the body, in this order, at most as many as are told apart.
fn occurrences<'a>(span: &TextSpan, headline: &'a str, body: &'a str) -> Vec<Occurrence<'a>> {
    let parts = [(Part::Headline, headline), (Part::Body, body)];
    let asked = parts
        .into_iter()
        .filter(|(part, _)| span.part() == Part::Unspecified || span.part() == *part);
    let found = asked.flat_map(|(part, text)| {
        let places = places(text, &span.exact).into_iter();
        places.map(move |bytes| Occurrence { part, text, bytes })
    });
    found.take(MAX_OCCURRENCES).collect()
}

/// Returns where a text occurs, including overlapping places; with other white space if it occurs nowhere as it is.
fn places(text: &str, exact: &str) -> Vec<Range<usize>> {
    let mut places = Vec::new();
    let mut from = 0;
    while !exact.is_empty()
        && places.len() < MAX_OCCURRENCES
        && let Some(at) = text[from..].find(exact)
    {
        places.push(from + at..from + at + exact.len());
        from += at + text[from + at..].chars().next().map_or(1, char::len_utf8);
    }
    if !places.is_empty() {
        return places;
    }
    let words: Vec<_> = exact.split_whitespace().map(regex::escape).collect();
    let pattern = (!words.is_empty()).then(|| Regex::new(&words.join(r"\s+")));
    let Some(Ok(pattern)) = pattern else {
        return places;
    };
    let found = pattern.find_iter(text).take(MAX_OCCURRENCES);
    found.map(|found| found.range()).collect()
}

/// True if the text around an occurrence is that of the prefix and suffix. White space may differ.
fn fits_context(occurrence: &Occurrence<'_>, span: &TextSpan) -> bool {
    let before = occurrence.text[..occurrence.bytes.start]
        .split_whitespace()
        .rev();
    let after = occurrence.text[occurrence.bytes.end..].split_whitespace();
    let is_prefix = is_same_end(
        span.prefix.split_whitespace().rev(),
        before,
        |long, short| long.ends_with(short),
    );
    is_prefix
        && is_same_end(span.suffix.split_whitespace(), after, |long, short| {
            long.starts_with(short)
        })
}

/// Compares words with those of a text, outwards from a quote. The outermost word may be cut.
fn is_same_end<'a>(
    wanted: impl Iterator<Item = &'a str>,
    mut words: impl Iterator<Item = &'a str>,
    fits: impl Fn(&str, &str) -> bool,
) -> bool {
    let mut wanted = wanted.peekable();
    while let Some(word) = wanted.next() {
        let is_same = match words.next() {
            None => false,
            Some(found) if wanted.peek().is_none() => fits(found, word),
            Some(found) => found == word,
        };
        if !is_same {
            return false;
        }
    }
    true
}

impl Occurrence<'_> {
    fn to_span(&self) -> TextSpan {
        let (start, end) = self.offsets();
        TextSpan {
            part: self.part.into(),
            start,
            end,
            exact: self.text[self.bytes.clone()].to_owned(),
            ..TextSpan::default()
        }
    }

    /// Returns the offsets in code points. A part has fewer than 2^31.
    fn offsets(&self) -> (i32, i32) {
        let count = |text: &str| i32::try_from(text.chars().count()).unwrap_or(i32::MAX);
        let start = count(&self.text[..self.bytes.start]);
        (start, start + count(&self.text[self.bytes.clone()]))
    }

    /// Describes it with the text around it.
    fn describe(&self, number: usize) -> String {
        let before: Vec<char> = self.text[..self.bytes.start]
            .chars()
            .rev()
            .take(CONTEXT_CHARS)
            .collect();
        let before: String = before.into_iter().rev().collect();
        let after: String = self.text[self.bytes.start..]
            .chars()
            .take(2 * CONTEXT_CHARS)
            .collect();
        format!(
            "{number} in the {} from {}, {}",
            part_name(self.part),
            self.offsets().0,
            text::quote_for_error(&format!("{before}{after}"))
        )
    }
}

fn part_name(part: Part) -> &'static str {
    match part {
        Part::Headline => "headline",
        Part::Body | Part::Unspecified => "body",
    }
}

fn ambiguous(found: &[Occurrence<'_>]) -> String {
    let listed: Vec<_> = (1..)
        .zip(found)
        .take(MAX_LISTED)
        .map(|(number, occurrence)| occurrence.describe(number))
        .collect();
    let more = if found.len() > MAX_LISTED {
        "; …"
    } else {
        ""
    };
    format!(
        "occurs {} times: {}{more}; add prefix, suffix or occurrence",
        found.len(),
        listed.join("; ")
    )
}

fn not_found(span: &TextSpan, headline: &str, body: &str) -> String {
    let parts = [(Part::Headline, headline), (Part::Body, body)];
    let nearest = parts
        .into_iter()
        .filter(|(part, _)| span.part() == Part::Unspecified || span.part() == *part)
        .filter_map(|(part, text)| Some((part, nearest_passage(text, &span.exact)?)))
        .max_by_key(|(_, (shared, _))| *shared);
    let Some((part, (_, passage))) = nearest else {
        return "does not occur in the article, and nothing like it does".to_owned();
    };
    format!(
        "does not occur in the article; the nearest passage, in the {}, differs where [-the quote-] and {{+the \
         article+}} are marked: {}",
        part_name(part),
        differences(&span.exact, passage)
    )
}

/// Returns the stretch of a text, as long as the quote in words, that shares most of its words, with their number;
/// `None` if it shares less than half.
fn nearest_passage<'t>(text: &'t str, quote: &str) -> Option<(usize, &'t str)> {
    let mut wanted: HashMap<&str, i64> = HashMap::new();
    for word in quote.split_whitespace() {
        *wanted.entry(word).or_default() += 1;
    }
    let length = quote.split_whitespace().count();
    let words: Vec<&str> = text.split_whitespace().collect();
    let (mut shared, mut best) = (0_usize, (0_usize, 0_usize));
    for (index, word) in words.iter().enumerate() {
        if let Some(left) = wanted.get_mut(word) {
            shared += usize::from(*left > 0);
            *left -= 1;
        }
        if let Some(left) = index
            .checked_sub(length)
            .and_then(|at| wanted.get_mut(words[at]))
        {
            *left += 1;
            shared -= usize::from(*left > 0);
        }
        if shared > best.0 {
            best = (shared, index);
        }
    }
    let (shared, last) = best;
    if shared == 0 || 2 * shared < length {
        return None;
    }
    let first = (last + 1).saturating_sub(length);
    let first =
        (first..=last).find(|index| quote.split_whitespace().any(|it| it == words[*index]))?;
    // The article may have words in between, which push the last ones of the quote out.
    let mut missing: Vec<_> = quote.split_whitespace().collect();
    let mut take = |word: &str| {
        let at = missing.iter().position(|it| *it == word);
        at.map(|at| missing.swap_remove(at)).is_some()
    };
    for word in &words[first..=last] {
        take(word);
    }
    let end = words.len().min(last + 2 + length / 4);
    let last = (last + 1..end)
        .filter(|index| take(words[*index]))
        .last()
        .unwrap_or(last);
    let place = |word: &str| word.as_ptr().addr() - text.as_ptr().addr();
    let end = place(words[last]) + words[last].len();
    Some((shared, &text[place(words[first])..end]))
}

/// Marks what only the quote has as [-…-], and what only the article has as {+…+}.
fn differences(quote: &str, passage: &str) -> String {
    let diff = TextDiff::from_words(quote, passage);
    let marked: String = diff
        .iter_all_changes()
        .map(|change| match change.tag() {
            ChangeTag::Equal => change.value().to_owned(),
            ChangeTag::Delete => format!("[-{}-]", change.value()),
            ChangeTag::Insert => format!("{{+{}+}}", change.value()),
        })
        .collect();
    let mut marked = marked.replace("-][-", "").replace("+}{+", "");
    if let Some((cut, _)) = marked.char_indices().nth(MAX_PASSAGE_CHARS) {
        marked.truncate(cut);
        marked.push('…');
    }
    marked.replace(|found: char| found.is_control(), " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "The port opened on Monday.\nThe mayor said the port was ready.\nThe port of Aktau is on the Caspian Sea.";

    fn quote(exact: &str) -> TextSpan {
        TextSpan {
            exact: exact.to_owned(),
            ..TextSpan::default()
        }
    }

    fn located(span: &TextSpan) -> Result<(Part, i32, i32), String> {
        let located = locate(span, "The port", BODY)?;
        assert_eq!((located.prefix.as_str(), located.suffix.as_str()), ("", ""));
        assert_eq!(located.occurrence, 0);
        super::super::quote::check_quote(&located, "The port", BODY).unwrap();
        Ok((located.part(), located.start, located.end))
    }

    #[test]
    fn w12_a_text_that_occurs_once_is_found_whatever_its_white_space() {
        for exact in [
            "on Monday.\nThe mayor",
            "on Monday. The mayor",
            "on  Monday.\tThe\nmayor",
        ] {
            assert_eq!(located(&quote(exact)), Ok((Part::Body, 16, 36)), "{exact}");
        }
        assert_eq!(located(&quote("Caspian Sea")), Ok((Part::Body, 90, 101)));
    }

    #[test]
    fn w12_of_several_occurrences_that_one_is_taken_which_is_meant() {
        let error = located(&quote("port")).unwrap_err();
        for words in [
            "occurs 4 times",
            "1 in the headline from 4",
            "2 in the body from 4",
            "prefix, suffix or",
        ] {
            assert!(error.contains(words), "{words}: {error}");
        }
        let meant = |part: Part, prefix: &str, suffix: &str, occurrence| TextSpan {
            part: part.into(),
            prefix: prefix.to_owned(),
            suffix: suffix.to_owned(),
            occurrence,
            ..quote("port")
        };
        for (span, expected) in [
            (meant(Part::Headline, "", "", 0), (Part::Headline, 4, 8)),
            (
                meant(Part::Unspecified, "", "opened", 0),
                (Part::Body, 4, 8),
            ),
            (
                meant(Part::Unspecified, "said the", "", 0),
                (Part::Body, 46, 50),
            ),
            (
                meant(Part::Unspecified, "id\nthe ", " was", 0),
                (Part::Body, 46, 50),
            ),
            (meant(Part::Body, "", "", 3), (Part::Body, 66, 70)),
            (meant(Part::Unspecified, "", "", 4), (Part::Body, 66, 70)),
            (meant(Part::Body, "The", "o", 2), (Part::Body, 66, 70)),
        ] {
            assert_eq!(located(&span), Ok(expected), "{span:?}");
        }
        let error = located(&meant(Part::Body, "", "", 4)).unwrap_err();
        assert!(
            error.contains("occurs 3 times; there is no occurrence 4"),
            "{error}"
        );
        let error = located(&meant(Part::Body, "a", "b", 0)).unwrap_err();
        assert!(error.contains("never between"), "{error}");
    }

    #[test]
    fn w12_of_a_text_that_does_not_occur_the_nearest_passage_is_shown() {
        let error = located(&quote("The mayor says the port was almost ready.")).unwrap_err();
        for words in [
            "does not occur",
            "in the body",
            "[-says-]{+said+}",
            "[- almost-]",
        ] {
            assert!(error.contains(words), "{words}: {error}");
        }
        let error = located(&quote("Nobody knew anything about it")).unwrap_err();
        assert!(error.contains("nothing like it"), "{error}");
    }

    #[test]
    fn overlapping_occurrences_and_other_scripts_are_counted_in_code_points() {
        let found = locate(&quote("ана"), "", "банана").unwrap_err();
        assert!(found.contains("occurs 2 times"), "{found}");
        let found = locate(&quote("の港"), "", "東京の港").unwrap();
        assert_eq!((found.start, found.end), (2, 4));
        let many = locate(&quote("a"), "", &"a".repeat(5000)).unwrap_err();
        assert!(many.contains("1000 times or more"), "{many}");
        assert!(locate(&quote(" \n "), "", "").is_err());
    }
}
