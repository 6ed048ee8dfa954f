//! `RecordService`: reads records, and edits single drafts.

mod history;

use std::collections::HashSet;

use dateline_feed::Feed;
use dateline_proto::v1::{
    BatchGetRecordsRequest, BatchGetRecordsResponse, CommitRequest, CreateRecordRequest,
    CreateRecordResponse, DeleteRecordRequest, DeleteRecordResponse, DiffRevisionsRequest,
    DiffRevisionsResponse, GetRecordRequest, GetRecordResponse, ListRecordsRequest,
    ListRecordsResponse, ListRevisionsRequest, ListRevisionsResponse, RecordVersion,
    UpdateRecordRequest, UpdateRecordResponse, Write, write,
};
use dateline_store::{Committer, Store};
use tonic::{Request, Response, Status};

use crate::servers::record_service_server::RecordService;
use crate::{
    matcher::Matcher,
    middleware::{admitted::extract_caller, backpressure::MAX_RESPONSE_BYTES},
    services::commit::commit,
    services::editorial_service::rename_to_record,
    services::page_token::PageContext,
    services::request::{
        page_size, validate_request, visibility, visible_filter, wait_for_sequence,
    },
    services::response::{ResponseBuilder, encode_integers, single_record_response},
    status::{self, Reason},
    transport::codec::PreEncoded,
};

/// Most bytes in a response for the names whose records are missing or do not fit.
const MAX_NAMES_BYTES: usize = 128 * 1024;

/// Reads, and edits of single drafts.
#[derive(Debug, Clone)]
pub struct RecordHandler {
    /// Serves reads.
    pub store: Store,
    /// Carries out writes.
    pub committer: Committer,
    /// Compares new actors with known ones.
    pub matcher: Matcher,
    /// Provides the sequences that reads wait for.
    pub feed: Feed,
}

fn single_write_commit(
    action: write::Action,
    request_id: String,
    validate_only: bool,
) -> CommitRequest {
    CommitRequest {
        writes: vec![Write {
            action: Some(action),
        }],
        request_id,
        validate_only,
        ..CommitRequest::default()
    }
}

#[tonic::async_trait]
impl RecordService for RecordHandler {
    async fn create_record(
        &self,
        request: Request<CreateRecordRequest>,
    ) -> Result<Response<PreEncoded<CreateRecordResponse>>, Status> {
        let (caller, request) = extract_caller(request)?;
        let create = write::Action::Create(write::Create {
            record: request.record,
            original: request.original,
        });
        let request = single_write_commit(create, request.request_id, request.validate_only);
        let committed = commit(
            &self.committer,
            &self.matcher,
            &caller,
            request,
            rename_to_record("create"),
        )
        .await?;
        Ok(Response::new(single_record_response(&committed)))
    }

    async fn get_record(
        &self,
        request: Request<GetRecordRequest>,
    ) -> Result<Response<PreEncoded<GetRecordResponse>>, Status> {
        let (caller, mut request) = extract_caller(request)?;
        let visibility = visibility(&caller, request.view())?;
        validate_request(&mut request, Reason::InvalidRequest)?;
        wait_for_sequence(&self.feed, visibility.view(), request.min_sequence, &caller).await?;
        let found = self.find_record(&request, &visibility).await?;
        let mut pieces = ResponseBuilder::default();
        pieces.message(1, found.record);
        if found.is_redirected {
            pieces.string(2, &request.name);
        }
        Ok(Response::new(pieces.finish()))
    }

    async fn batch_get_records(
        &self,
        request: Request<BatchGetRecordsRequest>,
    ) -> Result<Response<PreEncoded<BatchGetRecordsResponse>>, Status> {
        let (caller, mut request) = extract_caller(request)?;
        let visibility = visibility(&caller, request.view())?;
        validate_request(&mut request, Reason::InvalidRequest)?;
        let view = visibility.view();
        wait_for_sequence(&self.feed, view, request.min_sequence, &caller).await?;
        let mut asked = HashSet::new();
        request.names.retain(|name| asked.insert(name.clone()));
        let names = self
            .visible_names(request.names.clone(), &visibility)
            .await?;
        // Less the names, of which there are up to a thousand.
        let room = MAX_RESPONSE_BYTES - MAX_NAMES_BYTES;
        let read = self.feed.records().get_fitting(&names, view, room).await;
        let mut read = read.map_err(|error| status::store(&error))?;
        let omitted: HashSet<_> = read.omitted.into_iter().collect();
        let (mut pieces, mut rest) = (ResponseBuilder::default(), ResponseBuilder::default());
        for name in &request.names {
            match read.found.remove(name) {
                Some(record) => pieces.message(1, record.bytes),
                None if omitted.contains(name) => rest.string(3, name),
                None => rest.string(2, name),
            }
        }
        pieces.append(rest);
        Ok(Response::new(pieces.finish()))
    }

    async fn list_records(
        &self,
        request: Request<ListRecordsRequest>,
    ) -> Result<Response<PreEncoded<ListRecordsResponse>>, Status> {
        let (caller, mut request) = extract_caller(request)?;
        let visibility = visibility(&caller, request.view())?;
        let wanted = visible_filter(&self.store, &visibility, request.filter.as_ref()).await?;
        validate_request(&mut request, Reason::InvalidRequest)?;
        let view = visibility.view();
        let size = page_size(request.page_size);
        let page_context = PageContext::new(&ListRecordsRequest {
            filter: request.filter.clone(),
            view: request.view,
            ..ListRecordsRequest::default()
        })
        .restricted_to(&visibility);
        let identity = &self.feed.identity();
        let after = page_context.decode_token(identity, &request.page_token)?;
        wait_for_sequence(&self.feed, view, request.min_sequence, &caller).await?;
        let limit = usize::from(size);
        let page = self
            .store
            .list_records(&wanted, view, &after, limit)
            .await
            .map_err(|error| status::store(&error))?;
        let mut pieces = ResponseBuilder::default();
        for record in &page.records {
            if let Some(bytes) = record.encoded(view) {
                pieces.message(1, bytes);
            }
        }
        if let Some(last) = page.records.last().filter(|_| page.has_more) {
            pieces.string(2, &page_context.encode_token(identity, last.name.as_str()));
        }
        pieces.fields(encode_integers(&[(3, limit as u64)]));
        Ok(Response::new(pieces.finish()))
    }

    async fn update_record(
        &self,
        request: Request<UpdateRecordRequest>,
    ) -> Result<Response<PreEncoded<UpdateRecordResponse>>, Status> {
        let (caller, request) = extract_caller(request)?;
        let update = write::Action::Update(write::Update {
            record: request.record,
            update_mask: request.update_mask,
        });
        let request = single_write_commit(update, request.request_id, request.validate_only);
        let committed = commit(
            &self.committer,
            &self.matcher,
            &caller,
            request,
            rename_to_record("update"),
        )
        .await?;
        Ok(Response::new(single_record_response(&committed)))
    }

    async fn delete_record(
        &self,
        request: Request<DeleteRecordRequest>,
    ) -> Result<Response<PreEncoded<DeleteRecordResponse>>, Status> {
        let (caller, request) = extract_caller(request)?;
        let delete = write::Action::Delete(RecordVersion {
            name: request.name,
            etag: request.etag,
        });
        let request = single_write_commit(delete, request.request_id, request.validate_only);
        let committed = commit(
            &self.committer,
            &self.matcher,
            &caller,
            request,
            rename_to_record("delete"),
        )
        .await?;
        Ok(Response::new(PreEncoded::from(&DeleteRecordResponse {
            sequence: committed.desk_sequence.to_i64(),
        })))
    }

    async fn list_revisions(
        &self,
        request: Request<ListRevisionsRequest>,
    ) -> Result<Response<PreEncoded<ListRevisionsResponse>>, Status> {
        let (caller, request) = extract_caller(request)?;
        let response = self.revision_page(&caller, request).await?;
        Ok(Response::new(PreEncoded::from(&response)))
    }

    async fn diff_revisions(
        &self,
        request: Request<DiffRevisionsRequest>,
    ) -> Result<Response<PreEncoded<DiffRevisionsResponse>>, Status> {
        let (caller, request) = extract_caller(request)?;
        let response = self.revision_diff(&caller, request).await?;
        Ok(Response::new(PreEncoded::from(&response)))
    }
}
