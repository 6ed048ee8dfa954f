//! One actor in every state that a record can have, each with words that occur nowhere else.

use dateline_client::Client;
use dateline_proto::v1::{Actor, Record, RecordMeta};

use crate::{
    life::hands::{
        actor, as_actor, delete, done, in_ms, lay_base, make, merge, one, publish_at, purge,
        retract, saying, show, shown, submit,
    },
    rig::meta,
};

/// The states of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stand {
    Absent,
    Draft,
    InReview,
    Embargoed,
    Published,
    Retracted,
    Merged,
    Deleted,
    Purged,
}

pub use Stand::{
    Absent, Deleted, Draft, Embargoed, InReview, Merged, Published, Purged, Retracted,
};

pub const STANDS: [Stand; 9] = [
    Absent, Draft, InReview, Embargoed, Published, Retracted, Merged, Deleted, Purged,
];

impl Stand {
    fn word(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    /// The name of the actor in this state.
    pub fn name(self) -> String {
        format!("actors/stands-{}", self.word())
    }

    /// Words that only this actor contains.
    pub fn words(self) -> String {
        format!("words of the {} one", self.word())
    }
}

/// An actor in some state.
#[derive(Debug, Clone)]
pub struct Cast {
    pub stand: Stand,
    /// The record as last read on the desk; a made-up one if there is none.
    pub record: Record,
}

/// Creates the records: the base, `actors/winner`, and an actor for each state.
pub async fn set(client: &Client) -> Vec<Cast> {
    lay_base(client).await;
    let winner = shown(client, &actor("winner")).await;
    let mut cast = Vec::new();
    for stand in STANDS {
        let id = stand.name().trim_start_matches("actors/").to_owned();
        let made_up = saying(&actor(&id), &stand.words());
        let record = put(client, stand, made_up, &winner).await;
        cast.push(Cast { stand, record });
    }
    cast
}

async fn put(client: &Client, stand: Stand, made_up: Record, winner: &Record) -> Record {
    if stand == Absent {
        return with_meta(
            made_up,
            RecordMeta {
                etag: "1-000000000000".into(),
                ..RecordMeta::default()
            },
        );
    }
    let draft = make(client, std::slice::from_ref(&made_up))
        .await
        .swap_remove(0);
    let published = async || {
        show(client, std::slice::from_ref(&draft))
            .await
            .swap_remove(0)
    };
    match stand {
        Absent | Draft => draft,
        InReview => one(client, submit(&draft)).await,
        Embargoed => one(client, publish_at(&draft, Some(in_ms(86_400_000)))).await,
        Published => published().await,
        Retracted => one(client, retract(&published().await, "withdrawn", false)).await,
        Merged => {
            let published = published().await;
            // Each merge changes the etag of the only winner.
            done(client, vec![merge(&published, winner)])
                .await
                .records
                .swap_remove(0)
        }
        Deleted => {
            done(client, vec![delete(&draft)]).await;
            draft
        }
        Purged => {
            let erased = one(client, purge(&published().await, false)).await;
            with_meta(made_up, meta(&erased))
        }
    }
}

/// A record with the meta that the service returned.
fn with_meta(mut record: Record, meta: RecordMeta) -> Record {
    *as_actor(&mut record) = Actor {
        meta: Some(meta),
        ..as_actor(&mut record).clone()
    };
    record
}
