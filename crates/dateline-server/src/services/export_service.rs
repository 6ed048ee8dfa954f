//! `ExportService`: the state at one sequence, from pre-encoded bytes.

use std::pin::Pin;

use dateline_access::Visibility;
use dateline_feed::{Export, ExportItem, ExportOptions, Feed};
use dateline_proto::v1::{ExportBegin, ExportRequest, ExportResponse};
use dateline_record::{filter::Filter, sequence::Sequence};
use dateline_store::{References, SnapshotQuery};
use futures_util::{Stream, stream};
use prost::Message;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::servers::export_service_server::ExportService;
use crate::{
    drain::Drain,
    middleware::admitted::extract_admitted,
    middleware::revocation::RevocableStream,
    services::request::{validate_request, visibility},
    services::response::ResponseBuilder,
    status::{self, Reason},
    transport::codec::PreEncoded,
};

/// The exports of the feeds.
#[derive(Debug, Clone)]
pub struct ExportHandler {
    /// The feed to export.
    pub feed: Feed,
    /// Ends every stream.
    pub stop: CancellationToken,
}

type ExportResponses =
    Pin<Box<dyn Stream<Item = Result<PreEncoded<ExportResponse>, Status>> + Send>>;

#[tonic::async_trait]
impl ExportService for ExportHandler {
    type ExportStream = ExportResponses;

    async fn export(
        &self,
        request: Request<ExportRequest>,
    ) -> Result<Response<ExportResponses>, Status> {
        let drain = Drain::for_request(&self.stop, request.extensions());
        let (admitted, mut request) = extract_admitted(request)?;
        let visibility = visibility(admitted.caller(), request.view())?;
        // The filter's names are taken literally, without merged actors: its meaning must not change during an export.
        let filter = Filter::new(request.filter.as_ref());
        let filter =
            filter.map_err(|violations| status::invalid(Reason::InvalidFilter, &violations))?;
        validate_request(&mut request, Reason::InvalidRequest)?;
        let options = export_options(&request, visibility.restrict(filter), &visibility)?;
        let export = self.feed.export(options, drain.token()).await;
        let export = export.map_err(|error| status::feed(&error))?;
        metrics::counter!("dateline_exports_total").increment(1);
        let responses = responses(export, visibility, drain);
        Ok(Response::new(Box::pin(RevocableStream::new(
            &admitted, responses,
        ))))
    }
}

fn export_options(
    request: &ExportRequest,
    filter: Filter,
    visibility: &Visibility,
) -> Result<ExportOptions, Status> {
    let parts = u16::try_from(request.partitions.max(1)).unwrap_or(u16::MAX);
    let part = u16::try_from(request.partition).unwrap_or(u16::MAX);
    if part >= parts {
        let what = format!("there are {parts} partitions, from 0 to {}", parts - 1);
        return Err(status::invalid_field(
            Reason::InvalidRequest,
            "partition",
            &what,
        ));
    }
    let number = |sequence: i64| Sequence::new(sequence.cast_unsigned());
    let (since, sequence) = (request.since_sequence, request.sequence);
    let (since, sequence) = (since.map(number), sequence.map(number));
    if let (Some(since), Some(at)) = (since, sequence)
        && since > at
    {
        let what = "must not be after sequence";
        return Err(status::invalid_field(
            Reason::InvalidRequest,
            "since_sequence",
            what,
        ));
    }
    if request.dependants && since.is_none() {
        let what = "is for deltas, which say `since_sequence`";
        return Err(status::invalid_field(
            Reason::InvalidRequest,
            "dependants",
            what,
        ));
    }
    let resolves = request.references || request.dependants;
    // The part of the request that a cursor is bound to: everything but the position.
    let request_bytes = ExportRequest {
        sequence: None,
        cursor: String::new(),
        ..request.clone()
    };
    let mut request_bytes = request_bytes.encode_to_vec();
    request_bytes.extend(visibility.fingerprint());
    Ok(ExportOptions {
        extract: SnapshotQuery {
            filter,
            view: visibility.view(),
            at: Sequence::ZERO,
            since,
            tombstones: request.tombstones,
            part: (part, parts),
            references: resolves.then(|| References::new(request.dependants)),
        },
        sequence,
        request_bytes,
        cursor: (!request.cursor.is_empty()).then(|| request.cursor.clone()),
    })
}

enum ExportStreamState {
    Begin(Export, Visibility),
    Streaming(Export),
    Done,
}

fn responses(
    export: Export,
    visibility: Visibility,
    drain: Drain,
) -> impl Stream<Item = Result<PreEncoded<ExportResponse>, Status>> + Send {
    stream::unfold(ExportStreamState::Begin(export, visibility), move |state| {
        let drain = drain.clone();
        async move { next_response(state, &drain).await }
    })
}

async fn next_response(
    state: ExportStreamState,
    drain: &Drain,
) -> Option<(
    Result<PreEncoded<ExportResponse>, Status>,
    ExportStreamState,
)> {
    match state {
        ExportStreamState::Begin(export, visibility) => Some((
            Ok(begin_response(&export, &visibility)),
            ExportStreamState::Streaming(export),
        )),
        ExportStreamState::Streaming(mut export) => Some(match export.next().await {
            Ok(Some(ExportItem::Part(pieces, cursor))) => (
                Ok(part_response(pieces, &cursor)),
                ExportStreamState::Streaming(export),
            ),
            Ok(Some(ExportItem::End)) => (Ok(end_response(&export)), ExportStreamState::Done),
            Ok(None) => (Err(drain.status()), ExportStreamState::Done),
            Err(error) => (Err(status::feed(&error)), ExportStreamState::Done),
        }),
        ExportStreamState::Done => None,
    }
}

fn begin_response(export: &Export, visibility: &Visibility) -> PreEncoded<ExportResponse> {
    let (standing, view) = (export.feed_status(), visibility.view());
    let is_head = standing.heads.in_view(view) == export.sequence();
    let is_proved = is_head && visibility.scope().is_none();
    let begin = ExportBegin {
        feed: standing.feed.to_string(),
        epoch: standing.epoch,
        sequence: export.sequence().to_i64(),
        digest: is_proved.then(|| standing.tallies(view).to_digest()),
        references: export.includes_references(),
    };
    PreEncoded::from(&ExportResponse {
        begin: Some(begin),
        cursor: export.cursor(),
        ..ExportResponse::default()
    })
}

/// Builds a response: `records = 1`, `removed = 2` and `references = 6` are pre-encoded; `cursor = 3` is added.
fn part_response(ready: Vec<bytes::Bytes>, cursor: &str) -> PreEncoded<ExportResponse> {
    let mut pieces = ResponseBuilder::default();
    for piece in ready {
        pieces.fields(piece);
    }
    pieces.string(3, cursor);
    pieces.finish()
}

fn end_response(export: &Export) -> PreEncoded<ExportResponse> {
    PreEncoded::from(&ExportResponse {
        complete: true,
        cursor: export.cursor(),
        ..ExportResponse::default()
    })
}
