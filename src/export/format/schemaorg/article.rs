//! An article as a `NewsArticle`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{SchemaOrg, class, class_of_agent, texts};
use crate::{
    export::format::{Actors, Losses, dates::exact, documents::Object},
    proto::v1::{Article, Byline, Correction, Mention, RecordMeta, SourceCredit, State},
};

/// The fields that the node says.
pub(super) const SAID: &[&str] = &[
    "name",
    "meta.uid",
    "meta.state",
    "meta.revision",
    "meta.create_time",
    "meta.update_time",
    "meta.corrections.note",
    "meta.corrections.time",
    "headline",
    "body",
    "language_code",
    "summary",
    "publisher",
    "bylines.display_name",
    "bylines.actor",
    "published.edtf",
    "published.earliest",
    "published.latest",
    "source_url",
    "sources.display_name",
    "sources.actor",
    "sources.url",
    "topics.label",
    "mentions.target",
    "usage_terms",
];

impl SchemaOrg {
    pub(super) fn article(
        &self,
        article: &Article,
        actors: &Actors,
        losses: &mut Losses,
    ) -> Object {
        let meta = article.meta.clone().unwrap_or_default();
        let authors = article
            .bylines
            .iter()
            .map(|byline| self.author(byline, actors));
        let citations = article
            .sources
            .iter()
            .map(|source| self.citation(source, actors));
        self.node(Some("NewsArticle"), &article.name)
            .set("headline", article.headline.as_str())
            .set("articleBody", article.body.as_str())
            .set("inLanguage", article.language_code.as_str())
            .set("abstract", article.summary.as_str())
            .set("url", article.source_url.as_str())
            .set("usageInfo", article.usage_terms.as_str())
            .set(
                "keywords",
                texts(article.topics.iter().map(|topic| &topic.label)),
            )
            .set("publisher", self.publisher(&article.publisher, actors))
            .set("author", authors.collect::<Vec<_>>())
            .set("citation", citations.collect::<Vec<_>>())
            .set("mentions", self.mentions(&article.mentions, actors))
            .set(
                "datePublished",
                exact(article.published.as_ref(), "articles.published", losses),
            )
            .with_meta(&meta)
    }

    fn publisher(&self, name: &str, actors: &Actors) -> Object {
        if name.is_empty() {
            return Object::default();
        }
        let known = actors.get(name);
        self.node(known.map(|known| class(known.r#type)), name)
            .set("name", known.map(|known| known.display_name.as_ref()))
    }

    /// Persons mostly, but a text does not say so.
    fn author(&self, byline: &Byline, actors: &Actors) -> Value {
        let class = class_of_agent(&byline.actor, actors);
        let author = self.node(class, &byline.actor);
        author.set("name", byline.display_name.as_str()).into()
    }

    fn citation(&self, source: &SourceCredit, actors: &Actors) -> Value {
        let class = match class_of_agent(&source.actor, actors) {
            Some("Person") => "Person",
            _ => "Organization",
        };
        let publisher = self.node(Some(class), &source.actor);
        Object::default()
            .set("@type", "CreativeWork")
            .set("url", source.url.as_str())
            .set(
                "publisher",
                publisher.set("name", source.display_name.as_str()),
            )
            .into()
    }

    /// Whom and what the text names, each once, in the order of the first mention.
    fn mentions(&self, mentions: &[Mention], actors: &Actors) -> Vec<Value> {
        let mut seen = BTreeSet::new();
        let first =
            |mention: &&Mention| !mention.target.is_empty() && seen.insert(mention.target.clone());
        let first: Vec<_> = mentions.iter().filter(first).collect();
        let node = |mention: &Mention| {
            let target = mention.target.as_str();
            let printed = mention.span.as_ref().map_or("", |span| span.exact.as_str());
            let known = actors.get(target);
            let event = target.starts_with("events/").then_some("Event");
            let class = known.map(|known| class(known.r#type)).or(event);
            let name = known.map_or(printed, |known| known.display_name.as_ref());
            self.node(class, target).set("name", name).into()
        };
        first.into_iter().map(node).collect()
    }
}

impl Object {
    fn with_meta(self, meta: &RecordMeta) -> Self {
        let version = (meta.revision > 0).then(|| meta.revision.to_string());
        let corrections: Vec<_> = meta.corrections.iter().map(correction).collect();
        self.set("identifier", meta.uid.as_str())
            .set("version", version)
            .set(
                "sdDatePublished",
                meta.create_time.map(|time| time.to_string()),
            )
            .set(
                "dateModified",
                meta.update_time.map(|time| time.to_string()),
            )
            .set("creativeWorkStatus", status(meta.state()))
            .set("correction", corrections)
    }
}

fn correction(correction: &Correction) -> Value {
    let time = correction.time.map(|time| time.to_string());
    json!({"@type": "CorrectionComment", "text": correction.note, "datePublished": time})
}

fn status(state: State) -> Option<&'static str> {
    match state {
        State::Unspecified => None,
        State::Draft => Some("Draft"),
        State::InReview => Some("Pending"),
        State::Embargoed => Some("Embargoed"),
        State::Published => Some("Published"),
        State::Retracted | State::Merged => Some("Obsolete"),
    }
}
