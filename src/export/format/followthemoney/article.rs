//! An article as entities: the text, whom it credits, whom it names.

use isolang::Language;
use prost_types::Timestamp;

use super::{Entity, id, schema};
use crate::{
    export::format::{Actors, Losses, dates::cut},
    proto::v1::{Article, Mention},
};

/// The fields that the entities say.
pub(super) const SAID: &[&str] = &[
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

pub(super) fn article(article: &Article, actors: &Actors, losses: &mut Losses) -> Vec<Entity> {
    let mut entities = vec![text(article, actors, losses)];
    entities.extend(credits(article, losses));
    for (position, mention) in article.mentions.iter().enumerate() {
        match named(&article.name, position, mention, actors) {
            Some(entity) => entities.push(entity),
            None => losses.add("articles.mentions", 1),
        }
    }
    entities
}

fn text(article: &Article, actors: &Actors, losses: &mut Losses) -> Entity {
    let entity = Entity::new("Article", id(&article.name))
        .add("title", &article.headline)
        .add("bodyText", &article.body)
        .add("language", language(&article.language_code, losses))
        .add("summary", &article.summary)
        .add_all(
            "author",
            article.bylines.iter().map(|byline| &byline.display_name),
        )
        .add("sourceUrl", &article.source_url)
        .add_all("keywords", article.topics.iter().map(|topic| &topic.label))
        .add("modifiedAt", modified(article, losses))
        .add_some(
            "date",
            cut(article.published.as_ref(), "articles.published", losses),
        );
    let publisher = actors.get(&article.publisher);
    let entity = match publisher {
        Some(publisher) => entity.add("publisher", publisher.display_name.as_ref()),
        None => entity.add("publisher", &article.publisher),
    };
    if article.body.is_empty() {
        return entity;
    }
    let (_, file) = article.name.split_once('/').unwrap_or_default();
    entity
        .add("fileName", format!("{file}.txt"))
        .add("mimeType", "text/plain")
}

/// ISO 639-3 of a language tag: what else the tag says is lost.
fn language(tag: &str, losses: &mut Losses) -> String {
    let primary = tag.split('-').next().unwrap_or_default();
    let language = Language::from_639_1(primary).or_else(|| Language::from_639_3(primary));
    if !tag.is_empty() && (language.is_none() || primary != tag) {
        losses.add("articles.language_code", 1);
    }
    language
        .map(|known| known.to_639_3().to_owned())
        .unwrap_or_default()
}

/// To the minute: what the model's dates are written to.
fn modified(article: &Article, losses: &mut Losses) -> String {
    let time = article.meta.as_ref().and_then(|meta| meta.update_time);
    let Some(time) = time else {
        return String::new();
    };
    let second = time.seconds.rem_euclid(60);
    if second != 0 || time.nanos != 0 {
        losses.add("articles.meta.update_time", 1);
    }
    let minute = Timestamp {
        seconds: time.seconds - second,
        nanos: 0,
    };
    minute.to_string().trim_end_matches(":00Z").to_owned()
}

/// Sources that are actors; there is nothing to tie another one to.
fn credits(article: &Article, losses: &mut Losses) -> Vec<Entity> {
    let mut entities = Vec::new();
    for source in &article.sources {
        let Some((_, actor)) = source.actor.split_once('/') else {
            losses.add("articles.sources", 1);
            continue;
        };
        let document = id(&article.name);
        let entity = Entity::new("Documentation", format!("{document}-src-{actor}"))
            .add("document", document)
            .refer("entity", &source.actor)
            .add("role", "credited source");
        entities.push(entity);
    }
    entities
}

/// A mention of an actor; events and the unresolved are nothing that `resolved` may point to.
fn named(article: &str, position: usize, mention: &Mention, actors: &Actors) -> Option<Entity> {
    if !mention.target.starts_with("actors/") {
        return None;
    }
    let known = actors.get(&mention.target);
    let printed = mention.span.as_ref().map_or("", |span| span.exact.as_str());
    let shown = known.map_or(mention.target.as_str(), |known| known.display_name.as_ref());
    let name = if printed.is_empty() { shown } else { printed };
    let document = id(article);
    Some(
        Entity::new("Mention", format!("{document}-m{position}"))
            .add("document", document)
            .refer("resolved", &mention.target)
            .add("name", name)
            .add(
                "detectedSchema",
                known.map_or("", |known| schema(known.r#type)),
            ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_told_in_three_letters_and_what_is_cut_is_counted() {
        let mut losses = Losses::default();
        let told = ["en", "kk-Latn", "sah", "und"].map(|tag| language(tag, &mut losses));
        assert_eq!(told, ["eng", "kaz", "sah", "und"]);
        assert_eq!(losses.fields()["articles.language_code"], 1);
    }
}
