//! Index terms of a record: facets, references, days and keys of likeness. One walk extracts them for every kind; the schema
//! marks the fields.

use std::{collections::BTreeSet, sync::LazyLock};

use dateline_proto::v1::{FuzzyDate, Period, State, record::Kind as Body};

use super::{
    edtf::{self, Bounds},
    name::{Name, collection, kind_label},
    text,
    walk::{Node, Path, Rules, Visitor, Walk},
};

/// Most bytes of a name of which a key is made; no name is longer. Edits are indexed before they are validated, while
/// other writers wait: a longer name is refused later, and folding it would take long.
const MAX_NAME_BYTES: usize = 64 * 1024;

/// The index terms of a record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexTerms {
    /// Sorted facets, `dimension:value`.
    pub facets: Vec<String>,
    /// The records that it names, with the naming fields; sorted.
    pub references: BTreeSet<FieldReference>,
    /// The days on which it may have held or happened; `None` if unknown.
    pub days: Option<Bounds>,
    /// Sorted hashes of its names as a reader sees them: two records that share one may describe the same thing.
    pub keys: Vec<i64>,
}

impl IndexTerms {
    /// The same index terms with another state.
    #[must_use]
    pub fn in_state(&self, state: State) -> Self {
        let mut terms = self.clone();
        terms
            .facets
            .retain(|facet| !facet.starts_with(STATE_PREFIX));
        terms
            .facets
            .push(format!("{STATE_PREFIX}{}", state_facet(state)));
        terms.facets.sort_unstable();
        terms
    }
}

/// Prefix of the facet of the state.
const STATE_PREFIX: &str = "state:";

/// Hashes of the names of a record, with its kind and type. Spaces are ignored; letters that look alike count as equal.
fn similarity_keys(body: &Body) -> Vec<i64> {
    let class = format!(
        "{}:{}:",
        collection(body.kind()),
        body.type_label().unwrap_or_default()
    );
    let keys = body.similarity_names().into_iter();
    let keys = keys.filter(|name| !name.is_empty() && name.len() <= MAX_NAME_BYTES);
    let keys: BTreeSet<_> = keys
        .map(|name| {
            let joined = text::search_key(&name).replace(' ', "");
            let looks = skeleton(&joined);
            let hash = blake3::hash(format!("{class}{looks}").as_bytes());
            let mut first = [0; 8];
            first.copy_from_slice(&hash.as_bytes()[..8]);
            i64::from_be_bytes(first)
        })
        .collect();
    keys.into_iter().collect()
}

/// Returns a text with letters that look alike replaced by one of them.
fn skeleton(text: &str) -> String {
    /// The skeleton of each ASCII character. None has marks that could be reordered or composed, so that of a text is
    /// one after the other.
    static OF_ASCII: LazyLock<Vec<String>> = LazyLock::new(|| {
        ('\0'..='\x7f')
            .map(|found| unicode_security::skeleton(&found.to_string()).collect())
            .collect()
    });
    if !text.is_ascii() {
        return unicode_security::skeleton(text).collect();
    }
    let bytes = text.bytes();
    bytes
        .filter_map(|byte| OF_ASCII.get(usize::from(byte)).map(String::as_str))
        .collect()
}

/// A reference from one record to another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldReference {
    /// Name of the other record.
    pub target: Name,
    /// The field with the reference, without indexes: `evidence.article`.
    pub field: String,
}

/// Extracts the index terms of a record in a state. The record is not changed.
#[must_use]
pub fn extract_terms(body: &mut Body, state: State) -> IndexTerms {
    let mut visitor = IndexVisitor::default();
    visitor.facet("kind", kind_label(body.kind()));
    visitor.facet("state", &state_facet(state));
    if let Some(name) =
        Name::parse(body.name()).filter(|name| name.kind() == dateline_proto::v1::Kind::Actor)
    {
        visitor.facet("actor", name.as_str());
    }
    if let Some(word) = body.type_label() {
        visitor.facet("type", &word);
    }
    body.walk(&mut Path::default(), &mut visitor);
    IndexTerms {
        facets: visitor.facets.into_iter().collect(),
        references: visitor.references,
        days: visitor.days,
        keys: similarity_keys(body),
    }
}

/// The state in facets and tables: `draft`, `in_review` …
#[must_use]
pub fn state_facet(state: State) -> String {
    state
        .as_str_name()
        .trim_start_matches("STATE_")
        .to_ascii_lowercase()
}

#[derive(Default)]
struct IndexVisitor {
    facets: BTreeSet<String>,
    references: BTreeSet<FieldReference>,
    days: Option<Bounds>,
}

impl IndexVisitor {
    fn facet(&mut self, dimension: &str, value: &str) {
        self.facets.insert(format!("{dimension}:{value}"));
    }

    fn date(&mut self, bounds: Option<Bounds>) {
        self.days = match (self.days, bounds) {
            (Some(known), Some(more)) => Some(known.hull(more)),
            (known, more) => known.or(more),
        };
    }
}

impl Visitor for IndexVisitor {
    fn message(&mut self, at: &Path, node: Node<'_>) -> bool {
        // Only the record's own time counts: deeper dates describe something else.
        if at.depth() == 1 {
            match node {
                Node::Period(period) => self.date(period_days(period)),
                Node::FuzzyDate(date) => self.date(date_days(Some(date))),
                _ => {}
            }
        }
        true
    }

    fn string(&mut self, at: &Path, rules: &Rules, value: &mut String) {
        if value.is_empty() {
            return;
        }
        if !rules.refers_to.is_empty()
            && let Some(target) = Name::parse(value)
        {
            if rules.facet == kind_label(target.kind()) {
                self.facet(rules.facet, target.as_str());
            }
            self.references.insert(FieldReference {
                target,
                field: at.template(),
            });
        } else if !rules.facet.is_empty() {
            self.facet(rules.facet, value);
        }
    }
}

fn date_days(date: Option<&FuzzyDate>) -> Option<Bounds> {
    // Records are validated before this; a date without EDTF has no days.
    date.filter(|date| !date.edtf.is_empty())
        .and_then(|date| edtf::parse(&date.edtf).ok())
}

/// The days that the source attests: from the first stated day to the last, without an end if ongoing. An unknown end
/// is not guessed: "joined in 1992" is found in 1992.
fn period_days(period: &Period) -> Option<Bounds> {
    let stated = [&period.start, &period.as_of, &period.end]
        .into_iter()
        .filter_map(|date| date_days(date.as_ref()))
        .reduce(Bounds::hull);
    stated.map(|days| {
        if period.ongoing {
            Bounds {
                latest: None,
                ..days
            }
        } else {
            days
        }
    })
}

#[cfg(test)]
mod tests {
    use time::macros::date;

    use super::*;
    use dateline_proto::v1::Event;

    fn lasting(edtf: &str, ongoing: bool) -> Body {
        let start = FuzzyDate {
            edtf: edtf.to_owned(),
            ..FuzzyDate::default()
        };
        Body::Event(Event {
            time: Some(Period {
                start: Some(start),
                ongoing,
                ..Period::default()
            }),
            ..Event::default()
        })
    }

    #[test]
    fn ascii_has_the_skeleton_of_any_text() {
        for first in '\0'..='\x7f' {
            for second in '\0'..='\x7f' {
                let text = format!("{first}{second}");
                let any: String = unicode_security::skeleton(&text).collect();
                assert_eq!(skeleton(&text), any, "{text:?}");
            }
        }
    }

    #[test]
    fn in_another_state_it_is_drawn_as_if_it_had_always_been_in_that() {
        let mut event = lasting("1992", false);
        let published = extract_terms(&mut event, State::Draft).in_state(State::Published);
        assert_eq!(published, extract_terms(&mut event, State::Published));
    }

    #[test]
    fn what_is_ongoing_has_no_last_day_and_an_unknown_end_is_not_guessed() {
        let first = Some(date!(1992 - 01 - 01));
        for (ongoing, last) in [(true, None), (false, Some(date!(1992 - 12 - 31)))] {
            let days = extract_terms(&mut lasting("1992", ongoing), State::Draft).days;
            assert_eq!(days, Some(Bounds::new(first, last)), "{ongoing}");
        }
    }
}
