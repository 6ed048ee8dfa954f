//! The score of a hit: by how its names equal the query, then by its text.

use dateline_match::{Spelling, spellings};

use crate::{document::initials, query::Query, typos::distance};

/// Least score of a hit that does not have all words as they were typed.
pub const MIN_SCORE: u32 = 500;

/// Least likeness of two words.
const LEAST_LIKENESS: f64 = 0.7;

/// A hit as an index knows it.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Names in Latin letters, one a line.
    pub names: &'a str,
    /// Rank of its text, 0 to 1.
    pub text_rank: f64,
    /// True if it has all words as they were typed.
    pub has_all: bool,
}

impl Query {
    /// Returns the score of a hit, 1 to 1,000; `None` if it is not near enough.
    #[must_use]
    pub fn score(&self, candidate: Candidate<'_>) -> Option<u32> {
        let by_name = candidate
            .names
            .lines()
            .filter_map(|line| self.score_name(line));
        let best = by_name.max();
        let by_text = || whole(100.0 + 300.0 * candidate.text_rank.clamp(0.0, 1.0));
        if candidate.has_all {
            return best.max(Some(by_text()));
        }
        best.filter(|score| *score >= MIN_SCORE)
    }

    fn score_name(&self, line: &str) -> Option<u32> {
        let words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
        let asked: Vec<&str> = self.spellings.iter().map(|it| it.ascii.as_str()).collect();
        if words.is_empty() || asked.is_empty() {
            return None;
        }
        if words == asked {
            return Some(1000);
        }
        let (whole, joined) = (words.concat(), asked.concat());
        if whole == joined {
            return Some(980);
        }
        let is_reordered = {
            let (mut one, mut other) = (words.clone(), asked.clone());
            one.sort_unstable();
            other.sort_unstable();
            one == other
        };
        if is_reordered {
            return Some(950);
        }
        if whole.starts_with(&joined) && joined.len() > 2 {
            let more = u32::try_from(words.len().saturating_sub(asked.len())).unwrap_or(0);
            return Some(890 - 5 * more.min(10));
        }
        if asked.len() == 1 && initials(&words).iter().any(|it| it == asked[0]) {
            return Some(800);
        }
        self.score_words(&words)
    }

    /// The score by the likeness of words, in any order.
    fn score_words(&self, words: &[&str]) -> Option<u32> {
        let mut taken = vec![false; words.len()];
        let (mut sum, mut found) = (0.0, 0_u32);
        let last = self.spellings.len() - 1;
        for (at, asked) in self.spellings.iter().enumerate() {
            let free = words.iter().enumerate().filter(|(place, _)| !taken[*place]);
            let alike = free.map(|(place, word)| (place, likeness(asked, word, at == last)));
            let best = alike.max_by(|one, other| one.1.total_cmp(&other.1));
            if let Some((place, likeness)) = best.filter(|(_, it)| *it >= LEAST_LIKENESS) {
                taken[place] = true;
                sum += likeness;
                found += 1;
            }
        }
        let asked = self.spellings.len() as f64;
        let missing = self.spellings.len() - found as usize;
        // One word of three may be another.
        if found == 0 || missing > 0 && missing * 3 > self.spellings.len() {
            return None;
        }
        let covered = f64::from(found) / words.len() as f64;
        let score = 300.0 + 350.0 * sum / asked + 150.0 * covered;
        Some(whole(score))
    }
}

/// A score without its fraction.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is cut to its bounds first"
)]
fn whole(score: f64) -> u32 {
    score.clamp(1.0, 1000.0) as u32
}

/// Likeness of a word that was typed to one of a name, 0 to 1.
fn likeness(asked: &Spelling, word: &str, may_begin: bool) -> f64 {
    let typed = asked.ascii.as_str();
    if typed == word {
        return 1.0;
    }
    if may_begin && typed.len() > 2 && word.starts_with(typed) {
        return 0.95;
    }
    let most = match typed.len() {
        0..=3 => return 0.0,
        4..=7 => 1,
        _ => 2,
    };
    match distance(typed, word, most) {
        Some(1) => return 0.88,
        Some(_) => return 0.8,
        None => {}
    }
    let same_consonants = || {
        let other = spellings(word);
        let keys = other.iter().flat_map(|it| &it.skeletons);
        keys.into_iter()
            .any(|key| key.len() > 1 && asked.skeletons.contains(key))
    };
    if word.as_bytes().first() == typed.as_bytes().first() && same_consonants() {
        return 0.78;
    }
    if same_consonants() { 0.72 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(query: &str, names: &str) -> Option<u32> {
        let query = Query::parse(query).unwrap().unwrap();
        query.score(Candidate {
            names,
            text_rank: 0.0,
            has_all: false,
        })
    }

    #[test]
    fn the_nearer_a_name_the_higher_its_score() {
        let query = "port authority";
        let in_order = [
            "port authority",
            "portauthority",
            "authority port",
            "port authority of new york",
            "the authority of the port",
            "port autority of aktau",
        ];
        let scores: Vec<_> = in_order.iter().map(|names| score(query, names)).collect();
        assert!(scores.iter().all(Option::is_some), "{scores:?}");
        assert!(scores.is_sorted_by(|one, other| one > other), "{scores:?}");
        assert_eq!(score(query, "airport security"), None);
        assert_eq!(score(query, "port"), None);
        assert_eq!(
            score("iaea", "international atomic energy agency"),
            Some(800)
        );
        assert!(score("Gorbatschow", "mikhail gorbachev").is_some());
    }
}
