//! Lists the audit log over gRPC, page by page.

use dateline_proto::v1::{
    AuditEntry, AuditedRecord, ListAuditEntriesRequest, ListAuditEntriesResponse,
};
use dateline_record::timestamp::timestamp;
use dateline_store::AuditQuestion;
use tonic::Status;

use super::{
    admin_service::Admin,
    answer::MAX_ANSWER_BYTES,
    page_token::Question,
    read::{check, page_size, read_time},
    status::{self, Reason},
};

impl Admin {
    /// Returns a page of the audit log, newest entries first.
    pub(super) async fn audited(
        &self,
        mut request: ListAuditEntriesRequest,
    ) -> Result<ListAuditEntriesResponse, Status> {
        check(&mut request, Reason::InvalidRequest)?;
        let size = page_size(request.page_size);
        let asked = Question::of(&ListAuditEntriesRequest {
            page_size: 0,
            page_token: String::new(),
            ..request.clone()
        });
        let identity = &self.feed.identity();
        let last = asked.read(identity, &request.page_token)?;
        let some = |text: String| (!text.is_empty()).then_some(text);
        let question = AuditQuestion {
            author: some(request.author),
            record: some(request.record),
            method: some(request.method),
            since: request.since.map(read_time).transpose()?,
            until: request.until.map(read_time).transpose()?,
            after: request.after_number,
            before: last.parse().unwrap_or(i64::MAX),
        };
        let found = self
            .store
            .list_audit(&question, size.into(), MAX_ANSWER_BYTES)
            .await;
        let (found, has_more) = found.map_err(|error| status::store(&error))?;
        let last = found.last().filter(|_| has_more);
        let next_page_token = last.map(|last| asked.write(identity, &last.number.to_string()));
        Ok(ListAuditEntriesResponse {
            entries: found.into_iter().map(shown).collect(),
            next_page_token: next_page_token.unwrap_or_default(),
        })
    }
}

fn shown(entry: dateline_store::AuditEntry) -> AuditEntry {
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
