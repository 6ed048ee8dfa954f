//! Mentions of known names in a text: one pass over its words, whatever the number of names. Spans are code points from
//! 0, end exclusive.

use crate::fold::{self, Script, Token};
use std::collections::HashMap;

/// Maximum words of a name that is looked for.
const MAX_NAME_UNITS: usize = 24;

/// Something found in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// First code point.
    pub start: usize,
    /// The one behind the last.
    pub end: usize,
    /// The owners of the name, as given to [`Mentions::add`], ascending. More than one: ambiguous.
    pub candidates: Vec<u32>,
    /// False if only the endings differ: "Токаева" for "Токаев".
    pub is_exact: bool,
}

#[derive(Clone, Debug)]
struct Entry {
    folded: String,
    owner: u32,
    /// An acronym is only found in capitals: WHO, IT.
    is_capital: bool,
}

/// Known names, for finding them in texts.
#[derive(Clone, Debug, Default)]
pub struct Mentions {
    units: HashMap<Box<str>, u32>,
    steps: HashMap<(u32, u32), u32>,
    ends: HashMap<u32, Vec<Entry>>,
    nodes: u32,
}

/// A unit of a text: a word by its stem, or one sign.
struct Unit {
    id: Option<u32>,
    folded: String,
    is_capital: bool,
    start: usize,
    end: usize,
}

impl Mentions {
    /// Knows no names yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a name of an actor. Names without letters, of one letter, or of very many words are left out.
    pub fn add(&mut self, name: &str, owner: u32) {
        let units = cut(name, |_| None);
        let letters: usize = units.iter().map(|it| it.folded.chars().count()).sum();
        if letters < 2 || units.len() > MAX_NAME_UNITS {
            return;
        }
        let mut node = 0;
        for unit in &units {
            let stem = key(&unit.folded);
            let next_unit = u32::try_from(self.units.len()).unwrap_or(u32::MAX);
            let unit = *self.units.entry(stem.into_boxed_str()).or_insert(next_unit);
            let next = self.nodes + 1;
            node = *self.steps.entry((node, unit)).or_insert(next);
            self.nodes = self.nodes.max(node);
        }
        let is_capital = units.len() == 1 && units[0].is_capital && letters <= 6;
        let entry = Entry {
            folded: spell(&units),
            owner,
            is_capital,
        };
        self.ends.entry(node).or_default().push(entry);
    }

    /// Finds names: from the left, the longest first, without overlaps.
    pub fn find(&self, text: &str) -> Vec<Mention> {
        self.find_of(text, |_| true)
    }

    /// Finds names of these owners only, as if no other had any: a longer name of another one hides no shorter name.
    pub fn find_of(&self, text: &str, is_owner: impl Fn(u32) -> bool) -> Vec<Mention> {
        let units = cut(text, |stem| self.units.get(stem).copied());
        let mut found = Vec::new();
        let mut at = 0;
        while at < units.len() {
            match self.longest(&units[at..], &is_owner) {
                Some((length, candidates, is_exact)) => {
                    let (start, end) = (units[at].start, units[at + length - 1].end);
                    found.push(Mention {
                        start,
                        end,
                        candidates,
                        is_exact,
                    });
                    at += length;
                }
                None => at += 1,
            }
        }
        found
    }

    fn longest(
        &self,
        units: &[Unit],
        is_owner: &impl Fn(u32) -> bool,
    ) -> Option<(usize, Vec<u32>, bool)> {
        let (mut node, mut best) = (0, None);
        for (at, unit) in units.iter().enumerate() {
            let Some(next) = unit.id.and_then(|unit| self.steps.get(&(node, unit))) else {
                break;
            };
            node = *next;
            if let Some(entries) = self.ends.get(&node)
                && let Some((owners, is_exact)) = owners(entries, &units[..=at], is_owner)
            {
                best = Some((at + 1, owners, is_exact));
            }
        }
        best
    }
}

/// The owners of the names that fit: those spelled so, or, if there are none, those with other endings.
fn owners(
    entries: &[Entry],
    units: &[Unit],
    is_owner: &impl Fn(u32) -> bool,
) -> Option<(Vec<u32>, bool)> {
    let folded = spell(units);
    let is_capital = units.iter().all(|it| it.is_capital);
    let fit = |exact: bool| {
        let all = entries
            .iter()
            .filter(|it| !it.is_capital || is_capital && it.folded == folded)
            .filter(|it| is_owner(it.owner));
        let mut owners: Vec<u32> = all
            .filter(|it| !exact || it.folded == folded)
            .map(|it| it.owner)
            .collect();
        owners.sort_unstable();
        owners.dedup();
        (!owners.is_empty()).then_some((owners, exact))
    };
    fit(true).or_else(|| fit(false))
}

fn spell(units: &[Unit]) -> String {
    units
        .iter()
        .map(|it| it.folded.as_str())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The form by which a unit is found: without its ending where languages inflect names, except in Latin letters, where
/// the ending is often all that tells two names apart.
fn key(folded: &str) -> String {
    let script = folded.chars().find_map(Script::of).unwrap_or(Script::Latin);
    match script {
        Script::Latin | Script::Digit => folded.to_owned(),
        _ => fold::stem(&Token {
            text: folded.to_owned(),
            script,
            is_joined: false,
        }),
    }
}

/// Cuts a text into units with their spans.
fn cut(text: &str, id: impl Fn(&str) -> Option<u32>) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    let mut word = String::new();
    let mut start = 0;
    let mut flush = |word: &mut String, start: usize, end: usize| {
        if word.is_empty() {
            return;
        }
        let bare = word
            .strip_suffix("'s")
            .or_else(|| word.strip_suffix("’s"))
            .unwrap_or(word);
        let bare = bare.trim_end_matches(['\'', '’', '.']);
        let end = end - (word.chars().count() - bare.chars().count());
        let folded = fold::normalize(bare).replace(' ', "");
        if !folded.is_empty() {
            let letters = bare.chars().filter(|it| it.is_alphabetic());
            let is_capital = bare.chars().count() > 1 && letters.clone().all(char::is_uppercase);
            units.push(Unit {
                id: id(&key(&folded)),
                folded,
                is_capital,
                start,
                end,
            });
        }
        word.clear();
    };
    let mut at = 0;
    let mut before = None;
    for (position, found) in text.chars().enumerate() {
        at = position + 1;
        let script = Script::of(found);
        let is_inner = matches!(
            found,
            '\'' | '’' | 'ʼ' | 'ʻ' | '"' | '״' | '׳' | '.' | '\u{200C}' | '\u{200D}'
        ) && !word.is_empty();
        let is_part = found.is_alphanumeric() || script.is_none() || is_inner;
        let is_sign = script.is_some_and(Script::is_unspaced);
        let is_break = script.is_some() && before.is_some() && !is_inner && script != before;
        if !is_part || is_sign && script.is_some() || is_break {
            flush(&mut word, start, position);
        }
        if is_part {
            if word.is_empty() {
                start = position;
            }
            word.push(found);
            if !is_inner && script.is_some() {
                before = script;
            }
        } else {
            before = None;
        }
        // A dot ends a sentence unless it is inside of an acronym.
        if found == '.' && !is_dotted(&word) {
            word.pop();
            flush(&mut word, start, position);
            before = None;
        }
    }
    flush(&mut word, start, at);
    units
}

/// Single letters with dots: "U.S."
fn is_dotted(word: &str) -> bool {
    let parts: Vec<&str> = word.trim_end_matches('.').split('.').collect();
    parts.iter().all(|part| part.chars().count() == 1)
}
