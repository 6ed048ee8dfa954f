//! Words of a text with their positions, cut alike for the index, for queries and for highlights: at spaces and
//! punctuation, and into overlapping pairs of signs where a script is written without spaces.

use dateline_match::normalize;

/// Most letters of a word; the rest is cut off.
const MAX_LETTERS: usize = 64;

/// A word of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    /// Position of its first character, in code points.
    pub start: usize,
    /// Position after its last character.
    pub end: usize,
    /// Folded letters.
    pub folded: String,
    /// Letters in lower case, for the rules of a language.
    pub lower: String,
    /// True for a pair of signs, or a single one: not a word of its own.
    pub is_sign: bool,
    /// True if the sign before it belongs to the same run.
    pub is_joined: bool,
}

/// Returns the words of a text in their order.
pub(crate) fn words(text: &str) -> Vec<Word> {
    let characters: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < characters.len() {
        let start = at;
        if is_sign(characters[at]) {
            while at < characters.len() && is_sign(characters[at]) {
                at += 1;
            }
            push_signs(&characters, start..at, &mut found);
        } else if is_part(&characters, at) {
            while at < characters.len() && is_part(&characters, at) && !is_sign(characters[at]) {
                at += 1;
            }
            push_word(&characters, start..at, &mut found);
        } else {
            at += 1;
        }
    }
    found
}

/// True for a sign of a script without spaces between words: Han, Kana, Hangul, Thai, Lao, Burmese, Khmer. Hangul has
/// spaces, and particles at its words.
fn is_sign(found: char) -> bool {
    matches!(found,
        '々' | '\u{E00}'..='\u{EFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17FF}'
        | '\u{3041}'..='\u{30FA}' | '\u{30FC}'..='\u{30FF}' | '\u{3400}'..='\u{4DBF}'
        | '\u{4E00}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7A3}' | '\u{F900}'..='\u{FAFF}'
        | '\u{20000}'..='\u{3FFFF}')
}

/// True for a character of a word: a letter, digit or mark, and inside a word an apostrophe or a dot.
fn is_part(all: &[char], at: usize) -> bool {
    let found = all[at];
    if is_letter(found) {
        return true;
    }
    let is_inner = matches!(
        found,
        '\'' | '’' | 'ʼ' | '״' | '"' | '.' | '\u{200C}' | '\u{200D}' | '\u{AD}'
    );
    is_inner && at > 0 && is_letter(all[at - 1]) && all.get(at + 1).copied().is_some_and(is_letter)
}

fn is_letter(found: char) -> bool {
    found.is_alphanumeric() || is_mark(found)
}

/// Combining marks of the scripts in use, which `is_alphanumeric` leaves out in part.
fn is_mark(found: char) -> bool {
    matches!(found,
        '\u{300}'..='\u{36F}' | '\u{483}'..='\u{489}' | '\u{591}'..='\u{5C7}' | '\u{610}'..='\u{61A}'
        | '\u{64B}'..='\u{65F}' | '\u{670}' | '\u{6D6}'..='\u{6ED}' | '\u{900}'..='\u{903}'
        | '\u{93A}'..='\u{94F}' | '\u{951}'..='\u{957}' | '\u{962}'..='\u{963}'
        | '\u{980}'..='\u{D7F}' | '\u{1AB0}'..='\u{1AFF}' | '\u{1DC0}'..='\u{1DFF}' | '\u{20D0}'..='\u{20FF}')
}

fn push_word(all: &[char], range: std::ops::Range<usize>, found: &mut Vec<Word>) {
    let raw: String = all[range.clone()].iter().collect();
    // Folding cuts some at their dots: each part stands for the whole.
    for folded in normalize(&raw).split(' ').filter(|part| !part.is_empty()) {
        found.push(Word {
            start: range.start,
            end: range.end,
            folded: folded.chars().take(MAX_LETTERS).collect(),
            lower: raw.to_lowercase().chars().take(MAX_LETTERS).collect(),
            is_sign: false,
            is_joined: false,
        });
    }
}

fn push_signs(all: &[char], range: std::ops::Range<usize>, found: &mut Vec<Word>) {
    let end = range.end;
    let is_single = range.len() == 1;
    for at in range.clone() {
        if at + 1 == end && !is_single {
            break;
        }
        let until = end.min(at + 2);
        let raw: String = all[at..until].iter().collect();
        let folded = normalize(&raw).replace(' ', "");
        if !folded.is_empty() {
            found.push(Word {
                start: at,
                end: until,
                folded,
                lower: String::new(),
                is_sign: true,
                is_joined: at > range.start,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::words;

    fn cut(text: &str) -> Vec<(usize, usize, String)> {
        let words = words(text).into_iter();
        words
            .map(|word| (word.start, word.end, word.folded))
            .collect()
    }

    #[test]
    fn words_have_the_positions_of_the_text() {
        let expected = |all: &[(usize, usize, &str)]| -> Vec<_> {
            all.iter()
                .map(|(start, end, word)| (*start, *end, (*word).to_owned()))
                .collect()
        };
        for (text, all) in [
            (
                "The U.N. said.",
                &[(0, 3, "the"), (4, 7, "un"), (9, 13, "said")][..],
            ),
            ("👍 Würde, O'Neil", &[(2, 7, "würde"), (9, 15, "oneil")]),
            (
                "AT&T C-130",
                &[(0, 2, "at"), (3, 4, "t"), (5, 6, "c"), (7, 10, "130")],
            ),
            ("東京都", &[(0, 2, "東京"), (1, 3, "京都")]),
            ("在京", &[(0, 2, "在京")]),
            ("国 NATO", &[(0, 1, "国"), (2, 6, "nato")]),
            ("", &[]),
            ("\u{301}!", &[(0, 1, "\u{301}")]),
        ] {
            assert_eq!(cut(text), expected(all), "{text}");
        }
    }
}
