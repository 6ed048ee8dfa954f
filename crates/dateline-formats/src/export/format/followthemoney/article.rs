//! An article as entities: the text, its credited sources, and its mentions of actors.

use std::collections::BTreeSet;

use dateline_proto::v1::{Article, Kind, Mention};
use dateline_record::text::is_blank;
use isolang::Language;
use prost_types::Timestamp;

use super::{
    Entity, id, schema,
    values::{is_language, is_url},
};
use crate::export::format::{Losses, Referents};

/// The fields that the entities express.
pub(super) const MAPPED_FIELDS: &[&str] = &[
    "name",
    "meta.update_time",
    "headline",
    "body",
    "language_code",
    "summary",
    "publisher",
    "bylines.display_name",
    "published.edtf",
    "published.earliest",
    "published.latest",
    "source_url",
    "sources.display_name",
    "sources.actor",
    "topics.label",
    "mentions.target",
    "mentions.span.exact",
];

pub(super) fn article(
    article: &Article,
    referents: &Referents,
    losses: &mut Losses,
) -> Vec<Entity> {
    let mut entities = vec![text(article, referents)];
    entities.extend(credits(article, referents, losses));
    for (position, mention) in article.mentions.iter().enumerate() {
        match named(&article.name, position, mention, referents) {
            Some(entity) => entities.push(entity),
            None => losses.add("articles.mentions", 1),
        }
    }
    entities
}

fn new(schema: &'static str, id: String) -> Entity {
    Entity::new(schema, Kind::Article, id)
}

fn text(article: &Article, referents: &Referents) -> Entity {
    let topics = article.topics.iter().map(|topic| &topic.label);
    let authors = article.bylines.iter().map(|byline| &byline.display_name);
    let mut entity = new("Article", id(&article.name))
        .add("title", "headline", &article.headline)
        .add("bodyText", "body", &article.body)
        .add("summary", "summary", &article.summary)
        .add_all("author", "bylines.display_name", authors)
        .add_if(is_url, "sourceUrl", "source_url", &article.source_url)
        .add_all("keywords", "topics.label", topics)
        .date("date", "published", article.published.as_ref());
    entity = language(entity, &article.language_code);
    entity = modified(entity, article);
    match referents.actor(&article.publisher) {
        Some((_, publisher)) => {
            entity = entity.add("publisher", "publisher", publisher.display_name.as_ref());
        }
        None if article.publisher.is_empty() => {}
        None => entity.lose("publisher"),
    }
    if article.body.is_empty() {
        return entity;
    }
    let (_, file) = article.name.split_once('/').unwrap_or_default();
    entity
        .add("fileName", "name", format!("{file}.txt"))
        .add("mimeType", "name", "text/plain")
}

/// Adds the ISO 639-3 code of a language tag. Other subtags, and languages that the model does not have, are counted as
/// losses.
fn language(mut entity: Entity, tag: &str) -> Entity {
    let primary = tag.split('-').next().unwrap_or_default();
    let language = Language::from_639_1(primary).or_else(|| Language::from_639_3(primary));
    let code = language.map(|known| known.to_639_3());
    let code = code.map(|code| match code {
        // The model has one code for both written forms.
        "nob" | "nno" => "nor",
        code => code,
    });
    let is_cut = primary != tag || language.is_some_and(|it| Some(it.to_639_3()) != code);
    if let Some(code) = code.filter(|code| is_language(code)) {
        if is_cut {
            entity.lose("language_code");
        }
        return entity.add("language", "language_code", code);
    }
    if !tag.is_empty() {
        entity.lose("language_code");
    }
    entity
}

/// Adds the time of the last update to the minute, the precision of the model's dates.
fn modified(mut entity: Entity, article: &Article) -> Entity {
    let time = article.meta.as_ref().and_then(|meta| meta.update_time);
    let Some(time) = time else {
        return entity;
    };
    let second = time.seconds.rem_euclid(60);
    if second != 0 || time.nanos != 0 {
        entity.lose("meta.update_time");
    }
    let minute = Timestamp {
        seconds: time.seconds - second,
        nanos: 0,
    };
    let minute = minute.to_string();
    entity.add(
        "modifiedAt",
        "meta.update_time",
        minute.trim_end_matches(":00Z"),
    )
}

/// Credited sources that are actors, each once; other sources have no entity to refer to.
fn credits(article: &Article, referents: &Referents, losses: &mut Losses) -> Vec<Entity> {
    let (mut entities, mut told) = (Vec::new(), BTreeSet::new());
    for source in &article.sources {
        let record = referents.record(&source.actor);
        let Some((record, (_, actor))) = record.and_then(|it| Some((it, it.split_once('/')?)))
        else {
            losses.add("articles.sources", 1);
            continue;
        };
        if !told.insert(record) {
            continue;
        }
        let document = id(&article.name);
        let entity = new("Documentation", format!("{document}-src-{actor}"))
            .add("document", "name", document)
            .add_reference("entity", "sources.actor", &source.actor, referents)
            .add("role", "sources", "credited source");
        entities.push(entity);
    }
    entities
}

/// A mention of an actor; `resolved` cannot refer to events or unresolved mentions.
fn named(
    article: &str,
    position: usize,
    mention: &Mention,
    referents: &Referents,
) -> Option<Entity> {
    let (_, known) = referents.actor(&mention.target)?;
    let printed = mention.span.as_ref().map_or("", |span| span.exact.as_str());
    let name = if is_blank(printed) {
        known.display_name.as_ref()
    } else {
        printed
    };
    let document = id(article);
    Some(
        new("Mention", format!("{document}-m{position}"))
            .add("document", "name", document)
            .add_reference("resolved", "mentions.target", &mention.target, referents)
            .add("name", "mentions.span.exact", name)
            .add("detectedSchema", "mentions.target", schema(known.r#type)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_told_in_three_letters_and_what_is_cut_or_not_known_is_counted() {
        let mut losses = Losses::default();
        let told = ["en", "kk-Latn", "nb", "sah", "und", ""].map(|tag| {
            let told = language(new("Article", String::new()), tag).into_json(&mut losses);
            told["properties"]["language"][0]
                .as_str()
                .unwrap_or("")
                .to_owned()
        });
        assert_eq!(told, ["eng", "kaz", "nor", "", "", ""]);
        assert_eq!(losses.fields()["articles.language_code"], 4);
    }
}
