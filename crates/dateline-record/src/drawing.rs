//! What is drawn from a record for finding it again: facets, references, days, search text. One walk for
//! every kind; the schema says which field is what.

use std::collections::BTreeSet;

use dateline_proto::v1::{FuzzyDate, Period, State, record::Kind as Body};

use super::{
    edtf::{self, Bounds},
    name::{Name, collection, kind_word},
    text,
    walk::{Format, Node, Path, Rules, Visitor, Walk},
};

/// Most bytes of search text per record.
const MAX_SEARCH_BYTES: usize = 8 * 1024;
/// No name and no field for people is longer, in bytes. Edits are drawn from before they are checked, while other
/// writers wait: what is longer is refused later, and folding it would take long.
const LONGEST_BYTES: usize = 64 * 1024;

/// What a record says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drawing {
    /// Sorted facets, `dimension:value`.
    pub facets: Vec<String>,
    /// Which records it names, and where; sorted.
    pub references: BTreeSet<Reference>,
    /// The days on which it may have held or happened; `None` if nothing is known.
    pub days: Option<Bounds>,
    /// Folded words to search in, a line each.
    pub search: String,
    /// Sorted hashes of what it is called, as it looks to a reader: two records that share one may be the same.
    pub keys: Vec<i64>,
}

impl Drawing {
    /// The same drawing of the record in another state.
    #[must_use]
    pub fn in_state(&self, state: State) -> Self {
        let mut drawing = self.clone();
        drawing.facets.retain(|facet| !facet.starts_with(STATE));
        drawing
            .facets
            .push(format!("{STATE}{}", state_facet(state)));
        drawing.facets.sort_unstable();
        drawing
    }
}

/// How the facet of the state begins.
const STATE: &str = "state:";

/// Hashes of what a record is called. Kind and type are part of it, spaces are not; letters that look alike
/// are one.
fn keys(body: &Body) -> Vec<i64> {
    let class = format!(
        "{}:{}:",
        collection(body.kind()),
        body.type_word().unwrap_or_default()
    );
    let keys = body.called().into_iter();
    let keys = keys.filter(|name| !name.is_empty() && name.len() <= LONGEST_BYTES);
    let keys: BTreeSet<_> = keys
        .map(|name| {
            let joined = text::search_key(&name).replace(' ', "");
            let looks: String = unicode_security::skeleton(&joined).collect();
            let hash = blake3::hash(format!("{class}{looks}").as_bytes());
            let mut first = [0; 8];
            first.copy_from_slice(&hash.as_bytes()[..8]);
            i64::from_be_bytes(first)
        })
        .collect();
    keys.into_iter().collect()
}

/// One record naming another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// The record that is named.
    pub target: Name,
    /// The field that names it, without indexes: `evidence.article`.
    pub field: String,
}

/// Draws from a record in a state. The record is not changed.
#[must_use]
pub fn draw(body: &mut Body, state: State) -> Drawing {
    let mut pen = Pen::default();
    pen.facet("kind", kind_word(body.kind()));
    pen.facet("state", &state_facet(state));
    if let Some(name) =
        Name::parse(body.name()).filter(|name| name.kind() == dateline_proto::v1::Kind::Actor)
    {
        pen.facet("actor", name.as_str());
    }
    if let Some(word) = body.type_word() {
        pen.facet("type", &word);
    }
    body.walk(&mut Path::default(), &mut pen);
    Drawing {
        facets: pen.facets.into_iter().collect(),
        references: pen.references,
        days: pen.days,
        search: pen.search,
        keys: keys(body),
    }
}

/// `draft`, `in_review` … as facets and tables write it.
#[must_use]
pub fn state_facet(state: State) -> String {
    state
        .as_str_name()
        .trim_start_matches("STATE_")
        .to_ascii_lowercase()
}

#[derive(Default)]
struct Pen {
    facets: BTreeSet<String>,
    references: BTreeSet<Reference>,
    days: Option<Bounds>,
    search: String,
}

impl Pen {
    fn facet(&mut self, dimension: &str, value: &str) {
        self.facets.insert(format!("{dimension}:{value}"));
    }

    fn date(&mut self, bounds: Option<Bounds>) {
        self.days = match (self.days, bounds) {
            (Some(known), Some(more)) => Some(known.hull(more)),
            (known, more) => known.or(more),
        };
    }

    fn add_search(&mut self, at: &Path, rules: &Rules, value: &str) {
        let for_people = rules.format == Format::Unspecified
            && rules.pattern.is_none()
            && rules.refers_to.is_empty()
            && !rules.output_only
            && !matches!(
                at.top(),
                Some("body" | "evidence" | "mentions" | "name" | "codes" | "external_ids")
            );
        let has_room = self.search.len() < MAX_SEARCH_BYTES;
        if for_people && has_room && !value.is_empty() && value.len() <= LONGEST_BYTES {
            let key = text::search_key(value);
            if self.search.len() + key.len() < MAX_SEARCH_BYTES {
                if !self.search.is_empty() {
                    self.search.push('\n');
                }
                self.search.push_str(&key);
            }
        }
    }
}

impl Visitor for Pen {
    fn message(&mut self, at: &Path, node: Node<'_>) -> bool {
        // Only the record's own time counts: a date deeper inside tells of something else.
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
            if rules.facet == kind_word(target.kind()) {
                self.facet(rules.facet, target.as_str());
            }
            self.references.insert(Reference {
                target,
                field: at.template(),
            });
        } else if !rules.facet.is_empty() {
            self.facet(rules.facet, value);
        }
        self.add_search(at, rules, value);
    }
}

fn date_days(date: Option<&FuzzyDate>) -> Option<Bounds> {
    // Records are validated before anything is drawn from them; a date without use has no days.
    date.filter(|date| !date.edtf.is_empty())
        .and_then(|date| edtf::parse(&date.edtf).ok())
}

/// The days that the source attests: from the first day stated to the last, open at the end while it is
/// ongoing. An unknown end is not guessed: "joined in 1992" is found in 1992.
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
    fn in_another_state_it_is_drawn_as_if_it_had_always_been_in_that() {
        let mut event = lasting("1992", false);
        let published = draw(&mut event, State::Draft).in_state(State::Published);
        assert_eq!(published, draw(&mut event, State::Published));
    }

    #[test]
    fn what_is_ongoing_has_no_last_day_and_an_unknown_end_is_not_guessed() {
        let first = Some(date!(1992 - 01 - 01));
        for (ongoing, last) in [(true, None), (false, Some(date!(1992 - 12 - 31)))] {
            let days = draw(&mut lasting("1992", ongoing), State::Draft).days;
            assert_eq!(days, Some(Bounds::new(first, last)), "{ongoing}");
        }
    }
}
