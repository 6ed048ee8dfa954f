//! The real article as 47 sourced records: written by one commit, published as one batch, streamed on the wire feed,
//! and read back value for value by every method.

use dateline::json;
use dateline_proto::v1::{Bundle, GetRecordRequest, ListRecordsRequest, State, View, change};

use crate::support::{
    gold::{GOLD, gold_as_published, publish_gold},
    records::{meta, name, without_server_fields},
    server::start_server,
    watch::{read_changes, watch_from_beginning},
};

#[test]
fn the_gold_file_reads_as_a_bundle_and_prints_back_the_same() {
    let bundle: Bundle = json::read(GOLD).unwrap();
    let expected: serde_json::Value = serde_json::from_str(GOLD).unwrap();
    assert_eq!(json::value(&bundle).unwrap(), expected);
}

#[tokio::test]
async fn w5_the_gold_records_go_in_as_one_commit_and_come_out_as_one_batch() {
    let server = start_server().await;
    publish_gold(&server).await;
    let changes = read_changes(&server, watch_from_beginning(View::Published), 47).await;
    let sequences: Vec<_> = changes.iter().map(|change| change.sequence).collect();
    assert_eq!(sequences, (1..=47).collect::<Vec<_>>());
    assert!(
        changes
            .iter()
            .all(|change| change.batch == 47 && change.r#type() == change::Type::Published)
    );
    assert_eq!(
        changes.iter().filter(|change| change.last_in_batch).count(),
        1
    );
    assert!(changes[46].last_in_batch);
    for (change, sent) in changes.iter().zip(gold_as_published()) {
        let received = change.record.as_ref().unwrap();
        assert_eq!(
            without_server_fields(received),
            without_server_fields(&sent)
        );
        assert_eq!(meta(received).sequence, change.sequence);
        assert_eq!(meta(received).state(), State::Published);
    }
    server.stop().await;
}

#[tokio::test]
async fn gold_records_read_back_value_for_value_by_get_and_list() {
    let server = start_server().await;
    publish_gold(&server).await;
    let mut client = server.client.clone();
    for sent in gold_as_published() {
        let request = GetRecordRequest {
            name: name(&sent).to_owned(),
            ..GetRecordRequest::default()
        };
        let read = client
            .records
            .get_record(request)
            .await
            .unwrap()
            .into_inner()
            .record
            .unwrap();
        assert_eq!(without_server_fields(&read), without_server_fields(&sent));
    }
    let (mut listed, mut token) = (Vec::new(), String::new());
    loop {
        let request = ListRecordsRequest {
            page_size: 7,
            page_token: token,
            ..ListRecordsRequest::default()
        };
        let page = client
            .records
            .list_records(request)
            .await
            .unwrap()
            .into_inner();
        assert!(page.records.len() <= 7);
        listed.extend(page.records);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    let mut expected = gold_as_published();
    expected.sort_by(|left, right| name(left).cmp(name(right)));
    assert_eq!(
        listed.iter().map(without_server_fields).collect::<Vec<_>>(),
        expected
            .iter()
            .map(without_server_fields)
            .collect::<Vec<_>>()
    );
    server.stop().await;
}
