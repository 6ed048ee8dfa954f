//! Folding of names: one spelling for every way to type the same letters, and its cut into words. Knows no language and
//! no list of words.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Version of the folded form and of every key made from it. Stored beside keys, so that old and new ones can be told
/// apart while an index is rebuilt.
pub const VERSION: u32 = 1;

/// Maximum letters of a word; the rest is cut off.
pub const MAX_LETTERS: usize = 64;
/// Maximum words of a name; the rest is not compared.
pub const MAX_WORDS: usize = 24;

/// The writing system of a word, as far as rules differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Script {
    /// Latin letters, and all that has no rules of its own.
    Latin,
    /// Cyrillic.
    Cyrillic,
    /// Greek.
    Greek,
    /// Armenian.
    Armenian,
    /// Georgian.
    Georgian,
    /// Arabic, Persian too.
    Arabic,
    /// Hebrew.
    Hebrew,
    /// Devanagari.
    Devanagari,
    /// Thai.
    Thai,
    /// Han.
    Han,
    /// Hiragana and Katakana.
    Kana,
    /// Hangul.
    Hangul,
    /// Digits.
    Digit,
}

impl Script {
    /// The script of a folded character; `None` for marks, which belong to any.
    pub fn of(found: char) -> Option<Self> {
        Some(match found {
            '0'..='9' => Self::Digit,
            '\u{370}'..='\u{3FF}' | '\u{1F00}'..='\u{1FFF}' => Self::Greek,
            '\u{400}'..='\u{52F}' => Self::Cyrillic,
            '\u{530}'..='\u{58F}' => Self::Armenian,
            '\u{590}'..='\u{5FF}' => Self::Hebrew,
            '\u{600}'..='\u{6FF}' | '\u{750}'..='\u{77F}' => Self::Arabic,
            '\u{900}'..='\u{97F}' => Self::Devanagari,
            '\u{E00}'..='\u{E7F}' => Self::Thai,
            '\u{10A0}'..='\u{10FF}' | '\u{1C90}'..='\u{1CBF}' => Self::Georgian,
            '\u{3041}'..='\u{30FF}' => Self::Kana,
            '\u{1100}'..='\u{11FF}' | '\u{AC00}'..='\u{D7A3}' => Self::Hangul,
            '々'
            | '\u{3400}'..='\u{4DBF}'
            | '\u{4E00}'..='\u{9FFF}'
            | '\u{20000}'..='\u{3FFFF}' => Self::Han,
            _ if is_combining_mark(found) => return None,
            _ => Self::Latin,
        })
    }

    /// True for scripts that are written without spaces between words.
    pub const fn is_unspaced(self) -> bool {
        matches!(self, Self::Han | Self::Kana | Self::Hangul | Self::Thai)
    }
}

/// A folded word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Lower-case letters and marks.
    pub text: String,
    /// The script of all letters.
    pub script: Script,
    /// True if it follows the word before it without a space.
    pub is_joined: bool,
}

/// The form in which names are compared: NFKC, without ignorable characters, in lower case, quotes and primes removed,
/// other punctuation as single spaces, dotted acronyms joined. Folding it again changes nothing.
pub fn normalize(text: &str) -> String {
    if let Some(word) = simple_word(text) {
        return word;
    }
    let once = fold_once(text);
    // Composition can make a letter that folds further; this happens for a few compatibility characters only.
    let twice = fold_once(&once);
    if twice == once {
        once
    } else {
        fold_once(&twice)
    }
}

/// A word of basic Latin or Cyrillic letters, by far the most common, without the tables of Unicode.
fn simple_word(text: &str) -> Option<String> {
    let mut folded = String::with_capacity(text.len());
    for found in text.chars() {
        match found {
            'ъ' | 'ь' | 'Ъ' | 'Ь' => {}
            '0'..='9' | 'a'..='z' | 'а'..='я' => folded.push(found),
            'A'..='Z' => folded.push(found.to_ascii_lowercase()),
            'А'..='Я' => folded.extend(found.to_lowercase()),
            _ => return None,
        }
    }
    Some(folded)
}

fn fold_once(text: &str) -> String {
    let lower: Vec<char> = text
        .nfkc()
        .flat_map(char::to_lowercase)
        .collect::<String>()
        .nfkc()
        .filter(|found| !is_ignorable(*found))
        .map(plain)
        .collect();
    let mut folded = String::with_capacity(text.len());
    for (at, found) in lower.iter().copied().enumerate() {
        if is_removed(found, &lower, at) {
            continue;
        }
        let is_part = found.is_alphanumeric() || is_combining_mark(found) || found == 'ー';
        if is_part {
            folded.push(found);
        } else if !folded.is_empty() && !folded.ends_with(' ') {
            folded.push(' ');
        }
    }
    folded.truncate(folded.trim_end().len());
    folded
}

/// Letters that differ in encoding and not for a reader.
fn plain(found: char) -> char {
    match found {
        'ı' => 'i',
        'ς' => 'σ',
        'أ' | 'إ' | 'آ' | 'ٱ' => 'ا',
        'ى' | 'ی' => 'ي',
        'ک' => 'ك',
        'ё' => 'е',
        _ => found,
    }
}

/// Quotes inside words, the dots of acronyms, the dot above a Turkish i, and vowel points.
fn is_removed(found: char, all: &[char], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|it| all.get(it)).copied();
    let after = all.get(at + 1).copied();
    let is_letter = |it: Option<char>| it.is_some_and(char::is_alphabetic);
    match found {
        '\'' | '’' | '‘' | 'ʼ' | 'ʻ' | 'ʿ' | 'ʾ' | '`' | '´' | '′' | '״' | '׳' | 'ъ' | 'ь'
        // Points of Arabic and Hebrew: written by few, and never by all.
        | '\u{64B}'..='\u{652}' | '\u{670}' | '\u{5B0}'..='\u{5C7}' | '\u{640}' => true,
        '"' | '”' | '“' | '″' => {
            let is_hebrew = |it: Option<char>| it.and_then(Script::of) == Some(Script::Hebrew);
            is_hebrew(before) && is_hebrew(after)
        }
        '.' => {
            let starts =
                |it: usize| it == 0 || !all.get(it - 1).copied().is_some_and(char::is_alphanumeric);
            let ends = !all.get(at + 2).copied().is_some_and(char::is_alphanumeric);
            let is_between = is_letter(before) && is_letter(after) && ends;
            is_between && (starts(at - 1) || at >= 2 && all[at - 2] == '.')
        }
        '\u{307}' => before == Some('i'),
        _ => false,
    }
}

fn is_ignorable(found: char) -> bool {
    matches!(found,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}'
        | '\u{FFF0}'..='\u{FFF8}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}'
        | '\u{E0000}'..='\u{E0FFF}')
}

/// The words of a folded text: at spaces, and where the script changes or digits begin.
pub fn tokens(folded: &str) -> Vec<Token> {
    let mut all: Vec<Token> = Vec::new();
    for word in folded.split(' ').filter(|word| !word.is_empty()) {
        let mut is_joined = false;
        let mut letters = 0;
        for found in word.chars() {
            let script = Script::of(found);
            match (all.last_mut(), script) {
                (Some(last), _) if is_joined && script.is_none_or(|it| it == last.script) => {
                    letters += 1;
                    if letters <= MAX_LETTERS {
                        last.text.push(found);
                    }
                }
                (_, script) => {
                    if all.len() == MAX_WORDS {
                        return all;
                    }
                    let script = script.unwrap_or(Script::Latin);
                    let text = found.to_string();
                    all.push(Token {
                        text,
                        script,
                        is_joined,
                    });
                    letters = 1;
                }
            }
            is_joined = true;
        }
    }
    all
}

/// The word without its ending, so that the cases of inflecting languages and the articles of Semitic ones agree. Not a
/// root: it serves only to look up words, on both sides alike.
pub fn stem(token: &Token) -> String {
    let text = token.text.as_str();
    match token.script {
        Script::Cyrillic => cut(text, CYRILLIC, 4).to_owned(),
        Script::Greek => {
            let bare: String = text.nfd().filter(|it| !is_combining_mark(*it)).collect();
            cut(&bare, GREEK, 3).to_owned()
        }
        Script::Georgian => cut(cut(text, GEORGIAN, 3), GEORGIAN_VOWELS, 3).to_owned(),
        Script::Armenian => cut(text, ARMENIAN, 3).to_owned(),
        Script::Arabic => {
            let bare = without_article(text);
            cut(bare, ARABIC, 3).to_owned()
        }
        Script::Hebrew => {
            let bare = text.strip_prefix('ה').filter(|it| it.chars().count() >= 3);
            cut(bare.unwrap_or(text), HEBREW, 3).to_owned()
        }
        Script::Latin => {
            let ascii = any_ascii::any_ascii(text).to_lowercase();
            cut(&ascii, LATIN, 5).to_owned()
        }
        _ => text.to_owned(),
    }
}

/// An Arabic word without its article, if three letters remain.
pub fn without_article(text: &str) -> &str {
    let bare = ["وال", "بال", "لل", "ال"]
        .iter()
        .find_map(|it| text.strip_prefix(it));
    bare.filter(|it| it.chars().count() >= 3).unwrap_or(text)
}

fn cut<'a>(text: &'a str, endings: &[&str], least: usize) -> &'a str {
    let found = endings
        .iter()
        .filter_map(|ending| text.strip_suffix(ending));
    let long = found.filter(|rest| rest.chars().count() >= least);
    long.min_by_key(|rest| rest.len()).unwrap_or(text)
}

const CYRILLIC: &[&str] = &[
    "иям",
    "иями",
    "иях",
    "ами",
    "ями",
    "ыми",
    "ими",
    "ого",
    "его",
    "ому",
    "ему",
    "ой",
    "ей",
    "ый",
    "ий",
    "ая",
    "яя",
    "ое",
    "ее",
    "ые",
    "ие",
    "их",
    "ых",
    "ым",
    "им",
    "ую",
    "юю",
    "ої",
    "ій",
    "а",
    "я",
    "ы",
    "и",
    "у",
    "ю",
    "е",
    "о",
    "й",
    "і",
    "є",
    "ї",
    "ом",
    "ем",
    "ам",
    "ям",
    "ах",
    "ях",
    "ии",
    "ия",
    "ию",
    "ією",
    "ія",
    "ії",
    "ның",
    "нің",
    "дың",
    "дің",
    "тың",
    "тің",
    "сы",
    "сі",
    "асы",
    "сының",
    "сінің",
    "асының",
    "лық",
    "лік",
    "ге",
    "ға",
    "да",
    "де",
];
const GREEK: &[&str] = &[
    "ασ", "ησ", "οσ", "ου", "ων", "οι", "εσ", "ισ", "α", "η", "ο", "σ", "υ", "ι", "ε", "εια",
    "ειασ", "εωσ", "ουσ",
];
const GEORGIAN: &[&str] = &["ების", "თა", "ის", "ს", "ური", "ული"];
const GEORGIAN_VOWELS: &[&str] = &["ი", "ა", "ე", "ო", "უ"];
const ARMENIAN: &[&str] = &[
    "ության",
    "ություն",
    "ների",
    "երի",
    "ի",
    "ում",
    "ական",
    "ային",
    "յան",
];
const ARABIC: &[&str] = &["ية", "ي", "ة", "ا", "ه", "ات", "يه"];
const HEBREW: &[&str] = &["ית", "י", "ה", "ת", "ים", "יות"];
const LATIN: &[&str] = &[
    "es", "en", "er", "em", "s", "e", "a", "o", "i", "y", "as", "os",
];
