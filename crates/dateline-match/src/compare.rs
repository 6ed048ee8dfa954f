//! The score of two actors: the best pair of names, then the facts beside them.

use crate::{
    features::apply_features,
    outcome::{NAMES_ALONE, Outcome},
    profile::{ParsedName, Profile, is_person},
    score::{Band, Score},
};
use dateline_proto::v1::name;

/// Maximum pairs of names that are compared in full.
const MAX_PAIRS: usize = 400;

/// Compares two actors. Symmetric but for the sides in its reasons; the order of names does not matter.
pub fn compare(left: &Profile, right: &Profile) -> Score {
    let mut best: Option<(f64, &ParsedName, &ParsedName, Outcome)> = None;
    let is_person = is_person(left, right);
    for (one, two) in pairs(left, right) {
        let outcome = compare_names(one, two, is_person);
        let key = |score: f64, a: &ParsedName, b: &ParsedName| {
            let (low, high) = if a.folded <= b.folded { (a, b) } else { (b, a) };
            (score, low.folded.clone(), high.folded.clone())
        };
        let is_better = best.as_ref().is_none_or(|(score, a, b, _)| {
            let (old, new) = (key(*score, a, b), key(outcome.score, one, two));
            new.0
                .total_cmp(&old.0)
                .then_with(|| (old.1, old.2).cmp(&(new.1, new.2)))
                .is_gt()
        });
        if is_better {
            best = Some((outcome.score, one, two, outcome));
        }
    }
    let is_contradicted = best.as_ref().is_some_and(|it| it.3.is_contradicted);
    let mut score = match best {
        Some((value, one, two, outcome)) => Score {
            value,
            left: one.text.clone(),
            right: two.text.clone(),
            parts: outcome.parts,
            unmatched: outcome.unmatched,
            vetoes: outcome.vetoes,
            features: Vec::new(),
        },
        None => Score {
            value: 0.0,
            left: String::new(),
            right: String::new(),
            parts: Vec::new(),
            unmatched: Vec::new(),
            vetoes: Vec::new(),
            features: Vec::new(),
        },
    };
    apply_features(left, right, is_contradicted, &mut score);
    score
}

/// The one candidate that an import may take without asking: decided by an identifier, or very likely with the same type
/// and region and well ahead of the next. `None` if there is no such one, or two.
pub fn resolve(scores: &[Score]) -> Option<usize> {
    const AHEAD: f64 = 0.1;
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|one, two| scores[*two].value.total_cmp(&scores[*one].value));
    let first = *order.first()?;
    let agrees = |name: &str| {
        scores[first]
            .features
            .iter()
            .any(|it| it.name == name && it.agrees)
    };
    let is_sure = agrees("identifier") || (agrees("type") && agrees("region"));
    let is_ahead = order
        .get(1)
        .is_none_or(|next| scores[first].value - scores[*next].value >= AHEAD);
    (scores[first].band() == Band::VeryLikely && is_sure && is_ahead).then_some(first)
}

/// The pairs to compare: all, or, where there are very many, those with the most words in common.
fn pairs<'a>(left: &'a Profile, right: &'a Profile) -> Vec<(&'a ParsedName, &'a ParsedName)> {
    let mut all: Vec<_> = left
        .names
        .iter()
        .flat_map(|one| right.names.iter().map(move |two| (one, two)))
        .filter(|(one, two)| {
            let is_demonym = |it: &ParsedName| it.name_type == name::Type::Demonym;
            !is_demonym(one) && !is_demonym(two)
        })
        .collect();
    if all.len() > MAX_PAIRS {
        all.sort_by_cached_key(|(one, two)| {
            let common = one
                .sounds()
                .iter()
                .filter(|it| two.sounds().binary_search(it).is_ok())
                .count();
            let (low, high) = if one.folded <= two.folded {
                (one, two)
            } else {
                (two, one)
            };
            (
                one.folded != two.folded,
                std::cmp::Reverse(common),
                low.folded.clone(),
                high.folded.clone(),
            )
        });
        all.truncate(MAX_PAIRS);
    }
    all
}

fn compare_names(one: &ParsedName, two: &ParsedName, is_person: bool) -> Outcome {
    let mut outcome = if is_person {
        one.person().compare(two.person())
    } else {
        one.body().compare(two.body())
    };
    let is_same = one.folded == two.folded && !one.folded.is_empty();
    if is_same {
        outcome.score = 1.0;
        outcome.vetoes.clear();
    }
    let types = [one.name_type, two.name_type];
    if types.contains(&name::Type::Former) {
        outcome.score *= 0.95;
    }
    let mut limit = NAMES_ALONE;
    if types
        .iter()
        .any(|it| matches!(it, name::Type::Short | name::Type::Acronym))
    {
        limit = 0.8;
    }
    if !is_same && (one.is_contained || two.is_contained) {
        limit = limit.min(0.7);
    }
    outcome.score = outcome.score.min(limit);
    outcome
}
