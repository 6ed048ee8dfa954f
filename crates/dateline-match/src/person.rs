//! Names of persons: ranks cut off, generations compared, words aligned in any order.

use crate::{
    align::{Alignment, Strictness, Word, Words, align},
    fold::{Script, Token},
    lexicon::{JUNIOR, Lexicon, Role, SENIOR, units},
    outcome::{CONTRADICTED, Outcome, Part, Unmatched},
};

/// Surnames of two signs.
const TWO_SIGNS: [&str; 24] = [
    "欧阳", "歐陽", "司马", "司馬", "诸葛", "諸葛", "上官", "司徒", "夏侯", "皇甫", "尉迟", "公孙",
    "慕容", "南宫", "东方", "令狐", "宇文", "长孙", "남궁", "황보", "제갈", "선우", "독고", "사공",
];

/// Links between a name and the father's.
const LINEAGE: [&str; 10] = [
    "bin", "ibn", "ben", "bint", "бин", "ибн", "بن", "ابن", "بنت", "בן",
];

/// A name of a person, parsed.
#[derive(Clone, Debug, Default)]
pub struct PersonName {
    /// Names and initials, without ranks and links.
    pub words: Words,
    /// The generation.
    pub mark: Option<u32>,
    is_eastern: bool,
    /// Has "son of" in it, so that the order of its words says who is whose son.
    has_lineage: bool,
}

impl PersonName {
    /// Parses folded words.
    pub fn parse(text: &str, tokens: &[Token], language: &str) -> Self {
        let lexicon = Lexicon::get();
        let tokens = split_signs(without_titles(tokens));
        let tokens = tokens.as_slice();
        let mut words: Vec<Word> = Vec::new();
        let (mut mark, mut is_optional, mut has_lineage, mut at) = (None, false, false, 0);
        // "Putin V." has an initial, "George V" a number.
        let is_dotted = |it: &Token| {
            it.text.len() == 1 && text.contains(&format!("{}.", it.text.to_uppercase()))
        };
        while let Some(token) = tokens.get(at) {
            let rest = units(&tokens[at..]);
            // Signs of names are also words; only spaced scripts have links inside.
            let found = lexicon
                .roles
                .longest(&rest)
                .filter(|_| !token.script.is_unspaced());
            match found {
                Some((length, Role::Mark(number)))
                    if at > 0 && ends_name(tokens, at + length) && !is_dotted(token) =>
                {
                    mark = mark.or(Some(number));
                    at += length;
                    continue;
                }
                Some((length, Role::Link)) if tokens.len() > length + 1 => {
                    is_optional |= token.text == "of";
                    has_lineage |= LINEAGE.contains(&token.text.as_str());
                    at += length;
                    continue;
                }
                _ => {}
            }
            let number = crate::lexicon::roman(&token.text);
            if let Some(number) =
                number.filter(|_| at > 0 && token.text.len() > 1 && ends_name(tokens, at + 1))
            {
                mark = mark.or(Some(number));
                at += 1;
                continue;
            }
            let mut word = Word::new(token.clone());
            word.is_patronymic |= is_optional;
            words.push(word);
            at += 1;
        }
        let is_eastern = matches!(
            language.split('-').next(),
            Some("zh" | "ja" | "ko" | "hu" | "vi")
        ) || tokens.iter().any(|it| it.script.is_unspaced());
        // A name of two words needs both.
        if words
            .iter()
            .filter(|word| !word.is_patronymic && !word.is_initial)
            .count()
            < 2
            && mark.is_none()
        {
            for word in &mut words {
                word.is_patronymic = false;
            }
        }
        Self {
            words: Words::new(words),
            mark,
            is_eastern,
            has_lineage,
        }
    }

    /// Compares two names.
    pub fn compare(&self, other: &Self) -> Outcome {
        let alignment = align(&self.words, &other.words, Strictness::Persons);
        let mut outcome = Outcome::default();
        for pair in &alignment.pairs {
            outcome.parts.push(Part {
                left: spell(&self.words, &pair.left),
                right: spell(&other.words, &pair.right),
                class: "name",
                score: pair.score,
                weight: pair.weight,
            });
        }
        let is_contradicted = self.count_missing(other, &alignment, &mut outcome);
        self.compare_marks(other, &mut outcome);
        if self.has_lineage && other.has_lineage && alignment.is_reordered() {
            outcome.vetoes.push("lineage: order".to_owned());
        }
        outcome.settle();
        if is_contradicted {
            outcome.is_contradicted = true;
            outcome.score = outcome.score.min(CONTRADICTED);
        }
        if self.mark.is_some() != other.mark.is_some() {
            outcome.score *= 0.7;
        }
        if alignment.is_reordered() && !self.is_eastern && !other.is_eastern {
            let has_more = !alignment.left.is_empty() || !alignment.right.is_empty();
            outcome.score -= if has_more { 0.1 } else { 0.02 };
        }
        outcome.score = outcome.score.clamp(0.0, 1.0) + 0.0;
        outcome
    }

    fn count_missing(&self, other: &Self, alignment: &Alignment, outcome: &mut Outcome) -> bool {
        let is_full = |word: &Word| !word.is_initial && !word.is_patronymic;
        let left: Vec<&Word> = alignment
            .left
            .iter()
            .map(|it| &self.words.all[*it])
            .collect();
        let right: Vec<&Word> = alignment
            .right
            .iter()
            .map(|it| &other.words.all[*it])
            .collect();
        let any = |words: &[&Word], test: fn(&Word) -> bool| words.iter().any(|word| test(word));
        let (left_full, right_full) = (
            left.iter().any(|it| is_full(it)),
            right.iter().any(|it| is_full(it)),
        );
        let (left_initial, right_initial) = (
            any(&left, |it| it.is_initial),
            any(&right, |it| it.is_initial),
        );
        let both_patronymics =
            any(&left, |it| it.is_patronymic) && any(&right, |it| it.is_patronymic);
        let (left_any, right_any) = (left_full || left_initial, right_full || right_initial);
        let is_contradicted = (left_any && right_any) || both_patronymics;
        let pairs = &alignment.pairs;
        let has_initials = |words: &Words| words.all.iter().any(|it| it.is_initial);
        let both_initials = has_initials(&self.words) && has_initials(&other.words);
        let full_pairs: usize = pairs
            .iter()
            .filter(|it| {
                !self.words.all[it.left[0]].is_initial && !other.words.all[it.right[0]].is_initial
            })
            .map(|it| it.left.len().max(it.right.len()))
            .sum();
        let is_alone = full_pairs < 2;
        let missing = left
            .iter()
            .map(|it| (true, it))
            .chain(right.iter().map(|it| (false, it)));
        for (is_left, word) in missing {
            let weight = match () {
                () if is_contradicted => word.weight.max(0.6),
                () if word.is_patronymic => 0.05,
                () if word.is_initial && both_initials => 0.7,
                () if word.is_initial => 0.08,
                () if is_alone => 0.8,
                () => 0.3 * word.weight,
            };
            let class = match () {
                () if word.is_patronymic => "patronymic",
                () if word.is_initial => "initial",
                () => "name",
            };
            outcome.unmatched.push(Unmatched {
                is_left,
                word: word.token.text.clone(),
                class,
                weight,
            });
        }
        is_contradicted
    }

    fn compare_marks(&self, other: &Self, outcome: &mut Outcome) {
        if let (Some(left), Some(right)) = (self.mark, other.mark)
            && left != right
        {
            let mut both = [left, right].map(spell_mark);
            both.sort();
            outcome
                .vetoes
                .push(format!("generation: {} and {}", both[0], both[1]));
        }
    }
}

fn spell_mark(mark: u32) -> String {
    match mark {
        SENIOR => "senior".to_owned(),
        JUNIOR => "junior".to_owned(),
        _ => mark.to_string(),
    }
}

fn spell(words: &Words, indices: &[usize]) -> String {
    let texts: Vec<&str> = indices
        .iter()
        .map(|it| words.all[*it].token.text.as_str())
        .collect();
    texts.join(" ")
}

/// A mark stands last, or before "of …".
fn ends_name(tokens: &[Token], at: usize) -> bool {
    tokens.get(at).is_none_or(|next| next.text == "of")
}

/// Ranks and titles at the ends, as far as a word remains.
fn without_titles(mut tokens: &[Token]) -> &[Token] {
    let lexicon = Lexicon::get();
    loop {
        let found = lexicon.roles.longest(&units(tokens));
        let is_unspaced = tokens.first().is_some_and(|it| it.script.is_unspaced());
        match found {
            // Han and Hangul have titles behind the name, if at all.
            Some((length, Role::Honorific)) if !is_unspaced && tokens.len() > length => {
                tokens = &tokens[length..];
            }
            _ => return tokens,
        }
    }
}

/// Cuts a run of Han or Hangul into surname and given name.
fn split_signs(tokens: &[Token]) -> Vec<Token> {
    let lexicon = Lexicon::get();
    let mut all = Vec::with_capacity(tokens.len() + 1);
    for token in tokens {
        let mut signs: Vec<char> = token.text.chars().collect();
        if !matches!(token.script, Script::Han | Script::Hangul) || tokens.len() > 2 {
            all.push(token.clone());
            continue;
        }
        // A title behind it.
        for start in 2..signs.len() {
            let tail: Vec<_> = signs[start..]
                .iter()
                .map(|it| (it.to_string(), 0))
                .collect();
            if matches!(lexicon.roles.longest(&tail), Some((length, Role::Honorific)) if length == tail.len())
            {
                signs.truncate(start);
                break;
            }
        }
        let whole: String = signs.iter().collect();
        let surname = if signs.len() > 2 && TWO_SIGNS.iter().any(|it| whole.starts_with(it)) {
            2
        } else {
            1
        };
        let part = |text: String| Token {
            text,
            ..token.clone()
        };
        if tokens.len() > 1 || !(2..=4).contains(&signs.len()) {
            all.push(part(whole));
        } else {
            all.push(part(signs[..surname].iter().collect()));
            all.push(part(signs[surname..].iter().collect()));
        }
    }
    all
}
