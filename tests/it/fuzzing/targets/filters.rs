//! Filters: invalid ones are refused with a reason; valid ones match exactly what they ask for.

use dateline_proto::v1::RecordFilter;
use dateline_record::filter::Filter;
use dateline_server::transport::codec;

use super::{assert_answer, assert_well_told};

/// The bytes are a `RecordFilter`.
pub fn filters(data: &[u8]) {
    let sent = match codec::decode::<RecordFilter>(data) {
        Ok(sent) => sent,
        Err(status) => return assert_answer(&status),
    };
    match Filter::new(Some(&sent)) {
        Ok(filter) => taken(&filter),
        Err(violations) => assert_well_told(&violations),
    }
}

fn taken(filter: &Filter) {
    let mut facets: Vec<_> = filter
        .dimensions
        .iter()
        .filter_map(|dimension| dimension.last().cloned())
        .collect();
    assert_eq!(
        facets.len(),
        filter.dimensions.len(),
        "no dimension is empty"
    );
    facets.sort_unstable();
    let days = filter.days;
    assert!(
        filter.matches(&facets, days),
        "{filter:?} lets {facets:?} through"
    );
    assert!(!days.is_some_and(|days| days.ends_before(days)), "{days:?}");
    assert!(!facets.iter().any(|facet| facet.contains('\0')));
    if !filter.dimensions.is_empty() {
        assert!(!filter.matches(&[], days), "{filter:?} asks for something");
    }
    assert_eq!(filter.is_empty(), *filter == Filter::default());
    for (from, to) in filter.name_ranges().unwrap_or_default() {
        assert!(from < to, "{from} to {to}");
    }
    let others = filter.clone().with_actors(&["actors/other".to_owned()]);
    assert_eq!(others.dimensions.len(), filter.dimensions.len());
}
