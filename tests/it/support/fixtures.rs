//! One actor in every state that a record can have, each with words that occur nowhere else.

use dateline_client::Client;
use dateline_proto::v1::{Actor, Record, RecordMeta};

use crate::support::{
    builders::{delete, merge, publish_at, purge, retract, submit},
    editing::{
        commit_ok, commit_one, create_base, create_drafts, create_published, publish_all,
        timestamp_in_ms,
    },
    records::{actor, as_actor, meta, with_text},
};

/// The states of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FixtureState {
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

pub use FixtureState::{
    Absent, Deleted, Draft, Embargoed, InReview, Merged, Published, Purged, Retracted,
};

pub const FIXTURE_STATES: [FixtureState; 9] = [
    Absent, Draft, InReview, Embargoed, Published, Retracted, Merged, Deleted, Purged,
];

impl FixtureState {
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
pub struct Fixture {
    pub stand: FixtureState,
    /// The record as last read on the desk; a made-up one if there is none.
    pub record: Record,
}

/// Creates the records: the base, `actors/winner`, and an actor for each state.
pub async fn create_fixtures(client: &Client) -> Vec<Fixture> {
    create_base(client).await;
    let winner = create_published(client, &actor("winner")).await;
    let mut fixture = Vec::new();
    for stand in FIXTURE_STATES {
        let id = stand.name().trim_start_matches("actors/").to_owned();
        let made_up = with_text(&actor(&id), &stand.words());
        let record = put(client, stand, made_up, &winner).await;
        fixture.push(Fixture { stand, record });
    }
    fixture
}

async fn put(client: &Client, stand: FixtureState, made_up: Record, winner: &Record) -> Record {
    if stand == Absent {
        return with_meta(
            made_up,
            RecordMeta {
                etag: "1-000000000000".into(),
                ..RecordMeta::default()
            },
        );
    }
    let draft = create_drafts(client, std::slice::from_ref(&made_up))
        .await
        .swap_remove(0);
    let published = async || {
        publish_all(client, std::slice::from_ref(&draft))
            .await
            .swap_remove(0)
    };
    match stand {
        Absent | Draft => draft,
        InReview => commit_one(client, submit(&draft)).await,
        Embargoed => {
            commit_one(
                client,
                publish_at(&draft, Some(timestamp_in_ms(86_400_000))),
            )
            .await
        }
        Published => published().await,
        Retracted => commit_one(client, retract(&published().await, "withdrawn", false)).await,
        Merged => {
            let published = published().await;
            // Each merge changes the etag of the only winner.
            commit_ok(client, vec![merge(&published, winner)])
                .await
                .records
                .swap_remove(0)
        }
        Deleted => {
            commit_ok(client, vec![delete(&draft)]).await;
            draft
        }
        Purged => {
            let erased = commit_one(client, purge(&published().await, false)).await;
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
