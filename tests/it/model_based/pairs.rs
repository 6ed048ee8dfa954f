//! Pairs of writes in one request that change the same record, one of them along with its own: an unmerge changes the
//! record that the other one was merged into, and a withdrawal what rests on it alone.

use std::collections::BTreeSet;

use super::{
    Run,
    model::{Content, Deed, Deeds, ModelRecord},
};

/// The record into which `LOSERS` are merged.
const WINNER: &str = "actors/m1";
const LOSERS: [&str; 2] = ["actors/m0", "actors/m3"];
/// Another published one.
const OTHER: &str = "actors/m2";
/// The records that all pairs need.
const SOURCE: &str = "articles/m0";

fn content(text: &str) -> Content {
    Content {
        text: text.to_owned(),
        cites: BTreeSet::from([SOURCE.to_owned()]),
        ..Content::default()
    }
}

impl Run {
    /// A write by somebody who has seen the newest revision.
    fn current(&self, name: &str, deed: Deed) -> Deeds {
        Deeds {
            name: name.to_owned(),
            seen: self
                .model
                .records
                .get(name)
                .map_or(1, ModelRecord::revision),
            deed,
        }
    }

    async fn accept(&mut self, name: &str, deed: Deed) {
        let deeds = self.current(name, deed);
        self.send_and_check(vec![deeds], false).await;
    }

    fn merged_with(&self, name: &str) -> Deed {
        Deed::Merge {
            into: name.to_owned(),
            seen: self.model.records[name].revision(),
        }
    }

    /// Two records that were merged into a third one, a fourth one beside them, and their only source.
    async fn merged() -> Self {
        let mut run = Self::begin(0).await;
        for name in [SOURCE, WINNER, LOSERS[0], LOSERS[1], OTHER] {
            let mut content = content("first");
            if name == SOURCE {
                content.cites.clear();
            }
            run.accept(name, Deed::Create(content)).await;
            run.accept(name, Deed::Publish).await;
        }
        for loser in LOSERS {
            run.accept(loser, run.merged_with(WINNER)).await;
        }
        run
    }

    /// Every verb on the record that the others were merged into.
    fn on_winner(&self) -> Vec<Deeds> {
        let corrected = Deed::Correct(content("second"), true);
        let withdrawn = Deed::Retract {
            cascade: false,
            noted: true,
        };
        let deeds = [corrected, withdrawn, self.merged_with(OTHER)];
        let erased = Deed::Purge { cascade: false };
        let deeds = deeds.into_iter().chain([erased]);
        deeds.map(|deed| self.current(WINNER, deed)).collect()
    }

    /// Verbs on the rest, and verbs that the state of the record does not allow.
    fn on_others(&self) -> Vec<Deeds> {
        let same = Deed::Correct(content("first"), true);
        let withdrawn = |cascade| Deed::Retract {
            cascade,
            noted: true,
        };
        let restored = Deed::Restore {
            revision: 1,
            noted: true,
        };
        let deeds = [
            (WINNER, same),
            (WINNER, restored),
            (WINNER, Deed::Publish),
            (WINNER, Deed::Delete),
            (WINNER, Deed::Submit),
            (LOSERS[0], self.merged_with(OTHER)),
            (LOSERS[0], Deed::Purge { cascade: false }),
            (LOSERS[0], Deed::Correct(content("second"), true)),
            (OTHER, self.merged_with(WINNER)),
            (OTHER, Deed::Correct(content("second"), true)),
            (SOURCE, withdrawn(false)),
            (SOURCE, withdrawn(true)),
            (SOURCE, Deed::Purge { cascade: true }),
        ];
        let deeds = deeds.map(|(name, deed)| self.current(name, deed));
        let unmerged = LOSERS.map(|loser| self.current(loser, Deed::Unmerge));
        deeds.into_iter().chain(unmerged).collect()
    }
}

#[tokio::test]
async fn w2_a_record_that_a_write_changes_along_is_not_changed_by_another_one_whatever_their_order()
{
    let mut run = Run::merged().await;
    let once_only = Err(BTreeSet::from(["INVALID_RECORD"]));
    let unmerged = run.current(LOSERS[0], Deed::Unmerge);
    let along = [
        run.current(LOSERS[1], Deed::Unmerge),
        run.current(OTHER, run.merged_with(WINNER)),
    ];
    for other in run.on_winner().into_iter().chain(along) {
        for pair in [
            vec![unmerged.clone(), other.clone()],
            vec![other.clone(), unmerged.clone()],
        ] {
            assert_eq!(run.model.clone().apply(&pair), once_only, "{pair:?}");
            run.send_and_check(pair, true).await;
        }
    }
    run.end().await;
}

#[tokio::test]
async fn w2_the_service_and_the_model_agree_on_every_pair_of_writes_that_meet() {
    let mut run = Run::merged().await;
    let all: Vec<_> = run.on_winner().into_iter().chain(run.on_others()).collect();
    for first in &all {
        for second in &all {
            run.send_and_check(vec![first.clone(), second.clone()], true)
                .await;
        }
    }
    run.end().await;
}
