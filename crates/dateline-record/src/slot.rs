//! The slot of a record: a number that any client can compute from its name, by which consumers share the feed.

use sha2::{Digest, Sha256};

/// Returns the slot of a name: the first byte of its SHA-256. The database computes the same in `changes.slot`.
#[must_use]
pub fn slot(name: &str) -> u8 {
    Sha256::digest(name)[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with `hashlib` of Python.
    #[test]
    fn a_slot_is_the_first_byte_of_the_hash_of_the_name() {
        let known = [
            ("actors/nato", 71),
            ("articles/some-story", 132),
            ("events/regional-cooperation", 205),
            ("relations/a-b", 94),
            ("actors/a", 174),
        ];
        for (name, expected) in known {
            assert_eq!(slot(name), expected, "{name}");
        }
    }
}
