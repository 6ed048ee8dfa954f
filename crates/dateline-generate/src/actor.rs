//! Names of actors. Each depends on the seed and its number alone, so that a later article can name an actor of an
//! earlier story without stored state.

use dateline_proto::v1::actor::Type;

use super::{
    languages::{Language, LocalizedWord},
    phrases::{ENGLISH, LANGUAGES},
    rng::SeededRng,
};

/// Types of bodies, in the order of `Language::bodies`.
const BODIES: [Type; 8] = [
    Type::State,
    Type::Intergovernmental,
    Type::GovernmentBody,
    Type::Military,
    Type::Programme,
    Type::Media,
    Type::Organization,
    Type::Group,
];

/// Frequency of each type, in percent.
const WEIGHTS: [usize; 8] = [2, 8, 22, 10, 6, 12, 28, 12];

/// Fields of activity of bodies.
const FIELDS: [&str; 12] = [
    "Border Waters",
    "Grain",
    "Railways",
    "Public Health",
    "Energy",
    "Schools",
    "Open Skies",
    "Fisheries",
    "Archives",
    "Relief",
    "Trade",
    "Radio",
];

/// Number of actors that are named most often.
const FAMOUS: usize = 64;

/// The name of an actor, with what sentences need.
pub(super) struct ActorProfile {
    /// `actors/…`
    pub name: String,
    pub r#type: Type,
    pub language: &'static Language,
    /// Name in its own script.
    pub native: String,
    /// Name in Latin letters, the display name.
    pub latin: String,
    /// City of the actor.
    pub city: LocalizedWord,
    /// Short form of the name.
    pub short: String,
}

impl ActorProfile {
    /// The actor with this number; actors use the streams with odd numbers.
    pub(super) fn from_number(seed: u64, number: u64) -> Self {
        let mut rng = SeededRng::new(seed, 2 * number + 1);
        let language = *rng.pick(&LANGUAGES);
        let city = *rng.pick(language.cities);
        if rng.one_in(2) {
            person(language, city, number, &mut rng)
        } else {
            body(language, city, number, &mut rng)
        }
    }

    /// One of the first `there_are` actors, if there are any; the first ones are chosen more often.
    pub(super) fn earlier(seed: u64, there_are: u64, rng: &mut SeededRng) -> Option<Self> {
        let all = usize::try_from(there_are).ok().filter(|all| *all > 0)?;
        let among = if rng.one_in(2) { all.min(FAMOUS) } else { all };
        Some(Self::from_number(seed, rng.below(among) as u64))
    }

    /// The name in an article in this language.
    pub(super) fn written_in(&self, language: &Language) -> &str {
        if self.language.tag == language.tag {
            &self.native
        } else {
            &self.latin
        }
    }

    /// True if the name in its own script differs from the Latin one.
    pub(super) fn has_native(&self) -> bool {
        self.native != self.latin
    }
}

fn person(
    language: &'static Language,
    city: LocalizedWord,
    number: u64,
    rng: &mut SeededRng,
) -> ActorProfile {
    let mut given = pair(language.given, rng);
    let mut family = pair(language.family, rng);
    let joint = if language.is_family_first { "" } else { "-" };
    let own = |words: &[LocalizedWord], joint| join(words.iter().map(|word| word.0), joint);
    let latin = |words: &[LocalizedWord]| join(words.iter().map(|word| word.1), "-");
    given.truncate(if rng.one_in(3) { 1 } else { 2 });
    family.truncate(if rng.one_in(3) { 2 } else { 1 });
    let native = if language.is_family_first {
        own(&family, joint) + &own(&given, joint)
    } else {
        own(&given, " ") + " " + &own(&family, joint)
    };
    let shown = latin(&given) + " " + &latin(&family);
    let initial: String = shown.chars().take(1).collect();
    ActorProfile {
        name: named("actors", &shown, number),
        r#type: Type::Person,
        language,
        native,
        short: format!("{initial}. {} {}", latin(&family), city.1),
        latin: shown,
        city,
    }
}

fn body(
    language: &'static Language,
    city: LocalizedWord,
    number: u64,
    rng: &mut SeededRng,
) -> ActorProfile {
    let mut left = rng.below(WEIGHTS.iter().sum());
    let index = WEIGHTS
        .iter()
        .position(|weight| {
            let found = left < *weight;
            left = left.saturating_sub(*weight);
            found
        })
        .unwrap_or_default();
    let family = *rng.pick(language.family);
    let field = *rng.pick(&FIELDS);
    let founded = rng.between(1, 999);
    let word = language.bodies[index].0;
    let own = language.body.0.replace("{c}", city.0).replace("{w}", word);
    let english = ENGLISH.bodies[index].0;
    let latin = format!("{} {english} for {field}, {}", family.1, city.1);
    let native = if language.tag == "en" {
        latin.clone()
    } else {
        format!("{own} {} № {founded}", family.0)
    };
    ActorProfile {
        name: named("actors", &latin, number),
        r#type: BODIES[index],
        language,
        native,
        short: format!("{} {english} {founded}", family.1),
        latin,
        city,
    }
}

/// Two different words.
fn pair(of: &[LocalizedWord], rng: &mut SeededRng) -> Vec<LocalizedWord> {
    let first = rng.below(of.len());
    let second = (first + 1 + rng.below(of.len() - 1)) % of.len();
    vec![of[first], of[second]]
}

fn join<'a>(words: impl Iterator<Item = &'a str>, joint: &str) -> String {
    words.collect::<Vec<_>>().join(joint)
}

/// A resource name: readable, and unique by its number.
pub(super) fn named(collection: &str, called: &str, number: u64) -> String {
    /// Leaves space for a number within the 63 characters of an id.
    const MAX_SLUG_CHARS: usize = 42;
    let mut id = String::new();
    for character in called.chars() {
        if id.len() >= MAX_SLUG_CHARS {
            break;
        }
        match character.to_ascii_lowercase() {
            letter @ ('a'..='z' | '0'..='9') => id.push(letter),
            _ if id.is_empty() || id.ends_with('-') => {}
            _ => id.push('-'),
        }
    }
    let id = id.trim_end_matches('-');
    let first = if id.starts_with(|first: char| first.is_ascii_lowercase()) {
        ""
    } else {
        "n-"
    };
    format!("{collection}/{first}{id}-{number}")
}
