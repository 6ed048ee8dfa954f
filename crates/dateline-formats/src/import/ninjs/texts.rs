//! The texts of an item: selects headline, body and summary, and their formats. Role and type decide, never the
//! position alone.

use serde_json::Value;

use super::{
    super::{
        article_text::{one_line, tidy_layout},
        html_text::{self, has_markup},
    },
    fields::{Dialect, Item, string},
};

/// Maximum length of HTML that is parsed, in bytes: the limit of a record, with room for tags.
const MAX_HTML: usize = 4 * 1024 * 1024;

/// The parts of an article that are taken from texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextPart {
    Headline,
    Body,
    Summary,
}

impl TextPart {
    /// Name of the list in ninjs 2 and 3.
    fn list(self) -> &'static str {
        match self {
            Self::Headline => "headlines",
            Self::Body => "bodies",
            Self::Summary => "descriptions",
        }
    }

    /// Key in ninjs 1, alone or before an underscore.
    fn key(self) -> &'static str {
        match self {
            Self::Headline => "headline",
            Self::Body => "body",
            Self::Summary => "description",
        }
    }

    /// Preference of a role, best first; `None` if a text of that role belongs to another part.
    fn rank(self, role: &str) -> Option<u8> {
        let role = role.to_lowercase();
        let role = role.rsplit(['/', ':']).next().unwrap_or_default();
        let others: &[&str] = match self {
            Self::Headline => &[
                "slug",
                "slugline",
                "kicker",
                "sub",
                "subhead",
                "subheadline",
                "deck",
                "dek",
                "overline",
                "byline",
                "caption",
                "keyword",
                "keywords",
            ],
            Self::Body => &[
                "caption",
                "alt",
                "credit",
                "creditline",
                "byline",
                "summary",
                "abstract",
                "teaser",
                "note",
                "notes",
                "ednote",
                "slug",
                "headline",
                "title",
                "factbox",
                "sidebar",
                "quote",
                "infobox",
                "transcript",
                "shotlist",
                "contact",
            ],
            Self::Summary => &[
                "alt",
                "alttext",
                "caption",
                "credit",
                "creditline",
                "writer",
                "note",
                "notes",
                "ednote",
                "slug",
                "keywords",
                "shotlist",
                "storyline",
            ],
        };
        if others.contains(&role) {
            return None;
        }
        let preferred: &[&str] = match self {
            Self::Headline => &["headline", "title", "primary", "hl1", "text"],
            Self::Body => &[
                "text",
                "body",
                "article",
                "story",
                "full",
                "plain",
                "html",
                "xhtml",
                "html5",
                "richtext",
                "richhtml5",
            ],
            Self::Summary => &[
                "summary",
                "abstract",
                "description",
                "lead",
                "lede",
                "text",
                "teaser",
            ],
        };
        match role {
            "main" => Some(0),
            "" => Some(1),
            role if preferred.contains(&role) => Some(1),
            _ => Some(2),
        }
    }
}

/// Format of a text, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum TextKind {
    Plain,
    Html,
    /// A format that cannot be converted.
    Other,
}

/// A text of an item.
struct Candidate {
    role: String,
    /// The content type as written.
    content_type: String,
    value: String,
}

impl Candidate {
    fn kind(&self) -> TextKind {
        let media = self.content_type.split(';').next().unwrap_or_default();
        match media.trim().to_lowercase().as_str() {
            "" if has_markup(&self.value) => TextKind::Html,
            "" | "text" | "plain" | "text/plain" => TextKind::Plain,
            "html"
            | "text/html"
            | "text/html5"
            | "application/html"
            | "text/xhtml"
            | "application/xhtml+xml" => TextKind::Html,
            _ => TextKind::Other,
        }
    }
}

impl Item<'_> {
    /// The plain text of a part; empty if the item has none.
    ///
    /// # Errors
    /// If the item has texts for the part, but none of them is usable.
    pub(super) fn part(&mut self, part: TextPart, dialect: Dialect) -> Result<String, String> {
        let candidates = match dialect {
            Dialect::TwoOrThree => self.listed(part)?,
            Dialect::One => self.keyed(part)?,
        };
        let all: Vec<_> = candidates
            .into_iter()
            .filter(|candidate| !candidate.value.trim().is_empty())
            .collect();
        let ranked = |candidate: &Candidate| {
            let kind = Some(candidate.kind()).filter(|kind| *kind != TextKind::Other)?;
            Some((part.rank(&candidate.role)?, kind))
        };
        let best = (0..all.len())
            .filter_map(|index| Some((ranked(&all[index])?, index)))
            .min();
        let Some((_, best)) = best else {
            return match all.first() {
                // A summary is optional.
                Some(_) if part != TextPart::Summary => Err(not_taken(part, &all)),
                _ => {
                    for candidate in &all {
                        self.lose(part, candidate);
                    }
                    Ok(String::new())
                }
            };
        };
        let mut text = String::new();
        for (index, candidate) in all.iter().enumerate() {
            if index == best {
                text = self.plain(part, candidate)?;
            } else {
                self.lose(part, candidate);
            }
        }
        if text.is_empty() && part == TextPart::Body {
            return Err(not_taken(part, &all));
        }
        Ok(text)
    }

    fn listed(&mut self, part: TextPart) -> Result<Vec<Candidate>, String> {
        let all = self.list(part.list())?;
        let candidates = all.iter().enumerate().map(|(index, entry)| {
            let is_text = |field: &str| {
                entry
                    .get(field)
                    .is_none_or(|it| it.is_string() || it.is_null())
            };
            if !["value", "role", "contenttype"].into_iter().all(is_text) {
                return Err(format!(
                    "{}[{index}] has a value, role or contentType that is no string",
                    part.list()
                ));
            }
            Ok(Candidate {
                role: string(entry, "role"),
                content_type: string(entry, "contenttype"),
                value: string(entry, "value"),
            })
        });
        candidates.collect()
    }

    /// Collects keys such as `body_text` and `body_xhtml`: the suffix gives role and type.
    fn keyed(&mut self, part: TextPart) -> Result<Vec<Candidate>, String> {
        let beginning = format!("{}_", part.key());
        let keys: Vec<_> = self
            .keys()
            .filter(|(folded, _)| *folded == part.key() || folded.starts_with(&beginning))
            .map(|(folded, _)| folded.to_owned())
            .collect();
        let mut candidates = Vec::new();
        for key in keys {
            let value = match self.remove_with_key(&key) {
                None => continue,
                Some((_, Value::String(text))) => text,
                Some((key, _)) => return Err(format!("{key} is no string")),
            };
            let words = key.strip_prefix(&beginning).unwrap_or_default();
            let has = |word: &str| words.split('_').any(|found| found == word);
            let is_html = ["html", "xhtml", "html5", "richtext"].into_iter().any(has);
            let content_type = if is_html {
                "text/html"
            } else if ["nitf", "xml", "newsml"].into_iter().any(has) {
                "application/xml"
            } else if has("text") || has("plain") {
                "text/plain"
            } else {
                ""
            };
            let formal = |word: &&str| {
                !["text", "plain", "html", "xhtml", "html5", "richtext"].contains(word)
            };
            let role: Vec<_> = words.split('_').filter(formal).collect();
            candidates.push(Candidate {
                role: role.join("_"),
                content_type: content_type.to_owned(),
                value,
            });
        }
        Ok(candidates)
    }

    /// Counts an unused text by field and reason.
    fn lose(&mut self, part: TextPart, candidate: &Candidate) {
        let list = part.list();
        let field = match (candidate.kind(), part.rank(&candidate.role)) {
            (TextKind::Other, _) => format!("{list} as {}", candidate.content_type),
            (_, None) => format!("{list} of role {}", candidate.role),
            (TextKind::Html, _) if !candidate.content_type.is_empty() => {
                format!("{list} as {}", candidate.content_type)
            }
            _ => format!("{list}, but for the first"),
        };
        self.losses.count(&field);
    }

    fn plain(&mut self, part: TextPart, candidate: &Candidate) -> Result<String, String> {
        let text = if candidate.kind() == TextKind::Html {
            if candidate.value.len() > MAX_HTML {
                return Err(format!("{} has more HTML than can be read", part.list()));
            }
            let read = html_text::read(&candidate.value);
            let read = read.map_err(|error| format!("{} {error}", part.list()))?;
            for (element, times) in read.left_out {
                self.losses
                    .add(&format!("{}: {element}", part.list()), times);
            }
            read.text
        } else {
            candidate.value.clone()
        };
        Ok(match part {
            TextPart::Headline => one_line(&text),
            TextPart::Body | TextPart::Summary => tidy_layout(&text).trim().to_owned(),
        })
    }
}

fn not_taken(part: TextPart, all: &[Candidate]) -> String {
    let known = |candidate: &Candidate| {
        let role = match candidate.role.as_str() {
            "" => String::new(),
            role => format!("role {role}, "),
        };
        let kind = match candidate.content_type.as_str() {
            "" => "of no type",
            content_type => content_type,
        };
        format!("{role}{kind}")
    };
    let found: Vec<_> = all.iter().take(5).map(known).collect();
    format!(
        "has {} of which none can be taken ({}); plain text and HTML can",
        part.list(),
        found.join("; ")
    )
}
