//! One filter for lists, streams and exports: OR within a dimension, AND between them, over facets and
//! days. SQL asks the same question with array overlap (`store::list`).

use time::{Date, macros::format_description};

use super::{
    drawing::state_facet, edtf::Bounds, name::collection, validate::validate, violation::Violation,
    walk::Path,
};
use crate::proto::v1::{RecordFilter, record_filter::TimeRange};

/// How facets of actors begin.
const ACTOR: &str = "actor:";

/// A checked filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Facets of which one has to be there, per dimension that is asked for.
    pub dimensions: Vec<Vec<String>>,
    /// Days with which the record's own have to overlap.
    pub days: Option<Bounds>,
    /// The filter names states.
    pub by_state: bool,
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
        let days = filter
            .time
            .as_ref()
            .map(days)
            .transpose()
            .unwrap_or_else(|violation| {
                violations.push(violation);
                None
            });
        if !violations.is_empty() {
            return Err(violations);
        }
        Ok(Self {
            dimensions: dimensions(&filter),
            days,
            by_state: !filter.states.is_empty(),
        })
    }

    /// The same filter with other actors; nothing changes if it does not ask for any.
    #[must_use]
    pub fn with_actors(mut self, names: &[String]) -> Self {
        let facets = || names.iter().map(|name| format!("{ACTOR}{name}"));
        let asked = self.dimensions.iter_mut();
        let actors = asked.filter(|facets| facets.iter().all(|facet| facet.starts_with(ACTOR)));
        for dimension in actors {
            *dimension = facets().collect();
        }
        self
    }

    /// Whether everything passes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.dimensions.is_empty() && self.days.is_none()
    }

    /// Whether a record with these facets and days passes.
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
            .map(|kind| format!("kind:{}", collection(kind).trim_end_matches('s')))
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

fn days(range: &TimeRange) -> Result<Bounds, Violation> {
    let bounds = Bounds {
        earliest: day("earliest", &range.earliest)?,
        latest: day("latest", &range.latest)?,
    };
    match (bounds.earliest, bounds.latest) {
        (Some(earliest), Some(latest)) if latest < earliest => Err(Violation::new(
            "filter.time",
            "ends before it begins; exchange earliest and latest",
        )),
        _ => Ok(bounds),
    }
}

fn day(field: &str, text: &str) -> Result<Option<Date>, Violation> {
    if text.is_empty() {
        return Ok(None);
    }
    Date::parse(text, format_description!("[year]-[month]-[day]"))
        .map(Some)
        .map_err(|_| {
            Violation::new(
                format!("filter.time.{field}"),
                "is not a day of the calendar, like 2021-06-01",
            )
        })
}
