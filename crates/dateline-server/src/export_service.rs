//! `ExportService`: the state at one sequence, from pre-encoded bytes.

use std::pin::Pin;

use dateline_access::Sight;
use dateline_feed::{Export, ExportItem, ExportOrder, Feed};
use dateline_proto::v1::{ExportBegin, ExportRequest, ExportResponse};
use dateline_record::filter::Filter;
use dateline_store::{Extract, References};
use futures_util::{Stream, stream};
use prost::Message;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::{
    codec::Ready,
    door::admitted,
    guarded::Guarded,
    leaving::Leaving,
    read::{Pieces, check, sight},
    status::{self, Reason},
};
use crate::servers::export_service_server::ExportService;

/// The exports of the feeds.
#[derive(Debug, Clone)]
pub struct Exports {
    /// The feed to export.
    pub feed: Feed,
    /// Ends every stream.
    pub stop: CancellationToken,
}

type Responses = Pin<Box<dyn Stream<Item = Result<Ready<ExportResponse>, Status>> + Send>>;

#[tonic::async_trait]
impl ExportService for Exports {
    type ExportStream = Responses;

    async fn export(&self, request: Request<ExportRequest>) -> Result<Response<Responses>, Status> {
        let leaving = Leaving::of(&self.stop, request.extensions());
        let (admitted, mut request) = admitted(request)?;
        let sight = sight(admitted.caller(), request.view())?;
        // The filter's names are taken literally, without merged actors: its meaning must not change during an export.
        let filter = Filter::new(request.filter.as_ref());
        let filter =
            filter.map_err(|violations| status::invalid(Reason::InvalidFilter, &violations))?;
        check(&mut request, Reason::InvalidRequest)?;
        let order = order(&request, sight.narrow(filter), &sight)?;
        let export = self.feed.export(order, leaving.token()).await;
        let export = export.map_err(|error| status::feed(&error))?;
        metrics::counter!("dateline_exports_total").increment(1);
        let responses = responses(export, sight, leaving);
        Ok(Response::new(Box::pin(Guarded::new(&admitted, responses))))
    }
}

fn order(request: &ExportRequest, filter: Filter, sight: &Sight) -> Result<ExportOrder, Status> {
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
    let since = request.since_sequence.map(i64::cast_unsigned);
    let sequence = request.sequence.map(i64::cast_unsigned);
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
    let asked = ExportRequest {
        sequence: None,
        cursor: String::new(),
        ..request.clone()
    };
    let mut asked = asked.encode_to_vec();
    asked.extend(sight.mark());
    Ok(ExportOrder {
        extract: Extract {
            filter,
            view: sight.view(),
            at: 0,
            since,
            tombstones: request.tombstones,
            part: (part, parts),
            references: resolves.then(|| References::new(request.dependants)),
        },
        sequence,
        asked,
        cursor: (!request.cursor.is_empty()).then(|| request.cursor.clone()),
    })
}

enum Step {
    Begin(Export, Sight),
    Go(Export),
    Over,
}

fn responses(
    export: Export,
    sight: Sight,
    leaving: Leaving,
) -> impl Stream<Item = Result<Ready<ExportResponse>, Status>> + Send {
    stream::unfold(Step::Begin(export, sight), move |step| {
        let leaving = leaving.clone();
        async move { next(step, &leaving).await }
    })
}

async fn next(
    step: Step,
    leaving: &Leaving,
) -> Option<(Result<Ready<ExportResponse>, Status>, Step)> {
    match step {
        Step::Begin(export, sight) => Some((Ok(begin(&export, &sight)), Step::Go(export))),
        Step::Go(mut export) => Some(match export.next().await {
            Ok(Some(ExportItem::Part(pieces, cursor))) => {
                (Ok(part(pieces, &cursor)), Step::Go(export))
            }
            Ok(Some(ExportItem::End)) => (Ok(end(&export)), Step::Over),
            Ok(None) => (Err(leaving.status()), Step::Over),
            Err(error) => (Err(status::feed(&error)), Step::Over),
        }),
        Step::Over => None,
    }
}

fn begin(export: &Export, sight: &Sight) -> Ready<ExportResponse> {
    let (standing, view) = (export.standing(), sight.view());
    let is_head = dateline_store::of_view(standing.heads, view) == export.sequence();
    let is_proved = is_head && sight.scope().is_none();
    let begin = ExportBegin {
        feed: standing.feed.to_string(),
        epoch: standing.epoch,
        sequence: export.sequence().cast_signed(),
        digest: is_proved.then(|| standing.shown(view).to_digest()),
        references: export.resolves(),
    };
    Ready::from(&ExportResponse {
        begin: Some(begin),
        cursor: export.cursor(),
        ..ExportResponse::default()
    })
}

/// Builds a response: `records = 1`, `removed = 2` and `references = 6` are pre-encoded; `cursor = 3` is added.
fn part(ready: Vec<bytes::Bytes>, cursor: &str) -> Ready<ExportResponse> {
    let mut pieces = Pieces::default();
    for piece in ready {
        pieces.fields(piece);
    }
    pieces.string(3, cursor);
    pieces.finish()
}

fn end(export: &Export) -> Ready<ExportResponse> {
    Ready::from(&ExportResponse {
        complete: true,
        cursor: export.cursor(),
        ..ExportResponse::default()
    })
}
