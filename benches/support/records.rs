//! Records as editors send them, in any number and size: actors and events of the gold article under new names, with
//! more of its sentences as evidence.

use anyhow::{Context, Result};
use dateline_proto::v1::{Evidence, Record, TextSpan, record::Kind as Body, text_span::Part};
use prost::Message;

/// Record size in bytes above which sentences do not suffice: a record has 500 pieces of evidence at most.
const LARGE: usize = 100_000;
/// Maximum characters of a quote.
const QUOTE: usize = 2000;

/// A source of records.
pub struct Records {
    templates: Vec<Body>,
    /// Evidence for every sentence of the article, or for its passages.
    evidence: Vec<Evidence>,
    bytes: usize,
}

impl Records {
    /// A source of records of about `bytes` each, made of the gold records.
    pub fn new(gold: &[Record], bytes: usize) -> Result<Self> {
        let bodies = || gold.iter().filter_map(|record| record.kind.as_ref());
        let article = bodies().find_map(|body| match body {
            Body::Article(article) => Some(article),
            _ => None,
        });
        let article = article.context("the gold records hold an article")?;
        let is_wanted = |body: &&Body| matches!(body, Body::Actor(_) | Body::Event(_));
        let templates = bodies().filter(is_wanted).cloned().map(|mut body| {
            body.take_meta();
            body
        });
        let quotes: Vec<_> = if bytes > LARGE {
            passages(&article.body).collect()
        } else {
            sentences(&article.body).collect()
        };
        let evidence = quotes
            .into_iter()
            .map(|quote| evidence(&article.name, quote));
        Ok(Self {
            templates: templates.collect(),
            evidence: evidence.collect(),
            bytes,
        })
    }

    /// The record of this number; each number has another name.
    pub fn nth(&self, number: usize) -> Record {
        let mut body = self.templates[number % self.templates.len()].clone();
        rename(&mut body, number);
        let mut missing = self.bytes.saturating_sub(body.encoded_len());
        let more = self
            .evidence
            .iter()
            .cycle()
            .skip(number)
            .take_while(|next| {
                let fits = missing > 0;
                missing = missing.saturating_sub(next.encoded_len());
                fits
            });
        match &mut body {
            Body::Actor(actor) => actor.evidence.extend(more.cloned()),
            Body::Event(event) => event.evidence.extend(more.cloned()),
            Body::Article(_) | Body::Relation(_) => {}
        }
        Record { kind: Some(body) }
    }
}

fn rename(body: &mut Body, number: usize) {
    let (name, display_name) = match body {
        Body::Actor(actor) => (&mut actor.name, &mut actor.display_name),
        Body::Event(event) => (&mut event.name, &mut event.display_name),
        Body::Article(_) | Body::Relation(_) => return,
    };
    // The longest id has 63 characters; the number needs up to 9 of them.
    let stem: String = name.chars().take(48).collect();
    *name = format!("{}-{number}", stem.trim_end_matches('-'));
    *display_name = format!("{display_name} {number}");
}

fn evidence(article: &str, quote: TextSpan) -> Evidence {
    Evidence {
        article: article.to_owned(),
        article_revision: 1,
        quote: Some(quote),
        supports: vec!["display_name".to_owned()],
        modality: dateline_proto::v1::evidence::Modality::Asserted.into(),
        ..Evidence::default()
    }
}

/// Quotes of maximum length, from various offsets.
fn passages(text: &str) -> impl Iterator<Item = TextSpan> {
    let all: Vec<char> = text.chars().collect();
    let last = all.len().saturating_sub(QUOTE);
    (0..=last).step_by(7).filter_map(move |start| {
        let end = (start + QUOTE).min(all.len());
        let has_edges = all[start].is_alphanumeric() && all[end - 1].is_alphanumeric();
        has_edges.then(|| TextSpan {
            part: Part::Body.into(),
            start: i32::try_from(start).unwrap_or(i32::MAX),
            end: i32::try_from(end).unwrap_or(i32::MAX),
            exact: all[start..end].iter().collect(),
            ..TextSpan::default()
        })
    })
}

/// The sentences of a text, with their positions in characters.
fn sentences(text: &str) -> impl Iterator<Item = TextSpan> {
    let mut start = 0;
    text.split_inclusive(['.', '\n']).filter_map(move |piece| {
        let (begin, length) = (start, piece.chars().count());
        start += length;
        let exact = piece.trim();
        let lead = piece.chars().take_while(|c| c.is_whitespace()).count();
        let begin = begin + lead;
        let is_long = exact.len() > 60;
        is_long.then(|| TextSpan {
            part: Part::Body.into(),
            start: i32::try_from(begin).unwrap_or(i32::MAX),
            end: i32::try_from(begin + exact.chars().count()).unwrap_or(i32::MAX),
            exact: exact.to_owned(),
            ..TextSpan::default()
        })
    })
}
