//! Cursors and page tokens. An accepted one equals the issued one, letter by letter; all others are refused with one
//! text. The key of cursors can be computed by anybody, so their payload is fuzzed too.

use dateline_feed::{Cursor, Error};
use dateline_proto::v1::{ListRecordsRequest, View as AskedView};
use dateline_record::{mac::sign, name::Name, sequence::Sequence};
use dateline_server::services::page_token::PageContext;
use dateline_store::{Epoch, FeedIdentity, FeedView, Positions};
use uuid::Uuid;

use super::{assert_answer, chosen};

fn feed() -> FeedIdentity {
    let epoch = Epoch {
        id: 7,
        heads: Positions::default(),
    };
    FeedIdentity {
        id: Uuid::from_u128(1),
        epoch: epoch.id,
        token_key: [5; 32],
        epochs: vec![epoch],
        earliest: Positions {
            desk: Sequence::FIRST,
            wire: Sequence::FIRST,
        },
    }
}

/// Odd first bytes: the rest is the text. Even ones: the rest is a payload that is sealed as the service would.
pub fn cursors(data: &[u8]) {
    let feed = feed();
    let Some(text) = text(data, &cursor_key(&feed)) else {
        return;
    };
    for view in [FeedView::Wire, FeedView::Desk] {
        match Cursor::from_text(&text, &feed, view) {
            Ok(cursor) => {
                assert_eq!(cursor.to_text(&feed), text, "{cursor:?}");
                let after = cursor.snapshot.map(|place| place.after).unwrap_or_default();
                assert!(
                    after.is_empty() || Name::parse(&after).is_some(),
                    "{after:?}"
                );
            }
            Err(Error::InvalidCursor | Error::ForeignCursor) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

/// The key under which cursors of a feed are sealed; anybody can compute it.
fn cursor_key(feed: &FeedIdentity) -> [u8; 32] {
    blake3::derive_key("dateline.v1 cursor", feed.id.as_bytes())
}

/// Fuzzes page tokens in the same way. Their key is secret, but a token with a valid seal must also belong to this
/// request.
pub fn page_tokens(data: &[u8]) {
    let feed = feed();
    let Some(text) = text(data, &feed.token_key) else {
        return;
    };
    let page_context = PageContext::new(&ListRecordsRequest {
        view: AskedView::Desk.into(),
        ..ListRecordsRequest::default()
    });
    match page_context.decode_token(&feed, &text) {
        Ok(last) if text.is_empty() => assert_eq!(last, ""),
        Ok(last) => assert_eq!(page_context.encode_token(&feed, &last), text),
        Err(status) => assert_answer(&status),
    }
}

fn text(data: &[u8], key: &[u8; 32]) -> Option<String> {
    let (choice, rest) = chosen(data)?;
    if choice % 2 == 1 {
        return String::from_utf8(rest.to_vec()).ok();
    }
    let (version, payload) = rest.split_first()?;
    Some(sign(key, *version, payload))
}
