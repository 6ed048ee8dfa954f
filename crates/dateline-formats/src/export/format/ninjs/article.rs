//! An article as a text item.

use std::collections::{BTreeMap, BTreeSet};

use dateline_proto::v1::{Article, Mention, State, actor::Type};
use serde_json::{Value, json};

use super::{Ninjs, Object, alternative_id, list_of, region, time, with_meta_fields};
use crate::{
    export::format::{Losses, Referents},
    ninjs,
};

/// The fields that the item expresses.
pub(super) const MAPPED_FIELDS: &[&str] = with_meta_fields![
    "headline",
    "body",
    "language_code",
    "summary",
    "publisher",
    "bylines.display_name",
    "source_url",
    "sources.display_name",
    "sources.actor",
    "topics.id",
    "topics.label",
    "topics.code",
    "mentions.target",
    "usage_terms",
    "original_sha256",
    "source_item.uri",
    "source_item.version",
    "source_item.embargo_time",
    "source_item.status",
];

impl Ninjs {
    pub(super) fn article(
        &self,
        article: &Article,
        referents: &Referents,
        losses: &mut Losses,
    ) -> Object {
        let meta = article.meta.clone().unwrap_or_default();
        let source = article.source_item.clone().unwrap_or_default();
        let bylines = article
            .bylines
            .iter()
            .map(|byline| byline.display_name.as_str());
        let subject = |topic| Self::subject(topic, "articles.topics", losses);
        let subjects: Vec<_> = article.topics.iter().map(subject).collect();
        let ids = [
            alternative_id(ninjs::UID, &meta.uid),
            alternative_id(ninjs::ORIGINAL_SHA256, &article.original_sha256),
            alternative_id(ninjs::SOURCE_URL, &article.source_url),
            alternative_id(ninjs::SOURCE_ITEM, &source.uri),
            alternative_id(ninjs::SOURCE_ITEM_VERSION, &source.version),
        ];
        // The embargo of the source counts only until the article is published.
        let is_open = meta.state() == State::Published;
        let embargo = meta
            .embargo_time
            .or(source.embargo_time.filter(|_| !is_open));
        let item = self
            .item(&article.name, &meta, losses)
            .set("embargoedUntil", time(embargo))
            .set("type", "text")
            .set("language", article.language_code.as_str())
            .set("title", article.headline.as_str())
            .set("headlines", text("main", &article.headline))
            .set("descriptions", text("summary", &article.summary))
            .set("bodies", body(&article.body))
            .set("by", bylines.collect::<Vec<_>>().join(", "))
            .set("usageTerms", article.usage_terms.as_str())
            .set("subjects", subjects)
            .set("infoSources", self.sources(article, referents, losses))
            .set("altIds", ids.into_iter().flatten().collect::<Vec<_>>());
        let named = self.named(article, referents, losses);
        named
            .into_iter()
            .fold(item, |item, (list, of)| item.set(list, of))
    }

    /// The credited sources, and the publisher.
    fn sources(&self, article: &Article, referents: &Referents, losses: &mut Losses) -> Vec<Value> {
        let mut sources: Vec<Value> = Vec::new();
        for source in &article.sources {
            let actor = referents.actor(&source.actor).map(|(actor, _)| actor);
            let is_lost = actor.is_none() && !source.actor.is_empty();
            losses.add("articles.sources.actor", u64::from(is_lost));
            losses.add("articles.sources.url", u64::from(!source.url.is_empty()));
            let credit = Object::default()
                .set("name", source.display_name.as_str())
                .set("uri", actor.map(|actor| self.uri(actor)))
                .set("role", "contentOriginator");
            sources.push(credit.into());
        }
        match referents.actor(&article.publisher) {
            Some((actor, known)) => {
                let publisher = Object::default()
                    .set("name", known.display_name.as_ref())
                    .set("uri", self.uri(actor))
                    .set("role", "publisher");
                sources.push(publisher.into());
            }
            None => losses.add(
                "articles.publisher",
                u64::from(!article.publisher.is_empty()),
            ),
        }
        sources
    }

    /// The records that the text mentions, each once, in the order of the first mention, by their list in the item.
    fn named(
        &self,
        article: &Article,
        referents: &Referents,
        losses: &mut Losses,
    ) -> BTreeMap<&'static str, Vec<Value>> {
        let mut named: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for mention in article
            .mentions
            .iter()
            .filter(|mention| !mention.target.is_empty())
        {
            match self.mentioned(mention, referents) {
                None => losses.add("articles.mentions.target", 1),
                Some((target, list, entry)) if seen.insert(target) => {
                    named.entry(list).or_default().push(entry);
                }
                Some(_) => {}
            }
        }
        named
    }

    /// The mentioned record, its list in the item, and the entry for that list.
    fn mentioned<'a>(
        &self,
        mention: &'a Mention,
        referents: &'a Referents,
    ) -> Option<(&'a str, &'static str, Value)> {
        let target = referents.record_or_tombstone(&mention.target)?;
        let entry = Object::default()
            .set("uri", self.uri(target))
            .set("rel", "mentions");
        if target.starts_with("events/") {
            let printed = mention.span.as_ref().map(|span| span.exact.as_str());
            let entry = entry.set("id", target).set("name", printed);
            return Some((target, "events", entry.into()));
        }
        let (_, known) = referents.actor(&mention.target)?;
        let place = region(&known.region_code).filter(|_| known.r#type == Type::State);
        let entry = entry
            .set("name", known.display_name.as_ref())
            .set("literal", place);
        Some((target, list_of(known)?, entry.into()))
    }
}

/// A list of one text; empty without text.
pub(super) fn text(role: &str, value: &str) -> Vec<Value> {
    if value.is_empty() {
        return Vec::new();
    }
    vec![json!({"role": role, "contentType": "text/plain", "value": value})]
}

fn body(value: &str) -> Vec<Value> {
    let mut bodies = text("main", value);
    for body in &mut bodies {
        body["charCount"] = value.chars().count().into();
        body["wordCount"] = value.split_whitespace().count().into();
    }
    bodies
}
