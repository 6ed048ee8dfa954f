//! Many actors with the longest names and descriptions, all of which look the same.

use dateline_proto::v1::{
    Actor, FindDuplicatesRequest, MatchActorsRequest, SuggestMentionsRequest, View, actor::Type,
};

use crate::support::{
    builders::create,
    large_records::{SizeChecks, desk},
    matching::{actor_of, example, head},
    records::as_actor,
};

/// Actors; a response describes as many.
const ACTORS: usize = 500;

/// The name of one actor: a word of its own among many in common, of letters of four bytes.
fn long_name(number: usize) -> String {
    let words = "𐐔𐐯𐑅𐐨𐑉𐐯𐐻 ".repeat(35);
    format!("{words}{number}")
}

/// All of them, at once and as pairs.
pub async fn all(checks: &mut SizeChecks) {
    let drafts = (0..ACTORS).map(|number| {
        let (long, short) = (long_name(number), format!("Bureau{number}"));
        let names = [long.as_str(), short.as_str(), "Port Authority"];
        let mut record = actor_of(&format!("alike-{number}"), Type::Organization, &names);
        *as_actor(&mut record) = Actor {
            description: "𐐔".repeat(500),
            evidence: Vec::new(),
            ..as_actor(&mut record).clone()
        };
        create(&record)
    });
    checks.commit(drafts.collect()).await;
    let min_sequence = head(&checks.server.client.clone(), View::Desk).await;
    let request = MatchActorsRequest {
        examples: vec![example(&long_name(7)); 20],
        view: desk(),
        min_score: Some(0.0),
        max_candidates: 50,
        min_sequence,
    };
    let answer = checks.matching.match_actors(request).await;
    let answer = checks.check_answer("MatchActors", answer);
    assert_eq!(answer.matches.len(), 20);
    assert!(answer.matches.iter().all(|it| it.candidates.len() > 10));

    let request = FindDuplicatesRequest {
        view: desk(),
        min_score: Some(0.0),
        page_size: 200,
        ..FindDuplicatesRequest::default()
    };
    let answer = checks.matching.find_duplicates(request).await;
    let answer = checks.check_answer("FindDuplicates", answer);
    assert!(!answer.pairs.is_empty() && !answer.next_page_token.is_empty());

    let each = (0..ACTORS).map(|number| format!("Bureau{number}, Port Authority; "));
    let request = SuggestMentionsRequest {
        text: each.collect::<String>() + "Port Authority",
        view: desk(),
        min_sequence: 0,
    };
    let answer = checks.matching.suggest_mentions(request).await;
    let answer = checks.check_answer("SuggestMentions", answer);
    assert_eq!((answer.mentions.len(), answer.omitted), (1000, 1));
    assert_eq!(answer.actors.len(), ACTORS);
    let described = answer.actors.iter().filter(|it| !it.description.is_empty());
    assert_eq!(described.count(), ACTORS);
    assert_eq!(
        (answer.mentions[1].actors.len(), answer.mentions[1].more),
        (10, 490)
    );
}
