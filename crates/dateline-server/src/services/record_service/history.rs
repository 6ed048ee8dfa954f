//! Reads of the past: a record at a revision or a sequence, the target of a merged name, the revisions of a record, and
//! the differences between two of them.

use bytes::Bytes;
use dateline_access::{Caller, Visibility};
use dateline_feed::EncodedRecord;
use dateline_proto::v1::{
    DiffRevisionsRequest, DiffRevisionsResponse, GetRecordRequest, ListRevisionsRequest,
    ListRevisionsResponse, Revision, State,
};
use dateline_record::{diff::diff, sequence::Sequence, timestamp::timestamp};
use dateline_store::{FeedView, RevisionEntry, StoredRecord};
use tonic::Status;

use crate::{
    middleware::backpressure::MAX_RESPONSE_BYTES,
    services::page_token::PageContext,
    services::record_service::RecordHandler,
    services::request::{page_size, validate_request, visibility},
    services::response::fit_differences,
    status::{self, Reason},
};

/// An encoded record, and whether it is the target of the requested name's merge.
pub(super) struct FoundRecord {
    pub record: Bytes,
    pub is_redirected: bool,
}

impl From<Bytes> for FoundRecord {
    fn from(record: Bytes) -> Self {
        Self {
            record,
            is_redirected: false,
        }
    }
}

impl RecordHandler {
    /// Returns the record that a request asks for.
    pub(super) async fn find_record(
        &self,
        request: &GetRecordRequest,
        visibility: &Visibility,
    ) -> Result<FoundRecord, Status> {
        let name = request.name.as_str();
        let view = visibility.view();
        self.require_visible(name, visibility).await?;
        let missing = || status::not_found(name);
        let encoded = |found: Option<StoredRecord>| {
            let record = found.and_then(|record| record.encoded(view));
            record.map(FoundRecord::from).ok_or_else(missing)
        };
        match (request.revision, request.as_of) {
            (Some(_), Some(_)) => {
                let what = "cannot be given together with revision: one or the other says which";
                Err(status::invalid_field(Reason::InvalidRequest, "as_of", what))
            }
            (Some(revision), None) => {
                let found = self.store.find_revision(name, revision, view).await;
                encoded(found.map_err(|error| status::store(&error))?)
            }
            (None, Some(sequence)) => {
                let sequence = Sequence::new(sequence.cast_unsigned());
                self.check_reached(view, sequence).await?;
                let found = self.store.find_record_as_of(name, sequence, view).await;
                let found = found.map_err(|error| status::store(&error))?;
                // Checked after the read: if history was compacted in between, the read may have missed something.
                self.check_kept(view, sequence).await?;
                encoded(found)
            }
            (None, None) => {
                let found = self.current_record(name, view).await?.ok_or_else(missing)?;
                if found.state == State::Merged && !request.no_redirect {
                    self.follow_merge(name, found.bytes, visibility).await
                } else {
                    Ok(found.bytes.into())
                }
            }
        }
    }

    /// Returns those of the names that lie in the caller's scope, in no order.
    pub(super) async fn visible_names(
        &self,
        names: Vec<String>,
        visibility: &Visibility,
    ) -> Result<Vec<String>, Status> {
        let Some(scope) = visibility.scope() else {
            return Ok(names);
        };
        let seen = self.store.names_within(&names, scope).await;
        seen.map_err(|error| status::store(&error))
    }

    /// Fails unless the name lies in the caller's scope. The present record decides: whoever may see it may see its
    /// past.
    async fn require_visible(&self, name: &str, visibility: &Visibility) -> Result<(), Status> {
        let seen = self
            .visible_names(vec![name.to_owned()], visibility)
            .await?;
        if seen.is_empty() {
            return Err(status::not_found(name));
        }
        Ok(())
    }

    async fn current_record(
        &self,
        name: &str,
        view: FeedView,
    ) -> Result<Option<EncodedRecord>, Status> {
        let found = self.feed.records().get_record(name, view).await;
        found.map_err(|error| status::store(&error))
    }

    /// Returns the record that a merged one was merged into, or the merged one if that is not visible.
    async fn follow_merge(
        &self,
        name: &str,
        merged: Bytes,
        visibility: &Visibility,
    ) -> Result<FoundRecord, Status> {
        let winner = self.store.find_winner(name).await;
        let winner = winner.map_err(|error| status::store(&error))?;
        let winner = self
            .visible_names(winner.into_iter().collect(), visibility)
            .await?;
        let there = match winner.first() {
            Some(winner) => self.current_record(winner, visibility.view()).await?,
            None => None,
        };
        Ok(match there {
            Some(record) => FoundRecord {
                record: record.bytes,
                is_redirected: true,
            },
            None => merged.into(),
        })
    }

    async fn check_reached(&self, view: FeedView, sequence: Sequence) -> Result<(), Status> {
        let head = self.feed.stored_head(view).await;
        let head = head.map_err(|error| status::store(&error))?;
        if sequence > head {
            let what = format!("is ahead of the feed, whose head is {head}");
            return Err(status::invalid_field(
                Reason::InvalidRequest,
                "as_of",
                &what,
            ));
        }
        Ok(())
    }

    /// Fails if the state at this sequence is no longer kept. It is kept from the last dropped sequence on.
    async fn check_kept(&self, view: FeedView, sequence: Sequence) -> Result<(), Status> {
        let standing = self.feed.status().await;
        let standing = standing.map_err(|error| status::store(&error))?;
        let earliest = standing.earliest.in_view(view);
        if sequence.next() < earliest {
            return Err(status::no_longer_kept(sequence, earliest));
        }
        Ok(())
    }

    pub(super) async fn revision_page(
        &self,
        caller: &Caller,
        mut request: ListRevisionsRequest,
    ) -> Result<ListRevisionsResponse, Status> {
        let visibility = visibility(caller, request.view())?;
        validate_request(&mut request, Reason::InvalidRequest)?;
        let view = visibility.view();
        let size = page_size(request.page_size);
        let page_context = PageContext::new(&ListRevisionsRequest {
            name: request.name.clone(),
            view: request.view,
            ..ListRevisionsRequest::default()
        })
        .restricted_to(&visibility);
        let identity = &self.feed.identity();
        let after = page_context.decode_token(identity, &request.page_token)?;
        self.require_visible(&request.name, &visibility).await?;
        let before = after.parse().unwrap_or(i64::MAX);
        let found = self
            .store
            .list_revisions(&request.name, view, before, size.into(), MAX_RESPONSE_BYTES)
            .await;
        let (found, has_more) = found.map_err(|error| status::store(&error))?;
        if found.is_empty() && after.is_empty() {
            return Err(status::not_found(&request.name));
        }
        let last = found.last().filter(|_| has_more);
        let next_page_token =
            last.map(|last| page_context.encode_token(identity, &last.revision.to_string()));
        Ok(ListRevisionsResponse {
            revisions: found
                .into_iter()
                .map(|entry| revision_to_proto(entry, view))
                .collect(),
            next_page_token: next_page_token.unwrap_or_default(),
        })
    }

    pub(super) async fn revision_diff(
        &self,
        caller: &Caller,
        mut request: DiffRevisionsRequest,
    ) -> Result<DiffRevisionsResponse, Status> {
        let visibility = visibility(caller, request.view())?;
        validate_request(&mut request, Reason::InvalidRequest)?;
        let view = visibility.view();
        let name = request.name.as_str();
        self.require_visible(name, &visibility).await?;
        let revisions = [request.from_revision, request.to_revision];
        let found = self.store.find_contents(name, revisions, view).await;
        let found = found.map_err(|error| status::store(&error))?;
        let (before, after) = found.ok_or_else(|| status::not_found(name))?;
        let (differences, omitted) = fit_differences(diff(&before, &after));
        Ok(DiffRevisionsResponse {
            differences,
            omitted: i32::try_from(omitted).unwrap_or(i32::MAX),
        })
    }
}

/// Converts a revision. Authors are visible only on the desk.
fn revision_to_proto(entry: RevisionEntry, view: FeedView) -> Revision {
    Revision {
        revision: entry.revision,
        r#type: entry.change_type.into(),
        state: entry.state.into(),
        time: Some(timestamp(entry.accepted_at)),
        author: match view {
            FeedView::Desk => entry.author,
            FeedView::Wire => String::new(),
        },
        note: entry.note,
        changed_fields: entry.changed_fields,
        sequence: entry.sequence.to_i64(),
        etag: entry.etag,
    }
}
