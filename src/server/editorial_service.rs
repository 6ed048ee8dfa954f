//! `EditorialService`: many writes at once, and the moves from one state to the next.

use tonic::{Request, Response, Status};

use super::{
    codec::Ready,
    commit::{commit, many},
};
use crate::{
    proto::{
        servers::editorial_service_server::EditorialService,
        v1::{
            CommitRequest, CommitResponse, PublishRecordsRequest, PublishRecordsResponse,
            RecordVersion, RetractRecordsRequest, RetractRecordsResponse, Write, write,
        },
    },
    store::Committer,
};

/// Commits, and what is made of a commit.
#[derive(Debug, Clone)]
pub struct Editorial {
    /// Writes.
    pub committer: Committer,
}

fn writes(
    records: Vec<RecordVersion>,
    action: impl Fn(RecordVersion) -> write::Action,
) -> Vec<Write> {
    records
        .into_iter()
        .map(|record| Write {
            action: Some(action(record)),
        })
        .collect()
}

/// `writes[3].publish.name` → `records[3].name`.
fn of_records(action: &'static str) -> impl Fn(&str) -> String {
    move |field| {
        let Some(rest) = field.strip_prefix("writes") else {
            return field.to_owned();
        };
        match rest.split_once(&format!(".{action}")) {
            // A note is given once for all records.
            Some((_, ".note")) => "note".to_owned(),
            Some((index, inner)) => format!(
                "records{index}{}",
                inner.strip_prefix(".record").unwrap_or(inner)
            ),
            None => format!("records{rest}"),
        }
    }
}

#[tonic::async_trait]
impl EditorialService for Editorial {
    async fn commit(
        &self,
        request: Request<CommitRequest>,
    ) -> Result<Response<Ready<CommitResponse>>, Status> {
        let request = request.into_inner();
        let omit_content = request.omit_content;
        let committed = commit(&self.committer, request, str::to_owned).await?;
        Ok(Response::new(many(&committed, omit_content)))
    }

    async fn publish_records(
        &self,
        request: Request<PublishRecordsRequest>,
    ) -> Result<Response<Ready<PublishRecordsResponse>>, Status> {
        let PublishRecordsRequest {
            records,
            request_id,
            validate_only,
            omit_content,
        } = request.into_inner();
        let writes = writes(records, write::Action::Publish);
        let request = CommitRequest {
            writes,
            request_id,
            validate_only,
            omit_content,
        };
        let committed = commit(&self.committer, request, of_records("publish")).await?;
        Ok(Response::new(many(&committed, omit_content)))
    }

    async fn retract_records(
        &self,
        request: Request<RetractRecordsRequest>,
    ) -> Result<Response<Ready<RetractRecordsResponse>>, Status> {
        let RetractRecordsRequest {
            records,
            note,
            request_id,
            validate_only,
            omit_content,
        } = request.into_inner();
        let writes = writes(records, |record| {
            write::Action::Retract(write::Retract {
                record: Some(record),
                note: note.clone(),
            })
        });
        let request = CommitRequest {
            writes,
            request_id,
            validate_only,
            omit_content,
        };
        let committed = commit(&self.committer, request, of_records("retract")).await?;
        Ok(Response::new(many(&committed, omit_content)))
    }
}
