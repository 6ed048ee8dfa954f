//! A `Bundle` as JSON, decoded record by record: memory holds its text and one record.

use std::ops::Range;

use dateline_proto::v1::{Actor, Article, Event, Record, Relation, record::Kind as Body};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Error;
use crate::json;

/// Decodes one record of a list.
type ParseBody = fn(&str) -> Result<Body, serde_json::Error>;

/// The records of a bundle that were not read yet.
pub(super) struct Bundle {
    text: String,
    lists: [(ParseBody, std::vec::IntoIter<Range<usize>>); 4],
    /// True if it holds exactly one article.
    pub has_one_article: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lists<'a> {
    #[serde(borrow, default)]
    articles: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    actors: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    relations: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    events: Option<Vec<&'a RawValue>>,
}

impl Bundle {
    /// Finds the records, and checks that each can be decoded.
    ///
    /// # Errors
    /// The error, with line and column.
    pub(super) fn new(text: String) -> Result<Self, Error> {
        let lists: Lists<'_> =
            serde_json::from_str(&text).map_err(|error| Error::new(error.to_string()))?;
        let start = text.as_ptr().addr();
        let places = |list: Option<Vec<&RawValue>>| {
            let places = list.unwrap_or_default().into_iter().map(|raw| {
                let begin = raw.get().as_ptr().addr() - start;
                begin..begin + raw.get().len()
            });
            places.collect::<Vec<_>>().into_iter()
        };
        let articles: ParseBody = |text| json::read::<Article>(text).map(Body::Article);
        let actors: ParseBody = |text| json::read::<Actor>(text).map(Body::Actor);
        let relations: ParseBody = |text| json::read::<Relation>(text).map(Body::Relation);
        let events: ParseBody = |text| json::read::<Event>(text).map(Body::Event);
        let lists = [
            (articles, places(lists.articles)),
            (actors, places(lists.actors)),
            (relations, places(lists.relations)),
            (events, places(lists.events)),
        ];
        let has_one_article = lists[0].1.len() == 1;
        let bundle = Self {
            text,
            lists,
            has_one_article,
        };
        bundle.check()?;
        Ok(bundle)
    }

    /// Decodes every record once: no part of an invalid bundle may be sent.
    fn check(&self) -> Result<(), Error> {
        for (read, places) in &self.lists {
            for place in places.as_slice() {
                if let Err(error) = read(&self.text[place.clone()]) {
                    return Err(self.located(place, &error));
                }
            }
        }
        Ok(())
    }

    /// The error with its position in the whole text.
    fn located(&self, place: &Range<usize>, error: &serde_json::Error) -> Error {
        let before = &self.text[..place.start];
        let line = before.matches('\n').count() + error.line().max(1);
        let column = match error.line() {
            0 | 1 => before.len() - before.rfind('\n').map_or(0, |end| end + 1) + error.column(),
            _ => error.column(),
        };
        let told = error.to_string();
        let told = told.split(" at line ").next().unwrap_or_default();
        Error::new(format!("{told} at line {line} column {column}"))
    }
}

impl Iterator for Bundle {
    type Item = Result<Record, String>;

    fn next(&mut self) -> Option<Self::Item> {
        let (read, place) = self
            .lists
            .iter_mut()
            .find_map(|(read, places)| Some((*read, places.next()?)))?;
        let body = read(&self.text[place]).map_err(|error| error.to_string());
        Some(body.map(|body| Record { kind: Some(body) }))
    }
}
