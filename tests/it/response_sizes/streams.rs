//! Streams with the largest changes and records.

use dateline_proto::v1::{ExportRequest, Origin, View};

use crate::support::{
    large_records::{SizeChecks, desk},
    watch::watch_from_origin,
};

/// Reads both streams to their end.
pub async fn all(checks: &mut SizeChecks) {
    for origin in [Origin::Beginning, Origin::Snapshot] {
        let request = watch_from_origin(View::Desk, origin);
        let stream = checks.feed.watch(request).await.unwrap();
        let mut stream = stream.into_inner();
        let mut carried = 0;
        loop {
            let response = stream.message().await.unwrap().expect("it goes on");
            checks.assert_fits("Watch", &response);
            carried += response.changes.len() + response.records.len();
            let is_at_head = response.checkpoint.is_some_and(|checkpoint| {
                checkpoint.sequence > 0 && checkpoint.sequence == checkpoint.head_sequence
            });
            if is_at_head {
                break;
            }
        }
        assert!(carried > 4);
    }
    let request = ExportRequest {
        view: desk(),
        tombstones: true,
        ..ExportRequest::default()
    };
    let mut stream = checks.exports.export(request).await.unwrap().into_inner();
    let mut records = 0;
    while let Some(response) = stream.message().await.unwrap() {
        checks.assert_fits("Export", &response);
        records += response.records.len();
    }
    assert_eq!(records, 1005);
}
