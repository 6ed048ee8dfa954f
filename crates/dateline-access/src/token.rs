//! API tokens: `dateline_ID_SECRET`. The id distinguishes tokens in lists and logs; the secret is 256 random bits, of
//! which only a hash is stored.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom, SystemRandom};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

pub use secrecy::SecretString as Secret;

/// Prefix of every token, for scanners of leaked secrets.
const PREFIX: &str = "dateline_";
/// Alphabet of ids, without letters that are easily confused.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Letters in an id.
const ID_LEN: usize = 8;
const SECRET_BYTES: usize = 32;
/// Letters in a secret: 32 bytes in base64 without padding.
const SECRET_LEN: usize = 43;

/// SHA-256 of a token. A long random secret needs no slow hash.
pub type Hash = [u8; 32];

/// A token that was just created.
#[derive(Debug)]
pub struct NewToken {
    /// The id of the token.
    pub id: String,
    /// The whole token, returned only once.
    pub secret: Secret,
    /// The hash to store.
    pub hash: Hash,
}

/// Creates a token; `None` if the system has no randomness.
#[must_use]
pub fn new_token() -> Option<NewToken> {
    let random = SystemRandom::new();
    let (mut letters, mut secret) = ([0; ID_LEN], [0; SECRET_BYTES]);
    random.fill(&mut letters).ok()?;
    random.fill(&mut secret).ok()?;
    let id: String = letters
        .iter()
        .map(|byte| char::from(LETTERS[usize::from(byte % 32)]))
        .collect();
    let token = format!("{PREFIX}{id}_{}", URL_SAFE_NO_PAD.encode(secret));
    Some(NewToken {
        id,
        hash: hash(&token),
        secret: token.into(),
    })
}

/// Returns the id of a text that has the shape of a token.
#[must_use]
pub fn parse_id(token: &str) -> Option<&str> {
    let (id, secret) = token.strip_prefix(PREFIX)?.split_at_checked(ID_LEN)?;
    let secret = secret.strip_prefix('_')?;
    let is_secret = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_token = id.bytes().all(|byte| LETTERS.contains(&byte))
        && secret.len() == SECRET_LEN
        && secret.bytes().all(is_secret);
    is_token.then_some(id)
}

/// The hash that is stored of a token.
#[must_use]
pub fn hash(token: &str) -> Hash {
    Sha256::digest(token.as_bytes()).into()
}

/// Compares two hashes in constant time.
#[must_use]
pub fn hashes_match(one: &Hash, other: &[u8]) -> bool {
    one.as_slice().ct_eq(other).into()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn tokens_are_told_apart_and_shown_to_nobody() {
        let (one, other) = (new_token().unwrap(), new_token().unwrap());
        assert_ne!(one.id, other.id);
        let text = one.secret.expose_secret();
        assert_eq!(parse_id(text), Some(one.id.as_str()));
        assert!(hashes_match(&one.hash, &hash(text)));
        assert!(!hashes_match(&one.hash, &other.hash));
        assert!(!format!("{one:?}").contains(&text[PREFIX.len() + ID_LEN..]));
    }

    #[test]
    fn what_only_looks_like_a_token_is_none() {
        let made = new_token().unwrap();
        let token = made.secret.expose_secret();
        let longer = format!("{token}a");
        for text in [
            "",
            "dateline_",
            "dateline_abcdefgh_",
            &token[1..],
            &token[..token.len() - 1],
            &longer,
            "dateline_ébcdefgh_0123456789012345678901234567890123456789012",
        ] {
            assert_eq!(parse_id(text), None, "{text}");
        }
    }
}
