//! Filter matching, written from the comments on `RecordFilter` in `record.proto` alone. Decides all dimensions but
//! `time`, which requires an interpretation of fuzzy dates that this validator does not have: campaigns do not filter
//! by it.

use std::collections::BTreeSet;

use dateline_proto::v1::{
    Evidence, Kind, Place, Record, RecordFilter, State, Topic, record::Kind as Body,
};

use super::history;

/// The traits of a record that filters use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traits {
    pub kind: i32,
    pub state: i32,
    word: String,
    pub actors: BTreeSet<String>,
    regions: BTreeSet<String>,
    topics: BTreeSet<String>,
    languages: BTreeSet<String>,
    articles: BTreeSet<String>,
}

impl Traits {
    /// The traits of a record in its present state.
    pub fn from_record(record: &Record) -> Self {
        let mut traits = Self {
            state: history::meta(record).map_or(0, |meta| meta.state),
            ..Self::default()
        };
        match &record.kind {
            Some(Body::Article(body)) => {
                traits.kind = Kind::Article.into();
                traits.languages.insert(body.language_code.clone());
                traits.actor(&body.publisher);
                for byline in &body.bylines {
                    traits.actor(&byline.actor);
                }
                for source in &body.sources {
                    traits.actor(&source.actor);
                }
                for mention in &body.mentions {
                    traits.actor(&mention.target);
                }
                traits.topics(&body.topics);
            }
            Some(Body::Actor(body)) => {
                traits.kind = Kind::Actor.into();
                traits.word(body.r#type().as_str_name());
                traits.actor(&body.name);
                traits.region(&body.region_code);
                traits.place(body.headquarters.as_ref());
                traits.evidence(&body.evidence);
            }
            Some(Body::Relation(body)) => {
                traits.kind = Kind::Relation.into();
                traits.word(body.r#type().as_str_name());
                traits.actor(&body.subject);
                traits.actor(&body.object);
                traits.actor(&body.on_behalf_of);
                traits.topics(&body.topics);
                traits.evidence(&body.evidence);
            }
            Some(Body::Event(body)) => {
                traits.kind = Kind::Event.into();
                traits.word(body.r#type().as_str_name());
                for place in &body.places {
                    traits.place(Some(place));
                }
                for participant in &body.participants {
                    traits.actor(&participant.actor);
                    traits.actor(&participant.on_behalf_of);
                }
                traits.topics(&body.topics);
                traits.evidence(&body.evidence);
            }
            None => {}
        }
        traits
    }

    /// The same traits in another state.
    pub fn in_state(&self, state: i32) -> Self {
        Self {
            state,
            ..self.clone()
        }
    }

    fn word(&mut self, name: &str) {
        self.word = name.trim_start_matches("TYPE_").to_ascii_lowercase();
    }

    fn actor(&mut self, name: &str) {
        if name.starts_with("actors/") {
            self.actors.insert(name.to_owned());
        }
    }

    fn region(&mut self, code: &str) {
        if !code.is_empty() {
            self.regions.insert(code.to_owned());
        }
    }

    fn place(&mut self, place: Option<&Place>) {
        if let Some(place) = place {
            self.region(&place.region_code);
            self.region(&place.subdivision_code);
            self.actor(&place.venue);
        }
    }

    fn topics(&mut self, topics: &[Topic]) {
        for topic in topics {
            self.actor(&topic.subject);
            for word in [&topic.id, &topic.code] {
                if !word.is_empty() {
                    self.topics.insert(word.clone());
                }
            }
        }
    }

    fn evidence(&mut self, evidence: &[Evidence]) {
        let articles = evidence.iter().map(|evidence| evidence.article.clone());
        self.articles.extend(articles);
    }
}

/// True if a filter matches a record with these traits: any value of a dimension, all dimensions.
pub fn matches(filter: &RecordFilter, traits: &Traits) -> bool {
    fn any(asked: &[String], there: &BTreeSet<String>) -> bool {
        asked.is_empty() || asked.iter().any(|word| there.contains(word))
    }
    assert!(
        filter.time.is_none(),
        "the validator does not read fuzzy dates"
    );
    (filter.kinds.is_empty() || filter.kinds.contains(&traits.kind))
        && (filter.states.is_empty() || filter.states.contains(&traits.state))
        && (filter.types.is_empty() || filter.types.contains(&traits.word))
        && any(&filter.actors, &traits.actors)
        && any(&filter.regions, &traits.regions)
        && any(&filter.topics, &traits.topics)
        && any(&filter.language_codes, &traits.languages)
        && any(&filter.articles, &traits.articles)
}

/// True if withdrawn, or merged into another record: only the name remains.
pub fn is_tombstone(state: i32) -> bool {
    state == State::Retracted as i32 || state == State::Merged as i32
}

/// True if a record in this state is visible to readers.
pub fn is_visible(state: i32) -> bool {
    state == State::Published as i32 || is_tombstone(state)
}
