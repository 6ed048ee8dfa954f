//! Page tokens: where the next page begins, for one filter and one view, sealed with the database's key so
//! that every server on it reads them and a forged one is refused.

use prost::Message;

use crate::{
    model::seal::{seal, split},
    proto::v1::RecordFilter,
    store::{FeedIdentity, View},
};

/// Version of the layout: hash of filter and view (16 bytes), then the last name.
const VERSION: u8 = 1;
const HASH_BYTES: usize = 16;

/// The token of the page after `last`.
#[must_use]
pub fn write(feed: &FeedIdentity, filter: Option<&RecordFilter>, view: View, last: &str) -> String {
    let mut payload = question(filter, view).to_vec();
    payload.extend_from_slice(last.as_bytes());
    seal(&feed.token_key, VERSION, &payload)
}

/// The name after which the page begins; `None` if the token was not made here for this question.
#[must_use]
pub fn read(
    feed: &FeedIdentity,
    filter: Option<&RecordFilter>,
    view: View,
    token: &str,
) -> Option<String> {
    let (version, token) = split(token)?;
    if version != VERSION || !token.is_sealed_with(&feed.token_key) {
        return None;
    }
    let (asked, last) = token.payload().split_at_checked(HASH_BYTES)?;
    (asked == question(filter, view)).then(|| String::from_utf8(last.to_vec()).ok())?
}

fn question(filter: Option<&RecordFilter>, view: View) -> [u8; HASH_BYTES] {
    let mut bytes = filter.map(Message::encode_to_vec).unwrap_or_default();
    bytes.push(u8::from(view == View::Desk));
    let mut hash = [0; HASH_BYTES];
    hash.copy_from_slice(&blake3::hash(&bytes).as_bytes()[..HASH_BYTES]);
    hash
}
