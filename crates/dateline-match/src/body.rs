//! Names of bodies, units, media and vessels: known phrases become symbols, symbols are compared by class, and the rest
//! by sound.

use crate::{
    align::{Strictness, Word, Words, align},
    fold::{Script, Token},
    implied::implied_state,
    lexicon::{Class, Lexicon, Piece, Symbol},
    outcome::{CONTRADICTED, NAMES_ALONE, Outcome, Part, Unmatched},
};

/// Weight of a name's word; symbols weigh less.
const NAME: f64 = 2.0;
/// "Eastern" and "western" sound alike: only a spelling that is nearly the same outweighs what words mean.
const NEARLY_SAME: f64 = 0.92;
/// The highest score where only one name has a number: Queen Mary and Queen Mary 2.
const NUMBER_ON_ONE_SIDE: f64 = 0.7;
/// Less evidence than this is one common word.
const LEAST_EVIDENCE: f64 = 1.3;

/// A name of a body, parsed.
#[derive(Clone, Debug, Default)]
pub struct BodyName {
    text: String,
    symbols: Vec<(Symbol, String)>,
    names: Words,
    /// All words but fillers and legal forms, whether known or not.
    spelled: Words,
    /// The state that the language of the name implies.
    implied: Option<u32>,
    /// A hull number or the like, in brackets: what it says is not part of the name.
    hull: Option<String>,
    /// First letters, with and without fillers.
    initials: Vec<String>,
    acronym: Option<String>,
    script: Option<Script>,
}

impl BodyName {
    /// Parses a name; `folded` are its words without what stands in brackets with a number.
    pub fn parse(
        text: &str,
        language: &str,
        tokens: &[Token],
        hull: Option<String>,
        is_acronym: bool,
    ) -> Self {
        let lexicon = Lexicon::get();
        let pieces = lexicon.parse(tokens);
        let mut parsed = Self {
            text: tokens
                .iter()
                .map(|it| it.text.as_str())
                .collect::<Vec<_>>()
                .join(" "),
            hull,
            implied: implied_state(tokens, language)
                .and_then(|code| lexicon.id(&format!("place {code}"))),
            ..Self::default()
        };
        let (mut names, mut spelled) = (Vec::new(), Vec::new());
        for piece in pieces {
            match piece {
                Piece::Word(token, _) => names.push(Word::new(token)),
                Piece::Symbol(symbol, stems) => parsed.symbols.push((symbol, stems)),
            }
        }
        let mut letters = [String::new(), String::new(), String::new()];
        for token in tokens {
            let known = lexicon.parse(std::slice::from_ref(token));
            let class = match known.as_slice() {
                [Piece::Symbol(symbol, _)] => Some(symbol.class),
                _ => None,
            };
            initials(
                &mut letters,
                token,
                class == Some(Class::Filler) && token.text.chars().count() <= 3,
            );
            let generic = lexicon.id("filler generic");
            let is_generic = matches!(known.as_slice(), [Piece::Symbol(it, _)] if it.class == Class::Filler && Some(it.id) == generic);
            if !is_generic && !matches!(class, Some(Class::Legal | Class::Number | Class::Ship)) {
                spelled.push(Word::new(token.clone()));
            }
        }
        parsed.script = tokens
            .iter()
            .map(|it| it.script)
            .find(|it| *it != Script::Digit);
        parsed.settle_symbols();
        parsed.initials = letters
            .into_iter()
            .filter(|it| it.chars().count() >= 2)
            .collect();
        parsed.initials.dedup();
        parsed.names = Words::new(names);
        parsed.spelled = Words::new(spelled);
        parsed.acronym = acronym(text, tokens, is_acronym);
        parsed
    }

    /// Sorts symbols; drops those that say nothing beside the others.
    fn settle_symbols(&mut self) {
        let lexicon = Lexicon::get();
        let state = lexicon.id("kind state");
        let is_state = |it: &(Symbol, String)| it.0.class == Class::Kind && Some(it.0.id) == state;
        let has_other = self.symbols.iter().any(|it| {
            it.0.class == Class::Place || it.0.class == Class::Kind && Some(it.0.id) != state
        });
        if has_other {
            self.symbols.retain(|it| !is_state(it));
        }
        // The prefix of a vessel tells its state: USS.
        let ships = self.symbols.iter().filter(|it| it.0.class == Class::Ship);
        let states: Vec<_> = ships
            .filter_map(|it| lexicon.id(&format!("place {}", lexicon.word(it.0))))
            .collect();
        self.implied = states.first().copied().or(self.implied);
        let generic = lexicon.id("filler generic");
        self.symbols
            .retain(|it| it.0.class != Class::Filler || Some(it.0.id) != generic);
    }

    fn ids(&self, class: Class) -> Vec<u32> {
        let mut all: Vec<u32> = Vec::new();
        for (symbol, _) in self.symbols.iter().filter(|it| it.0.class == class) {
            if !all.contains(&symbol.id) {
                all.push(symbol.id);
            }
        }
        all
    }

    /// Concepts for keys: class and id, without fillers and legal forms.
    pub fn concepts(&self) -> Vec<Symbol> {
        let all = self.symbols.iter().map(|it| it.0);
        all.filter(|it| !matches!(it.class, Class::Legal | Class::Ship | Class::Filler))
            .collect()
    }

    /// Words for keys.
    pub fn spelled(&self) -> &[Word] {
        &self.spelled.all
    }

    /// First letters for keys.
    pub fn acronyms(&self) -> impl Iterator<Item = &String> {
        self.initials.iter().chain(&self.acronym)
    }

    /// True if it has a word that only bodies have.
    pub fn is_surely_body(&self) -> bool {
        self.symbols
            .iter()
            .any(|it| matches!(it.0.class, Class::Kind | Class::Field | Class::Legal))
    }

    /// Compares two names.
    pub fn compare(&self, other: &Self) -> Outcome {
        let by_symbols = self.by_symbols(other);
        if by_symbols.score >= NAMES_ALONE {
            return by_symbols;
        }
        let is_vetoed = !by_symbols.vetoes.is_empty();
        let best = [self.by_spelling(other, is_vetoed), self.by_acronym(other)]
            .into_iter()
            .flatten();
        best.fold(by_symbols, |best, next| {
            if next.score > best.score { next } else { best }
        })
    }

    fn by_symbols(&self, other: &Self) -> Outcome {
        let mut outcome = Outcome::default();
        let has_names = !self.names.all.is_empty() || !other.names.all.is_empty();
        let mut evidence = 0.0;
        for class in [
            Class::Kind,
            Class::Field,
            Class::Place,
            Class::Number,
            Class::Legal,
            Class::Filler,
        ] {
            evidence += self.compare_class(other, class, has_names, &mut outcome);
        }
        self.compare_order(other, &mut outcome);
        self.compare_hulls(other, &mut outcome);
        let (matched, is_contradicted) = self.compare_names(other, &mut outcome);
        outcome.settle();
        if is_contradicted {
            outcome.is_contradicted = true;
            outcome.score = outcome.score.min(CONTRADICTED);
        }
        if self.ids(Class::Number).is_empty() != other.ids(Class::Number).is_empty() {
            outcome.score = outcome.score.min(NUMBER_ON_ONE_SIDE);
        }
        if evidence + matched < LEAST_EVIDENCE && self.text != other.text {
            outcome.score = outcome.score.min(0.5);
        }
        outcome
    }

    /// Compares the symbols of a class; returns the weight of those in common.
    fn compare_class(
        &self,
        other: &Self,
        class: Class,
        has_names: bool,
        outcome: &mut Outcome,
    ) -> f64 {
        let lexicon = Lexicon::get();
        let (left, right) = (self.ids(class), other.ids(class));
        let weight = match class {
            Class::Kind => 1.0,
            Class::Field => 1.6,
            Class::Place => 1.3,
            Class::Number => 1.5,
            _ => 0.1,
        };
        let word = |id: u32| lexicon.word(Symbol { class, id });
        let mut common = 0;
        for id in left.iter().filter(|id| right.contains(id)) {
            let (left, right) = (word(*id), word(*id));
            outcome.parts.push(Part {
                left,
                right,
                class: class.word(),
                score: 1.0,
                weight,
            });
            common += 1;
        }
        let only = |these: &[u32], those: &[u32]| -> Vec<u32> {
            these
                .iter()
                .filter(|id| !those.contains(id))
                .copied()
                .collect()
        };
        let mut implied = 0.0;
        let (mut left_only, mut right_only) = (only(&left, &right), only(&right, &left));
        if class == Class::Place {
            // A name in the language of a state needs not say which state.
            let is_named = |ids: &mut Vec<u32>, by: &Self| {
                let before = ids.len();
                ids.retain(|id| by.implied != Some(*id) || !by.ids(Class::Place).is_empty());
                before > ids.len()
            };
            if is_named(&mut left_only, other) | is_named(&mut right_only, self) {
                let part = Part {
                    left: String::new(),
                    right: String::new(),
                    class: "place",
                    score: 0.9,
                    weight: 0.6,
                };
                outcome.parts.push(part);
                implied = 0.6;
            }
        }
        let is_one_script = self.script == other.script && self.script.is_some();
        let both = !left_only.is_empty() && !right_only.is_empty();
        let is_veto = both
            && match class {
                Class::Kind => common == 0,
                Class::Field | Class::Number | Class::Place => true,
                _ => false,
            };
        if is_veto {
            let spelled = |ids: &[u32]| {
                ids.iter()
                    .map(|id| word(*id))
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            let mut sides = [spelled(&left_only), spelled(&right_only)];
            sides.sort();
            outcome
                .vetoes
                .push(format!("{}: {} and {}", class.word(), sides[0], sides[1]));
        }
        for (is_left, ids, by) in [(true, &left_only, other), (false, &right_only, self)] {
            for id in ids {
                let weight = match class {
                    Class::Kind if both => 0.9,
                    // Nothing but known words: each of them counts.
                    Class::Kind if !has_names => 1.0,
                    Class::Kind => 0.3,
                    Class::Field => 1.1,
                    Class::Place if by.implied.is_some() => 1.0,
                    // Typical of a subsidiary.
                    Class::Place if has_names => 1.6,
                    Class::Place if word(*id).starts_with("c:") || common > 0 => 1.0,
                    Class::Place => 0.5,
                    Class::Number => 1.3,
                    // "State", "national", "royal": said or not from one language to another, but not within one.
                    Class::Filler if is_one_script => 0.8,
                    _ => 0.0,
                };
                let unmatched = Unmatched {
                    is_left,
                    word: word(*id),
                    class: class.word(),
                    weight,
                };
                outcome.unmatched.push(unmatched);
            }
        }
        weight * f64::from(common) + implied
    }

    /// An embassy of one state in another is not that of the other in the one.
    fn compare_order(&self, other: &Self, outcome: &mut Outcome) {
        let (left, right) = (self.ids(Class::Place), other.ids(Class::Place));
        let has_mission = |it: &Self| {
            let missions = ["kind embassy", "kind consulate"].map(|it| Lexicon::get().id(it));
            it.ids(Class::Kind)
                .iter()
                .any(|id| missions.contains(&Some(*id)))
        };
        let is_same = |(one, two): (&u32, &u32)| one == two;
        if left.len() == 2
            && right.len() == 2
            && has_mission(self)
            && has_mission(other)
            && !left.iter().zip(&right).all(is_same)
        {
            outcome.vetoes.push("place: order".to_owned());
        }
    }

    fn compare_hulls(&self, other: &Self, outcome: &mut Outcome) {
        if let (Some(left), Some(right)) = (&self.hull, &other.hull)
            && left != right
        {
            let mut both = [left, right];
            both.sort();
            outcome
                .vetoes
                .push(format!("hull number: {} and {}", both[0], both[1]));
        }
    }

    fn compare_names(&self, other: &Self, outcome: &mut Outcome) -> (f64, bool) {
        let alignment = align(&self.names, &other.names, Strictness::Bodies);
        let mut matched = 0.0;
        for pair in &alignment.pairs {
            let weight = pair.weight * NAME;
            matched += weight;
            outcome.parts.push(Part {
                left: spell(&self.names, &pair.left),
                right: spell(&other.names, &pair.right),
                class: "name",
                score: pair.score,
                weight,
            });
        }
        let sides = [
            (true, &alignment.left, &self.names),
            (false, &alignment.right, &other.names),
        ];
        for (is_left, words, names) in sides {
            for word in words {
                let word = &names.all[*word];
                let weight = NAME * word.weight;
                let word = word.token.text.clone();
                outcome.unmatched.push(Unmatched {
                    is_left,
                    word,
                    class: "name",
                    weight,
                });
            }
        }
        (
            matched,
            !alignment.left.is_empty() && !alignment.right.is_empty(),
        )
    }

    /// All words by their sound, whether known or not: a name may be made of known words and stay as it is in another
    /// script.
    fn by_spelling(&self, other: &Self, is_vetoed: bool) -> Option<Outcome> {
        if self.ids(Class::Number) != other.ids(Class::Number) || self.spelled.all.is_empty() {
            return None;
        }
        let alignment = align(&self.spelled, &other.spelled, Strictness::Bodies);
        if !alignment.left.is_empty() || !alignment.right.is_empty() {
            return None;
        }
        if is_vetoed && alignment.pairs.iter().any(|pair| pair.score < NEARLY_SAME) {
            return None;
        }
        let mut outcome = Outcome::default();
        for pair in &alignment.pairs {
            outcome.parts.push(Part {
                left: spell(&self.spelled, &pair.left),
                right: spell(&other.spelled, &pair.right),
                class: "name",
                score: pair.score,
                weight: pair.weight,
            });
        }
        self.compare_order(other, &mut outcome);
        self.compare_hulls(other, &mut outcome);
        outcome.settle();
        Some(outcome)
    }

    /// An acronym and a name with these first letters. The longer it is, the less is chance.
    fn by_acronym(&self, other: &Self) -> Option<Outcome> {
        let hit = |short: &Self, long: &Self| {
            let acronym = short.acronym.clone()?;
            (long.initials.contains(&acronym) && long.text.contains(' ')).then_some(acronym)
        };
        let found = hit(self, other).or_else(|| hit(other, self))?;
        let score = match found.chars().count() {
            0..=2 => 0.5,
            3 => 0.72,
            _ => 0.78,
        };
        let part = Part {
            left: found.clone(),
            right: found,
            class: "acronym",
            score,
            weight: 1.0,
        };
        Some(Outcome {
            score,
            parts: vec![part],
            ..Outcome::default()
        })
    }
}

/// Adds the first letter of a word: in its script without short fillers and with them, and romanised.
fn initials(letters: &mut [String; 3], token: &Token, is_filler: bool) {
    let Some(first) = token.text.chars().next() else {
        return;
    };
    letters[0].push(first);
    if !is_filler {
        letters[1].push(first);
        letters[2].push_str(&any_ascii::any_ascii(&first.to_string()).to_lowercase());
    }
}

/// The name itself, if it is one word in capitals, or said to be an acronym.
fn acronym(text: &str, tokens: &[Token], is_acronym: bool) -> Option<String> {
    let [token] = tokens else { return None };
    let length = token.text.chars().count();
    let is_capital = text
        .chars()
        .filter(|it| it.is_alphabetic())
        .all(char::is_uppercase);
    ((is_capital || is_acronym) && (2..=8).contains(&length)).then(|| token.text.clone())
}

fn spell(words: &Words, indices: &[usize]) -> String {
    let texts: Vec<&str> = indices
        .iter()
        .map(|it| words.all[*it].token.text.as_str())
        .collect();
    texts.join(" ")
}
