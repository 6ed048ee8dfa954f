//! Page tokens: the position of the next page of one request, signed with the database's key. Every server on that
//! database can read them, and a forged token is rejected.

use dateline_access::Visibility;
use dateline_record::mac::{sign, split};
use dateline_store::FeedIdentity;
use prost::{Message, Name};
use tonic::Status;

use crate::status::{self, Reason};

/// Version of the layout: hash of the request (16 bytes), then the last name or number.
const VERSION: u8 = 1;
const HASH_BYTES: usize = 16;

/// The request that a page token belongs to.
#[derive(Debug, Clone, Copy)]
pub struct PageContext {
    hash: [u8; HASH_BYTES],
}

impl PageContext {
    /// Hashes a request, which must come without page size and token.
    #[must_use]
    pub fn new<M: Message + Name>(request: &M) -> Self {
        let mut bytes = M::full_name().into_bytes();
        bytes.push(0);
        bytes.extend(request.encode_to_vec());
        let mut hash = [0; HASH_BYTES];
        hash.copy_from_slice(&blake3::hash(&bytes).as_bytes()[..HASH_BYTES]);
        Self { hash }
    }

    /// Adds what the caller may see to the hash: a token is not valid for a caller with another scope.
    #[must_use]
    pub fn restricted_to(self, visibility: &Visibility) -> Self {
        let fingerprint = visibility.fingerprint();
        if fingerprint.is_empty() {
            return self;
        }
        let mut hash = [0; HASH_BYTES];
        let both = [self.hash.as_slice(), &fingerprint].concat();
        hash.copy_from_slice(&blake3::hash(&both).as_bytes()[..HASH_BYTES]);
        Self { hash }
    }

    /// Returns the token of the page after `last`.
    #[must_use]
    pub fn encode_token(&self, feed: &FeedIdentity, last: &str) -> String {
        let mut payload = self.hash.to_vec();
        payload.extend_from_slice(last.as_bytes());
        sign(&feed.token_key, VERSION, &payload)
    }

    /// Returns the name or number after which the page begins; empty for the first page.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` if the token was not made for this request.
    pub fn decode_token(&self, feed: &FeedIdentity, token: &str) -> Result<String, Status> {
        if token.is_empty() {
            return Ok(String::new());
        }
        self.last(feed, token).ok_or_else(|| {
            let what = "is not a token of an earlier page with the same filter and view";
            status::invalid_field(Reason::InvalidPageToken, "page_token", what)
        })
    }

    fn last(&self, feed: &FeedIdentity, token: &str) -> Option<String> {
        let (version, token) = split(token)?;
        if version != VERSION || !token.is_signed_with(&feed.token_key) {
            return None;
        }
        let (asked, last) = token.payload().split_at_checked(HASH_BYTES)?;
        (asked == self.hash).then(|| String::from_utf8(last.to_vec()).ok())?
    }
}
