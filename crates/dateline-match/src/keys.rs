//! Keys for blocking: two names that may be the same share one. The same function makes those that are stored and those
//! that are looked for.

use crate::{
    align::Word,
    features::address,
    fold::{self, Script},
    lexicon::{Class, Lexicon},
    profile::{ParsedName, Profile},
    sound::Sound,
};
use dateline_proto::v1::actor::Type;
use std::collections::BTreeSet;

/// Maximum keys of a name.
pub const MAX_KEYS: usize = 32;
/// Words of a name that get keys.
const MAX_KEY_WORDS: usize = 8;

/// The class of a key, from the most to the least selective.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyClass {
    /// An identifier in an external list.
    Identifier,
    /// The whole name, folded.
    Whole,
    /// Consonants of two words.
    Pair,
    /// Concepts of a body: "ministry", "defence" and "KZ".
    Concepts,
    /// A word in ASCII.
    Word,
    /// Consonants of one word.
    Skeleton,
    /// First letters.
    Acronym,
}

impl KeyClass {
    /// One letter, to store.
    pub const fn letter(self) -> char {
        match self {
            Self::Whole => 'n',
            Self::Pair => 'p',
            Self::Concepts => 'c',
            Self::Word => 'w',
            Self::Skeleton => 's',
            Self::Acronym => 'a',
            Self::Identifier => 'i',
        }
    }
}

/// A key with its class.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The class: keys of different classes are never equal.
    pub class: KeyClass,
    /// Folded letters.
    pub text: String,
}

impl Key {
    fn new(class: KeyClass, text: impl Into<String>) -> Self {
        let text: String = text.into();
        let text = text.chars().take(fold::MAX_LETTERS * 2).collect();
        Self { class, text }
    }
}

/// The ways in which the words of a text are compared across scripts, without what a parsed name knows of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spelling {
    /// ASCII letters and digits of the usual romanisation.
    pub ascii: String,
    /// Consonants folded to classes; empty for a word without consonants.
    pub skeletons: Vec<String>,
}

/// The spellings of the words of a folded text, in their order.
pub fn spellings(folded: &str) -> Vec<Spelling> {
    let words = fold::tokens(folded);
    let sounds = words.iter().map(Sound::of);
    let spellings = sounds.map(|sound| Spelling {
        skeletons: sound.skeletons(),
        ascii: sound.ascii,
    });
    spellings.collect()
}

/// The keys of a name, at most [`MAX_KEYS`], the most selective first. `is_person` leaves out those of bodies.
pub fn keys(name: &ParsedName, is_person: bool) -> Vec<Key> {
    let mut all = BTreeSet::new();
    all.insert(Key::new(KeyClass::Whole, name.folded.clone()));
    let words = if is_person {
        name.person().words.all.as_slice()
    } else {
        name.body().spelled()
    };
    let words: Vec<&Word> = words
        .iter()
        .filter(|it| !it.is_initial)
        .take(MAX_KEY_WORDS)
        .collect();
    let sounds: Vec<Vec<String>> = words.iter().map(|it| skeletons(it)).collect();
    for (word, sounds) in words.iter().zip(&sounds) {
        if word.sound.ascii.len() > 1 {
            all.insert(Key::new(KeyClass::Word, word.sound.ascii.clone()));
        }
        for sound in sounds.iter().filter(|it| it.len() > 1) {
            all.insert(Key::new(KeyClass::Skeleton, sound.clone()));
        }
    }
    for (at, one) in sounds.iter().enumerate() {
        for two in &sounds[at + 1..] {
            for first in one {
                for second in two {
                    let (low, high) = if first <= second {
                        (first, second)
                    } else {
                        (second, first)
                    };
                    all.insert(Key::new(KeyClass::Pair, format!("{low} {high}")));
                }
            }
        }
    }
    // Neighbours that others write as one word.
    for two in words
        .windows(2)
        .filter(|it| it[0].sound.ascii.len() <= 6 && it[1].sound.ascii.len() <= 6)
    {
        let joined = two[0].sound.joined(&two[1].sound);
        all.insert(Key::new(KeyClass::Word, joined.ascii.clone()));
    }
    if !is_person {
        body_keys(name, &mut all);
    }
    // In order of class: what is cut off is the least selective.
    all.into_iter().take(MAX_KEYS).collect()
}

/// The keys of an actor: of its identifiers, and of each of its names. Without a type, those of a person and of a body.
pub fn profile_keys(profile: &Profile) -> BTreeSet<Key> {
    let ids = profile.ids.iter().map(|it| {
        let text = format!("{} {}", it.scheme, address(&it.value));
        Key::new(KeyClass::Identifier, text)
    });
    let mut all: BTreeSet<Key> = ids.collect();
    for name in &profile.names {
        if name.folded.is_empty() {
            continue;
        }
        if matches!(profile.actor_type, Type::Person | Type::Unspecified) {
            all.extend(keys(name, true));
        }
        if profile.actor_type != Type::Person {
            all.extend(keys(name, false));
        }
    }
    all
}

/// Consonants of a word; two for a form of a given name that has others: its own, and one for the group's first letter
/// would not help, so only its own.
fn skeletons(word: &Word) -> Vec<String> {
    match word.token.script {
        Script::Digit => Vec::new(),
        _ => word.sound.skeletons(),
    }
}

fn body_keys(name: &ParsedName, all: &mut BTreeSet<Key>) {
    let lexicon = Lexicon::get();
    let spell = |class: Class| -> Vec<String> {
        let concepts = name.body().concepts();
        let these = concepts.iter().filter(|it| it.class == class);
        let mut words: Vec<String> = these.map(|it| lexicon.word(*it)).collect();
        words.sort();
        words.dedup();
        words
    };
    let (kinds, fields) = (spell(Class::Kind), spell(Class::Field));
    let (places, numbers) = (spell(Class::Place), spell(Class::Number));
    let what = || kinds.iter().chain(&fields);
    for (list, other) in [(&places, true), (&numbers, true), (&fields, false)] {
        for one in list.iter().take(3) {
            let partners: Vec<&String> = if other {
                what().collect()
            } else {
                kinds.iter().collect()
            };
            for two in partners.into_iter().take(4) {
                all.insert(Key::new(KeyClass::Concepts, format!("{two} {one}")));
            }
        }
    }
    for acronym in name.body().acronyms() {
        all.insert(Key::new(KeyClass::Acronym, acronym.clone()));
    }
}
