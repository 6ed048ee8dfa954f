//! A search as the store is asked for it.

use dateline_record::filter::Filter;
use dateline_search::Query;
use time::OffsetDateTime;

use crate::stored::FeedView;

/// The order of hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchOrder {
    /// The nearest names first, then texts.
    Relevance,
    /// Latest change first.
    Newest,
    /// Latest first day first.
    Time,
    /// By record name.
    Name,
}

/// The last hit of a page, after which the next one begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchAfter {
    /// Score, sequence or day, as the order needs it.
    pub key: String,
    /// Name of the record.
    pub name: String,
}

/// A search.
#[derive(Debug, Clone)]
pub struct SearchQuery<'a> {
    /// The view.
    pub view: FeedView,
    /// The filter, within the scope of the caller.
    pub filter: &'a Filter,
    /// The words; `None` for every record of the filter.
    pub words: Option<&'a Query>,
    /// The order.
    pub order: SearchOrder,
    /// The author of the latest change.
    pub author: Option<&'a str>,
    /// The time of the latest change, or before it.
    pub since: Option<OffsetDateTime>,
}
