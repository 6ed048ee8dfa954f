//! A score with its reasons and its meaning. It is made in `compare` and `features`.

use crate::outcome::{Part, Unmatched};
use std::fmt;

/// At least this is a very likely match.
pub const VERY_LIKELY: f64 = 0.92;
/// At least this is worth a look.
pub const POSSIBLE: f64 = 0.75;

/// The meaning of a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Band {
    /// Say nothing.
    Silent,
    /// Possible: show it.
    Possible,
    /// Very likely the same.
    VeryLikely,
}

impl Band {
    /// The band of a score.
    pub fn of(score: f64) -> Self {
        match score {
            _ if score >= VERY_LIKELY => Self::VeryLikely,
            _ if score >= POSSIBLE => Self::Possible,
            _ => Self::Silent,
        }
    }
}

/// A fact beside the names that counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// "type", "region", "lifetime", "identifier".
    pub name: &'static str,
    /// The values: "KZ and KG".
    pub detail: String,
    /// True if both sides agree.
    pub agrees: bool,
}

/// The score of two actors with its reasons.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// 0..=1.
    pub value: f64,
    /// The name of the left actor that decided; empty if an identifier did.
    pub left: String,
    /// The name of the right actor that decided.
    pub right: String,
    /// Aligned parts of the two names.
    pub parts: Vec<Part>,
    /// Words left over.
    pub unmatched: Vec<Unmatched>,
    /// Contradictions.
    pub vetoes: Vec<String>,
    /// Facts beside the names.
    pub features: Vec<Feature>,
}

impl Score {
    /// The band of the value.
    pub fn band(&self) -> Band {
        Band::of(self.value)
    }
}

/// One reason a line, in stable words.
impl fmt::Display for Score {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "score {:.2}", self.value)?;
        if !self.left.is_empty() {
            writeln!(out, "names {} = {}", self.left, self.right)?;
        }
        for part in &self.parts {
            let Part {
                left,
                right,
                class,
                score,
                weight,
            } = part;
            writeln!(
                out,
                "{class} {left} = {right}, {score:.2}, weight {weight:.2}"
            )?;
        }
        for it in &self.unmatched {
            let side = if it.is_left { "left" } else { "right" };
            writeln!(
                out,
                "unmatched {} {}, {side}, weight {:.2}",
                it.class, it.word, it.weight
            )?;
        }
        for veto in &self.vetoes {
            writeln!(out, "veto {veto}")?;
        }
        for feature in &self.features {
            let verb = if feature.agrees { "agrees" } else { "differs" };
            writeln!(out, "{} {verb}: {}", feature.name, feature.detail)?;
        }
        Ok(())
    }
}
