//! Answers to readers before an embargo ends: those for a record that does not exist.

use super::*;
use crate::support::records::meta;

/// Code, message and details of a status, without the requested name.
fn error_parts(status: &Status, name: &str) -> (Code, String, String) {
    let id = name.split_once('/').unwrap().1;
    let details = String::from_utf8_lossy(status.details()).replace(id, "x");
    // Lengths of strings in the details vary with the name; the rest does not.
    let details = details.chars().filter(char::is_ascii_graphic).collect();
    (status.code(), status.message().replace(id, "x"), details)
}

/// The answers to every way in which a reader can request a record by its name.
async fn answers(server: &TestServer, name: &str) -> Vec<(Code, String, String)> {
    let mut records = server.client.clone().records;
    let mut all = Vec::new();
    let asked = [
        get_request(name, View::Published),
        get_request(name, View::Unspecified),
        GetRecordRequest {
            no_redirect: true,
            ..get_request(name, View::Published)
        },
        GetRecordRequest {
            revision: Some(1),
            ..get_request(name, View::Published)
        },
        GetRecordRequest {
            revision: Some(2),
            ..get_request(name, View::Published)
        },
        GetRecordRequest {
            as_of: Some(3),
            ..get_request(name, View::Published)
        },
    ];
    for request in asked {
        all.push(error_parts(
            &records.get_record(request).await.unwrap_err(),
            name,
        ));
    }
    let request = ListRevisionsRequest {
        name: name.to_owned(),
        ..ListRevisionsRequest::default()
    };
    all.push(error_parts(
        &records.list_revisions(request).await.unwrap_err(),
        name,
    ));
    let request = DiffRevisionsRequest {
        name: name.to_owned(),
        from_revision: 1,
        to_revision: 2,
        ..DiffRevisionsRequest::default()
    };
    all.push(error_parts(
        &records.diff_revisions(request).await.unwrap_err(),
        name,
    ));
    all
}

#[tokio::test]
async fn f10_what_is_under_embargo_answers_readers_like_what_there_is_not() {
    let server = start_server_with_base().await;
    let client = &server.client;
    for kind in KINDS {
        let secret = hidden(
            &server,
            &record_of_kind(kind, "secrt"),
            timestamp_in_ms(LATER),
        )
        .await;
        assert_eq!(
            (state(&secret), meta(&secret).sequence > 0),
            (State::Embargoed, true)
        );
        let unknown = name(&secret).replace("secrt", "nobdy");
        assert_eq!(
            answers(&server, name(&secret)).await,
            answers(&server, &unknown).await
        );
        let request = BatchGetRecordsRequest {
            names: vec![unknown.clone(), name(&secret).to_owned(), SOURCE.to_owned()],
            ..BatchGetRecordsRequest::default()
        };
        let batch = client
            .clone()
            .records
            .batch_get_records(request)
            .await
            .unwrap()
            .into_inner();
        assert_eq!(batch.missing, [unknown.as_str(), name(&secret)]);
        assert_eq!(names(&batch.records), [SOURCE]);
    }
    for states in [
        vec![],
        vec![State::Embargoed, State::Draft],
        vec![State::Published, State::Embargoed],
    ] {
        let filter = RecordFilter {
            states: states.into_iter().map(Into::into).collect(),
            ..RecordFilter::default()
        };
        let request = ListRecordsRequest {
            filter: Some(filter),
            ..ListRecordsRequest::default()
        };
        let listed = client
            .clone()
            .records
            .list_records(request)
            .await
            .unwrap()
            .into_inner();
        assert!(
            names(&listed.records)
                .iter()
                .all(|name| !name.contains("secrt"))
        );
    }
    assert_eq!(
        feed_heads(&server.url).await.1,
        3,
        "the wire has no number for it"
    );
    let wire = read_changes(&server, watch_from_beginning(View::Published), 3).await;
    assert!(wire.iter().all(|change| !change.name.contains("secrt")));
}
