//! One filter for lists, streams and exports, over facets and days: OR within a dimension, AND between dimensions. The
//! SQL form uses array overlap (`store::list`).

use std::{collections::BTreeSet, sync::LazyLock};

use dateline_proto::{
    DESCRIPTORS,
    v1::{Kind, RecordFilter, record_filter::TimeRange},
};
use time::Date;

use super::{
    edtf::{self, Bounds},
    index::state_facet,
    name::kind_label,
    rules::{codes, language},
    text::quote_for_error,
    validate::validate,
    violation::Violation,
    walk::{Path, StringFormat},
};

/// Prefix of actor facets.
const ACTOR: &str = "actor:";

/// A checked filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Facets by filtered dimension; a record needs one of each.
    pub dimensions: Vec<Vec<String>>,
    /// Days that the record's own days have to overlap.
    pub days: Option<Bounds>,
    /// True if the filter names states.
    pub by_state: bool,
    /// Kinds of the scope, as facets: of other kinds nothing is sent, not even that something was erased.
    pub bounds: Option<Vec<String>>,
}

impl Filter {
    /// Checks a filter.
    ///
    /// # Errors
    /// Every violation, under the path `filter`.
    pub fn new(filter: Option<&RecordFilter>) -> Result<Self, Vec<Violation>> {
        let Some(filter) = filter else {
            return Ok(Self::default());
        };
        let mut filter = filter.clone();
        let mut at = Path::default();
        at.enter("filter");
        let mut violations = validate(&mut filter, &mut at);
        if violations.is_empty() {
            check_words(&mut filter, &mut violations);
        }
        let days = filter
            .time
            .as_ref()
            .map(|range| days(range, &mut violations));
        if !violations.is_empty() {
            return Err(violations);
        }
        Ok(Self {
            dimensions: dimensions(&filter),
            days,
            by_state: !filter.states.is_empty(),
            bounds: None,
        })
    }

    /// Adds a merged actor to a filter for the actor that it was merged into.
    pub fn follow_merge(&mut self, name: &str, into: &str) {
        let (name, into) = (actor_facet(name), actor_facet(into));
        let asked = self.dimensions.iter_mut();
        for dimension in asked.filter(|facets| facets.contains(&into)) {
            dimension.push(name.clone());
        }
    }

    /// Replaces the actors of the filter; nothing changes if it has none.
    #[must_use]
    pub fn with_actors(mut self, names: &[String]) -> Self {
        let facets = || names.iter().map(|name| actor_facet(name));
        let asked = self.dimensions.iter_mut();
        let actors = asked.filter(|facets| facets.iter().all(|facet| facet.starts_with(ACTOR)));
        for dimension in actors {
            *dimension = facets().collect();
        }
        self
    }

    /// Restricts the filter to the records of another one.
    #[must_use]
    pub fn within(mut self, bound: &Filter) -> Self {
        self.bounds = bound.kind_facets().cloned();
        self.dimensions.extend(bound.dimensions.iter().cloned());
        self
    }

    /// True if records of this kind can be sent.
    #[must_use]
    pub fn may_send_kind(&self, kind: Kind) -> bool {
        self.bounds.as_ref().is_none_or(|kinds| {
            let facet = format!("kind:{}", kind_label(kind));
            kinds.contains(&facet)
        })
    }

    fn kind_facets(&self) -> Option<&Vec<String>> {
        let mut dimensions = self.dimensions.iter();
        dimensions.find(|facets| facets.iter().all(|facet| facet.starts_with("kind:")))
    }

    /// Ranges of names of the filtered kinds, start inclusive, end exclusive; `None` if the filter has no kinds.
    #[must_use]
    pub fn name_ranges(&self) -> Option<Vec<(String, String)>> {
        let kinds = self.dimensions.iter().find_map(|facets| {
            let kinds = facets.iter().map(|facet| facet.strip_prefix("kind:"));
            kinds.collect::<Option<Vec<_>>>()
        })?;
        // '0' comes right after '/'.
        let ranges = kinds
            .iter()
            .map(|kind| (format!("{kind}s/"), format!("{kind}s0")));
        Some(ranges.collect())
    }

    /// True if every record matches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.dimensions.is_empty() && self.days.is_none()
    }

    /// True if a record with these facets and days matches.
    #[must_use]
    pub fn matches(&self, facets: &[String], days: Option<Bounds>) -> bool {
        self.dimensions.iter().all(|dimension| {
            dimension
                .iter()
                .any(|facet| facets.binary_search(facet).is_ok())
        }) && self
            .days
            .is_none_or(|range| days.is_some_and(|days| days.overlaps(range)))
    }
}

/// The facet of records that refer to an actor.
#[must_use]
pub fn actor_facet(name: &str) -> String {
    format!("{ACTOR}{name}")
}

fn dimensions(filter: &RecordFilter) -> Vec<Vec<String>> {
    let plain = |dimension: &str, values: &[String]| {
        values
            .iter()
            .map(|value| format!("{dimension}:{value}"))
            .collect()
    };
    [
        filter
            .kinds()
            .map(|kind| format!("kind:{}", kind_label(kind)))
            .collect(),
        filter
            .types
            .iter()
            .map(|name| format!("type:{}", name.to_ascii_lowercase()))
            .collect(),
        filter
            .states()
            .map(|state| format!("state:{}", state_facet(state)))
            .collect(),
        plain("actor", &filter.actors),
        plain("region", &filter.regions),
        plain("topic", &filter.topics),
        plain("lang", &filter.language_codes),
        plain("article", &filter.articles),
    ]
    .into_iter()
    .filter(|values: &Vec<String>| !values.is_empty())
    .collect()
}

/// Checks values of lists that are not part of the filter's schema. Otherwise an unknown value would match nothing and
/// look like an empty result.
fn check_words(filter: &mut RecordFilter, violations: &mut Vec<Violation>) {
    let mut add = |list: &str, index: usize, description: String| {
        violations.push(Violation::new(
            format!("filter.{list}[{index}]"),
            description,
        ));
    };
    for (index, word) in filter.types.iter().enumerate() {
        if !TYPES.contains(&word.to_ascii_lowercase()) {
            let what = format!(
                "{} is no type of an actor, relation or event; there are: {}",
                quote_for_error(word),
                TYPES
                    .iter()
                    .map(String::as_str)
                    .collect::<Vec<_>>()
                    .join(", ")
            );
            add("types", index, what);
        }
    }
    for (index, code) in filter.regions.iter().enumerate() {
        if let Err(what) = codes::region_or_subdivision(code) {
            add("regions", index, what);
        }
    }
    for (index, tag) in filter.language_codes.iter_mut().enumerate() {
        match codes::check(StringFormat::Language, tag) {
            Ok(()) => *tag = language::canonical(tag),
            Err(what) => add("language_codes", index, what),
        }
    }
}

/// Every type of every kind, as in facets. Read from the schema, so that new types are included.
static TYPES: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let record = DESCRIPTORS.get_message_by_name("dateline.v1.Record");
    let kinds = record
        .into_iter()
        .flat_map(|record| record.fields().collect::<Vec<_>>());
    let kinds = kinds.filter_map(|field| field.kind().as_message().cloned());
    kinds
        .flat_map(|kind| {
            kind.child_enums()
                .filter(|inner| inner.name() == "Type")
                .collect::<Vec<_>>()
        })
        .flat_map(|types| types.values().collect::<Vec<_>>())
        .filter(|value| value.number() != 0)
        .map(|value| {
            value
                .name()
                .trim_start_matches("TYPE_")
                .to_ascii_lowercase()
        })
        .collect()
});

fn days(range: &TimeRange, violations: &mut Vec<Violation>) -> Bounds {
    let mut day = |field: &str, text: &str| {
        read_day(text).unwrap_or_else(|what| {
            let field = format!("filter.time.{field}");
            if !violations.iter().any(|known| known.field == field) {
                violations.push(Violation::new(field, what));
            }
            None
        })
    };
    let bounds = Bounds::new(
        day("earliest", &range.earliest),
        day("latest", &range.latest),
    );
    if bounds.ends_before(bounds) {
        let what = "ends before it begins; exchange earliest and latest";
        violations.push(Violation::new("filter.time", what));
    }
    bounds
}

/// Parses a day in EDTF; `None` for no bound.
fn read_day(text: &str) -> Result<Option<Date>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    edtf::parse(text)
        .map(|bounds| bounds.earliest)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violations(filter: &RecordFilter) -> Vec<(String, String)> {
        let violations = Filter::new(Some(filter)).unwrap_err();
        violations
            .into_iter()
            .map(|violation| (violation.field, violation.description))
            .collect()
    }

    #[test]
    fn r6_a_filter_by_what_no_record_can_have_is_refused() {
        let filter = RecordFilter {
            types: vec!["person".into(), "meetng".into(), String::new()],
            regions: vec!["KZ".into(), "US-FL".into(), "XK".into()],
            ..RecordFilter::default()
        };
        assert_eq!(violations(&filter).len(), 1, "an empty value is told first");
        let filter = RecordFilter {
            types: vec!["MEMBER_OF".into(), "meetng".into()],
            regions: vec!["UK".into(), "ZZ".into(), "US-XX".into(), "KZ".into()],
            language_codes: vec!["en".into(), "english".into()],
            ..RecordFilter::default()
        };
        let fields: Vec<_> = violations(&filter)
            .into_iter()
            .map(|(field, _)| field)
            .collect();
        let expected = [
            "types[1]",
            "regions[0]",
            "regions[1]",
            "regions[2]",
            "language_codes[1]",
        ];
        assert_eq!(fields, expected.map(|field| format!("filter.{field}")));
    }

    #[test]
    fn r6_a_range_is_of_days_of_the_calendar_and_not_inverted() {
        for (earliest, latest, field, words) in [
            ("2021-02-30", "", "filter.time.earliest", "use 01–28"),
            ("", "June 2021", "filter.time.latest", "must be a day"),
            ("0000-01-01", "", "filter.time.earliest", "0001–9999"),
            (
                "2021-02-01",
                "2021-01-31",
                "filter.time",
                "exchange earliest and latest",
            ),
        ] {
            let time = Some(TimeRange {
                earliest: earliest.into(),
                latest: latest.into(),
            });
            let filter = RecordFilter {
                time,
                ..RecordFilter::default()
            };
            let found = violations(&filter);
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!(found[0].0, field);
            assert!(found[0].1.contains(words), "{found:?}");
        }
    }

    #[test]
    fn f10_a_filter_within_another_lets_through_what_both_do() {
        let kinds = |kinds: &[Kind]| {
            let kinds = kinds.iter().map(|kind| i32::from(*kind)).collect();
            Filter::new(Some(&RecordFilter {
                kinds,
                ..RecordFilter::default()
            }))
            .unwrap()
        };
        let event = ["kind:event".to_owned()];
        let actor = ["kind:actor".to_owned()];
        let bound = kinds(&[Kind::Event]);
        let asked = kinds(&[Kind::Event, Kind::Actor]).within(&bound);
        assert!(asked.matches(&event, None) && !asked.matches(&actor, None));
        assert!(asked.may_send_kind(Kind::Event) && !asked.may_send_kind(Kind::Actor));
        let everything = Filter::default().within(&bound);
        assert!(!everything.is_empty() && !everything.matches(&actor, None));
        let other = kinds(&[Kind::Actor]).within(&bound);
        assert!(!other.matches(&event, None) && !other.matches(&actor, None));
        assert!(Filter::default().may_send_kind(Kind::Actor));
    }

    #[test]
    fn d10_tags_are_compared_in_their_canonical_spelling() {
        let of = |tag: &str| {
            Filter::new(Some(&RecordFilter {
                language_codes: vec![tag.to_owned()],
                ..RecordFilter::default()
            }))
        };
        for (tag, facet) in [
            ("EN-us", "lang:en-US"),
            ("iw", "lang:he"),
            ("he", "lang:he"),
            ("zh-cmn", "lang:cmn"),
        ] {
            assert!(of(tag).unwrap().matches(&[facet.to_owned()], None), "{tag}");
        }
        let told = of("en_US").unwrap_err();
        assert!(told[0].description.ends_with("write en-US"), "{told:?}");
    }
}
