//! The rules for any text from a client: normalisation before storage, refusals, and offsets. Offsets and positions are
//! code points from 0, end exclusive, everywhere.
//!
//! Does not depend on fields, length limits or messages. A caller normalizes first, then checks, then counts: spans
//! refer to the normalized text. Everything here is linear in its input, except the sorting of combining marks.

use std::borrow::Cow;
use unicode_normalization::{
    IsNormalized, UnicodeNormalization, char::is_combining_mark, is_nfc_quick,
};

/// The limit of the Stream-Safe Text Format (UAX #15); no written language needs nearly as many.
const MAX_COMBINING_MARKS: usize = 30;

/// Line ends that are stored as LF.
const FOREIGN_BREAKS: [char; 3] = ['\r', '\u{2028}', '\u{2029}'];

/// The layout that a field may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextLayout {
    /// A name or headline: one line, without control characters or direction overrides.
    Line,
    /// A body or note: line feeds and tabs too, and overrides, which right-to-left prose may need.
    Prose,
}

/// The reason why a text is refused. Parts of the text in it are escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what each means")]
pub enum Error {
    #[error("contains a null character at position {position}")]
    Null { position: usize },
    #[error("contains a control character (U+{:04X}) at position {position}", u32::from(*.found))]
    Control { found: char, position: usize },
    #[error("contains a line break at position {position}; it must be one line")]
    LineBreak { position: usize },
    #[error("contains a direction override (U+{:04X}) at position {position}", u32::from(*.found))]
    Direction { found: char, position: usize },
    #[error(
        "contains more than {MAX_COMBINING_MARKS} combining marks in a row at position {position}"
    )]
    CombiningMarks { position: usize },
}

/// The text in its stored form: NFC, without byte order marks at the start, with LF for CRLF, CR, U+2028 and U+2029.
/// Borrowed if nothing changed. Idempotent.
pub fn normalize(text: &str) -> Cow<'_, str> {
    if text.is_ascii() && !text.as_bytes().contains(&b'\r') {
        return Cow::Borrowed(text);
    }
    let marked = text.starts_with('\u{FEFF}');
    if !marked && !text.contains(FOREIGN_BREAKS) && is_nfc_quick(text.chars()) == IsNormalized::Yes
    {
        return Cow::Borrowed(text);
    }
    text.trim_start_matches('\u{FEFF}')
        .replace("\r\n", "\n")
        .replace(FOREIGN_BREAKS, "\n")
        .nfc()
        .collect()
}

/// Checks that a normalized text may be stored in a field of that shape.
///
/// Private-use characters, noncharacters, joiners and unassigned code points are accepted: they are harmless and
/// returned unchanged.
///
/// # Errors
///
/// The first fault in the text.
pub fn check(text: &str, layout: TextLayout) -> Result<(), Error> {
    if text.bytes().all(|byte| is_plain(byte, layout)) {
        return Ok(());
    }
    let mut marks = 0;
    for (position, found) in text.chars().enumerate() {
        match (found, layout) {
            ('\0', _) => return Err(Error::Null { position }),
            ('\n' | '\t', TextLayout::Prose) => {}
            ('\n' | '\u{2028}' | '\u{2029}', TextLayout::Line) => {
                return Err(Error::LineBreak { position });
            }
            ('\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}', TextLayout::Line) => {
                return Err(Error::Direction { found, position });
            }
            _ if found.is_control() => return Err(Error::Control { found, position }),
            _ => {}
        }
        // A joiner between marks is invisible, so it does not end a run of marks.
        marks = match found {
            '\u{200C}' | '\u{200D}' => marks,
            _ if is_combining_mark(found) => marks + 1,
            _ => 0,
        };
        if marks > MAX_COMBINING_MARKS {
            return Err(Error::CombiningMarks { position });
        }
    }
    Ok(())
}

/// True for a byte of ASCII that no rule is about: most texts have only such bytes, and need no look at each character.
fn is_plain(byte: u8, layout: TextLayout) -> bool {
    match byte {
        b' '..=b'~' => true,
        b'\n' | b'\t' => layout == TextLayout::Prose,
        _ => false,
    }
}

/// True if a reader would see nothing: white space, controls, and characters without a glyph.
pub fn is_blank(text: &str) -> bool {
    // U+2800 is the empty Braille cell, which Unicode counts as a symbol.
    text.chars()
        .all(|it| it.is_whitespace() || it.is_control() || is_ignorable(it) || it == '\u{2800}')
}

/// Unicode's `Default_Ignorable_Code_Point`, which is stable by policy: joiners, zero-width spaces,
/// direction marks, variation selectors, fillers and tags.
fn is_ignorable(found: char) -> bool {
    matches!(found,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}'
        | '\u{FFF0}'..='\u{FFF8}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}'
        | '\u{E0000}'..='\u{E0FFF}')
}

/// The text between two offsets. `None` unless `start < end` and `end` lies within the text.
pub fn slice(text: &str, start: usize, end: usize) -> Option<&str> {
    let length = end.checked_sub(start).filter(|length| *length > 0)?;
    let rest = skip(text, start)?;
    let after = skip(rest, length)?;
    rest.get(..rest.len() - after.len())
}

/// The text from an offset on. `Chars::nth` skips whole blocks of bytes, which `CharIndices` does not.
fn skip(text: &str, count: usize) -> Option<&str> {
    let mut characters = text.chars();
    if count > 0 {
        characters.nth(count - 1)?;
    }
    Some(characters.as_str())
}

/// Code points between two marks of an [`OffsetIndex`].
const INDEX_STRIDE: usize = 256;

/// A text that is sliced often: stores the byte offset of every 256th code point.
pub struct OffsetIndex<'a> {
    text: &'a str,
    marks: Vec<usize>,
}

impl<'a> OffsetIndex<'a> {
    /// Measures a text once.
    pub fn new(text: &'a str) -> Self {
        let starts = text.char_indices().map(|(start, _)| start);
        let marks = starts.step_by(INDEX_STRIDE).collect();
        Self { text, marks }
    }

    /// The same as [`slice()`], in time that depends on the length of the slice alone.
    pub fn slice(&self, start: usize, end: usize) -> Option<&'a str> {
        let mark = *self.marks.get(start / INDEX_STRIDE)?;
        let before = start / INDEX_STRIDE * INDEX_STRIDE;
        slice(
            self.text.get(mark..)?,
            start - before,
            end.checked_sub(before)?,
        )
    }
}

/// The offsets of every occurrence, including overlapping ones, so that a single result means that the quote occurs
/// once. Empty for an empty quote. Knuth-Morris-Pratt search.
pub fn find_spans(text: &str, exact: &str) -> Vec<(usize, usize)> {
    let exact: Vec<char> = exact.chars().collect();
    let mut spans = Vec::new();
    if exact.is_empty() {
        return spans;
    }
    let borders = borders(&exact);
    let mut matched = 0;
    for (position, found) in text.chars().enumerate() {
        matched = extend(&exact, &borders, matched, found);
        if matched == exact.len() {
            spans.push((position + 1 - matched, position + 1));
        }
    }
    spans
}

/// For each prefix, the length of the longest shorter prefix that it also ends with.
fn borders(exact: &[char]) -> Vec<usize> {
    let mut borders = vec![0];
    let mut matched = 0;
    for found in exact.iter().skip(1) {
        matched = extend(exact, &borders, matched, *found);
        borders.push(matched);
    }
    borders
}

/// Number of characters of `exact` that match up to and including `found`, given the number before it.
fn extend(exact: &[char], borders: &[usize], mut matched: usize, found: char) -> usize {
    while exact.get(matched) != Some(&found) {
        if matched == 0 {
            return 0;
        }
        matched = borders[matched - 1];
    }
    matched + 1
}

/// Most characters of a text that an error repeats.
const MAX_QUOTED: usize = 64;

/// Quotes a text for an error: in quotation marks, escaped, and cut to 64 characters with an ellipsis. Escapes count
/// towards the limit and are never cut.
pub fn quote_for_error(text: &str) -> String {
    let mut shown = String::from('"');
    let mut room = MAX_QUOTED;
    for character in text.chars() {
        let escaped = character.escape_debug();
        let plain = matches!(character, '\'') || is_combining_mark(character);
        let length = if plain { 1 } else { escaped.len() };
        if length > room {
            shown.push('…');
            break;
        }
        room -= length;
        if plain {
            shown.push(character);
        } else {
            shown.extend(escaped);
        }
    }
    shown.push('"');
    shown
}

/// A key that is equal for names that a reader takes for the same: NFKC, without case, joiners and other ignorable
/// characters, with single spaces and none at the ends. For warnings, never for identity; at most eleven
/// times as long as the text in bytes. Letters of different scripts stay different, and so do marks. Idempotent.
pub fn search_key(text: &str) -> String {
    if text.is_ascii() {
        return single_spaced(&text.to_ascii_lowercase());
    }
    folded_key(text)
}

fn single_spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The key of any text.
fn folded_key(text: &str) -> String {
    // Ignorable characters are removed first, since they separate a mark from its letter. Folding through upper case
    // makes ß equal to ss and ς to σ; U+1E9E needs lower case before it.
    let folded: String = text
        .chars()
        .filter(|found| !is_ignorable(*found))
        .nfkc()
        .flat_map(char::to_lowercase)
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .nfkc()
        .collect();
    single_spaced(&folded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_text_is_stored_with_plain_line_ends_and_composed() {
        for (sent, stored) in [
            ("\u{FEFF}\u{FEFF}a\u{FEFF}", "a\u{FEFF}"),
            ("a\r\nb\rc\u{2028}d\u{2029}e\n\r", "a\nb\nc\nd\ne\n\n"),
            ("Cafe\u{301}", "Café"),
            ("\u{212B}\u{1100}\u{1161}", "\u{C5}가"),
            ("q\u{307}\u{323}", "q\u{323}\u{307}"),
            (
                "می\u{200C}خواهم 👩\u{200D}🚀",
                "می\u{200C}خواهم 👩\u{200D}🚀",
            ),
            ("\u{FFFE}\u{E000}", "\u{FFFE}\u{E000}"),
        ] {
            assert_eq!(normalize(sent), stored);
            let borrowed = matches!(normalize(sent), Cow::Borrowed(_));
            assert_eq!(borrowed, sent == stored, "{sent:?}");
        }
    }

    #[test]
    fn a_refusal_says_what_stands_where() {
        let pile = |marks| format!("a{}", "\u{301}".repeat(marks));
        let joined = format!("{}\u{200D}{}", pile(30), &pile(1)[1..]);
        let plain = "مرحبا \u{200F}\u{200C}\u{FFFE}\u{E000}\u{378}<script>'; DROP TABLE %_\\";
        for (text, in_prose, what, position) in [
            ("Kazakh 🇰🇿\0", true, "a null character", 9),
            ("é\u{1b}[2J", true, "a control character (U+001B)", 1),
            ("\u{85}", true, "a control character (U+0085)", 0),
            ("\r\n", true, "a control character (U+000D)", 0),
            ("a\tb", false, "a control character (U+0009)", 1),
            ("👍\n", false, "a line break", 1),
            ("a\u{202E}b", false, "a direction override (U+202E)", 1),
            ("\u{2069}", false, "a direction override (U+2069)", 0),
            (&pile(31), true, "more than 30 combining marks in a row", 31),
            (&joined, true, "more than 30 combining marks in a row", 32),
        ] {
            let refusal = check(text, TextLayout::Line).map_err(|error| error.to_string());
            let expected = format!("contains {what} at position {position}");
            assert!(
                refusal.is_err_and(|shown| shown.starts_with(&expected)),
                "{expected}"
            );
            assert_eq!(
                check(text, TextLayout::Prose).is_err(),
                in_prose,
                "{text:?}"
            );
        }
        for text in [plain, &pile(30)] {
            assert_eq!(check(text, TextLayout::Line), Ok(()));
        }
    }

    #[test]
    fn what_cannot_be_seen_is_blank() {
        let unseen =
            "\t\n\u{A0}\u{3000}\u{85}\u{200B}\u{FEFF}\u{2060}\u{200D}\u{3164}\u{2800}\u{AD}";
        assert!(is_blank("") && is_blank(unseen));
        for seen in [".", "\u{301}", "\u{FFFE}", "👍"] {
            assert!(!is_blank(&format!("{unseen}{seen}")), "{seen:?}");
        }
    }

    #[test]
    fn a_slice_counts_code_points() {
        let text = "a👩\u{200D}🚀e\u{301}ж";
        for (start, end, expected) in [
            (0, 1, Some("a")),
            (1, 4, Some("👩\u{200D}🚀")),
            (0, 7, Some(text)),
            (6, 8, None),
            (3, 3, None),
            (4, 3, None),
            (usize::MAX - 1, usize::MAX, None),
        ] {
            assert_eq!(slice(text, start, end), expected, "{start}..{end}");
        }
    }

    #[test]
    fn every_occurrence_is_found() {
        for (text, exact, expected) in [
            ("👍 NATO, НАТО, NATO", "NATO", &[(2, 6), (14, 18)][..]),
            ("ananana", "ana", &[(0, 3), (2, 5), (4, 7)]),
            ("aabaabaaab", "aabaaab", &[(3, 10)]),
            ("abc", "", &[]),
            ("abc", "abcd", &[]),
        ] {
            assert_eq!(find_spans(text, exact), expected, "{exact}");
        }
    }

    #[test]
    fn names_that_read_alike_share_a_key() {
        for (one, two) in [
            ("  The\u{A0}Hague\n", "the hague"),
            ("STRASSE STRAẞE", "straße strasse"),
            ("ΟΔΥΣΣΕΎΣ", "οδυσσεύς"),
            ("می\u{200C}خواهم", "میخواهم"),
            ("ＮＡＴＯ ﬁ", "nato FI"),
            ("Cafe\u{200B}\u{301}", "CAFÉ"),
            ("100%_\\", "100%_\\"),
        ] {
            assert_eq!(search_key(one), search_key(two));
        }
        // Cyrillic А: look-alikes are handled elsewhere.
        assert_ne!(search_key("NАTO"), search_key("NATO"));
    }

    #[test]
    fn ascii_is_judged_and_folded_like_any_text() {
        let all: String = ('\0'..='\x7f').flat_map(|found| [found, ' ']).collect();
        assert_eq!(search_key(&all), folded_key(&all));
        for found in '\0'..='\x7f' {
            let text = format!("a{found}B {found}");
            assert_eq!(search_key(&text), folded_key(&text), "{found:?}");
            // The accent leads past the way for ASCII.
            for layout in [TextLayout::Line, TextLayout::Prose] {
                let accented = format!("{text}é");
                assert_eq!(check(&text, layout), check(&accented, layout), "{found:?}");
                let stored = normalize(&accented);
                assert_eq!(format!("{}é", normalize(&text)), stored, "{found:?}");
            }
        }
    }

    #[test]
    fn every_key_is_its_own_key() {
        let all: String = ('\0'..=char::MAX).flat_map(|found| [found, ' ']).collect();
        let key = search_key(&all);
        assert!(search_key(&key) == key && unicode_normalization::is_nfkc(&key));
    }

    /// Texts with many of the characters that the rules handle.
    fn text() -> impl Strategy<Value = String> {
        let rich = "([ab \r\n\u{FEFF}\u{2028}\u{301}\u{323}\u{200D}éßж👍\u{1100}\u{1161}\u{202E}]|\\PC){0,40}";
        prop_oneof![".*", proptest::string::string_regex(rich).unwrap()]
    }

    proptest! {
        #[test]
        fn twice_changes_no_more(text in text()) {
            let once = normalize(&text).into_owned();
            prop_assert_eq!(normalize(&once), once.as_str());
            prop_assert!(unicode_normalization::is_nfc(&once));
            let key = search_key(&text);
            prop_assert_eq!(search_key(&key), key.as_str());
            prop_assert_eq!(search_key(&once), key);
        }

        #[test]
        fn a_quote_is_found_where_it_was_cut(text in text(), start in 0..50_usize, end in 0..50_usize) {
            let characters: Vec<char> = text.chars().collect();
            let exact = characters.get(start..end.max(start)).filter(|exact| !exact.is_empty());
            let quote = exact.map(String::from_iter);
            prop_assert_eq!(slice(&text, start, end), quote.as_deref());
            let (long, before) = (format!("{}{text}", "ж".repeat(500)), 500);
            let measured = OffsetIndex::new(&long).slice(before + start, before + end);
            prop_assert_eq!(measured, quote.as_deref());
            let (quote, exact) = (quote.unwrap_or("a".into()), exact.unwrap_or(&['a']));
            let starts = (0..characters.len()).filter(|at| characters[*at..].starts_with(exact));
            let spans: Vec<_> = starts.map(|start| (start, start + exact.len())).collect();
            prop_assert_eq!(find_spans(&text, &quote), spans);
        }
    }
}
