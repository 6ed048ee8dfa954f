//! Cursors: a place in one history of one feed, opaque to clients, good at every replica (F4). A cursor that
//! cannot be served is an error, never a guess (F6).

use uuid::Uuid;

use super::Error;
use crate::{
    model::seal::{seal, split},
    store::{FeedIdentity, View},
};

/// Version of the layout: feed id (16 bytes), view (1), epoch (8), sequence (8), big endian.
const VERSION: u8 = 1;
const PAYLOAD_BYTES: usize = 33;

/// A place in a feed: everything up to `sequence` is behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Which feed of the database.
    pub view: View,
    /// The last sequence that is behind.
    pub sequence: u64,
}

impl Cursor {
    /// As clients get it.
    #[must_use]
    pub fn to_text(self, feed: &FeedIdentity) -> String {
        let mut payload = [0; PAYLOAD_BYTES];
        payload[..16].copy_from_slice(feed.id.as_bytes());
        payload[16] = view_byte(self.view);
        payload[17..25].copy_from_slice(&feed.epoch.to_be_bytes());
        payload[25..].copy_from_slice(&self.sequence.to_be_bytes());
        seal(&key(feed.id), VERSION, &payload)
    }

    /// Reads what a client sent, for a stream of this view.
    ///
    /// # Errors
    /// [`Error::InvalidCursor`] if it is not a cursor, [`Error::ForeignCursor`] if it belongs to another feed
    /// or to a history that this database did not take.
    pub fn from_text(text: &str, feed: &FeedIdentity, view: View) -> Result<Self, Error> {
        let (version, token) = split(text).ok_or(Error::InvalidCursor)?;
        let payload: [u8; PAYLOAD_BYTES] = token
            .payload()
            .try_into()
            .map_err(|_| Error::InvalidCursor)?;
        let id = Uuid::from_slice(&payload[..16]).map_err(|_| Error::InvalidCursor)?;
        if version != VERSION || !token.is_sealed_with(&key(id)) {
            return Err(Error::InvalidCursor);
        }
        if id != feed.id || number(&payload[17..25]) != feed.epoch || payload[16] != view_byte(view)
        {
            return Err(Error::ForeignCursor);
        }
        Ok(Self {
            view,
            sequence: number(&payload[25..]),
        })
    }
}

/// A cursor grants nothing, so its key is no secret: it tells a cursor from noise, before the feed is known.
fn key(feed: Uuid) -> [u8; 32] {
    blake3::derive_key("dateline.v1 cursor", feed.as_bytes())
}

fn view_byte(view: View) -> u8 {
    match view {
        View::Published => 1,
        View::Desk => 2,
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(id: u128, epoch: u64) -> FeedIdentity {
        FeedIdentity {
            id: Uuid::from_u128(id),
            epoch,
            token_key: [0; 32],
        }
    }

    #[test]
    fn f4_a_cursor_reads_back_and_f6_a_foreign_one_is_told() {
        let ours = feed(1, 1);
        let cursor = Cursor {
            view: View::Published,
            sequence: u64::MAX,
        };
        let text = cursor.to_text(&ours);
        assert_eq!(
            Cursor::from_text(&text, &ours, View::Published).unwrap(),
            cursor
        );
        for (other, view) in [
            (feed(2, 1), View::Published),
            (feed(1, 2), View::Published),
            (feed(1, 1), View::Desk),
        ] {
            assert!(matches!(
                Cursor::from_text(&text, &other, view),
                Err(Error::ForeignCursor)
            ));
        }
        for noise in [
            "",
            "x",
            &text[1..],
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        ] {
            assert!(
                matches!(
                    Cursor::from_text(noise, &ours, View::Published),
                    Err(Error::InvalidCursor)
                ),
                "{noise}"
            );
        }
    }
}
