//! The word lists of `data/`: phrases in many languages, each standing for a symbol. Loaded once.

use crate::fold::{self, Script, Token};
use std::{
    collections::{HashMap, HashSet},
    sync::OnceLock,
};

/// The class of a symbol decides how it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Ministry, embassy, fleet, university.
    Kind,
    /// Defence, health, northern, infantry.
    Field,
    /// States, by ISO code, and cities.
    Place,
    /// Numbers and ordinals.
    Number,
    /// LLC, `GmbH`.
    Legal,
    /// USS, MV: the prefix of a vessel.
    Ship,
    /// Of, the, group, national.
    Filler,
}

impl Class {
    /// The stable word for explanations.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::Field => "field",
            Self::Place => "place",
            Self::Number => "number",
            Self::Legal => "legal form",
            Self::Ship => "vessel prefix",
            Self::Filler => "filler",
        }
    }
}

/// A known phrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Symbol {
    /// Its class.
    pub class: Class,
    /// The concept: an index of the lists, or the number itself.
    pub id: u32,
}

/// Words of persons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// General, Dr.
    Honorific,
    /// Jr., III: the number of the generation; 100 is senior, 101 junior.
    Mark(u32),
    /// bin, van, al.
    Link,
}

/// The mark of an elder, where no number is given.
pub const SENIOR: u32 = 100;
/// The mark of a younger one.
pub const JUNIOR: u32 = 101;

/// A trie over units: a stem in scripts with spaces, a sign in those without.
#[derive(Debug)]
pub struct Trie<T> {
    units: HashMap<String, u32>,
    steps: HashMap<(u32, u32), u32>,
    ends: Vec<Option<T>>,
}

impl<T: Copy> Trie<T> {
    fn new() -> Self {
        Self {
            units: HashMap::new(),
            steps: HashMap::new(),
            ends: vec![None],
        }
    }

    fn add(&mut self, phrase: &str, value: T) {
        let units = units(&fold::tokens(&fold::normalize(phrase)));
        let mut node = 0;
        for (unit, _) in &units {
            let next_unit = u32::try_from(self.units.len()).unwrap_or(u32::MAX);
            let unit = *self.units.entry(unit.clone()).or_insert(next_unit);
            let next = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
            node = *self.steps.entry((node, unit)).or_insert(next);
            if node == next {
                self.ends.push(None);
            }
        }
        if let Some(end) = self.ends.get_mut(node as usize).filter(|_| node != 0) {
            // The first meaning stands, so lists are ordered by their certainty.
            end.get_or_insert(value);
        }
    }

    /// The longest phrase that starts at the first unit: how many units it has, and its value.
    pub fn longest(&self, units: &[(String, usize)]) -> Option<(usize, T)> {
        let mut node = 0;
        let mut best = None;
        for (at, (unit, _)) in units.iter().enumerate() {
            let Some(next) = self
                .units
                .get(unit)
                .and_then(|unit| self.steps.get(&(node, *unit)))
            else {
                break;
            };
            node = *next;
            if let Some(value) = self.ends[node as usize] {
                best = Some((at + 1, value));
            }
        }
        best
    }
}

/// Units of words for a trie, each with the index of its word.
pub fn units(tokens: &[Token]) -> Vec<(String, usize)> {
    let mut all = Vec::with_capacity(tokens.len());
    for (at, token) in tokens.iter().enumerate() {
        if token.script.is_unspaced() {
            all.extend(token.text.chars().map(|sign| (sign.to_string(), at)));
        } else {
            all.push((fold::stem(token), at));
        }
    }
    all
}

/// All lists.
#[derive(Debug)]
pub struct Lexicon {
    /// Phrases of bodies.
    pub symbols: Trie<Symbol>,
    /// Words of persons.
    pub roles: Trie<Role>,
    /// Forms of given names and Korean syllables, by folded form: the group.
    pub given: HashMap<String, Vec<u32>>,
    /// Names that many people have, as folded ASCII.
    pub common: HashSet<String>,
    /// The word of each concept, by id, for explanations.
    pub words: Vec<String>,
    /// Concepts by class and word.
    ids: HashMap<String, u32>,
}

impl Lexicon {
    /// The lists in the crate.
    pub fn get() -> &'static Self {
        static LOADED: OnceLock<Lexicon> = OnceLock::new();
        LOADED.get_or_init(|| {
            let mut loaded = Self {
                symbols: Trie::new(),
                roles: Trie::new(),
                given: HashMap::new(),
                common: HashSet::new(),
                words: Vec::new(),
                ids: HashMap::new(),
            };
            loaded.load_bodies();
            loaded.load_persons(include_str!("../data/persons.txt"));
            loaded
        })
    }

    /// The id of a concept: "place KZ", "kind embassy".
    pub fn id(&self, concept: &str) -> Option<u32> {
        self.ids.get(concept).copied()
    }

    /// The word of a symbol in explanations.
    pub fn word(&self, symbol: Symbol) -> String {
        match symbol.class {
            Class::Number => symbol.id.to_string(),
            _ => self
                .words
                .get(symbol.id as usize)
                .cloned()
                .unwrap_or_default(),
        }
    }

    fn concept(&mut self, class: &str, word: &str) -> u32 {
        let next = u32::try_from(self.words.len()).unwrap_or(u32::MAX);
        let id = *self.ids.entry(format!("{class} {word}")).or_insert(next);
        if id == next {
            self.words.push(word.to_owned());
        }
        id
    }

    fn load_bodies(&mut self) {
        for (head, phrases) in lines(include_str!("../data/words.txt")) {
            let (class, word) = head.split_once(' ').unwrap_or((head, ""));
            let symbol = match class {
                "kind" => Symbol {
                    class: Class::Kind,
                    id: self.concept("kind", word),
                },
                "field" => Symbol {
                    class: Class::Field,
                    id: self.concept("field", word),
                },
                "legal" => Symbol {
                    class: Class::Legal,
                    id: self.concept("legal", word),
                },
                "ship" => Symbol {
                    class: Class::Ship,
                    id: self.concept("ship", word),
                },
                "number" => Symbol {
                    class: Class::Number,
                    id: word.parse().unwrap_or_default(),
                },
                _ => Symbol {
                    class: Class::Filler,
                    id: self.concept("filler", word),
                },
            };
            for phrase in phrases {
                self.symbols.add(phrase, symbol);
            }
        }
        for list in [
            include_str!("../data/places_own.txt"),
            include_str!("../data/places_cldr.txt"),
        ] {
            for (code, phrases) in lines(list) {
                let symbol = Symbol {
                    class: Class::Place,
                    id: self.concept("place", code),
                };
                for phrase in phrases {
                    self.symbols.add(phrase, symbol);
                }
            }
        }
    }

    fn load_persons(&mut self, list: &str) {
        for (group, (head, phrases)) in (0..).zip(lines(list)) {
            let (class, word) = head.split_once(' ').unwrap_or((head, ""));
            for phrase in phrases {
                match class {
                    "honorific" => self.roles.add(phrase, Role::Honorific),
                    "link" => self.roles.add(phrase, Role::Link),
                    "mark" => {
                        let number = match word {
                            "senior" => SENIOR,
                            "junior" => JUNIOR,
                            _ => word.parse().unwrap_or_default(),
                        };
                        self.roles.add(phrase, Role::Mark(number));
                    }
                    "given" => {
                        let groups = self.given.entry(fold::normalize(phrase)).or_default();
                        groups.push(group);
                    }
                    _ => {
                        self.common.insert(fold::normalize(phrase));
                    }
                }
            }
        }
    }

    /// The symbols of a name, and the words that are none. Phrases are found from the left, the longest first.
    pub fn parse(&self, tokens: &[Token]) -> Vec<Piece> {
        let units = units(tokens);
        let mut pieces: Vec<Piece> = Vec::new();
        let mut at = 0;
        let mut is_after_symbol = true;
        while let Some((unit, word)) = units.get(at) {
            let token = &tokens[*word];
            if token.script == Script::Digit {
                let id = token.text.parse().unwrap_or(u32::MAX);
                pieces.push(Piece::Symbol(
                    Symbol {
                        class: Class::Number,
                        id,
                    },
                    token.text.clone(),
                ));
                // The ending of an ordinal: "3rd", "72-га".
                let next = tokens.get(word + 1);
                let is_ending = next.is_some_and(|it| {
                    it.text.chars().count() <= 3
                        && it.script != Script::Digit
                        && !it.script.is_unspaced()
                        && (it.is_joined || ORDINAL_ENDINGS.contains(&it.text.as_str()))
                });
                at += if is_ending { 2 } else { 1 };
                is_after_symbol = true;
                continue;
            }
            let found = self.symbols.longest(&units[at..]).filter(|(length, _)| {
                // One sign alone is a word only beside other known words or at the end.
                let is_one_sign = token.script.is_unspaced() && *length == 1;
                let is_last = units.get(at + length).is_none_or(|(_, next)| next != word);
                !is_one_sign || is_last && token.text.chars().count() > 1 || is_after_symbol
            });
            if let Some((length, symbol)) = found {
                let text: Vec<&str> = units[at..at + length]
                    .iter()
                    .map(|it| it.0.as_str())
                    .collect();
                pieces.push(Piece::Symbol(symbol, text.join(" ")));
                at += length;
                is_after_symbol = true;
                continue;
            }
            if let Some(number) = roman(&token.text).filter(|_| token.script == Script::Latin) {
                let symbol = Symbol {
                    class: Class::Number,
                    id: number,
                };
                pieces.push(Piece::Symbol(symbol, token.text.clone()));
            } else if token.script.is_unspaced() {
                match pieces.last_mut() {
                    Some(Piece::Word(last, from)) if *from == *word && !is_after_symbol => {
                        last.text.push_str(unit);
                    }
                    _ => {
                        let part = Token {
                            text: unit.clone(),
                            ..token.clone()
                        };
                        pieces.push(Piece::Word(part, *word));
                    }
                }
            } else {
                pieces.push(Piece::Word(token.clone(), *word));
            }
            is_after_symbol = false;
            at += 1;
        }
        pieces
    }
}

/// A part of a parsed name.
#[derive(Clone, Debug)]
pub enum Piece {
    /// A known phrase, and its stems.
    Symbol(Symbol, String),
    /// Any other word, and the index of the word that it is of.
    Word(Token, usize),
}

const ORDINAL_ENDINGS: [&str; 24] = [
    "st", "nd", "rd", "th", "d", "я", "й", "ая", "ый", "ой", "ша", "га", "тя", "та", "ма", "го",
    "ша", "e", "er", "re", "eme", "o", "a", "шы",
];

/// The value of a Roman numeral of two letters or more, up to 39, or of I, V and X.
pub fn roman(text: &str) -> Option<u32> {
    let (mut total, mut last) = (0_u32, 0_u32);
    if text.is_empty() || text.len() > 7 {
        return None;
    }
    for letter in text.bytes().rev() {
        let value = match letter {
            b'i' => 1,
            b'v' => 5,
            b'x' => 10,
            _ => return None,
        };
        if value < last {
            total = total.checked_sub(value)?;
        } else {
            total += value;
        }
        last = last.max(value);
    }
    (total > 0 && total < 40).then_some(total)
}

fn lines(list: &str) -> impl Iterator<Item = (&str, impl Iterator<Item = &str>)> {
    let rows = list.lines().filter(|line| !line.starts_with('#'));
    rows.filter_map(|line| {
        let (head, rest) = line.split_once(" = ")?;
        Some((
            head,
            rest.split(", ").map(str::trim).filter(|it| !it.is_empty()),
        ))
    })
}
