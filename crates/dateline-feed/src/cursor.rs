//! Cursors: positions in one history of one feed, opaque to clients and valid on every replica (F4). A cursor that
//! cannot be served is an error, never approximated (F6).

use dateline_record::{
    mac::{sign, split},
    name::Name,
    sequence::Sequence,
};
use dateline_store::{FeedIdentity, FeedView, Mark};
use uuid::Uuid;

use super::{Error, packing::MessageEnd};

/// Layout of a position in the feed: feed id (16 bytes), view (1), epoch (8), sequence (8), big endian.
const FOLLOWING: u8 = 1;
/// Layout of a position in a snapshot: the same, then a hash of the filter (8), then the last name.
const SNAPSHOT: u8 = 2;
/// Both layouts with a check (8) after the sequence. Cursors without one are from the beginning of the feed, or from an
/// older version.
const CHECKED: u8 = 3;
const CHECKED_SNAPSHOT: u8 = 4;
const POSITION_BYTES: usize = 33;
const CHECK_BYTES: usize = 8;
const FILTER_BYTES: usize = 8;

/// Check of the change at a cursor's sequence: another log has another change there (F6).
pub type Check = [u8; CHECK_BYTES];

/// Computes the check of a change. It is keyed with the feed's secret, which copies of a database share, so it reveals
/// nothing about changes that the client may not see.
#[must_use]
pub fn check(feed: &FeedIdentity, view: FeedView, mark: Mark) -> Check {
    let mut hasher = blake3::Hasher::new_keyed(&feed.token_key);
    hasher.update(b"cursor");
    hasher.update(&[view_byte(view)]);
    hasher.update(&mark.sequence.get().to_be_bytes());
    hasher.update(&mark.fingerprint.to_be_bytes());
    let mut check = Check::default();
    hasher.finalize_xof().fill(&mut check);
    check
}

/// A position in a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// View of the feed.
    pub view: FeedView,
    /// Everything up to here is processed; within a snapshot, the sequence as of which it is read.
    pub sequence: Sequence,
    /// Check of the change at the sequence; `None` if there is none, or it is not known.
    pub check: Option<Check>,
    /// Position within a snapshot.
    pub snapshot: Option<SnapshotPosition>,
}

/// A position in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotPosition {
    /// Hash of the filter, which must not change until the snapshot ends.
    pub filter: [u8; FILTER_BYTES],
    /// The last name that was sent; empty at the beginning.
    pub after: String,
}

impl Cursor {
    /// Advances past the end of a message.
    pub(super) fn advance(&mut self, end: &MessageEnd, feed: &FeedIdentity) {
        match (end, &mut self.snapshot) {
            (MessageEnd::Changes { last }, _) => {
                self.sequence = last.sequence;
                self.check = Some(check(feed, self.view, *last));
            }
            (MessageEnd::Records { last }, Some(position)) => position.after.clone_from(last),
            (MessageEnd::Records { .. }, None) => {}
        }
    }
}

impl SnapshotPosition {
    /// Returns the beginning of a snapshot under this filter.
    #[must_use]
    pub fn begin(filter: &[u8]) -> Self {
        let mut hash = [0; FILTER_BYTES];
        hash.copy_from_slice(&blake3::hash(filter).as_bytes()[..FILTER_BYTES]);
        Self {
            filter: hash,
            after: String::new(),
        }
    }
}

impl Cursor {
    /// Encodes the cursor for clients.
    #[must_use]
    pub fn to_text(&self, feed: &FeedIdentity) -> String {
        let mut payload = Vec::with_capacity(POSITION_BYTES);
        payload.extend_from_slice(feed.id.as_bytes());
        payload.push(view_byte(self.view));
        payload.extend_from_slice(&feed.epoch.to_be_bytes());
        payload.extend_from_slice(&self.sequence.get().to_be_bytes());
        payload.extend(self.check.iter().flatten());
        if let Some(position) = &self.snapshot {
            payload.extend_from_slice(&position.filter);
            payload.extend_from_slice(position.after.as_bytes());
        }
        let version = match (&self.check, &self.snapshot) {
            (None, None) => FOLLOWING,
            (None, Some(_)) => SNAPSHOT,
            (Some(_), None) => CHECKED,
            (Some(_), Some(_)) => CHECKED_SNAPSHOT,
        };
        sign(&key(feed.id), version, &payload)
    }

    /// Decodes a client's cursor for a stream of this view. The caller still has to compare its check with the log.
    ///
    /// # Errors
    /// [`Error::InvalidCursor`] if it is not a cursor, [`Error::ForeignCursor`] if it belongs to another feed or to a
    /// history that this database did not take.
    pub fn from_text(text: &str, feed: &FeedIdentity, view: FeedView) -> Result<Self, Error> {
        let (version, token) = split(text).ok_or(Error::InvalidCursor)?;
        let (position, rest) = token
            .payload()
            .split_at_checked(POSITION_BYTES)
            .ok_or(Error::InvalidCursor)?;
        let id = Uuid::from_slice(&position[..16]).map_err(|_| Error::InvalidCursor)?;
        if !token.is_signed_with(&key(id)) {
            return Err(Error::InvalidCursor);
        }
        let (check, rest) = match version {
            FOLLOWING | SNAPSHOT => (None, rest),
            CHECKED | CHECKED_SNAPSHOT => {
                let (check, rest) = rest.split_first_chunk().ok_or(Error::InvalidCursor)?;
                (Some(*check), rest)
            }
            _ => return Err(Error::InvalidCursor),
        };
        let snapshot = match version {
            SNAPSHOT | CHECKED_SNAPSHOT => {
                Some(parse_snapshot_position(rest).ok_or(Error::InvalidCursor)?)
            }
            _ if rest.is_empty() => None,
            _ => return Err(Error::InvalidCursor),
        };
        let sequence = Sequence::new(number(&position[25..]));
        let shared = feed.shared_up_to(number(&position[17..25]), view);
        let is_ours = id == feed.id && position[16] == view_byte(view);
        if !is_ours || shared.is_none_or(|last| sequence > last) {
            return Err(Error::ForeignCursor);
        }
        Ok(Self {
            view,
            sequence,
            check,
            snapshot,
        })
    }
}

fn parse_snapshot_position(bytes: &[u8]) -> Option<SnapshotPosition> {
    let (filter, after) = bytes.split_at_checked(FILTER_BYTES)?;
    let after = String::from_utf8(after.to_vec()).ok()?;
    // The key is no secret, so anybody can seal anything: an invalid name must not reach the database.
    let is_position = after.is_empty() || Name::parse(&after).is_some();
    is_position.then_some(SnapshotPosition {
        filter: filter.try_into().ok()?,
        after,
    })
}

/// Derives the key that distinguishes a cursor from noise before the feed is known. It is no secret, because a cursor
/// grants no access.
fn key(feed: Uuid) -> [u8; 32] {
    blake3::derive_key("dateline.v1 cursor", feed.as_bytes())
}

fn view_byte(view: FeedView) -> u8 {
    match view {
        FeedView::Wire => 1,
        FeedView::Desk => 2,
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
    use dateline_store::{Epoch, Positions};

    fn feed(id: u128, epochs: &[(u64, u64)]) -> FeedIdentity {
        let epochs: Vec<_> = epochs
            .iter()
            .map(|(id, head)| Epoch {
                id: *id,
                heads: Positions {
                    desk: Sequence::new(*head),
                    wire: Sequence::new(*head),
                },
            })
            .collect();
        FeedIdentity {
            id: Uuid::from_u128(id),
            epoch: epochs.last().unwrap().id,
            token_key: [0; 32],
            epochs,
            earliest: Positions {
                desk: Sequence::FIRST,
                wire: Sequence::FIRST,
            },
        }
    }

    fn at(sequence: u64) -> Cursor {
        Cursor {
            view: FeedView::Wire,
            sequence: Sequence::new(sequence),
            check: None,
            snapshot: None,
        }
    }

    #[test]
    fn f4_a_cursor_reads_back_and_f6_a_foreign_one_is_told() {
        let ours = feed(1, &[(1, 0)]);
        let in_snapshot = Cursor {
            snapshot: Some(SnapshotPosition {
                after: "actors/nato".into(),
                ..SnapshotPosition::begin(b"filter")
            }),
            ..at(7)
        };
        let mark = Mark {
            sequence: Sequence::new(7),
            fingerprint: 1,
        };
        let checked = |cursor: Cursor| Cursor {
            check: Some(check(&ours, FeedView::Wire, mark)),
            ..cursor
        };
        let all = [
            at(u64::MAX),
            checked(at(7)),
            checked(in_snapshot.clone()),
            in_snapshot,
        ];
        for cursor in all {
            let text = cursor.to_text(&ours);
            let read = |feed: &FeedIdentity, view| Cursor::from_text(&text, feed, view);
            assert_eq!(read(&ours, FeedView::Wire).unwrap(), cursor);
            for (other, view) in [
                (feed(2, &[(1, 0)]), FeedView::Wire),
                (feed(1, &[(2, 0)]), FeedView::Wire),
                (feed(1, &[(1, 0)]), FeedView::Desk),
            ] {
                assert!(matches!(read(&other, view), Err(Error::ForeignCursor)));
            }
        }
        let text = at(7).to_text(&ours);
        for noise in [
            "",
            "x",
            &text[1..],
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        ] {
            assert!(
                matches!(
                    Cursor::from_text(noise, &ours, FeedView::Wire),
                    Err(Error::InvalidCursor)
                ),
                "{noise}"
            );
        }
    }

    #[test]
    fn r5_a_forged_place_in_a_snapshot_that_is_no_name_is_no_cursor() {
        let ours = feed(1, &[(1, 0)]);
        for after in ["a\0", "actors/", "actors/nato'; --", "\u{fffd}"] {
            let forged = Cursor {
                snapshot: Some(SnapshotPosition {
                    after: after.into(),
                    ..SnapshotPosition::begin(b"filter")
                }),
                ..at(7)
            };
            let read = Cursor::from_text(&forged.to_text(&ours), &ours, FeedView::Wire);
            assert!(matches!(read, Err(Error::InvalidCursor)), "{after:?}");
        }
    }

    #[test]
    fn f6_a_cursor_of_an_older_history_is_good_up_to_where_that_was_left() {
        let before = feed(1, &[(1, 0)]);
        let restored = feed(1, &[(1, 0), (77, 100)]);
        let again = feed(1, &[(1, 0), (77, 100), (5, 90)]);
        let read = |cursor: Cursor, from: &FeedIdentity, to: &FeedIdentity| {
            Cursor::from_text(&cursor.to_text(from), to, FeedView::Wire).is_ok()
        };
        assert!(read(at(100), &before, &restored));
        assert!(!read(at(101), &before, &restored));
        assert!(read(at(101), &restored, &restored));
        assert!(!read(at(91), &before, &again), "the later loss counts");
        assert!(!read(at(1), &restored, &before), "never heard of");
    }
}
