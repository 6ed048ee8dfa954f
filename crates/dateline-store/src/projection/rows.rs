//! The rows that a projection makes of the heads of a step.

use std::panic::{AssertUnwindSafe, catch_unwind};

use dateline_proto::v1::record::Kind as Body;

use super::step::ProjectedHead;
use crate::{Error, columns::DELETED, read_round::decode_body};

/// The row of a head.
pub(super) struct ProjectedRow<R> {
    pub name: String,
    pub desk_sequence: i64,
    /// `None` if the record is to have none: it is deleted, or damaged.
    pub row: Option<R>,
}

/// Makes the row of each head. One damaged record must not stop the others: it is logged, and has no row rather than an
/// old one.
///
/// # Errors
/// If the thread that makes them ends.
pub(super) async fn make<R: Send + 'static>(
    projection: &'static str,
    heads: Vec<ProjectedHead>,
    make: fn(&mut Body) -> Result<R, Error>,
) -> Result<Vec<ProjectedRow<R>>, Error> {
    let make_all = move || {
        let rows = heads.into_iter().map(|head| {
            let row = (head.state != DELETED)
                .then(|| make_one(projection, &head, make))
                .flatten();
            ProjectedRow {
                name: head.name,
                desk_sequence: head.desk_sequence,
                row,
            }
        });
        rows.collect()
    };
    // A thousand records take long enough to delay the calls of a whole thread.
    tokio::task::spawn_blocking(make_all)
        .await
        .map_err(|error| Error::Corrupt(format!("rows of {projection} cannot be made: {error}")))
}

fn make_one<R>(
    projection: &'static str,
    head: &ProjectedHead,
    make: fn(&mut Body) -> Result<R, Error>,
) -> Option<R> {
    let made = catch_unwind(AssertUnwindSafe(|| {
        make(&mut decode_body(&head.name, &head.kind, &head.content)?)
    }));
    let made = made.unwrap_or_else(|_| {
        let what = format!("making the row of {} panicked", head.name);
        Err(Error::Corrupt(what))
    });
    made.inspect_err(|error| {
        tracing::error!(
            projection,
            record = head.name,
            sequence = head.desk_sequence,
            error = error as &dyn std::error::Error,
            "a record is missing from a projection"
        );
    })
    .ok()
}
