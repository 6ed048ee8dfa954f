//! Counts of hits by the values of their facets.

use std::collections::{BTreeMap, BTreeSet};

use dateline_proto::v1::{
    FacetCounts,
    facet_counts::{Dimension, Value},
};
use dateline_store::SearchRow;

/// Most values of a dimension.
const MAX_VALUES: usize = 50;

/// Counts the requested dimensions, each once.
pub(super) fn count(
    asked: impl Iterator<Item = Dimension>,
    rows: &[SearchRow],
) -> Vec<FacetCounts> {
    let asked: BTreeSet<i32> = asked.map(i32::from).collect();
    let asked = asked
        .into_iter()
        .filter_map(|it| Dimension::try_from(it).ok());
    asked.map(|dimension| count_one(dimension, rows)).collect()
}

fn count_one(dimension: Dimension, rows: &[SearchRow]) -> FacetCounts {
    let mut counts: BTreeMap<String, i32> = BTreeMap::new();
    for row in rows {
        let values: BTreeSet<String> = values(dimension, row).collect();
        for value in values {
            *counts.entry(value).or_default() += 1;
        }
    }
    let mut values: Vec<_> = counts
        .into_iter()
        .map(|(value, count)| Value { value, count })
        .collect();
    // Stable: equal counts stay in the order of their values.
    values.sort_by_key(|value| std::cmp::Reverse(value.count));
    values.truncate(MAX_VALUES);
    FacetCounts {
        dimension: dimension.into(),
        values,
    }
}

fn values(dimension: Dimension, row: &SearchRow) -> Box<dyn Iterator<Item = String> + '_> {
    let prefix = match dimension {
        Dimension::Author => return Box::new(std::iter::once(row.author.clone())),
        Dimension::Year => {
            let year = row.first_day.map(|day| format!("{:04}", day.year()));
            return Box::new(year.into_iter());
        }
        Dimension::Kind => "kind:",
        Dimension::Type => "type:",
        Dimension::Region => "region:",
        Dimension::Topic => "topic:",
        Dimension::Language => "lang:",
        Dimension::State => "state:",
        Dimension::Unspecified => return Box::new(std::iter::empty()),
    };
    let facets = row.facets.iter();
    Box::new(facets.filter_map(move |facet| facet.strip_prefix(prefix).map(str::to_owned)))
}
