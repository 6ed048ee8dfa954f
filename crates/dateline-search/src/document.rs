//! The document of a record: the words that an index holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use dateline_match::{normalize, spellings};
use dateline_proto::v1::record::Kind as Body;

use crate::{
    fields::{Class, FieldText, texts},
    languages::configuration,
    typos::add_hashes,
    words::words,
};

/// Version of what is made of a record; raised with every change of it, so that an index is made again.
pub const VERSION: i32 = 1;

/// Most code points of a record that are indexed. A `tsvector` holds 1 MiB, and each word is in it up to three times.
const MAX_LETTERS: usize = 50_000;
/// Most letters of a word in Latin letters.
const MAX_WORD_LETTERS: usize = 64;
/// Most bytes of the names by which hits are ranked.
const MAX_NAME_BYTES: usize = 4096;
/// Most hashes of words with errors.
const MAX_TYPOS: usize = 2048;
/// Positions between two texts: a phrase does not go from one to the next.
const GAP: u32 = 8;
/// Last position that a `tsvector` can hold.
const LAST_POSITION: u32 = 16_383;
/// Most positions of a word.
const MAX_POSITIONS: usize = 255;

/// The words of a record, as an index holds them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Document {
    /// Folded words with positions and weights: the text of a `tsvector`. Names have A, lines C, prose D.
    pub lexemes: String,
    /// The configuration for its prose, if its language has one.
    pub configuration: Option<&'static str>,
    /// Titles and prose in lower case, for that configuration; empty without one.
    pub prose: String,
    /// Names in Latin letters, one a line.
    pub names: String,
    /// Sorted hashes of the words of names, with errors.
    pub typos: Vec<i32>,
}

#[derive(Default)]
struct Builder {
    lexemes: BTreeMap<String, Vec<(u32, char)>>,
    position: u32,
    letters: usize,
    typos: BTreeSet<i32>,
    document: Document,
}

impl Document {
    /// Makes the document of a record. The record is not changed.
    #[must_use]
    pub fn new(body: &mut Body) -> Self {
        let (mut texts, language) = texts(body);
        // The end is cut off: it has the least.
        texts.sort_by_key(|text| text.class);
        let mut builder = Builder::default();
        builder.document.configuration = configuration(&language);
        for text in &texts {
            builder.add(text);
        }
        builder.finish()
    }
}

impl Builder {
    fn add(&mut self, field: &FieldText) {
        let room = MAX_LETTERS.saturating_sub(self.letters);
        if room == 0 {
            return;
        }
        let cut: String = field.text.chars().take(room).collect();
        self.letters += cut.chars().count();
        let weight = match field.class {
            Class::Name => 'A',
            Class::Line => 'C',
            Class::Prose => 'D',
        };
        for word in words(&cut) {
            self.position = (self.position + 1).min(LAST_POSITION);
            if field.class != Class::Prose {
                self.add_spellings(&word.folded, weight, field.class == Class::Name);
            }
            self.push(word.folded, weight);
        }
        if field.class == Class::Name {
            self.add_name(&cut);
        }
        self.position += GAP;
        let is_prose = field.class == Class::Prose || field.path == "headline";
        if is_prose && self.document.configuration.is_some() {
            self.document.prose.push_str(&cut.to_lowercase());
            self.document.prose.push('\n');
        }
    }

    /// Adds a word in Latin letters, at its position, so that phrases in them are found too.
    fn add_spellings(&mut self, folded: &str, weight: char, is_name: bool) {
        for spelling in spellings(folded) {
            if is_name && self.typos.len() < MAX_TYPOS {
                add_hashes(&spelling, &mut self.typos);
            }
            if spelling.ascii != folded && !spelling.ascii.is_empty() {
                let ascii = spelling.ascii.chars().take(MAX_WORD_LETTERS);
                self.push(ascii.collect(), weight);
            }
        }
    }

    /// Adds what is made of a whole name: the line for the ranking, its words as one, its initials.
    fn add_name(&mut self, name: &str) {
        let spelled = spellings(&normalize(name));
        let all: Vec<_> = spelled.iter().map(|it| it.ascii.as_str()).collect();
        let line = all.join(" ");
        if line.is_empty() {
            return;
        }
        if self.document.names.len() + line.len() < MAX_NAME_BYTES {
            self.document.names.push_str(&line);
            self.document.names.push('\n');
        }
        for spelling in &spelled {
            if self.typos.len() < MAX_TYPOS {
                add_hashes(spelling, &mut self.typos);
            }
        }
        if let 2..=4 = all.len() {
            self.push(all.concat(), 'A');
        } else if let [only] = all.as_slice() {
            self.push((*only).to_owned(), 'A');
        }
        for initials in initials(&all) {
            self.push(initials, 'A');
        }
    }

    fn push(&mut self, lexeme: String, weight: char) {
        let places = self.lexemes.entry(lexeme).or_default();
        let place = (self.position.clamp(1, LAST_POSITION), weight);
        if places.len() < MAX_POSITIONS && places.last() != Some(&place) {
            places.push(place);
        }
    }

    fn finish(mut self) -> Document {
        let out = &mut self.document.lexemes;
        for (lexeme, places) in &self.lexemes {
            // Folded words hold letters, digits and marks only: nothing in them has to be escaped.
            out.push('\'');
            out.extend(lexeme.chars().filter(|it| !matches!(it, '\'' | '\\')));
            out.push('\'');
            for (at, (position, weight)) in places.iter().enumerate() {
                let before = if at == 0 { ':' } else { ',' };
                // Writing to a string cannot fail.
                let _ = write!(out, "{before}{position}{weight}");
            }
            out.push(' ');
        }
        self.document.typos = self.typos.into_iter().collect();
        self.document
    }
}

/// The first letters of the words of a name, with and without short words: two to eight.
pub(crate) fn initials(words: &[&str]) -> Vec<String> {
    let of = |least: usize| -> String {
        let long = words.iter().filter(|word| word.len() >= least);
        long.filter_map(|word| word.chars().next()).collect()
    };
    let mut both = vec![of(1), of(4)];
    both.dedup();
    both.retain(|initials| (2..=8).contains(&initials.len()));
    both
}

#[cfg(test)]
mod tests {
    use dateline_proto::v1::{Actor, Article, Name};

    use super::*;

    fn actor(names: &[&str]) -> Body {
        let names = names.iter().map(|text| Name {
            text: (*text).to_owned(),
            ..Name::default()
        });
        let names: Vec<_> = names.collect();
        Body::Actor(Actor {
            name: "actors/some-one".into(),
            display_name: names[0].text.clone(),
            names,
            ..Actor::default()
        })
    }

    #[test]
    fn a_name_is_held_in_its_letters_and_in_latin_ones() {
        let document = Document::new(&mut actor(&["Нурсултан Назарбаев", "习近平"]));
        for lexeme in [
            "'назарбаев'",
            "'nazarbaev'",
            "'nursultannazarbaev'",
            "'习近'",
            "'xijinping'",
            "'some'",
        ] {
            assert!(
                document.lexemes.contains(lexeme),
                "{lexeme} {}",
                document.lexemes
            );
        }
        assert_eq!(
            document.names,
            "nursultan nazarbaev\nnursultan nazarbaev\nxijinping\n"
        );
        assert!(document.typos.is_sorted() && !document.typos.is_empty());
        assert_eq!(document.prose, "");
    }

    #[test]
    fn a_long_text_is_cut_and_nothing_leaves_its_quotes() {
        let mut article = Body::Article(Article {
            name: "articles/a".into(),
            headline: "It's \\ a 'quote'".into(),
            body: "\u{20000}\u{20001} x'); DROP ".repeat(20_000),
            language_code: "en".into(),
            ..Article::default()
        });
        let document = Document::new(&mut article);
        assert!(
            document.lexemes.len() < 100_000,
            "{}",
            document.lexemes.len()
        );
        assert!(document.prose.chars().count() < 2 * MAX_LETTERS);
        assert!(!document.lexemes.contains('\\'));
        assert_eq!(document.configuration, Some("english"));
        assert!(
            document.lexemes.contains("'its':"),
            "{}",
            &document.lexemes[..80]
        );
    }

    #[test]
    fn initials_are_those_of_all_words_and_of_the_long_ones() {
        let words = ["organization", "for", "security", "and", "co", "operation"];
        assert_eq!(initials(&words), ["ofsaco", "oso"]);
        assert_eq!(initials(&["nato"]), Vec::<String>::new());
    }
}
