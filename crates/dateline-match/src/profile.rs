//! One actor, parsed once and compared often: its names, type, region, lifetime and identifiers.

use crate::{body::BodyName, fold, person::PersonName};
use dateline_proto::v1::{Actor, Name, actor, name};
use dateline_record::edtf::Bounds;
use std::sync::OnceLock;

/// Maximum names that are compared; more are ignored.
pub const MAX_NAMES: usize = 200;

/// A name, read as a person's or as a body's when it is first compared as such.
#[derive(Clone, Debug)]
pub struct ParsedName {
    /// The name as given.
    pub text: String,
    /// Its folded form.
    pub folded: String,
    /// Its type.
    pub name_type: name::Type,
    language: String,
    person: OnceLock<PersonName>,
    body: OnceLock<BodyName>,
    sounds: OnceLock<Vec<String>>,
    /// Names of the same actor that have all its words and more.
    pub(crate) is_contained: bool,
}

impl ParsedName {
    /// A name to compare; the language may be empty.
    pub fn new(text: &str, language: &str, name_type: name::Type) -> Self {
        Self {
            text: text.to_owned(),
            folded: fold::normalize(text),
            name_type,
            language: language.to_owned(),
            person: OnceLock::new(),
            body: OnceLock::new(),
            sounds: OnceLock::new(),
            is_contained: false,
        }
    }

    /// Read as a person's.
    pub(crate) fn person(&self) -> &PersonName {
        let parse = || PersonName::parse(&self.text, &fold::tokens(&self.folded), &self.language);
        self.person.get_or_init(parse)
    }

    /// Read as a body's.
    pub(crate) fn body(&self) -> &BodyName {
        self.body.get_or_init(|| {
            let (bare, hull) = without_hull(&self.text);
            let tokens = fold::tokens(&fold::normalize(&without_elision(&bare)));
            let is_acronym = self.name_type == name::Type::Acronym;
            BodyName::parse(&bare, &self.language, &tokens, hull, is_acronym)
        })
    }

    /// Consonants of its words, sorted: for a quick look at what two names have in common.
    pub(crate) fn sounds(&self) -> &[String] {
        self.sounds.get_or_init(|| {
            let words = self.person().words.all.iter();
            let mut sounds: Vec<String> = words.flat_map(|it| it.sound.skeletons()).collect();
            sounds.sort();
            sounds.dedup();
            sounds
        })
    }
}

/// The name without elided articles: "d'Italia", "dell'Interno".
fn without_elision(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        let elided = word.split_once(['\'', '’']);
        let rest = elided.filter(|(article, rest)| {
            let article = article.to_lowercase();
            let is_article = matches!(
                article.as_str(),
                "d" | "l" | "dell" | "all" | "nell" | "sull" | "dall"
            );
            is_article && rest.chars().count() > 2
        });
        rest.map_or(word, |(_, rest)| rest)
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The name without brackets that hold a number, and what they hold, letters and digits only.
fn without_hull(text: &str) -> (String, Option<String>) {
    let found = text.find('(').and_then(|start| {
        let end = start + text[start..].find(')')?;
        let inner = &text[start + 1..end];
        let hull: String = inner.chars().filter(char::is_ascii_alphanumeric).collect();
        let has_digit = hull.bytes().any(|it| it.is_ascii_digit());
        (has_digit && hull.len() <= 10 && start > 0).then(|| {
            let rest = format!("{} {}", &text[..start], &text[end + 1..]);
            (rest, Some(hull.to_uppercase()))
        })
    });
    found.unwrap_or_else(|| without_designation(text))
}

/// The name without a designation behind it: "USS Nimitz CVN-68", "USS Nimitz CVN 68".
fn without_designation(text: &str) -> (String, Option<String>) {
    let is_prefix =
        |it: &str| (1..=4).contains(&it.len()) && it.bytes().all(|it| it.is_ascii_uppercase());
    let is_number =
        |it: &str| (1..=4).contains(&it.len()) && it.bytes().all(|it| it.is_ascii_digit());
    let words: Vec<&str> = text.split_whitespace().collect();
    let (rest, hull) = match words.as_slice() {
        [_, .., last]
            if last
                .split_once('-')
                .is_some_and(|(a, b)| is_prefix(a) && is_number(b)) =>
        {
            (&words[..words.len() - 1], last.replace('-', ""))
        }
        [_, _, .., prefix, number]
            if prefix.len() > 1 && is_prefix(prefix) && is_number(number) =>
        {
            (&words[..words.len() - 2], format!("{prefix}{number}"))
        }
        _ => return (text.to_owned(), None),
    };
    (rest.join(" "), Some(hull))
}

/// An identifier in an external list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identifier {
    /// The list: "wikidata", "url".
    pub scheme: String,
    /// The value there.
    pub value: String,
}

/// The sides of a comparison.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Names, at most [`MAX_NAMES`].
    pub names: Vec<ParsedName>,
    /// The type; unspecified if not known.
    pub actor_type: actor::Type,
    /// ISO 3166-1 alpha-2; empty if not known.
    pub region: String,
    /// Bounds of the start of the lifetime: birth or foundation.
    pub start: Option<Bounds>,
    /// Bounds of its end.
    pub end: Option<Bounds>,
    /// Identifiers.
    pub ids: Vec<Identifier>,
}

impl Profile {
    /// A profile of names only.
    pub fn new(names: &[Name], actor_type: actor::Type) -> Self {
        let parsed = names.iter().take(MAX_NAMES);
        let names = parsed
            .map(|it| ParsedName::new(&it.text, &it.language_code, it.r#type()))
            .collect();
        let mut profile = Self {
            names,
            actor_type,
            region: String::new(),
            start: None,
            end: None,
            ids: Vec::new(),
        };
        profile.mark_contained();
        profile
    }

    /// The profile of a record.
    pub fn of(actor: &Actor) -> Self {
        let mut profile = Self::new(&actor.names, actor.r#type());
        profile.region.clone_from(&actor.region_code);
        let period = actor.active.as_ref();
        let bounds = |edtf: &str| dateline_record::edtf::parse(edtf).ok();
        profile.start = period
            .and_then(|it| it.start.as_ref())
            .and_then(|it| bounds(&it.edtf));
        profile.end = period
            .and_then(|it| it.end.as_ref())
            .and_then(|it| bounds(&it.edtf));
        let ids = actor.external_ids.iter();
        profile.ids = ids
            .map(|it| Identifier {
                scheme: it.scheme.clone(),
                value: it.value.clone(),
            })
            .collect();
        profile
    }

    /// A short name that a longer one of the same actor contains says less than that one.
    fn mark_contained(&mut self) {
        let words: Vec<Vec<String>> = self
            .names
            .iter()
            .map(|it| it.folded.split(' ').map(str::to_owned).collect())
            .collect();
        for at in 0..self.names.len() {
            let is_part = |other: usize| {
                let long = matches!(
                    self.names[other].name_type,
                    name::Type::Full | name::Type::Other
                );
                other != at
                    && long
                    && words[other].len() > words[at].len()
                    && words[at].iter().all(|word| words[other].contains(word))
            };
            // Bounded: a record with very many names has its longest first in practice.
            self.names[at].is_contained = (0..self.names.len()).any(is_part);
        }
    }
}

/// A person if either side says so; by the words of the names if neither says anything.
pub fn is_person(left: &Profile, right: &Profile) -> bool {
    use actor::Type::{Person, Unspecified};
    match (left.actor_type, right.actor_type) {
        (Person, _) | (_, Person) => true,
        (Unspecified, Unspecified) => {
            let mut names = left.names.iter().chain(&right.names);
            !names.any(|it| it.body().is_surely_body())
        }
        _ => false,
    }
}
