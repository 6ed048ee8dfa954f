//! One actor in every state that a record can have, each with words of its own that nobody else says.

use dateline_client::Client;
use dateline_proto::v1::{Actor, Record, RecordMeta};

use crate::{
    life::hands::{
        actor, as_actor, delete, done, in_ms, lay_base, make, merge, one, publish_at, purge,
        retract, saying, show, shown, submit,
    },
    rig::meta,
};

/// Where a record can stand.
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

    /// The name of the actor that stands so.
    pub fn name(self) -> String {
        format!("actors/stands-{}", self.word())
    }

    /// Words that only this actor says.
    pub fn words(self) -> String {
        format!("words of the {} one", self.word())
    }
}

/// An actor that stands somewhere.
#[derive(Debug, Clone)]
pub struct Cast {
    pub stand: Stand,
    /// As the desk read it last; what was made up, where there is none.
    pub record: Record,
}

/// Sets the stage: the base, `actors/winner`, and an actor for each stand.
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
            // The winner's etag moves with each merge; there is one.
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

/// A record with what the service says of it.
fn with_meta(mut record: Record, meta: RecordMeta) -> Record {
    *as_actor(&mut record) = Actor {
        meta: Some(meta),
        ..as_actor(&mut record).clone()
    };
    record
}
