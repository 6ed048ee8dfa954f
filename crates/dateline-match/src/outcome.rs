//! The comparison of two names, with its reasons.

/// Two parts that stand for the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Words of the left name.
    pub left: String,
    /// Words of the right name.
    pub right: String,
    /// Class: "name", "kind", "field", "place" …
    pub class: &'static str,
    /// Likeness, 0..=1.
    pub score: f64,
    /// Weight in the mean.
    pub weight: f64,
}

/// A word of one name without a partner.
#[derive(Clone, Debug, PartialEq)]
pub struct Unmatched {
    /// True for the left name.
    pub is_left: bool,
    /// The word.
    pub word: String,
    /// Its class.
    pub class: &'static str,
    /// Its cost: the weight in the mean.
    pub weight: f64,
}

/// The result for one pair of names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// 0..=1, before features.
    pub score: f64,
    /// Aligned parts.
    pub parts: Vec<Part>,
    /// Words left over.
    pub unmatched: Vec<Unmatched>,
    /// Contradictions: "number: 3 and 4".
    pub vetoes: Vec<String>,
    /// True if each name has a word that the other lacks.
    pub is_contradicted: bool,
}

/// The highest score of a name with a contradiction in it.
pub const CONTRADICTED: f64 = 0.6;
/// The highest score of names alone: namesakes exist.
pub const NAMES_ALONE: f64 = 0.9;

impl Outcome {
    /// The weighted mean, lowered by what is left over and by vetoes.
    pub fn settle(&mut self) {
        let matched: f64 = self.parts.iter().map(|part| part.score * part.weight).sum();
        let weights: f64 = self.parts.iter().map(|part| part.weight).sum();
        let missing: f64 = self.unmatched.iter().map(|it| it.weight).sum();
        let all = weights + missing;
        // Rounded, because sums in another order differ in the last digit.
        self.score = if all > 0.0 {
            (matched / all * 1e6).round() / 1e6
        } else {
            0.0
        };
        if !self.vetoes.is_empty() {
            self.score = (self.score * 0.5).min(CONTRADICTED);
        }
    }
}
