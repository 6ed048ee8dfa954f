//! Opaque tokens: a version, a payload and a MAC over both, as URL-safe text. The MAC proves that the token was made
//! with the key; the payload is not encrypted.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// Bytes of the MAC.
const MAC_BYTES: usize = 12;

/// Makes a token under a key. `version` lets a later service recognise older tokens.
#[must_use]
pub fn sign(key: &[u8; 32], version: u8, payload: &[u8]) -> String {
    let mut token = Vec::with_capacity(1 + payload.len() + MAC_BYTES);
    token.push(version);
    token.extend_from_slice(payload);
    let check = blake3::keyed_hash(key, &token);
    token.extend(check.as_bytes().iter().take(MAC_BYTES));
    URL_SAFE_NO_PAD.encode(token)
}

/// Splits a token into its version and payload without checking it; `None` if it is malformed.
#[must_use]
pub fn split(text: &str) -> Option<(u8, UnverifiedToken)> {
    let token = URL_SAFE_NO_PAD.decode(text).ok()?;
    let version = *token.first()?;
    (token.len() > MAC_BYTES).then_some((version, UnverifiedToken { token }))
}

/// A token whose MAC was not checked yet.
#[derive(Debug)]
pub struct UnverifiedToken {
    token: Vec<u8>,
}

impl UnverifiedToken {
    /// The unverified payload, only for finding the key.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.token[1..self.token.len() - MAC_BYTES]
    }

    /// True if the token was made with this key.
    #[must_use]
    pub fn is_signed_with(&self, key: &[u8; 32]) -> bool {
        let (signed, check) = self.token.split_at(self.token.len() - MAC_BYTES);
        // blake3 compares hashes in constant time.
        let mut expected = [0; 32];
        expected.copy_from_slice(blake3::keyed_hash(key, signed).as_bytes());
        let mut sent = expected;
        sent[..MAC_BYTES].copy_from_slice(check);
        blake3::Hash::from(expected) == blake3::Hash::from(sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_and_every_truncation_is_noticed() {
        let key = [7; 32];
        let token = sign(&key, 1, b"payload");
        let whole = URL_SAFE_NO_PAD.decode(&token).unwrap();
        assert!(split(&token).unwrap().1.is_signed_with(&key));
        assert!(!split(&token).unwrap().1.is_signed_with(&[8; 32]));
        for bit in 0..whole.len() * 8 {
            let mut forged = whole.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(
                !split(&URL_SAFE_NO_PAD.encode(forged))
                    .unwrap()
                    .1
                    .is_signed_with(&key),
                "bit {bit}"
            );
        }
        for length in 0..whole.len() {
            let cut = split(&URL_SAFE_NO_PAD.encode(&whole[..length]));
            assert!(
                cut.is_none_or(|(_, token)| !token.is_signed_with(&key)),
                "{length} bytes"
            );
        }
    }
}
