//! W11, all of it: records of which every text, and every note of every request that changed them, says a word that
//! stands nowhere else. They are led through every verb, and erased; then no word of theirs is left anywhere.
//!
//! Texts that stay on other records, and are checked to be still there:
//! - their own texts, also where they are about the erased record: an editor wrote them for those;
//! - their quotes of an erased article (`Quoted words`), for the same reason;
//! - names, of the erased record too, for they answer for ever (W10), and whatever refers to them;
//! - the note of the erasure, which says on what ground.

mod lifecycles;
mod observation;
mod planted_records;

use std::collections::BTreeSet;

use dateline_proto::v1::{Kind, PurgeRecordRequest};
use uuid::Uuid;

use self::{
    lifecycles::ErasureFixture, observation::ObservedBytes, planted_records::verbs_with_a_note,
};
use crate::support::editing::*;

/// Everything that can be seen.
async fn all_of(stage: &ErasureFixture) -> ObservedBytes {
    let (mut seen, server) = (ObservedBytes::default(), &stage.server);
    seen.database(server).await;
    seen.streams(server).await;
    seen.reads(server, &stage.names().await, &stage.erased_names())
        .await;
    seen.exports(server).await;
    seen.audit(server).await;
    for request in &stage.requests {
        // A repeated request id is answered with the records that are left.
        let answer = try_commit(&server.client, request.clone()).await;
        seen.answered(&answer.unwrap());
    }
    seen
}

/// Erases what lived.
async fn erase(stage: &ErasureFixture, seen: &mut ObservedBytes) {
    for record in &stage.lived {
        let request = PurgeRecordRequest {
            record: Some(version(record)),
            note: "by order of a court".into(),
            cascade: true,
            request_id: Uuid::now_v7().to_string(),
            ..PurgeRecordRequest::default()
        };
        let answer = stage
            .server
            .client
            .clone()
            .editorial
            .purge_record(request)
            .await;
        let answer = answer.unwrap_or_else(|status| panic!("{}: {status:?}", name(record)));
        let answer = answer.into_inner();
        assert_eq!(answer.records.len(), 1, "nothing goes along: {answer:?}");
        seen.answered(&answer);
    }
}

/// Verbs whose notes have to go; that of the erasure stays.
fn verbs_of(kind: Kind) -> BTreeSet<String> {
    let mut verbs = verbs_with_a_note();
    assert!(verbs.remove("purge.note"));
    if kind == Kind::Article {
        // Articles are never merged.
        verbs.retain(|verb| !verb.contains("merge"));
    }
    verbs
}

async fn no_word_is_left(kind: Kind) {
    let mut stage = ErasureFixture::start(kind).await;
    stage.live_all().await;
    let planted: BTreeSet<_> = stage.words.planted.values().cloned().collect();
    for verb in verbs_of(kind) {
        assert!(planted.contains(&verb), "{verb} of {kind:?} is planted");
    }
    // There is something to be erased: each word is found where it was planted.
    let mut before = ObservedBytes::default();
    before.database(&stage.server).await;
    before.streams(&stage.server).await;
    let found = before.find(stage.words.planted.keys());
    for (word, field) in &stage.words.planted {
        assert!(
            found.contains_key(word.as_str()),
            "{word} of {field} was there"
        );
    }
    drop(before);
    let mut answers = ObservedBytes::default();
    erase(&stage, &mut answers).await;
    let after = all_of(&stage).await;
    for seen in [&answers, &after] {
        let left = seen.find(stage.words.planted.keys());
        let left: Vec<_> = left
            .into_iter()
            .map(|(word, places)| format!("{word} of {}: {places:?}", stage.words.planted[word]))
            .collect();
        assert!(left.is_empty(), "left of {kind:?}:\n{}", left.join("\n"));
    }
    let kept = after.find(stage.others.planted.keys());
    for (word, field) in &stage.others.planted {
        assert!(
            kept.contains_key(word.as_str()),
            "{field} of another record is its own"
        );
    }
    stage.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn w11_no_word_of_an_erased_record_is_left_anywhere_whatever_was_done_with_it() {
    for kind in KINDS {
        no_word_is_left(kind).await;
    }
}
