//! An article as a `NewsArticle`.

use std::collections::BTreeSet;

use dateline_proto::v1::{Article, Byline, Correction, Mention, RecordMeta, SourceCredit, State};
use serde_json::{Value, json};

use super::{SchemaOrg, class, texts};
use crate::export::format::{Losses, Referents, dates::exact, documents::Object};

/// The fields that the node expresses.
pub(super) const MAPPED_FIELDS: &[&str] = &[
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
        referents: &Referents,
        losses: &mut Losses,
    ) -> Object {
        let meta = article.meta.clone().unwrap_or_default();
        let mut authors = Vec::new();
        for byline in &article.bylines {
            authors.push(self.author(byline, referents, losses));
        }
        let mut citations = Vec::new();
        for source in &article.sources {
            citations.push(self.citation(source, referents, losses));
        }
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
            .set(
                "publisher",
                self.publisher(&article.publisher, referents, losses),
            )
            .set("author", authors)
            .set("citation", citations)
            .set(
                "mentions",
                self.mentions(&article.mentions, referents, losses),
            )
            .set(
                "datePublished",
                exact(article.published.as_ref(), "articles.published", losses),
            )
            .with_meta(&meta)
    }

    fn publisher(&self, name: &str, referents: &Referents, losses: &mut Losses) -> Object {
        let Some((record, known)) = referents.actor(name) else {
            losses.add("articles.publisher", u64::from(!name.is_empty()));
            return Object::default();
        };
        self.node(Some(class(known.r#type)), record)
            .set("name", known.display_name.as_ref())
    }

    /// An author. Most are persons, but the text does not state it.
    fn author(&self, byline: &Byline, referents: &Referents, losses: &mut Losses) -> Value {
        let field = "articles.bylines.actor";
        let (_, author) = self.agent(&byline.actor, field, referents, losses);
        author.set("name", byline.display_name.as_str()).into()
    }

    fn citation(&self, source: &SourceCredit, referents: &Referents, losses: &mut Losses) -> Value {
        let field = "articles.sources.actor";
        let (class, publisher) = self.agent(&source.actor, field, referents, losses);
        let class = if class == Some("Person") {
            "Person"
        } else {
            "Organization"
        };
        Object::default()
            .set("@type", "CreativeWork")
            .set("url", source.url.as_str())
            .set(
                "publisher",
                publisher
                    .set("@type", class)
                    .set("name", source.display_name.as_str()),
            )
            .into()
    }

    /// The records that the text mentions, each once, in the order of the first mention.
    fn mentions(
        &self,
        mentions: &[Mention],
        referents: &Referents,
        losses: &mut Losses,
    ) -> Vec<Value> {
        let (mut seen, mut nodes) = (BTreeSet::new(), Vec::new());
        for mention in mentions.iter().filter(|mention| !mention.target.is_empty()) {
            let Some(target) = referents.record(&mention.target) else {
                losses.add("articles.mentions.target", 1);
                continue;
            };
            if !seen.insert(target) {
                continue;
            }
            let printed = mention.span.as_ref().map_or("", |span| span.exact.as_str());
            let known = referents.actor(&mention.target).map(|(_, known)| known);
            let class = known.map_or("Event", |known| class(known.r#type));
            let name = known.map_or(printed, |known| known.display_name.as_ref());
            nodes.push(self.node(Some(class), target).set("name", name).into());
        }
        nodes
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
