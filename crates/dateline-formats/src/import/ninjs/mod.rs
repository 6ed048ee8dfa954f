//! Converts ninjs items of articles to drafts, by the mapping of `docs/imports.md`. Fields that an article record
//! cannot hold are counted by name, never dropped silently; restrictions of the sender are obeyed.

mod dates;
mod fields;
mod terms;
mod texts;

use dateline_proto::v1::{
    Article, Byline, Record, SourceCredit, SourceItem, Topic, record::Kind as Body,
    source_item::Status,
};
use dateline_record::{name::Name, release::ItemOrigin, timestamp::timestamp};
use serde_json::Value;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

pub(super) use self::fields::DroppedFields;
use self::{
    fields::{Dialect, Item, string},
    terms::Terms,
    texts::TextPart,
};
use super::{
    article_text::{byline_names, one_line, propose_name},
    html_text,
    item::Content,
};
use crate::ninjs::{ALTERNATIVE_IDS, MEDIA_TOPIC_PREFIX, MEDIA_TOPICS, UID};

/// Fields that only say that the item is an article in this format.
const FORMAL: [&str; 5] = ["type", "profile", "mimetype", "charcount", "wordcount"];

/// True if an object is a ninjs item and not a Dateline record.
pub(super) fn is_item(value: &Value) -> bool {
    let Some(object) = value.as_object() else {
        return false;
    };
    let has = |known: fn(&str) -> bool| object.keys().any(|key| known(&key.to_ascii_lowercase()));
    has(|key| key == "uri")
        && has(|key| {
            matches!(
                key,
                "headlines"
                    | "bodies"
                    | "type"
                    | "versioncreated"
                    | "pubstatus"
                    | "headline"
                    | "standard"
                    | "$standard"
            ) || key.starts_with("headline_")
                || key.starts_with("body_")
        })
}

/// Converts an item to a draft of an article, with the use that its sender allows.
///
/// # Errors
/// The reason why it is not an article, or a restriction that is not understood.
pub(super) fn to_record(item: &Value, losses: &mut DroppedFields) -> Result<Content, String> {
    read(item, losses, OffsetDateTime::now_utc())
}

fn read(item: &Value, losses: &mut DroppedFields, now: OffsetDateTime) -> Result<Content, String> {
    let mut item = Item::new(item, losses)?;
    let dialect = item.dialect()?;
    check_kind(&mut item)?;
    let uri = item.text("uri")?;
    if uri.is_empty() {
        return Err("has no uri, which says which item it is".to_owned());
    }
    let terms = item.terms(now)?;
    let version = version(&mut item)?;
    let created = item.date("versioncreated")?.map(|(_, at)| at);
    // A canceled item may come without text.
    let needs_text = terms.status == Status::Unspecified;
    let headline = headline(&mut item, dialect);
    let body = item.part(TextPart::Body, dialect);
    let (headline, body) = if needs_text {
        (headline?, body?)
    } else {
        (headline.unwrap_or_default(), body.unwrap_or_default())
    };
    if needs_text && body.is_empty() {
        return Err("has no body: it is no text that could be published".to_owned());
    }
    let slugline = item.text("slugline")?;
    let uid = own_uid(&item_ids(&mut item)?, &uri, &slugline);
    if uid.is_none() && !slugline.is_empty() {
        item.losses.count("slugline");
    }
    let published = item.published(&version, created.as_ref(), uid.is_none())?;
    let article = Article {
        name: name(&uri, uid.is_some()),
        language_code: Some(item.text("language")?)
            .filter(|language| !language.is_empty())
            .unwrap_or_else(|| "und".to_owned()),
        summary: item.part(TextPart::Summary, dialect)?,
        bylines: bylines(&mut item)?,
        published,
        source_url: if uri.starts_with("http") {
            uri.clone()
        } else {
            String::new()
        },
        sources: sources(&mut item)?,
        topics: topics(&mut item, uid.is_some())?,
        usage_terms: terms.conditions.clone(),
        source_item: Some(SourceItem {
            uri: uri.clone(),
            version,
            version_time: created.map(|at| timestamp(at.latest)),
            embargo_time: terms.embargo_time,
            status: terms.status.into(),
        }),
        headline,
        body,
        ..Article::default()
    };
    item.lose_the_rest();
    let origin = ItemOrigin {
        earlier_name: earlier_name(&uri, &article.headline),
        uid,
    };
    Ok(content(article, terms, origin))
}

fn content(article: Article, terms: Terms, origin: ItemOrigin) -> Content {
    Content {
        record: Record::from(Body::Article(article)),
        release: terms.release,
        origin: Some(origin),
    }
}

/// Rejects items other than texts. Without a type, the fields decide.
fn check_kind(item: &mut Item<'_>) -> Result<(), String> {
    let kind = item.text("type")?;
    if !matches!(kind.to_lowercase().as_str(), "" | "text") {
        return Err(format!("type is {kind:?}; only text items become articles"));
    }
    for (field, what) in [
        ("eventdetails", "event"),
        ("plannedcoverage", "planning item"),
    ] {
        if kind.is_empty() && item.has(field) {
            return Err(
                format!("is an {what}; only text items become articles").replace("an p", "a p")
            );
        }
    }
    let is_media = !item.has("bodies") && item.has("renditions");
    if kind.is_empty() && is_media && item.keys().all(|(key, _)| !key.starts_with("body")) {
        return Err("has renditions and no body; only text items become articles".to_owned());
    }
    Ok(())
}

/// The version; some feeds write it as a number.
fn version(item: &mut Item<'_>) -> Result<String, String> {
    match item.remove_with_key("version") {
        None => Ok(String::new()),
        Some((_, Value::String(text))) => Ok(text.trim().to_owned()),
        Some((_, Value::Number(number))) => Ok(number.to_string()),
        Some((key, _)) => Err(format!("{key} is neither a string nor a number")),
    }
}

fn headline(item: &mut Item<'_>, dialect: Dialect) -> Result<String, String> {
    let title = item.text("title")?;
    let title = if html_text::has_markup(&title) {
        html_text::read(&title)?.text
    } else {
        title
    };
    let title = one_line(&title);
    match item.part(TextPart::Headline, dialect) {
        Ok(text) if !text.is_empty() => {
            if !title.is_empty() && title != text {
                item.losses.count("title");
            }
            Ok(text)
        }
        Err(error) if title.is_empty() => Err(error),
        Ok(_) if title.is_empty() => Err("has no headline".to_owned()),
        _ => Ok(title),
    }
}

/// Alternative ids by role.
fn item_ids(item: &mut Item<'_>) -> Result<Vec<(String, String)>, String> {
    let Some(ids) = item.remove("altids") else {
        return Ok(Vec::new());
    };
    let pairs: Vec<(String, String)> = match &ids {
        Value::Array(all) => (all.iter())
            .filter_map(Value::as_object)
            .map(|id| (string(id, "role"), string(id, "value")))
            .collect(),
        Value::Object(all) => (all.iter())
            .map(|(role, id)| (role.clone(), id.as_str().unwrap_or_default().to_owned()))
            .collect(),
        _ => return Err("altIds is no list".to_owned()),
    };
    let is_own = |role: &str| (ALTERNATIVE_IDS.iter()).any(|own| own.to_lowercase() == role);
    let foreign = |(role, _): &(String, String)| !is_own(&role.to_lowercase());
    if pairs.iter().any(foreign) {
        item.losses.count("altIds");
    }
    Ok(pairs)
}

/// The uid of a record that Dateline exported as this item; `None` for items of other publishers.
fn own_uid(ids: &[(String, String)], uri: &str, slugline: &str) -> Option<String> {
    let (_, id) = uri.rsplit_once("/articles/")?;
    let is_own = id == slugline && Name::parse(&format!("articles/{id}")).is_some();
    let uid = ids.iter().find(|(role, _)| role == UID);
    uid.map(|(_, uid)| uid.clone())
        .filter(|uid| is_own && uuid::Uuid::parse_str(uid).is_ok())
}

/// The record's own name if the item comes from a Dateline export. Otherwise a name derived from the URI alone, so that
/// every version of an item has the same name whatever its headline.
fn name(uri: &str, is_own: bool) -> String {
    if let Some((_, id)) = uri.rsplit_once("/articles/").filter(|_| is_own) {
        return format!("articles/{id}");
    }
    let said = ["https://", "http://", "urn:newsml:", "urn:", "tag:", "www."]
        .into_iter()
        .fold(uri, |rest, formal| {
            rest.strip_prefix(formal).unwrap_or(rest)
        });
    let words = said.replace(|found: char| !found.is_alphanumeric(), " ");
    format!("articles/{}-{}", slug_or_item(&words), &hash(uri)[..16])
}

/// The name that earlier releases gave to an item, derived from the headline.
fn earlier_name(uri: &str, headline: &str) -> String {
    format!("articles/{}-{}", slug_or_item(headline), &hash(uri)[..10])
}

fn hash(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

fn slug_or_item(text: &str) -> String {
    match slug(text, 46) {
        none if none.is_empty() => "item".to_owned(),
        slug => slug,
    }
}

/// A text as part of an id; empty if no character of it can be represented.
fn slug(text: &str, most: usize) -> String {
    let name = propose_name(text);
    let id: String = name
        .trim_start_matches("articles/")
        .chars()
        .take(most)
        .collect();
    id.trim_end_matches('-').to_owned()
}

fn bylines(item: &mut Item<'_>) -> Result<Vec<Byline>, String> {
    let (by, byline) = (item.text("by")?, item.text("byline")?);
    let names = byline_names(if by.is_empty() { &byline } else { &by });
    let byline = |display_name| Byline {
        display_name,
        ..Byline::default()
    };
    Ok(names.into_iter().map(byline).collect())
}

fn sources(item: &mut Item<'_>) -> Result<Vec<SourceCredit>, String> {
    let mut all = item.list("infosources")?;
    all.extend(item.list("infosource")?);
    let mut credits: Vec<SourceCredit> = Vec::new();
    for source in all {
        let (name, uri) = (string(&source, "name"), string(&source, "uri"));
        let words = [name, string(&source, "literal"), string(&source, "code")];
        let Some(display_name) = words.into_iter().find(|word| !word.is_empty()) else {
            item.losses.count("infoSources without a name");
            continue;
        };
        for field in ["role", "rel", "contactinfo"] {
            if source.get(field).is_some_and(|value| !value.is_null()) {
                item.losses.count(&format!("infoSources.{field}"));
            }
        }
        if credits
            .iter()
            .any(|credit| credit.display_name == display_name)
        {
            item.losses.count("infoSources named twice");
            continue;
        }
        credits.push(SourceCredit {
            display_name,
            url: if uri.starts_with("http") {
                uri
            } else {
                String::new()
            },
            ..SourceCredit::default()
        });
    }
    Ok(credits)
}

fn topics(item: &mut Item<'_>, is_own: bool) -> Result<Vec<Topic>, String> {
    let mut all = item.list("subjects")?;
    all.extend(item.list("subject")?);
    let mut topics: Vec<Topic> = Vec::new();
    for subject in all {
        let word = |field: &str| string(&subject, field);
        let number = media_topic(&word("uri"), &word("scheme"), &word("code"));
        let code = number
            .as_ref()
            .map(|number| format!("{MEDIA_TOPIC_PREFIX}{number}"));
        let other = [word("literal"), word("code"), word("uri")];
        let other = other.into_iter().find(|word| !word.is_empty());
        let label = [
            word("name"),
            code.clone().unwrap_or_default(),
            other.clone().unwrap_or_default(),
        ];
        let Some(label) = label.into_iter().find(|label| !label.is_empty()) else {
            item.losses.count("subjects without name or code");
            continue;
        };
        let own = Some(word("literal")).filter(|id| is_own && is_topic_id(id));
        let id = own.unwrap_or_else(|| topic_id(&word("name"), number.as_deref(), &label));
        let topic = Topic {
            id: distinct(id, &label, &topics),
            label,
            code: code.unwrap_or_default(),
            ..Topic::default()
        };
        let is_there = |known: &Topic| known.label == topic.label && known.code == topic.code;
        if topics.iter().any(is_there) {
            item.losses.count("subjects named twice");
            continue;
        }
        let has_other_code =
            topic.code.is_empty() && other.is_some_and(|other| other != topic.label);
        if has_other_code && !is_own {
            item.losses.count("subjects: codes of other schemes");
        }
        topics.push(topic);
    }
    Ok(topics)
}

fn media_topic(uri: &str, scheme: &str, code: &str) -> Option<String> {
    let of_uri = uri
        .split_once(MEDIA_TOPICS)
        .map(|(_, rest)| rest.trim_matches('/'));
    let of_qcode = [uri, code]
        .into_iter()
        .find_map(|code| code.strip_prefix(MEDIA_TOPIC_PREFIX));
    let of_scheme = Some(code).filter(|_| scheme.contains(MEDIA_TOPICS) || scheme == "medtop");
    let number = of_uri.or(of_qcode).or(of_scheme)?;
    let is_code = |found: char| found.is_ascii_alphanumeric();
    (!number.is_empty() && number.chars().all(is_code)).then(|| number.to_owned())
}

fn is_topic_id(id: &str) -> bool {
    Name::parse(&format!("articles/{id}")).is_some()
}

fn topic_id(name: &str, number: Option<&str>, label: &str) -> String {
    let of_name = match slug(name, 63) {
        none if none.is_empty() => number.map(|number| format!("medtop-{number}")),
        id => Some(id),
    };
    of_name.unwrap_or_else(|| match slug(label, 63) {
        none if none.is_empty() => format!("subject-{}", &hash(label)[..10]),
        id => id,
    })
}

/// The id, or a longer one if another label has it: labels that differ may be transliterated alike.
fn distinct(id: String, label: &str, topics: &[Topic]) -> String {
    if topics.iter().all(|topic| topic.id != id) {
        return id;
    }
    let short: String = id.chars().take(52).collect();
    format!("{}-{}", short.trim_end_matches('-'), &hash(label)[..10])
}

impl Item<'_> {
    fn lose_the_rest(&mut self) {
        let rest: Vec<_> = self
            .keys()
            .filter(|(folded, _)| self.has(folded) && !FORMAL.contains(folded))
            .map(|(_, key)| key.to_owned())
            .collect();
        for key in rest {
            self.losses.count(&key);
        }
    }
}

#[cfg(test)]
#[path = "item_tests.rs"]
mod tests;
