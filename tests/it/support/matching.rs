//! Actors by their names, and calls that look for them.

use dateline_client::Client;
use dateline_proto::v1::{
    Actor, ActorExample, ActorMatches, MatchActorsRequest, MatchCandidate, Name, Record,
    SuggestMentionsRequest, SuggestMentionsResponse, View, actor, name,
};

use super::records::{actor as any_actor, as_actor};

/// A name in no language.
pub fn a_name(text: &str) -> Name {
    Name {
        text: text.to_owned(),
        language_code: "und".to_owned(),
        r#type: name::Type::Full.into(),
    }
}

/// An example with one name and nothing else.
pub fn example(text: &str) -> ActorExample {
    ActorExample {
        names: vec![a_name(text)],
        ..ActorExample::default()
    }
}

/// An actor of a type with these names.
pub fn actor_of(id: &str, of: actor::Type, names: &[&str]) -> Record {
    let mut record = any_actor(id);
    *as_actor(&mut record) = Actor {
        r#type: of.into(),
        display_name: names[0].to_owned(),
        names: names.iter().map(|text| a_name(text)).collect(),
        ..as_actor(&mut record).clone()
    };
    record
}

/// The candidates of one example, after the keys have reached the head of the view's feed.
pub async fn matches(client: &Client, example: ActorExample, view: View) -> ActorMatches {
    let request = MatchActorsRequest {
        examples: vec![example],
        view: view.into(),
        min_sequence: head(client, view).await,
        ..MatchActorsRequest::default()
    };
    let answer = client.clone().matching.match_actors(request).await;
    answer.unwrap().into_inner().matches.swap_remove(0)
}

/// The names of the records that may be this one.
pub async fn matched(client: &Client, text: &str, view: View) -> Vec<String> {
    let found = matches(client, example(text), view).await;
    records(&found.candidates)
}

pub fn records(candidates: &[MatchCandidate]) -> Vec<String> {
    candidates.iter().map(|it| it.record.clone()).collect()
}

/// The mentions in a text.
pub async fn suggest(client: &Client, text: &str, view: View) -> SuggestMentionsResponse {
    let request = SuggestMentionsRequest {
        text: text.to_owned(),
        view: view.into(),
        min_sequence: 0,
    };
    let answer = client.clone().matching.suggest_mentions(request).await;
    answer.unwrap().into_inner()
}

/// Text and candidates of each mention.
pub async fn mentioned(client: &Client, text: &str, view: View) -> Vec<(String, Vec<String>)> {
    let points: Vec<char> = text.chars().collect();
    let found = suggest(client, text, view).await.mentions.into_iter();
    found
        .map(|it| {
            let span = usize::try_from(it.start).unwrap()..usize::try_from(it.end).unwrap();
            (points[span].iter().collect(), it.actors)
        })
        .collect()
}

/// The newest sequence of a view's feed.
pub async fn head(client: &Client, view: View) -> i64 {
    let request = dateline_proto::v1::GetFeedRequest { view: view.into() };
    let feed = client.clone().feed.get_feed(request).await.unwrap();
    feed.into_inner().head_sequence
}
