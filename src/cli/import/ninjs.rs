//! ninjs 3 items of articles as drafts: the mapping of `docs/imports.md`. What an item says and an article record has
//! no room for is counted by its field, never dropped in silence.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    cli::article_text::propose_name,
    proto::v1::{Article, Byline, FuzzyDate, Record, SourceCredit, Topic, record::Kind as Body},
};

/// What says nothing beyond that it is an article in this format.
const FORMAL: [&str; 4] = ["standard", "type", "representationType", "profile"];

/// Where IPTC's media topics live.
const MEDIA_TOPICS: &str = "cv.iptc.org/newscodes/mediatopic/";

/// What was not taken, by field.
#[derive(Default)]
pub(super) struct Losses(BTreeMap<String, usize>);

impl Losses {
    fn count(&mut self, field: &str) {
        *self.0.entry(field.to_owned()).or_default() += 1;
    }

    /// `not taken from ninjs, for an article record has no such field: people (12), renditions (3)`
    pub(super) fn told(&self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let told = self
            .0
            .iter()
            .map(|(field, times)| format!("{field} ({times})"));
        let told: Vec<_> = told.collect();
        Some(format!(
            "not taken from ninjs, for a draft of an article has no room for it: {}",
            told.join(", ")
        ))
    }
}

/// Whether an object is a ninjs item, and no record of ours.
pub(super) fn is_item(value: &Value) -> bool {
    let has = |key: &str| value.get(key).is_some();
    has("uri") && (has("headlines") || has("bodies") || has("type") || has("versionCreated"))
}

/// Fields that are left of an item.
struct Item<'a> {
    fields: Map<String, Value>,
    losses: &'a mut Losses,
}

impl Item<'_> {
    fn take(&mut self, field: &str) -> Option<Value> {
        self.fields.remove(field).filter(|value| !value.is_null())
    }

    /// Text, or an empty string.
    fn text(&mut self, field: &str) -> Result<String, String> {
        match self.take(field) {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(format!("{field} is no string")),
        }
    }

    fn list(&mut self, field: &str) -> Result<Vec<Map<String, Value>>, String> {
        let all = match self.take(field) {
            None => return Ok(Vec::new()),
            Some(Value::Array(all)) => all,
            Some(_) => return Err(format!("{field} is no list")),
        };
        let objects = all
            .into_iter()
            .enumerate()
            .map(|(index, value)| match value {
                Value::Object(object) => Ok(object),
                _ => Err(format!("{field}[{index}] is no object")),
            });
        objects.collect()
    }

    /// The first plain text of several; the others are lost.
    fn plain(&mut self, field: &str) -> Result<String, String> {
        let mut found = None;
        for entry in self.list(field)? {
            let content = string(&entry, "contentType");
            let is_plain = content.is_empty() || content.starts_with("text/plain");
            let text = string(&entry, "value");
            if is_plain && found.is_none() && !text.is_empty() {
                found = Some(text);
            } else if is_plain {
                self.losses.count(&format!("{field}, but for the first"));
            } else {
                self.losses.count(&format!("{field} as {content}"));
            }
        }
        Ok(found.unwrap_or_default())
    }
}

fn string(object: &Map<String, Value>, field: &str) -> String {
    let text = object.get(field).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

/// An item as the draft of an article.
///
/// # Errors
/// What makes it no article.
pub(super) fn to_record(item: &Value, losses: &mut Losses) -> Result<Record, String> {
    let fields = item.as_object().cloned().ok_or("is no object")?;
    let mut item = Item { fields, losses };
    let kind = item.text("type")?;
    if !matches!(kind.as_str(), "" | "text") {
        return Err(format!("type is {kind:?}; only text items become articles"));
    }
    let uri = item.text("uri")?;
    if uri.is_empty() {
        return Err("has no uri, from which its name is made".to_owned());
    }
    let headline = item.plain("headlines")?;
    let headline = if headline.is_empty() {
        item.text("title")?
    } else {
        headline
    };
    let language_code = match item.text("language")? {
        none if none.is_empty() => "und".to_owned(),
        language => language,
    };
    let article = Article {
        name: name(&uri, &headline),
        headline,
        body: item.plain("bodies")?,
        language_code,
        summary: item.plain("descriptions")?,
        bylines: bylines(item.text("by")?),
        published: published(&mut item)?,
        source_url: if uri.starts_with("http") {
            uri
        } else {
            String::new()
        },
        sources: sources(&mut item)?,
        topics: topics(&mut item)?,
        usage_terms: item.text("usageTerms")?,
        ..Article::default()
    };
    for field in item
        .fields
        .keys()
        .filter(|field| !FORMAL.contains(&field.as_str()))
    {
        item.losses.count(field);
    }
    Ok(Record::from(Body::Article(article)))
}

/// The name that a record had here, if it comes from an export; else one made of headline and URI, the same whenever
/// it is imported.
fn name(uri: &str, headline: &str) -> String {
    let own = uri
        .rsplit_once("/articles/")
        .map(|(_, id)| format!("articles/{id}"));
    let own = own.filter(|name| crate::model::name::Name::parse(name).is_some());
    own.unwrap_or_else(|| {
        let hash = hex::encode(Sha256::digest(uri));
        let slug = match slug(headline, 46) {
            none if none.is_empty() => "item".to_owned(),
            slug => slug,
        };
        format!("articles/{slug}-{}", &hash[..10])
    })
}

/// A text as part of an id; empty if nothing of it can be written so.
fn slug(text: &str, most: usize) -> String {
    let name = propose_name(text);
    let id: String = name
        .trim_start_matches("articles/")
        .chars()
        .take(most)
        .collect();
    id.trim_end_matches('-').to_owned()
}

fn bylines(by: String) -> Vec<Byline> {
    if by.is_empty() {
        return Vec::new();
    }
    vec![Byline {
        display_name: by,
        ..Byline::default()
    }]
}

/// The publisher's date, if it is a whole timestamp: the day of it, where it was made.
fn published(item: &mut Item<'_>) -> Result<Option<FuzzyDate>, String> {
    let created = item.text("contentCreated")?;
    if created.is_empty() {
        return Ok(None);
    }
    let Ok(time) = OffsetDateTime::parse(&created, &Rfc3339) else {
        item.losses
            .count("contentCreated, where it is no timestamp");
        return Ok(None);
    };
    Ok(Some(FuzzyDate {
        edtf: time.date().to_string(),
        ..FuzzyDate::default()
    }))
}

fn sources(item: &mut Item<'_>) -> Result<Vec<SourceCredit>, String> {
    let all = item.list("infoSources")?;
    let credits = all.iter().filter_map(|source| {
        let (display_name, uri) = (string(source, "name"), string(source, "uri"));
        if display_name.is_empty() {
            item.losses.count("infoSources without a name");
            return None;
        }
        if !string(source, "role").is_empty() {
            item.losses.count("infoSources.role");
        }
        Some(SourceCredit {
            display_name,
            url: if uri.starts_with("http") {
                uri
            } else {
                String::new()
            },
            ..SourceCredit::default()
        })
    });
    Ok(credits.collect())
}

fn topics(item: &mut Item<'_>) -> Result<Vec<Topic>, String> {
    let mut topics: Vec<Topic> = Vec::new();
    for subject in item.list("subjects")? {
        let (label, uri) = (string(&subject, "name"), string(&subject, "uri"));
        let id = slug(&label, 63);
        if id.is_empty() || topics.iter().any(|topic| topic.id == id) {
            item.losses.count("subjects without a name of their own");
            continue;
        }
        let code = match uri.split_once(MEDIA_TOPICS) {
            Some((_, number)) => format!("medtop:{number}"),
            None if uri.starts_with("medtop:") => uri,
            None => String::new(),
        };
        topics.push(Topic {
            id,
            label,
            code,
            ..Topic::default()
        });
    }
    Ok(topics)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Losses, to_record};
    use crate::proto::v1::record::Kind as Body;

    #[test]
    fn what_the_table_allows_is_taken_and_the_rest_is_counted() {
        let item = json!({
            "standard": {"name": "ninjs", "version": "3.1"},
            "uri": "https://wire.example.org/items/4711",
            "type": "text", "language": "kk-Cyrl", "version": "2", "by": "Айгерім Омарұлы",
            "headlines": [{"value": "Астана: келісім"}, {"role": "short", "value": "Келісім"}],
            "bodies": [{"contentType": "text/html", "value": "<p>Мәтін</p>"}, {"contentType": "text/plain", "value": "Мәтін"}],
            "descriptions": [{"value": "Қысқаша"}],
            "contentCreated": "2021-09-15T23:30:00+06:00",
            "infoSources": [{"name": "Kazinform", "uri": "https://inform.kz", "role": "publisher"}],
            "subjects": [{"name": "Diplomacy", "uri": "http://cv.iptc.org/newscodes/mediatopic/20000638"}],
            "people": [{"name": "A"}], "usageTerms": "Free",
        });
        let mut losses = Losses::default();
        let record = to_record(&item, &mut losses).unwrap();
        let Some(Body::Article(article)) = record.kind else {
            panic!()
        };
        assert!(
            article.name.starts_with("articles/astana-kelisim-"),
            "{}",
            article.name
        );
        assert_eq!(
            (article.headline.as_str(), article.body.as_str()),
            ("Астана: келісім", "Мәтін")
        );
        assert_eq!(
            (article.summary.as_str(), article.usage_terms.as_str()),
            ("Қысқаша", "Free")
        );
        assert_eq!(article.bylines[0].display_name, "Айгерім Омарұлы");
        assert_eq!(article.published.unwrap().edtf, "2021-09-15");
        assert_eq!(article.sources[0].url, "https://inform.kz");
        assert_eq!(article.topics[0].code, "medtop:20000638");
        let told = losses.told().unwrap();
        for field in [
            "people (1)",
            "version (1)",
            "bodies as text/html (1)",
            "headlines, but for the first (1)",
            "infoSources.role (1)",
        ] {
            assert!(told.contains(field), "{told}");
        }
    }

    #[test]
    fn what_is_no_article_says_why() {
        let cases = [
            (json!(7), "no object"),
            (json!({"type": "text"}), "no uri"),
            (json!({"uri": "urn:x", "type": "picture"}), "picture"),
            (
                json!({"uri": "urn:x", "headlines": "x"}),
                "headlines is no list",
            ),
            (json!({"uri": "urn:x", "by": 7}), "by is no string"),
        ];
        for (item, told) in cases {
            let error = to_record(&item, &mut Losses::default()).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }
}
