//! Words of two names, aligned by sound: the best pairs first, neighbours joined where one side writes them as one.

use crate::{
    fold::{Script, Token},
    lexicon::Lexicon,
    sound::{Sound, Vowels},
};

/// Words below this are not the same.
const LEAST: f64 = 0.7;
/// The same for words of bodies of which all vowels are written: longer, and made of the same parts.
const LEAST_OF_BODIES: f64 = 0.8;
/// The same for words of bodies in one script, where names are seldom spelled anew.
const LEAST_IN_ONE_SCRIPT: f64 = 0.85;

/// The likeness that two words need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// Names of persons are respelled in every country.
    Persons,
    /// Names of bodies are translated, or kept.
    Bodies,
}

impl Strictness {
    fn least(self, one: &Word, two: &Word) -> f64 {
        let is_written =
            |it: &Word| it.sound.vowels == Vowels::Written && it.sound.syllables.is_empty();
        match self {
            Self::Bodies if one.token.script == two.token.script => LEAST_IN_ONE_SCRIPT,
            Self::Bodies if is_written(one) && is_written(two) => LEAST_OF_BODIES,
            Self::Bodies | Self::Persons => LEAST,
        }
    }
}

/// Likeness of two forms of one given name: Bill and William.
const SAME_GROUP: f64 = 0.93;
/// Likeness of a word and its initial.
const INITIAL: f64 = 0.8;

/// A word as it is compared.
#[derive(Clone, Debug)]
pub struct Word {
    /// The folded word.
    pub token: Token,
    /// Its sound.
    pub sound: Sound,
    /// Weight by rarity, in 0..=1.
    pub weight: f64,
    /// One letter with nothing behind it.
    pub is_initial: bool,
    /// The name of the father.
    pub is_patronymic: bool,
    /// The father's name in a patronymic, without the ending.
    father: Option<Sound>,
    groups: Vec<u32>,
}

impl Word {
    /// The word of a token.
    pub fn new(token: Token) -> Self {
        let lexicon = Lexicon::get();
        let sound = Sound::of(&token);
        let is_common =
            lexicon.common.contains(&sound.ascii) || lexicon.common.contains(&token.text);
        let mut groups = lexicon.given.get(&token.text).cloned().unwrap_or_default();
        if groups.is_empty() && token.script != Script::Latin {
            // Hyphens and articles apart, a romanised form may be in the list too.
            groups = lexicon.given.get(&sound.ascii).cloned().unwrap_or_default();
        }
        let letters = token.text.chars().count();
        let is_initial =
            letters == 1 && !token.script.is_unspaced() && token.script != Script::Digit;
        let father = father(&sound.ascii, &token);
        let is_patronymic = father.is_some();
        let weight = match () {
            () if is_initial => 0.3,
            () if is_common => 0.75,
            () => 1.0,
        };
        Self {
            token,
            sound,
            weight,
            is_initial,
            is_patronymic,
            father,
            groups,
        }
    }

    fn joined(&self, next: &Self) -> Self {
        let text = format!("{}{}", self.token.text, next.token.text);
        let groups = Lexicon::get().given.get(&text).cloned().unwrap_or_default();
        Self {
            token: Token {
                text,
                script: self.token.script,
                is_joined: false,
            },
            sound: self.sound.joined(&next.sound),
            weight: self.weight.max(next.weight),
            is_initial: false,
            is_patronymic: false,
            father: None,
            groups,
        }
    }

    fn likeness(&self, other: &Self) -> f64 {
        if self.token.text == other.token.text {
            return 1.0;
        }
        if self.is_initial || other.is_initial {
            let (first, second) = (
                self.sound.ascii.as_bytes().first(),
                other.sound.ascii.as_bytes().first(),
            );
            return if first.is_some() && first == second {
                INITIAL
            } else {
                0.0
            };
        }
        if self.token.script == Script::Digit || other.token.script == Script::Digit {
            return 0.0;
        }
        if self.token.script == Script::Han && other.token.script == Script::Han {
            return same_signs(
                &self.token.text,
                &other.token.text,
                &self.sound,
                &other.sound,
            );
        }
        let mut sound = self.sound.likeness(&other.sound);
        if let (Some(one), Some(two)) = (&self.father, &other.father) {
            // Endings differ between languages; two fathers of like endings are still two.
            sound = one.likeness(two);
        }
        let limit = match (self.sound.vowels, other.sound.vowels) {
            (Vowels::Written, Vowels::Written) => 1.0,
            _ => 0.97,
        };
        if self.groups.iter().any(|group| other.groups.contains(group)) {
            return sound.min(limit).max(SAME_GROUP);
        }
        sound.min(limit)
    }
}

/// Two names in Han: the same signs, or other signs of the same sound, as traditional and simplified ones are.
fn same_signs(left: &str, right: &str, left_sound: &Sound, right_sound: &Sound) -> f64 {
    let (one, two) = (left.chars().count(), right.chars().count());
    if one != two {
        return 0.0;
    }
    let signs = left.chars().zip(right.chars());
    let sounds = left_sound.syllables.iter().zip(&right_sound.syllables);
    let mut sum = 0.0;
    for ((a, b), (x, y)) in signs.zip(sounds) {
        sum += match () {
            () if a == b => 1.0,
            () if x == y => 0.85,
            () => return 0.0,
        };
    }
    sum / one.max(1) as f64
}

/// The name of the father in a patronymic: "Abishuly" and "Abishevich" are of one Abish.
fn father(ascii: &str, token: &Token) -> Option<Sound> {
    const ENDINGS: [&str; 14] = [
        "inichna", "ovich", "evich", "ovych", "evych", "ichna", "ovna", "evna", "ivna", "kyzy",
        "qyzy", "oglu", "ogly", "uly",
    ];
    if !matches!(token.script, Script::Latin | Script::Cyrillic) || ascii.len() < 7 {
        return None;
    }
    let stem = ENDINGS
        .iter()
        .find_map(|ending| ascii.strip_suffix(ending))?;
    let stem = Token {
        text: stem.to_owned(),
        script: Script::Latin,
        is_joined: false,
    };
    Some(Sound::of(&stem))
}

/// Two groups of neighbouring words that stand for the same.
#[derive(Clone, Debug)]
pub struct Pair {
    /// Words of the left name.
    pub left: Vec<usize>,
    /// Words of the right name.
    pub right: Vec<usize>,
    /// Likeness.
    pub score: f64,
    /// Weight.
    pub weight: f64,
}

/// Aligned words, and those left over.
#[derive(Clone, Debug, Default)]
pub struct Alignment {
    /// Pairs, in order of the left name.
    pub pairs: Vec<Pair>,
    /// Words of the left name without a partner.
    pub left: Vec<usize>,
    /// Words of the right name without a partner.
    pub right: Vec<usize>,
}

impl Alignment {
    /// True if a pair stands in another order than the one before it.
    pub fn is_reordered(&self) -> bool {
        self.pairs
            .windows(2)
            .any(|two| two[0].right[0] > two[1].right[0])
    }
}

/// The words of a name, ready to be aligned.
#[derive(Clone, Debug, Default)]
pub struct Words {
    /// In order.
    pub all: Vec<Word>,
    /// Each word, and short neighbours joined.
    spans: Vec<(Vec<usize>, Word)>,
}

impl Words {
    /// Prepares words.
    pub fn new(all: Vec<Word>) -> Self {
        let spans = spans(&all);
        Self { all, spans }
    }
}

/// Aligns the words of two names. Linear in the product of their bounded lengths; symmetric.
pub fn align(left: &Words, right: &Words, strictness: Strictness) -> Alignment {
    let mut candidates: Vec<Pair> = Vec::new();
    for (a, one) in &left.spans {
        for (b, two) in &right.spans {
            // Joined words meet one word: both joined is two pairs.
            if a.len() > 1 && b.len() > 1 {
                continue;
            }
            let score = one.likeness(two);
            if score >= strictness.least(one, two) {
                let weight = f64::midpoint(one.weight, two.weight) * a.len().max(b.len()) as f64;
                candidates.push(Pair {
                    left: a.clone(),
                    right: b.clone(),
                    score,
                    weight,
                });
            }
        }
    }
    let spell = |words: &Words, indices: &[usize]| -> Vec<String> {
        indices
            .iter()
            .map(|it| words.all[*it].token.text.clone())
            .collect()
    };
    candidates.sort_by_cached_key(|it| {
        let size = it.left.len() + it.right.len();
        let value = it.score + 0.02 * (size as f64 - 2.0);
        // Integers order totally; nothing here depends on the side.
        let value = std::cmp::Reverse(score_order(value));
        let mut texts = [spell(left, &it.left), spell(right, &it.right)];
        texts.sort();
        (
            value,
            it.left[0].min(it.right[0]),
            it.left[0] + it.right[0],
            texts,
        )
    });
    let mut alignment = Alignment::default();
    let (mut used_left, mut used_right) =
        (vec![false; left.all.len()], vec![false; right.all.len()]);
    for pair in candidates {
        let is_free = pair.left.iter().all(|it| !used_left[*it])
            && pair.right.iter().all(|it| !used_right[*it]);
        if is_free {
            pair.left.iter().for_each(|it| used_left[*it] = true);
            pair.right.iter().for_each(|it| used_right[*it] = true);
            alignment.pairs.push(pair);
        }
    }
    alignment.pairs.sort_by_key(|pair| pair.left[0]);
    let free = |used: &[bool]| (0..used.len()).filter(|it| !used[*it]).collect();
    alignment.left = free(&used_left);
    alignment.right = free(&used_right);
    alignment
}

/// A positive number as an integer that orders the same.
fn score_order(value: f64) -> u64 {
    // The bits of positive floats order as the floats do.
    ((value * 1e6).round() / 1e6).to_bits()
}

/// Each word, and short neighbours joined.
fn spans(words: &[Word]) -> Vec<(Vec<usize>, Word)> {
    const SHORT: usize = 8;
    let mut all: Vec<_> = words
        .iter()
        .enumerate()
        .map(|(at, word)| (vec![at], word.clone()))
        .collect();
    let is_short = |word: &Word| {
        !word.is_initial && word.sound.ascii.len() <= SHORT && word.token.script != Script::Digit
    };
    for at in 0..words.len().saturating_sub(1) {
        let (one, two) = (&words[at], &words[at + 1]);
        if (is_short(one) || two.token.is_joined) && is_short(two) {
            let joined = one.joined(two);
            if let Some(three) = words.get(at + 2).filter(|it| is_short(it)) {
                all.push((vec![at, at + 1, at + 2], joined.joined(three)));
            }
            all.push((vec![at, at + 1], joined));
        }
    }
    all
}
