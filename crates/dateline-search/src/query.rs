//! A query as people type it, and what it asks of an index.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
};

use dateline_match::{Spelling, normalize, spellings};

use crate::{
    typos::add_hashes,
    words::{Word, words},
};

/// Most words of a query.
pub const MAX_WORDS: usize = 16;
/// Most pairs of signs of a query.
const MAX_SIGNS: usize = 64;
/// Fewest letters of the beginning of a word.
const MIN_PREFIX: usize = 3;

/// The stems of words in lower case, by the languages in use.
pub type Stems = HashMap<String, Vec<String>>;

/// The reason why a query cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryError {
    /// It has no letter or digit.
    NoWords,
    /// All its words are excluded.
    OnlyExcluded,
    /// It has more than [`MAX_WORDS`].
    TooManyWords,
}

impl fmt::Display for QueryError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoWords => out.write_str("has no letter or digit to look for"),
            Self::OnlyExcluded => out.write_str(
                "only excludes words; add one that has to occur, or leave it empty and filter",
            ),
            Self::TooManyWords => write!(out, "has more than {MAX_WORDS} words; leave some out"),
        }
    }
}

/// Words that follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    words: Vec<Word>,
    /// The last word may be the beginning of one.
    is_prefix: bool,
}

/// A query, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Alternatives, of which one has to occur, for each part.
    groups: Vec<Vec<Term>>,
    excluded: Vec<Term>,
    /// The words in Latin letters, without the excluded ones.
    pub(crate) spellings: Vec<Spelling>,
}

/// A piece of the text: a word or a phrase.
struct Piece<'a> {
    text: &'a str,
    is_quoted: bool,
    is_excluded: bool,
}

impl Query {
    /// Parses a query; `None` if it is blank.
    ///
    /// # Errors
    /// If it has no words to look for, or too many.
    pub fn parse(text: &str) -> Result<Option<Self>, QueryError> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        let mut query = Self {
            groups: Vec::new(),
            excluded: Vec::new(),
            spellings: Vec::new(),
        };
        let mut is_alternative = false;
        let ends_in_word = text.chars().next_back().is_some_and(char::is_alphanumeric);
        let pieces = pieces(text);
        for (at, piece) in pieces.iter().enumerate() {
            let is_between = at > 0 && at + 1 < pieces.len();
            if piece.text == "OR" && !piece.is_quoted && is_between {
                is_alternative = true;
                continue;
            }
            let words = words(piece.text);
            if words.is_empty() {
                continue;
            }
            let is_last = at + 1 == pieces.len() && ends_in_word && !piece.is_quoted;
            let term = Term {
                words,
                is_prefix: is_last && !piece.is_excluded,
            };
            if piece.is_excluded {
                query.excluded.push(term);
            } else {
                query.spellings.extend(spellings(&normalize(piece.text)));
                match query.groups.last_mut().filter(|_| is_alternative) {
                    Some(group) => group.push(term),
                    None => query.groups.push(vec![term]),
                }
            }
            is_alternative = false;
        }
        query.check().map(|()| Some(query))
    }

    fn check(&self) -> Result<(), QueryError> {
        let all = || {
            self.terms()
                .chain(&self.excluded)
                .flat_map(|term| &term.words)
        };
        let (signs, words): (Vec<_>, Vec<_>) = all().partition(|word| word.is_sign);
        if words.len() > MAX_WORDS || signs.len() > MAX_SIGNS {
            return Err(QueryError::TooManyWords);
        }
        match (self.groups.is_empty(), self.excluded.is_empty()) {
            (true, true) => Err(QueryError::NoWords),
            (true, false) => Err(QueryError::OnlyExcluded),
            _ => Ok(()),
        }
    }

    fn terms(&self) -> impl Iterator<Item = &Term> {
        self.groups.iter().flatten()
    }

    /// Returns the words in lower case whose stems are needed.
    #[must_use]
    pub fn words_to_stem(&self) -> Vec<String> {
        let terms = self.terms().chain(&self.excluded);
        let alone = terms.filter_map(|term| match term.words.as_slice() {
            [only] if !only.is_sign => Some(only.lower.clone()),
            _ => None,
        });
        let set: BTreeSet<_> = alone.collect();
        set.into_iter().collect()
    }

    /// Returns the text of a `tsquery`: all parts have to match.
    #[must_use]
    pub fn tsquery(&self, stems: &Stems) -> String {
        self.write(stems, "")
    }

    /// Returns the text of a `tsquery` for names alone.
    #[must_use]
    pub fn name_tsquery(&self) -> String {
        self.write(&Stems::new(), "A")
    }

    fn write(&self, stems: &Stems, weight: &str) -> String {
        let groups = self.groups.iter().map(|group| {
            let terms = group.iter().map(|term| term.write(stems, weight));
            format!("({})", terms.collect::<Vec<_>>().join(" | "))
        });
        let mut all = groups.collect::<Vec<_>>().join(" & ");
        if let Some(joined) = self
            .joined()
            .filter(|_| self.groups.iter().all(|it| it.len() == 1))
        {
            all = format!("({all} | '{joined}':A)");
        }
        let excluded = self.excluded.iter().map(|term| term.write(stems, ""));
        for term in excluded {
            all.extend([" & !(", term.as_str(), ")"]);
        }
        all
    }

    /// The words as one, of two to four: as names are written in other scripts.
    fn joined(&self) -> Option<String> {
        let is_plain = self.terms().all(|term| term.words.len() == 1);
        let joined: String = self.spellings.iter().map(|it| it.ascii.as_str()).collect();
        (is_plain && (2..=4).contains(&self.spellings.len()) && !joined.is_empty())
            .then_some(joined)
    }

    /// Returns for each word what finds names that have it with an error: hashes, of which one has to be among those of
    /// the document, and the text of a `tsquery` for the word as it is.
    #[must_use]
    pub fn typo_groups(&self) -> Vec<(Vec<i32>, String)> {
        let begins = |at: usize| {
            let last = self.terms().last();
            at + 1 == self.spellings.len() && last.is_some_and(|term| term.is_prefix)
        };
        let groups = self.spellings.iter().enumerate().map(|(at, spelling)| {
            let mut hashes = BTreeSet::new();
            add_hashes(spelling, &mut hashes);
            let star = if begins(at) && spelling.ascii.len() >= MIN_PREFIX {
                "*"
            } else {
                ""
            };
            let exact = format!("{}:{star}A", quoted(&spelling.ascii));
            (hashes.into_iter().collect::<Vec<_>>(), exact)
        });
        groups.filter(|(hashes, _)| !hashes.is_empty()).collect()
    }

    /// True if a query only asks for words: phrases and exclusions leave no room for errors.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        let are_words =
            |term: &Term| term.words.iter().all(|it| it.is_sign) || term.words.len() == 1;
        self.excluded.is_empty() && self.terms().all(are_words)
    }

    /// The words that may be highlighted, and whether each may be a beginning.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = (&Word, bool)> {
        self.terms().flat_map(|term| {
            let last = term.words.len() - 1;
            let words = term.words.iter().enumerate();
            words.map(move |(at, word)| (word, term.is_prefix && at == last && may_begin(word)))
        })
    }
}

/// True for a word that is long enough for the beginning of another.
fn may_begin(word: &Word) -> bool {
    word.is_sign || word.folded.chars().count() >= MIN_PREFIX
}

impl Term {
    fn write(&self, stems: &Stems, weight: &str) -> String {
        let last = self.words.len() - 1;
        let words = self.words.iter().enumerate().map(|(at, word)| {
            let is_prefix = self.is_prefix && at == last && may_begin(word);
            let found = stems.get(&word.lower).filter(|_| last == 0);
            alternatives(word, is_prefix, found.map_or(&[], Vec::as_slice), weight)
        });
        words.collect::<Vec<_>>().join(" <-> ")
    }
}

/// The forms of a word, of which one has to occur.
fn alternatives(word: &Word, is_prefix: bool, stems: &[String], weight: &str) -> String {
    let mut forms = BTreeSet::from([word.folded.clone()]);
    if !word.is_sign {
        forms.extend(spellings(&word.folded).into_iter().map(|it| it.ascii));
    }
    let plain = forms.iter().filter(|form| !form.is_empty());
    let star = if is_prefix { "*" } else { "" };
    let suffix = match (star, weight) {
        ("", "") => String::new(),
        _ => format!(":{star}{weight}"),
    };
    let mut all: Vec<_> = plain
        .map(|form| format!("{}{suffix}", quoted(form)))
        .collect();
    let stems = stems.iter().filter(|stem| !forms.contains(*stem));
    all.extend(stems.map(|stem| quoted(stem)));
    format!("({})", all.join(" | "))
}

/// A lexeme in the text of a `tsquery`.
fn quoted(lexeme: &str) -> String {
    format!("'{}'", lexeme.replace('\\', "\\\\").replace('\'', "''"))
}

/// Cuts a query at spaces outside of quotes.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let bare = rest.strip_prefix('-').filter(|after| {
            let first = after.chars().next();
            first.is_some_and(|it| it.is_alphanumeric() || is_quote(it))
        });
        let is_excluded = bare.is_some();
        let begin = bare.unwrap_or(rest);
        let open = begin.chars().next().filter(|it| is_quote(*it));
        let close = open.and_then(|quote| {
            let inner = &begin[quote.len_utf8()..];
            let end = inner.find(is_quote)?;
            Some((&inner[..end], &inner[end..]))
        });
        let (piece, is_quoted, after) = if let Some((inner, after)) = close {
            let quote = after.chars().next().map_or(0, char::len_utf8);
            (inner, true, &after[quote..])
        } else {
            let end = begin.find(char::is_whitespace).unwrap_or(begin.len());
            (&begin[..end], false, &begin[end..])
        };
        found.push(Piece {
            text: piece,
            is_quoted,
            is_excluded,
        });
        rest = after.trim_start();
    }
    found
}

fn is_quote(found: char) -> bool {
    matches!(found, '"' | '“' | '”' | '„' | '«' | '»')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        let query = Query::parse(text).unwrap().unwrap();
        query.tsquery(&Stems::from([("talks".into(), vec!["talk".into()])]))
    }

    #[test]
    fn a_query_asks_for_its_words_in_every_form() {
        for (text, expected) in [
            ("nato ", "(('nato'))"),
            ("nato", "(('nato':*))"),
            ("un", "(('un'))"),
            ("Talks ", "(('talks' | 'talk'))"),
            ("\"Port Authority\"", "(('port') <-> ('authority'))"),
            ("a -bc OR", "((('a')) & (('or')) | 'aor':A) & !(('bc'))"),
            ("one OR two three ", "(('one') | ('two')) & (('three'))"),
            ("Назарбаев ", "(('nazarbaev' | 'назарбаев'))"),
            ("東京都 ", "(('東京') <-> ('京都'))"),
            ("AT&T ", "(('at') <-> ('t'))"),
            (
                "port authority ",
                "((('port')) & (('authority')) | 'portauthority':A)",
            ),
            ("'); DROP ", "(('drop'))"),
        ] {
            assert_eq!(written(text), expected, "{text}");
        }
    }

    #[test]
    fn a_query_without_words_is_refused_and_a_blank_one_is_none() {
        assert_eq!(Query::parse("  \n"), Ok(None));
        assert_eq!(Query::parse("!? -"), Err(QueryError::NoWords));
        assert_eq!(Query::parse("-a"), Err(QueryError::OnlyExcluded));
        let many = "a ".repeat(MAX_WORDS + 1);
        assert_eq!(Query::parse(&many), Err(QueryError::TooManyWords));
        assert_eq!(
            Query::parse(&"東".repeat(99)),
            Err(QueryError::TooManyWords)
        );
        assert!(Query::parse(&"a ".repeat(MAX_WORDS)).is_ok());
    }

    #[test]
    fn an_open_quote_is_a_word() {
        let query = Query::parse("\"port auth").unwrap().unwrap();
        assert_eq!(query.groups.len(), 2);
        assert!(query.is_plain());
        assert!(!Query::parse("\"port auth\"").unwrap().unwrap().is_plain());
    }
}
