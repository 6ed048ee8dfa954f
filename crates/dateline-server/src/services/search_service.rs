//! `SearchService`: finds records by words. What is found, counted and highlighted is decided by the view, scope and
//! filter of the caller on the present records.

mod facets;
mod page;

use std::{sync::Arc, time::Duration};

use dateline_access::{Caller, Visibility};
use dateline_feed::Feed;
use dateline_proto::v1::{
    SearchRecordsRequest, SearchRecordsResponse, facet_counts::Dimension,
    search_records_request::Order,
};
use dateline_record::{filter::Filter, timestamp::instant};
use dateline_search::{Query, Stems};
use dateline_store::{
    FeedView, SearchAfter, SearchIndex, SearchOrder, SearchQuery, SearchRow, Store,
};
use tokio::sync::Notify;
use tonic::{Request, Response, Status};

use crate::{
    middleware::{admitted::extract_caller, timeout},
    servers::search_service_server::SearchService,
    services::{
        page_token::PageContext,
        request::{page_size, validate_request, visibility, visible_filter, wait_for_sequence},
    },
    status::{self, Reason},
    transport::codec::PreEncoded,
};

/// Interval at which a call that waits for a sequence looks for it.
const POLL_INTERVAL: Duration = Duration::from_millis(25);

/// Searches.
#[derive(Debug, Clone)]
pub struct SearchHandler {
    /// Resolves actors of filters.
    pub store: Store,
    /// Finds records.
    pub index: SearchIndex,
    /// Provides the sequences that searches wait for.
    pub feed: Feed,
    /// Wakes the projections when a call waits for them.
    pub projections: Arc<Notify>,
}

/// A checked request.
struct Checked {
    visibility: Visibility,
    words: Option<Query>,
    filter: Filter,
    order: SearchOrder,
    context: PageContext,
    after: Option<SearchAfter>,
    request: SearchRecordsRequest,
}

/// Hits of all pages, as far as they are counted, and those of the page.
struct Found {
    total: usize,
    has_more: bool,
    facets: Vec<dateline_proto::v1::FacetCounts>,
    page: Vec<SearchRow>,
}

#[tonic::async_trait]
impl SearchService for SearchHandler {
    async fn search_records(
        &self,
        request: Request<SearchRecordsRequest>,
    ) -> Result<Response<PreEncoded<SearchRecordsResponse>>, Status> {
        let (caller, request) = extract_caller(request)?;
        let checked = self.check(&caller, request).await?;
        self.wait_indexed(&checked, &caller).await?;
        let stems = self.stems(&checked).await?;
        let found = self.find(&checked, &stems).await?;
        let response = self.respond(checked, found, stems).await?;
        Ok(Response::new(PreEncoded::from(&response)))
    }
}

impl SearchHandler {
    async fn check(
        &self,
        caller: &Caller,
        mut request: SearchRecordsRequest,
    ) -> Result<Checked, Status> {
        let visibility = visibility(caller, request.view())?;
        validate_request(&mut request, Reason::InvalidRequest)?;
        check_desk_fields(&request, visibility.view())?;
        let words = Query::parse(&request.query).map_err(|error| {
            status::invalid_field(Reason::InvalidRequest, "query", &error.to_string())
        })?;
        let order = match (request.order(), words.is_some()) {
            (Order::Unspecified | Order::Relevance, true) => SearchOrder::Relevance,
            (Order::Relevance, false) => {
                let what = "needs a query: without words no record is nearer than another";
                return Err(status::invalid_field(Reason::InvalidRequest, "order", what));
            }
            (Order::Newest, _) | (Order::Unspecified, false) => SearchOrder::Newest,
            (Order::Time, _) => SearchOrder::Time,
            (Order::Name, _) => SearchOrder::Name,
        };
        let filter = visible_filter(&self.store, &visibility, request.filter.as_ref()).await?;
        let context = PageContext::new(&SearchRecordsRequest {
            page_size: 0,
            page_token: String::new(),
            min_sequence: 0,
            facets: Vec::new(),
            omit_records: false,
            ..request.clone()
        })
        .restricted_to(&visibility);
        let last = context.decode_token(&self.feed.identity(), &request.page_token)?;
        let after = last.split_once('\n').map(|(key, name)| SearchAfter {
            key: key.to_owned(),
            name: name.to_owned(),
        });
        Ok(Checked {
            visibility,
            words,
            filter,
            order,
            context,
            after,
            request,
        })
    }

    /// Waits for the sequence that a search asks for, in the feed and in the index (W7).
    async fn wait_indexed(&self, checked: &Checked, caller: &Caller) -> Result<(), Status> {
        let (view, sequence) = (checked.visibility.view(), checked.request.min_sequence);
        if sequence == 0 {
            return Ok(());
        }
        wait_for_sequence(&self.feed, view, sequence, caller).await?;
        // Without words the index is not read.
        if checked.words.is_none() {
            return Ok(());
        }
        let indexed = timeout::before_deadline(async {
            while !self.index.has(view, sequence).await? {
                self.projections.notify_one();
                tokio::time::sleep(POLL_INTERVAL).await;
            }
            Ok(())
        });
        tokio::select! {
            biased;
            () = caller.ended() => Err(status::denied(&caller.end_reason())),
            indexed = indexed => match indexed {
                Some(indexed) => indexed.map_err(|error| status::store(&error)),
                None => Err(status::unavailable(
                    Reason::StoreUnavailable,
                    "min_sequence was not indexed before the deadline; try again, or search without it",
                )),
            },
        }
    }

    async fn stems(&self, checked: &Checked) -> Result<Stems, Status> {
        let words = checked.words.as_ref().map(Query::words_to_stem);
        let stems = self.index.stems(&words.unwrap_or_default()).await;
        stems.map_err(|error| status::store(&error))
    }

    async fn find(&self, checked: &Checked, stems: &Stems) -> Result<Found, Status> {
        let since = checked.request.since.and_then(instant);
        let query = SearchQuery {
            view: checked.visibility.view(),
            filter: &checked.filter,
            words: checked.words.as_ref(),
            order: checked.order,
            author: Some(checked.request.author.as_str()).filter(|author| !author.is_empty()),
            since,
        };
        let all = self.index.search(&query, stems, None).await;
        let mut all = all.map_err(|error| status::store(&error))?;
        let (total, has_more) = (all.rows.len(), all.has_more);
        let facets = facets::count(checked.request.facets(), &all.rows);
        let page = match &checked.after {
            None => all.rows,
            Some(after) if checked.order == SearchOrder::Relevance => {
                all.rows.retain(|row| row.is_after(after));
                all.rows
            }
            Some(after) => {
                let rest = self.index.search(&query, stems, Some(after)).await;
                rest.map_err(|error| status::store(&error))?.rows
            }
        };
        Ok(Found {
            total,
            has_more,
            facets,
            page,
        })
    }

    async fn respond(
        &self,
        checked: Checked,
        mut found: Found,
        stems: Stems,
    ) -> Result<SearchRecordsResponse, Status> {
        let size = usize::from(page_size(checked.request.page_size));
        let is_cut = found.page.len() > size;
        found.page.truncate(size);
        let records = self
            .index
            .found_records(&found.page, page::MAX_CONTENT_BYTES)
            .await;
        let records = records.map_err(|error| status::store(&error))?;
        let view = checked.visibility.view();
        let (order, words) = (checked.order, checked.words);
        let omit = checked.request.omit_records;
        // Looking through the texts of a page takes long enough to delay the calls of a whole thread.
        let made = tokio::task::spawn_blocking(move || {
            let page = page::fill(&found.page, records, view, words.as_ref(), &stems, omit);
            (found, page)
        });
        let (found, page) = made.await.map_err(|error| status::internal(&error))?;
        let next = page.last.and_then(|last| found.page.get(last));
        let next = next.filter(|_| is_cut || page.last < found.page.len().checked_sub(1));
        let next_page_token = next.map(|row| {
            let SearchAfter { key, name } = row.position(order);
            let identity = self.feed.identity();
            checked
                .context
                .encode_token(&identity, &format!("{key}\n{name}"))
        });
        Ok(SearchRecordsResponse {
            hits: page.hits,
            next_page_token: next_page_token.unwrap_or_default(),
            total: i32::try_from(found.total).unwrap_or(i32::MAX),
            total_is_lower_bound: found.has_more,
            facets: found.facets,
        })
    }
}

/// Refuses what only the desk can be asked.
fn check_desk_fields(request: &SearchRecordsRequest, view: FeedView) -> Result<(), Status> {
    if view == FeedView::Desk {
        return Ok(());
    }
    let field = if !request.author.is_empty() {
        "author"
    } else if request.facets().any(|it| it == Dimension::Author) {
        "facets"
    } else {
        return Ok(());
    };
    let what = "asks for authors, whom readers never see; ask with VIEW_DESK";
    Err(status::invalid_field(Reason::InvalidRequest, field, what))
}
