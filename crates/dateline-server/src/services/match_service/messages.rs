//! Examples, scores and reasons as messages.

use dateline_match::{Band, Profile, Score};
use dateline_proto::v1::{
    Actor, ActorExample, ActorMatches, MatchCandidate, MatchReason, RecordMeta, match_candidate,
    match_reason,
};
use prost::Message;

use crate::middleware::backpressure::MAX_RESPONSE_BYTES;

/// Most lines of an explanation.
const MAX_REASONS: usize = 64;
/// Bytes of an answer besides its message: key and length.
const MARGIN: usize = 16;

/// Parses an example.
pub(super) fn profile(example: &ActorExample) -> Profile {
    Profile::of(&Actor {
        r#type: example.r#type,
        names: example.names.clone(),
        region_code: example.region_code.clone(),
        active: example.active.clone(),
        external_ids: example.external_ids.clone(),
        ..Actor::default()
    })
}

/// A record with its score; the left side of the score is the example.
pub(super) fn candidate(actor: &Actor, score: &Score) -> MatchCandidate {
    let band = match score.band() {
        Band::Silent => match_candidate::Band::Unlikely,
        Band::Possible => match_candidate::Band::Possible,
        Band::VeryLikely => match_candidate::Band::VeryLikely,
    };
    MatchCandidate {
        record: actor.name.clone(),
        display_name: actor.display_name.clone(),
        r#type: actor.r#type,
        region_code: actor.region_code.clone(),
        description: actor.description.clone(),
        state: actor
            .meta
            .as_ref()
            .map_or(0, |meta: &RecordMeta| meta.state),
        score: rounded(score.value),
        band: band.into(),
        example_name: score.left.clone(),
        record_name: score.right.clone(),
        reasons: reasons(score),
    }
}

/// Makes answers fit a response, each its share: reasons of the last candidates are left out first, then those
/// candidates.
pub(super) fn fit(matches: &mut [ActorMatches]) {
    let share = MAX_RESPONSE_BYTES / matches.len().max(1) - MARGIN;
    for of_one in matches {
        let mut last = of_one.candidates.len();
        while of_one.encoded_len() > share && last > 0 {
            last -= 1;
            of_one.candidates[last].reasons.clear();
        }
        while of_one.encoded_len() > share && of_one.candidates.len() > 1 {
            of_one.candidates.pop();
            of_one.truncated = true;
        }
    }
}

fn reasons(score: &Score) -> Vec<MatchReason> {
    use match_reason::Type;
    let parts = score.parts.iter().map(|part| MatchReason {
        r#type: Type::Part.into(),
        class: part.class.to_owned(),
        example_text: part.left.clone(),
        record_text: part.right.clone(),
        score: rounded(part.score),
        weight: rounded(part.weight),
        ..MatchReason::default()
    });
    let unmatched = score.unmatched.iter().map(|unmatched| {
        let (example_text, record_text) = if unmatched.is_left {
            (unmatched.word.clone(), String::new())
        } else {
            (String::new(), unmatched.word.clone())
        };
        MatchReason {
            r#type: Type::Unmatched.into(),
            class: unmatched.class.to_owned(),
            example_text,
            record_text,
            weight: rounded(unmatched.weight),
            ..MatchReason::default()
        }
    });
    let vetoes = score.vetoes.iter().map(|veto| MatchReason {
        r#type: Type::Veto.into(),
        detail: veto.clone(),
        ..MatchReason::default()
    });
    let features = score.features.iter().map(|feature| MatchReason {
        r#type: Type::Feature.into(),
        class: feature.name.to_owned(),
        agrees: feature.agrees,
        detail: feature.detail.clone(),
        ..MatchReason::default()
    });
    // Deciding reasons come first: of a very long name the last words are cut off.
    let all = vetoes.chain(features).chain(parts).chain(unmatched);
    all.take(MAX_REASONS).collect()
}

/// Two digits are all that a score means.
fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_fit_a_response_without_their_reasons_first() {
        let reason = MatchReason {
            detail: "x".repeat(100),
            ..MatchReason::default()
        };
        let candidate = |bytes: usize| MatchCandidate {
            record: "actors/x".to_owned(),
            description: "y".repeat(bytes),
            reasons: vec![reason.clone(); MAX_REASONS],
            ..MatchCandidate::default()
        };
        let all = |bytes| {
            let one = ActorMatches {
                candidates: vec![candidate(bytes); 50],
                ..ActorMatches::default()
            };
            let mut matches = vec![one; 20];
            fit(&mut matches);
            let total: usize = matches.iter().map(|it| it.encoded_len() + MARGIN).sum();
            assert!(total <= MAX_RESPONSE_BYTES, "{total}");
            matches.swap_remove(0)
        };
        let small = all(10);
        let explained = small.candidates.iter().filter(|it| !it.reasons.is_empty());
        assert_eq!((small.candidates.len(), small.truncated), (50, false));
        assert!((1..50).contains(&explained.count()));
        let large = all(6000);
        assert!(large.truncated && (10..50).contains(&large.candidates.len()));
    }
}
