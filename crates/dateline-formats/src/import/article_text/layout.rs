//! Invisible layout in texts: page breaks, soft returns, soft hyphens, and words split by a hard wrap.

use std::collections::HashSet;

/// Words before which a hyphen stands for a later word part: "Fernseh- und Rundfunk".
const AFTER_SUSPENDED: &[&str] = &[
    "und",
    "oder",
    "bzw",
    "beziehungsweise",
    "sowie",
    "bis",
    "noch",
    "and",
    "or",
    "to",
    "nor",
    "et",
    "ou",
    "y",
    "en",
    "of",
];

/// First halves of English compounds that keep their hyphen: "long-term".
const FIRST_HALVES: &[&str] = &[
    "all", "anti", "cross", "eight", "ex", "far", "first", "five", "four", "full", "half", "hard",
    "high", "ill", "large", "long", "low", "mid", "middle", "near", "nine", "non", "one", "part",
    "post", "pre", "pro", "second", "self", "semi", "seven", "short", "six", "small", "so", "ten",
    "third", "three", "two", "vice", "well", "year",
];

/// A line break within a paragraph: the soft return of word processors.
pub(super) const SOFT_RETURN: char = '\u{b}';

/// Removes page breaks and normalises line ends to LF; a soft return (vertical tab, U+2028) and NEL are line breaks.
/// Soft hyphens are removed, and so is a line end that follows one: they mark where a word may be split.
#[must_use]
pub fn tidy_layout(text: &str) -> String {
    tidy_lines(text).replace(SOFT_RETURN, "\n")
}

/// Like [`tidy_layout`], but keeps soft returns as [`SOFT_RETURN`]: they end a line but not a paragraph.
pub(super) fn tidy_lines(text: &str) -> String {
    let mut tidy = String::with_capacity(text.len());
    let mut rest = text.trim_start_matches('\u{feff}').chars().peekable();
    while let Some(found) = rest.next() {
        match found {
            '\r' => {
                rest.next_if_eq(&'\n');
                tidy.push('\n');
            }
            SOFT_RETURN | '\u{2028}' => tidy.push(SOFT_RETURN),
            '\u{85}' | '\u{2029}' => tidy.push('\n'),
            '\u{c}' => {
                let ends_line = tidy.is_empty() || tidy.ends_with('\n');
                let is_last = matches!(rest.peek(), None | Some('\n' | '\r' | '\u{c}'));
                if !ends_line && !is_last {
                    tidy.push('\n');
                }
            }
            '\u{ad}' => {
                // The second half of the word is on the next line.
                while rest.next_if(|next| matches!(next, '\r' | '\n')).is_some() {}
                while tidy.ends_with('\n') {
                    tidy.pop();
                }
                while rest
                    .next_if(|next| {
                        matches!(next, ' ' | '\t') && tidy.ends_with(char::is_alphabetic)
                    })
                    .is_some()
                {}
            }
            other => tidy.push(other),
        }
    }
    tidy
}

/// A text on one line: tabs, line breaks and repeated spaces become one space.
#[must_use]
pub fn one_line(text: &str) -> String {
    let text = tidy_layout(text);
    let words = text.split([' ', '\t', '\n']);
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

/// The words of a text, which show the spelling of a word that a line end has split.
pub(super) struct Words(HashSet<String>);

impl Words {
    pub(super) fn collect(lines: &[&str]) -> Self {
        let words = lines
            .iter()
            .flat_map(|line| line.split(|found: char| !is_of_word(found)));
        let whole = words.filter(|word| !word.is_empty() && !word.ends_with(is_hyphen));
        Self(whole.map(str::to_lowercase).collect())
    }

    fn has(&self, word: &str) -> bool {
        self.0.contains(word)
    }

    fn are_english(&self) -> bool {
        self.has("the") || self.has("of")
    }
}

fn is_of_word(found: char) -> bool {
    found.is_alphanumeric() || is_hyphen(found)
}

fn is_hyphen(found: char) -> bool {
    matches!(found, '-' | '\u{2010}')
}

/// True if a line ends in the first half of a word, and the next line begins with the second.
pub(super) fn is_cut(line: &str, next: &str) -> bool {
    first_half(line).is_some()
        && next
            .trim_start()
            .chars()
            .next()
            .is_some_and(char::is_lowercase)
        && !AFTER_SUSPENDED.contains(&word_at_start(next).as_str())
}

/// Joins two lines. A split word becomes whole; its hyphen is kept if it belongs to the word, which the rest of the
/// text or the word itself shows.
pub(super) fn join(line: &str, next: &str, words: &Words) -> String {
    let next = next.trim_start();
    let Some(half) = first_half(line) else {
        return match line.chars().next_back() {
            // "Kazakhstan-NATO", but "one - two" and "Fernseh- und".
            Some('-')
                if next.starts_with(|next: char| next.is_uppercase() || next.is_ascii_digit())
                    && ends_in_word(line) =>
            {
                format!("{line}{next}")
            }
            _ => format!("{line} {next}"),
        };
    };
    if next.starts_with(|next: char| next.is_uppercase() || next.is_ascii_digit()) {
        return format!("{line}{next}");
    }
    if !is_cut(line, next) {
        return format!("{line} {next}");
    }
    let other = word_at_start(next);
    let (with, without) = (format!("{half}-{other}"), format!("{half}{other}"));
    let bare = line.strip_suffix('-').unwrap_or(line);
    let keeps = !words.has(&without)
        && (words.has(&with)
            || half.contains('-')
            || words.are_english() && FIRST_HALVES.contains(&half.as_str()));
    if keeps {
        format!("{line}{next}")
    } else {
        format!("{bare}{next}")
    }
}

/// The word before a hyphen at the end of a line, in lower case.
fn first_half(line: &str) -> Option<String> {
    let bare = line.strip_suffix(['-', '\u{2010}'])?;
    let from = bare
        .rfind(|found: char| !found.is_alphabetic() && found != '-')
        .map_or(0, |at| {
            at + bare[at..].chars().next().map_or(1, char::len_utf8)
        });
    let half = &bare[from..];
    half.ends_with(char::is_alphabetic)
        .then(|| half.to_lowercase())
}

fn ends_in_word(line: &str) -> bool {
    let bare = line.strip_suffix('-').unwrap_or(line);
    bare.ends_with(char::is_alphanumeric)
}

fn word_at_start(line: &str) -> String {
    let line = line.trim_start();
    let end = line
        .find(|found: char| !found.is_alphabetic())
        .unwrap_or(line.len());
    line[..end].to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::{Words, is_cut, join, one_line, tidy_layout};

    #[test]
    fn page_breaks_go_and_soft_returns_are_line_breaks() {
        for (text, expected) in [
            ("One.\n\u{c}Two.\n\u{c}\n", "One.\nTwo.\n\n"),
            ("One.\u{c}\nTwo.\u{c}\r\n", "One.\nTwo.\n"),
            ("One.\u{c}Two.", "One.\nTwo."),
            (
                "One\u{b}two\u{85}three\u{2028}four\rfive",
                "One\ntwo\nthree\nfour\nfive",
            ),
            ("Kasach\u{ad}stan bleibt", "Kasachstan bleibt"),
            ("Kasach\u{ad}\nstan bleibt\n", "Kasachstan bleibt\n"),
            ("Kasach\u{ad}\r\n  stan", "Kasachstan"),
        ] {
            assert_eq!(tidy_layout(text), expected, "{text:?}");
        }
        assert_eq!(
            one_line(" Tabs\tin \t a\u{b}head\u{ad}line\n"),
            "Tabs in a headline"
        );
    }

    #[test]
    fn the_halves_of_a_word_are_joined_and_compounds_keep_their_hyphen() {
        let english = "the text says decision-making, and cooperation";
        for (line, next, text, expected) in [
            (
                "wie vor Immo-",
                "bilien, Rohstoffe",
                "",
                "wie vor Immobilien, Rohstoffe",
            ),
            ("die lang-", "fristig mehr", "", "die langfristig mehr"),
            ("the long-", "term plan", english, "the long-term plan"),
            (
                "a state-of-the-",
                "art plan",
                english,
                "a state-of-the-art plan",
            ),
            (
                "on decision-",
                "making again",
                english,
                "on decision-making again",
            ),
            ("on co-", "operation again", english, "on cooperation again"),
            (
                "the Kazakhstan-",
                "NATO talks",
                "",
                "the Kazakhstan-NATO talks",
            ),
            ("of Covid-", "19 cases", "", "of Covid-19 cases"),
            ("Fernseh-", "und Rundfunk", "", "Fernseh- und Rundfunk"),
            ("one -", "two", "", "one - two"),
            ("plain", "  text", "", "plain text"),
        ] {
            assert_eq!(
                join(line, next, &Words::collect(&[text])),
                expected,
                "{line} {next}"
            );
        }
        assert!(is_cut("Immo-", "bilien") && !is_cut("Immo-", "Bilien") && !is_cut("a -", "b"));
    }
}
