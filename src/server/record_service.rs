//! `RecordService`: decode, check, call, encode.

use std::collections::{HashMap, HashSet};

use tonic::{Request, Response, Status};

use super::{
    codec::Ready,
    commit::{commit, integers, one},
    page_token,
    read::{Pieces, check, filter, view, wait_for},
    status::{self, Reason},
};
use crate::{
    feed::Feed,
    proto::{
        servers::record_service_server::RecordService,
        v1::{
            BatchGetRecordsRequest, BatchGetRecordsResponse, CommitRequest, CreateRecordRequest,
            CreateRecordResponse, DeleteRecordRequest, DeleteRecordResponse, GetRecordRequest,
            GetRecordResponse, ListRecordsRequest, ListRecordsResponse, RecordVersion,
            UpdateRecordRequest, UpdateRecordResponse, Write, write,
        },
    },
    store::{Committer, Store},
};

/// Page size when the client does not say.
const DEFAULT_PAGE: i32 = 50;
/// Largest page.
const MAX_PAGE: i32 = 1000;

/// Reads, and the edits of single drafts.
#[derive(Debug, Clone)]
pub struct Records {
    /// Reads.
    pub store: Store,
    /// Writes.
    pub committer: Committer,
    /// Sequences to wait for.
    pub feed: Feed,
}

/// `writes[0].create.record.actor.names[1]` → `record.actor.names[1]`.
fn of_one(action: &'static str) -> impl Fn(&str) -> String {
    move |field| {
        let inner = field
            .strip_prefix("writes[0]")
            .unwrap_or(field)
            .trim_start_matches('.');
        inner
            .strip_prefix(action)
            .unwrap_or(inner)
            .trim_start_matches('.')
            .to_owned()
    }
}

fn single(action: write::Action, request_id: String, validate_only: bool) -> CommitRequest {
    let writes = vec![Write {
        action: Some(action),
    }];
    CommitRequest {
        writes,
        request_id,
        validate_only,
        omit_content: false,
    }
}

#[tonic::async_trait]
impl RecordService for Records {
    async fn create_record(
        &self,
        request: Request<CreateRecordRequest>,
    ) -> Result<Response<Ready<CreateRecordResponse>>, Status> {
        let request = request.into_inner();
        let create = write::Action::Create(write::Create {
            record: request.record,
            original: request.original,
        });
        let request = single(create, request.request_id, request.validate_only);
        Ok(Response::new(one(&commit(
            &self.committer,
            request,
            of_one("create"),
        )
        .await?)))
    }

    async fn get_record(
        &self,
        request: Request<GetRecordRequest>,
    ) -> Result<Response<Ready<GetRecordResponse>>, Status> {
        let mut request = request.into_inner();
        check(&mut request, Reason::InvalidRequest)?;
        let view = view(request.view());
        wait_for(&self.feed, view, request.min_sequence).await?;
        let found = self
            .store
            .get_records(std::slice::from_ref(&request.name), view)
            .await;
        let found = found.map_err(|error| status::store(&error))?;
        let bytes = found.first().and_then(|record| record.encoded(view));
        let mut pieces = Pieces::default();
        pieces.message(1, bytes.ok_or_else(|| status::not_found(&request.name))?);
        Ok(Response::new(pieces.finish()))
    }

    async fn batch_get_records(
        &self,
        request: Request<BatchGetRecordsRequest>,
    ) -> Result<Response<Ready<BatchGetRecordsResponse>>, Status> {
        let mut request = request.into_inner();
        check(&mut request, Reason::InvalidRequest)?;
        let view = view(request.view());
        wait_for(&self.feed, view, request.min_sequence).await?;
        let mut asked = HashSet::new();
        request.names.retain(|name| asked.insert(name.clone()));
        let found = self
            .store
            .get_records(&request.names, view)
            .await
            .map_err(|error| status::store(&error))?;
        let mut found: HashMap<_, _> = found
            .iter()
            .filter_map(|record| Some((record.name.to_string(), record.encoded(view)?)))
            .collect();
        let (mut pieces, mut missing) = (Pieces::default(), Pieces::default());
        for name in &request.names {
            match found.remove(name) {
                Some(bytes) => pieces.message(1, bytes),
                None => missing.string(2, name),
            }
        }
        pieces.append(missing);
        Ok(Response::new(pieces.finish()))
    }

    async fn list_records(
        &self,
        request: Request<ListRecordsRequest>,
    ) -> Result<Response<Ready<ListRecordsResponse>>, Status> {
        let mut request = request.into_inner();
        let wanted = filter(request.filter.as_ref())?;
        check(&mut request, Reason::InvalidRequest)?;
        let view = view(request.view());
        let size = if request.page_size == 0 {
            DEFAULT_PAGE
        } else {
            request.page_size.min(MAX_PAGE)
        };
        let identity = self.feed.identity();
        let after = if request.page_token.is_empty() {
            String::new()
        } else {
            page_token::read(identity, request.filter.as_ref(), view, &request.page_token)
                .ok_or_else(|| {
                    let what = "is not a token of an earlier page with the same filter and view";
                    status::invalid_field(Reason::InvalidPageToken, "page_token", what)
                })?
        };
        wait_for(&self.feed, view, request.min_sequence).await?;
        let limit = usize::try_from(size).unwrap_or_default();
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
            pieces.string(
                2,
                &page_token::write(identity, request.filter.as_ref(), view, last.name.as_str()),
            );
        }
        pieces.fields(integers(&[(3, limit as u64)]));
        Ok(Response::new(pieces.finish()))
    }

    async fn update_record(
        &self,
        request: Request<UpdateRecordRequest>,
    ) -> Result<Response<Ready<UpdateRecordResponse>>, Status> {
        let request = request.into_inner();
        let update = write::Action::Update(write::Update {
            record: request.record,
            update_mask: request.update_mask,
        });
        let request = single(update, request.request_id, request.validate_only);
        Ok(Response::new(one(&commit(
            &self.committer,
            request,
            of_one("update"),
        )
        .await?)))
    }

    async fn delete_record(
        &self,
        request: Request<DeleteRecordRequest>,
    ) -> Result<Response<Ready<DeleteRecordResponse>>, Status> {
        let request = request.into_inner();
        let delete = write::Action::Delete(RecordVersion {
            name: request.name,
            etag: request.etag,
        });
        let request = single(delete, request.request_id, request.validate_only);
        let committed = commit(&self.committer, request, of_one("delete")).await?;
        Ok(Response::new(Ready::from(&DeleteRecordResponse {
            sequence: committed.desk_sequence.cast_signed(),
        })))
    }
}
