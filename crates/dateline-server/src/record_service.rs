//! `RecordService`: reads records, and edits single drafts.

use std::collections::{HashMap, HashSet};

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

use super::{
    answer::{MAX_ANSWER_BYTES, integers, written_one},
    codec::Ready,
    commit::commit,
    door::identified,
    editorial_service::of_one,
    page_token::Question,
    read::{Pieces, check, filter, page_size, sight, wait_for},
    status::{self, Reason},
};
use crate::servers::record_service_server::RecordService;

/// Most bytes in a response for the names whose records are missing or do not fit.
const NAMES_BYTES: usize = 128 * 1024;

/// Reads, and edits of single drafts.
#[derive(Debug, Clone)]
pub struct Records {
    /// Serves reads.
    pub store: Store,
    /// Carries out writes.
    pub committer: Committer,
    /// Provides the sequences that reads wait for.
    pub feed: Feed,
}

fn single(action: write::Action, request_id: String, validate_only: bool) -> CommitRequest {
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
impl RecordService for Records {
    async fn create_record(
        &self,
        request: Request<CreateRecordRequest>,
    ) -> Result<Response<Ready<CreateRecordResponse>>, Status> {
        let (caller, request) = identified(request)?;
        let create = write::Action::Create(write::Create {
            record: request.record,
            original: request.original,
        });
        let request = single(create, request.request_id, request.validate_only);
        let committed = commit(&self.committer, &caller, request, of_one("create")).await?;
        Ok(Response::new(written_one(&committed)))
    }

    async fn get_record(
        &self,
        request: Request<GetRecordRequest>,
    ) -> Result<Response<Ready<GetRecordResponse>>, Status> {
        let (caller, mut request) = identified(request)?;
        let sight = sight(&caller, request.view())?;
        check(&mut request, Reason::InvalidRequest)?;
        wait_for(&self.feed, sight.view(), request.min_sequence, &caller).await?;
        let found = self.find(&request, &sight).await?;
        let record = found.record.encoded(sight.view());
        let mut pieces = Pieces::default();
        pieces.message(1, record.ok_or_else(|| status::not_found(&request.name))?);
        if found.is_redirected {
            pieces.string(2, &request.name);
        }
        Ok(Response::new(pieces.finish()))
    }

    async fn batch_get_records(
        &self,
        request: Request<BatchGetRecordsRequest>,
    ) -> Result<Response<Ready<BatchGetRecordsResponse>>, Status> {
        let (caller, mut request) = identified(request)?;
        let sight = sight(&caller, request.view())?;
        check(&mut request, Reason::InvalidRequest)?;
        let view = sight.view();
        wait_for(&self.feed, view, request.min_sequence, &caller).await?;
        let mut asked = HashSet::new();
        request.names.retain(|name| asked.insert(name.clone()));
        let names = self.seen(request.names.clone(), &sight).await?;
        // Less the names, of which there are up to a thousand.
        let room = MAX_ANSWER_BYTES - NAMES_BYTES;
        let found = self.store.get_fitting(&names, view, room).await;
        let (found, omitted) = found.map_err(|error| status::store(&error))?;
        let mut found: HashMap<_, _> = found
            .iter()
            .filter_map(|record| Some((record.name.to_string(), record.encoded(view)?)))
            .collect();
        let omitted: HashSet<_> = omitted.into_iter().collect();
        let (mut pieces, mut rest) = (Pieces::default(), Pieces::default());
        for name in &request.names {
            match found.remove(name) {
                Some(bytes) => pieces.message(1, bytes),
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
    ) -> Result<Response<Ready<ListRecordsResponse>>, Status> {
        let (caller, mut request) = identified(request)?;
        let sight = sight(&caller, request.view())?;
        let wanted = filter(&self.store, &sight, request.filter.as_ref()).await?;
        check(&mut request, Reason::InvalidRequest)?;
        let view = sight.view();
        let size = page_size(request.page_size);
        let question = Question::of(&ListRecordsRequest {
            filter: request.filter.clone(),
            view: request.view,
            ..ListRecordsRequest::default()
        })
        .seen_by(&sight);
        let identity = &self.feed.identity();
        let after = question.read(identity, &request.page_token)?;
        wait_for(&self.feed, view, request.min_sequence, &caller).await?;
        let limit = usize::from(size);
        let page = self
            .store
            .list_records(&wanted, view, &after, limit)
            .await
            .map_err(|error| status::store(&error))?;
        let mut pieces = Pieces::default();
        for record in &page.records {
            if let Some(bytes) = record.encoded(view) {
                pieces.message(1, bytes);
            }
        }
        if let Some(last) = page.records.last().filter(|_| page.has_more) {
            pieces.string(2, &question.write(identity, last.name.as_str()));
        }
        pieces.fields(integers(&[(3, limit as u64)]));
        Ok(Response::new(pieces.finish()))
    }

    async fn update_record(
        &self,
        request: Request<UpdateRecordRequest>,
    ) -> Result<Response<Ready<UpdateRecordResponse>>, Status> {
        let (caller, request) = identified(request)?;
        let update = write::Action::Update(write::Update {
            record: request.record,
            update_mask: request.update_mask,
        });
        let request = single(update, request.request_id, request.validate_only);
        let committed = commit(&self.committer, &caller, request, of_one("update")).await?;
        Ok(Response::new(written_one(&committed)))
    }

    async fn delete_record(
        &self,
        request: Request<DeleteRecordRequest>,
    ) -> Result<Response<Ready<DeleteRecordResponse>>, Status> {
        let (caller, request) = identified(request)?;
        let delete = write::Action::Delete(RecordVersion {
            name: request.name,
            etag: request.etag,
        });
        let request = single(delete, request.request_id, request.validate_only);
        let committed = commit(&self.committer, &caller, request, of_one("delete")).await?;
        Ok(Response::new(Ready::from(&DeleteRecordResponse {
            sequence: committed.desk_sequence.cast_signed(),
        })))
    }

    async fn list_revisions(
        &self,
        request: Request<ListRevisionsRequest>,
    ) -> Result<Response<Ready<ListRevisionsResponse>>, Status> {
        let (caller, request) = identified(request)?;
        let response = self.revisions(&caller, request).await?;
        Ok(Response::new(Ready::from(&response)))
    }

    async fn diff_revisions(
        &self,
        request: Request<DiffRevisionsRequest>,
    ) -> Result<Response<Ready<DiffRevisionsResponse>>, Status> {
        let (caller, request) = identified(request)?;
        let response = self.differences(&caller, request).await?;
        Ok(Response::new(Ready::from(&response)))
    }
}
