//! `EditorialService`: batches of writes, and the transitions between states. Every call is a commit of one or more
//! writes of one kind; their effects are decided elsewhere.

use dateline_access::Caller;
use dateline_proto::v1::{
    CommitRequest, CommitResponse, CorrectRecordRequest, CorrectRecordResponse, MergeRecordRequest,
    MergeRecordResponse, PublishRecordsRequest, PublishRecordsResponse, PurgeRecordRequest,
    PurgeRecordResponse, RecordVersion, RestoreRecordRequest, RestoreRecordResponse,
    RetractRecordsRequest, RetractRecordsResponse, SendBackRecordsRequest, SendBackRecordsResponse,
    SubmitRecordsRequest, SubmitRecordsResponse, UnmergeRecordRequest, UnmergeRecordResponse,
    Write,
    write::{self, Action},
};
use dateline_record::walk::Walk;
use dateline_store::{Committed, Committer};
use tonic::{Request, Response, Status};

use crate::servers::editorial_service_server::EditorialService;
use crate::{
    matcher::Matcher,
    middleware::admitted::extract_caller,
    services::commit::commit,
    services::request::validate_request,
    services::response::{commit_response, single_record_response},
    status::Reason,
    transport::codec::PreEncoded,
};

/// The service: each call becomes a commit.
#[derive(Debug, Clone)]
pub struct EditorialHandler {
    /// Carries out the writes.
    pub committer: Committer,
    /// Compares new actors with known ones.
    pub matcher: Matcher,
}

/// Builds the commit request of a call.
macro_rules! commit_request {
    ($request:expr, $writes:expr) => {
        CommitRequest {
            writes: $writes,
            request_id: $request.request_id,
            validate_only: $request.validate_only,
            ..CommitRequest::default()
        }
    };
}

/// Builds the same write for each record.
fn write_each(
    records: Vec<RecordVersion>,
    action: impl Fn(Option<RecordVersion>) -> Action,
) -> Vec<Write> {
    let writes = records.into_iter().map(|record| Write {
        action: Some(action(Some(record))),
    });
    writes.collect()
}

fn single_write(action: Action) -> Vec<Write> {
    vec![Write {
        action: Some(action),
    }]
}

/// Renames a path: `writes[3].publish.record.name` → `records[3].name`. A field given once for all keeps its name.
fn rename_to_records(action: &'static str) -> impl Fn(&str) -> String {
    move |field| {
        let Some(rest) = field.strip_prefix("writes") else {
            return field.to_owned();
        };
        match rest.split_once(&format!(".{action}")) {
            None => format!("records{rest}"),
            Some((index, inner)) => match inner.strip_prefix(".record") {
                Some(inner) => format!("records{index}{inner}"),
                None => inner.trim_start_matches('.').to_owned(),
            },
        }
    }
}

/// Renames a path: `writes[0].correct.record.actor.names[1]` → `record.actor.names[1]`.
pub(super) fn rename_to_record(action: &'static str) -> impl Fn(&str) -> String {
    move |field| {
        let inner = field.strip_prefix("writes[0]").unwrap_or(field);
        let inner = inner.trim_start_matches('.');
        let inner = inner.strip_prefix(action).unwrap_or(inner);
        inner.trim_start_matches('.').to_owned()
    }
}

/// Most bytes that a note may take in all writes of a request together: a thousand of the longest notes.
const MAX_NOTES_BYTES: usize = 16 * 1024 * 1024;

/// Rejects a note that is too long, or used for too many records, before it is copied: it is given once in the request,
/// and becomes part of every write.
fn check_note(request: &mut impl Walk, note_bytes: usize, records: usize) -> Result<(), Status> {
    if note_bytes.saturating_mul(records) > MAX_NOTES_BYTES {
        validate_request(request, Reason::InvalidRecord)?;
    }
    Ok(())
}

impl EditorialHandler {
    async fn commit_writes(
        &self,
        caller: &Caller,
        request: CommitRequest,
        rename: impl Fn(&str) -> String,
    ) -> Result<Committed, Status> {
        commit(&self.committer, &self.matcher, caller, request, rename).await
    }
}

#[tonic::async_trait]
impl EditorialService for EditorialHandler {
    async fn commit(
        &self,
        request: Request<CommitRequest>,
    ) -> Result<Response<PreEncoded<CommitResponse>>, Status> {
        let (caller, request) = extract_caller(request)?;
        let omit_content = request.omit_content;
        let committed = self.commit_writes(&caller, request, str::to_owned).await?;
        Ok(Response::new(commit_response(&committed, omit_content)))
    }

    async fn submit_records(
        &self,
        request: Request<SubmitRecordsRequest>,
    ) -> Result<Response<PreEncoded<SubmitRecordsResponse>>, Status> {
        let (caller, request) = extract_caller(request)?;
        let omit_content = request.omit_content;
        let writes = write_each(request.records, |record| {
            Action::Submit(write::Submit { record })
        });
        let request = commit_request!(request, writes);
        let committed = self
            .commit_writes(&caller, request, rename_to_records("submit"))
            .await?;
        Ok(Response::new(commit_response(&committed, omit_content)))
    }

    async fn send_back_records(
        &self,
        request: Request<SendBackRecordsRequest>,
    ) -> Result<Response<PreEncoded<SendBackRecordsResponse>>, Status> {
        let (caller, mut request) = extract_caller(request)?;
        let (note, records) = (request.note.len(), request.records.len());
        check_note(&mut request, note, records)?;
        let omit_content = request.omit_content;
        let writes = write_each(request.records, |record| {
            let note = request.note.clone();
            Action::SendBack(write::SendBack { record, note })
        });
        let request = commit_request!(request, writes);
        let committed = self
            .commit_writes(&caller, request, rename_to_records("send_back"))
            .await?;
        Ok(Response::new(commit_response(&committed, omit_content)))
    }

    async fn publish_records(
        &self,
        request: Request<PublishRecordsRequest>,
    ) -> Result<Response<PreEncoded<PublishRecordsResponse>>, Status> {
        let (caller, request) = extract_caller(request)?;
        let omit_content = request.omit_content;
        let embargo_time = request.embargo_time;
        let writes = write_each(request.records, |record| {
            Action::Publish(write::Publish {
                record,
                embargo_time,
            })
        });
        let request = commit_request!(request, writes);
        let committed = self
            .commit_writes(&caller, request, rename_to_records("publish"))
            .await?;
        Ok(Response::new(commit_response(&committed, omit_content)))
    }

    async fn correct_record(
        &self,
        request: Request<CorrectRecordRequest>,
    ) -> Result<Response<PreEncoded<CorrectRecordResponse>>, Status> {
        let (caller, request) = extract_caller(request)?;
        let writes = single_write(Action::Correct(write::Correct {
            record: request.record,
            update_mask: request.update_mask,
            note: request.note,
            kind: request.kind,
        }));
        let request = commit_request!(request, writes);
        let committed = self
            .commit_writes(&caller, request, rename_to_record("correct"))
            .await?;
        Ok(Response::new(single_record_response(&committed)))
    }

    async fn retract_records(
        &self,
        request: Request<RetractRecordsRequest>,
    ) -> Result<Response<PreEncoded<RetractRecordsResponse>>, Status> {
        let (caller, mut request) = extract_caller(request)?;
        let (note, records) = (request.note.len(), request.records.len());
        check_note(&mut request, note, records)?;
        let omit_content = request.omit_content;
        let writes = write_each(request.records, |record| {
            Action::Retract(write::Retract {
                record,
                note: request.note.clone(),
                cascade: request.cascade,
            })
        });
        let request = commit_request!(request, writes);
        let committed = self
            .commit_writes(&caller, request, rename_to_records("retract"))
            .await?;
        Ok(Response::new(commit_response(&committed, omit_content)))
    }

    async fn merge_record(
        &self,
        request: Request<MergeRecordRequest>,
    ) -> Result<Response<PreEncoded<MergeRecordResponse>>, Status> {
        let (caller, request) = extract_caller(request)?;
        let omit_content = request.omit_content;
        let writes = single_write(Action::Merge(write::Merge {
            record: request.record,
            into: request.into,
            note: request.note,
        }));
        let request = commit_request!(request, writes);
        let committed = self
            .commit_writes(&caller, request, rename_to_record("merge"))
            .await?;
        Ok(Response::new(commit_response(&committed, omit_content)))
    }

    async fn unmerge_record(
        &self,
        request: Request<UnmergeRecordRequest>,
    ) -> Result<Response<PreEncoded<UnmergeRecordResponse>>, Status> {
        let (caller, request) = extract_caller(request)?;
        let omit_content = request.omit_content;
        let writes = single_write(Action::Unmerge(write::Unmerge {
            record: request.record,
            note: request.note,
        }));
        let request = commit_request!(request, writes);
        let committed = self
            .commit_writes(&caller, request, rename_to_record("unmerge"))
            .await?;
        Ok(Response::new(commit_response(&committed, omit_content)))
    }

    async fn restore_record(
        &self,
        request: Request<RestoreRecordRequest>,
    ) -> Result<Response<PreEncoded<RestoreRecordResponse>>, Status> {
        let (caller, request) = extract_caller(request)?;
        let writes = single_write(Action::Restore(write::Restore {
            record: request.record,
            revision: request.revision,
            note: request.note,
        }));
        let request = commit_request!(request, writes);
        let committed = self
            .commit_writes(&caller, request, rename_to_record("restore"))
            .await?;
        Ok(Response::new(single_record_response(&committed)))
    }

    async fn purge_record(
        &self,
        request: Request<PurgeRecordRequest>,
    ) -> Result<Response<PreEncoded<PurgeRecordResponse>>, Status> {
        let (caller, request) = extract_caller(request)?;
        let omit_content = request.omit_content;
        let writes = single_write(Action::Purge(write::Purge {
            record: request.record,
            note: request.note,
            cascade: request.cascade,
        }));
        let request = commit_request!(request, writes);
        let committed = self
            .commit_writes(&caller, request, rename_to_record("purge"))
            .await?;
        Ok(Response::new(commit_response(&committed, omit_content)))
    }
}
