//! Hashes by which words with a typing error, or of another way of writing, are found: two words share one if they
//! differ in one letter, or have the same consonants.

use std::collections::BTreeSet;

use dateline_match::Spelling;

/// Fewest letters of a word in which an error is looked for: shorter ones are near too many others.
const MIN_LETTERS: usize = 4;
/// Most letters; the hashes of longer words grow with their length.
const MAX_LETTERS: usize = 20;

/// Adds the hashes of a word.
pub(crate) fn add_hashes(spelling: &Spelling, hashes: &mut BTreeSet<i32>) {
    let ascii = &spelling.ascii.as_bytes()[..spelling.ascii.len().min(MAX_LETTERS)];
    if ascii.is_empty() {
        return;
    }
    hashes.insert(hash(b'w', ascii.iter().copied()));
    if ascii.len() >= MIN_LETTERS {
        for left_out in 0..ascii.len() {
            let rest = ascii.iter().enumerate().filter(|(at, _)| *at != left_out);
            hashes.insert(hash(b'w', rest.map(|(_, letter)| *letter)));
        }
    }
    for skeleton in &spelling.skeletons {
        if skeleton.len() > 1 {
            hashes.insert(hash(b's', skeleton.bytes()));
        }
    }
}

/// FNV-1a, which is stable and needs no table.
fn hash(class: u8, letters: impl Iterator<Item = u8>) -> i32 {
    let mut hash = 0x811c_9dc5_u32;
    for letter in std::iter::once(class).chain(letters) {
        hash = (hash ^ u32::from(letter)).wrapping_mul(0x0100_0193);
    }
    hash.cast_signed()
}

/// Letters that have to change to make one word of another, two exchanged neighbours counting as one; `None` if more
/// than `most`.
pub(crate) fn distance(one: &str, other: &str, most: usize) -> Option<usize> {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len().abs_diff(other.len()) > most {
        return None;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, letter) in one.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, found) in other.iter().enumerate() {
            let changed = last[column] + usize::from(letter != found);
            let mut least = changed.min(last[column + 1] + 1).min(next[column] + 1);
            let is_exchanged =
                row > 0 && column > 0 && *letter == other[column - 1] && one[row - 1] == *found;
            if is_exchanged {
                least = least.min(before[column - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut last, next);
    }
    last.last().copied().filter(|found| *found <= most)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use dateline_match::spellings;

    fn hashes(word: &str) -> BTreeSet<i32> {
        let mut hashes = BTreeSet::new();
        for spelling in spellings(word) {
            add_hashes(&spelling, &mut hashes);
        }
        hashes
    }

    #[test]
    fn words_that_differ_in_one_letter_or_in_vowels_share_a_hash() {
        for (one, other, expected) in [
            ("authority", "autority", true),
            ("authority", "authoritty", true),
            ("authority", "authorify", true),
            ("authority", "auhtority", true),
            ("назарбаев", "nazarbayev", true),
            ("gorbachev", "gorbatschow", true),
            ("nato", "otan", false),
            ("usa", "uae", false),
        ] {
            let shares = !hashes(one).is_disjoint(&hashes(other));
            assert_eq!(shares, expected, "{one} {other}");
        }
    }

    #[test]
    fn an_exchange_is_one_change() {
        for (one, other, expected) in [
            ("abcd", "abcd", Some(0)),
            ("abcd", "abdc", Some(1)),
            ("abcd", "abd", Some(1)),
            ("", "ab", Some(2)),
            ("abcd", "xyzd", None),
            ("abcd", "abcdefg", None),
        ] {
            assert_eq!(distance(one, other, 2), expected, "{one} {other}");
        }
    }
}
