//! Lists the audit log over gRPC, page by page.

use dateline_proto::v1::{
    AuditEntry, AuditedRecord, ListAuditEntriesRequest, ListAuditEntriesResponse,
};
use dateline_record::timestamp::timestamp;
use dateline_store::AuditQuery;
use tonic::Status;

use crate::{
    middleware::backpressure::MAX_RESPONSE_BYTES,
    services::admin_service::AdminHandler,
    services::page_token::PageContext,
    services::request::{page_size, parse_time, validate_request},
    status::{self, Reason},
};

impl AdminHandler {
    /// Returns a page of the audit log, newest entries first.
    pub(super) async fn audit_page(
        &self,
        mut request: ListAuditEntriesRequest,
    ) -> Result<ListAuditEntriesResponse, Status> {
        validate_request(&mut request, Reason::InvalidRequest)?;
        let size = page_size(request.page_size);
        let page_context = PageContext::new(&ListAuditEntriesRequest {
            page_size: 0,
            page_token: String::new(),
            ..request.clone()
        });
        let identity = &self.feed.identity();
        let last = page_context.decode_token(identity, &request.page_token)?;
        let some = |text: String| (!text.is_empty()).then_some(text);
        let question = AuditQuery {
            author: some(request.author),
            record: some(request.record),
            method: some(request.method),
            since: request.since.map(parse_time).transpose()?,
            until: request.until.map(parse_time).transpose()?,
            after: request.after_number,
            before: last.parse().unwrap_or(i64::MAX),
        };
        let found = self
            .store
            .list_audit(&question, size.into(), MAX_RESPONSE_BYTES)
            .await;
        let (found, has_more) = found.map_err(|error| status::store(&error))?;
        let last = found.last().filter(|_| has_more);
        let next_page_token =
            last.map(|last| page_context.encode_token(identity, &last.number.to_string()));
        Ok(ListAuditEntriesResponse {
            entries: found.into_iter().map(to_proto).collect(),
            next_page_token: next_page_token.unwrap_or_default(),
        })
    }
}

fn to_proto(entry: dateline_store::AuditEntry) -> AuditEntry {
    let records = entry.records.into_iter().map(|record| AuditedRecord {
        name: record.name,
        r#type: record.change_type.into(),
        revision: record.revision,
    });
    AuditEntry {
        number: entry.number,
        time: Some(timestamp(entry.at)),
        records: records.collect(),
        author: entry.author,
        credential: entry.credential,
        peer: entry.peer,
        method: entry.method,
        request_id: entry
            .request_id
            .map(|id| id.to_string())
            .unwrap_or_default(),
        outcome: entry.outcome,
        desk_sequence: entry.desk_sequence.unwrap_or_default(),
        details: entry.details,
    }
}
