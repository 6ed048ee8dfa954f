//! `dateline import DIR`: an export is imported into another database unchanged.

use std::time::Duration;

use dateline_proto::v1::{LoadRecordsRequest, Record, State};
use nix::sys::signal::{Signal, kill};
use serde_json::Value;
use tonic::Code;

use crate::support::{
    cli::{dateline, dateline_reading, import_gold, program},
    drafts::drafts,
    editing::*,
    export_dir::{export, only_entry},
    process::{PROCESS_TIMEOUT, pid},
    server::{TestServer, start_server, temp_dir},
};

async fn load(test_server: &TestServer, records: Vec<Record>) -> Result<i64, RpcError> {
    let request = LoadRecordsRequest {
        records,
        ..LoadRecordsRequest::default()
    };
    let mut admin = test_server.client.clone().admin;
    let answer = admin.load_records(request).await.map_err(RpcError::from)?;
    Ok(answer.into_inner().loaded)
}

#[tokio::test]
async fn w6_a_load_is_refused_with_every_violation_and_changes_nothing() {
    let test_server = start_server_with_base().await;
    let record = desk_record(&test_server.client, "actors/one").await;
    let empty = start_server().await;
    let changed = |change: &dyn Fn(&mut dateline_proto::v1::RecordMeta)| {
        let mut record = record.clone();
        let body = record.kind.as_mut().unwrap();
        let mut meta = body.take_meta().unwrap();
        change(&mut meta);
        body.set_meta(Some(meta));
        record
    };
    let bare = without_server_fields(&record);
    for (bad, field) in [
        (Record::default(), "records[0]"),
        (bare, "records[0].actor.meta"),
        (
            changed(&|meta| meta.revision = 0),
            "records[0].actor.meta.revision",
        ),
        (
            changed(&|meta| meta.uid.clear()),
            "records[0].actor.meta.uid",
        ),
        (
            changed(&|meta| meta.state = State::Unspecified.into()),
            "records[0].actor.meta.state",
        ),
        (
            with_text(&record, &"x".repeat(100_000)),
            "records[0].actor.description",
        ),
    ] {
        let refused = load(&empty, vec![bad, record.clone()]).await.unwrap_err();
        refused.assert_is(Code::InvalidArgument, "INVALID_RECORD");
        assert!(refused.fields().contains(&field), "{field}: {refused:?}");
    }
    let twice = load(&empty, vec![record.clone(), record.clone()]).await;
    twice
        .unwrap_err()
        .assert_is(Code::InvalidArgument, "INVALID_RECORD");
    for count in [0, 1001] {
        let many = load(&empty, vec![record.clone(); count]).await;
        many.unwrap_err()
            .assert_is(Code::InvalidArgument, "INVALID_REQUEST");
    }
    assert_eq!(feed_heads(&empty.url).await, (0, 0));
    assert_eq!(load(&empty, vec![record.clone()]).await.unwrap(), 1);
    assert_eq!(load(&empty, vec![record.clone()]).await.unwrap(), 0);
    let other = changed(&|meta| meta.revision += 1);
    let clash = load(&empty, vec![other]).await.unwrap_err();
    clash.assert_is(Code::AlreadyExists, "NAME_TAKEN");
}

/// The state of both views, as `dateline feed` reports it.
async fn shows(server: &str) -> Vec<(Value, Value)> {
    let feeds = dateline(server, &["feed", "-o", "json"]).await.ok().json();
    let feeds = feeds.as_array().unwrap().iter();
    feeds
        .map(|feed| (feed["digest"].clone(), feed["kinds"].clone()))
        .collect()
}

/// Records, each with a different history.
const LIVES: [&str; 7] = [
    "corrected",
    "retracted",
    "merged",
    "purged",
    "draft",
    "review",
    "hidden",
];

#[tokio::test]
async fn e1_a_database_loses_nothing_by_export_and_import_into_an_empty_one() {
    let test_server = start_server().await;
    import_gold(&test_server.address).await;
    let client = &test_server.client;
    let mut names = Vec::new();
    for name in LIVES {
        names.push(
            create_drafts(client, &[gold_actor(name)])
                .await
                .swap_remove(0),
        );
    }
    let public = publish_all(client, &names[..4]).await;
    commit_one(
        client,
        correct(&with_text(&public[0], "better"), &[], "said better"),
    )
    .await;
    commit_one(client, retract(&public[1], "wrong", false)).await;
    let into = desk_record(client, "actors/nato").await;
    commit_one(client, merge(&public[2], &into)).await;
    commit_ok(client, vec![purge(&public[3], false)]).await;
    commit_one(client, submit(&names[5])).await;
    commit_one(
        client,
        publish_at(&names[6], Some(timestamp_in_ms(3_600_000))),
    )
    .await;
    let (_keep, directory) = temp_dir();
    for format in ["protobuf", "ndjson"] {
        let out = directory.join(format);
        let how = [
            "--view",
            "desk",
            "--tombstones",
            "--format",
            format,
            "--compress",
            "zstd",
        ];
        export(&test_server.address, &out, &how).await.ok();
        let place = only_entry(&out);
        let words = ["import", place.to_str().unwrap()];
        let empty = start_server().await;
        let dry = dateline(&empty.address, &[&words[..], &["--dry-run"]].concat())
            .await
            .ok();
        assert!(dry.stderr.contains("nothing was written"), "{}", dry.stderr);
        assert_eq!(feed_heads(&empty.url).await, (0, 0));
        let first = dateline(&empty.address, &words).await.ok();
        assert!(
            first.stderr.contains("the digests are equal"),
            "{}",
            first.stderr
        );
        assert_eq!(
            shows(&empty.address).await,
            shows(&test_server.address).await
        );
        let after = feed_heads(&empty.url).await;
        let again = dateline(&empty.address, &words).await.ok();
        assert!(
            again.stderr.contains("were there already"),
            "{}",
            again.stderr
        );
        assert_eq!(feed_heads(&empty.url).await, after, "nothing twice");
        for name in LIVES {
            let name = format!("actors/{name}");
            let (mut here, mut there) = (
                desk_record(&empty.client, &name).await,
                desk_record(client, &name).await,
            );
            for record in [&mut here, &mut there] {
                let body = record.kind.as_mut().unwrap();
                let mut meta = body.take_meta().unwrap();
                meta.sequence = 0;
                body.set_meta(Some(meta));
            }
            assert_eq!(here, there, "meta and all");
        }
        // Writes work in the new database.
        let draft = desk_record(&empty.client, "actors/draft").await;
        commit_one(&empty.client, publish(&draft)).await;
        dateline(&empty.address, &["verify", "--view", "desk"])
            .await
            .ok();
        dateline(&empty.address, &["verify"]).await.ok();
        // A record that exists in another revision is not overwritten.
        let clash = dateline(&empty.address, &words).await;
        assert!(
            clash.code == 1 && clash.stderr.contains("NAME_TAKEN"),
            "{}",
            clash.stderr
        );
    }
}

#[tokio::test]
async fn an_import_of_an_export_that_is_killed_is_completed_by_the_same_command() {
    let test_server = start_server().await;
    dateline_reading(&test_server.address, &["import", "-"], &drafts("record"))
        .await
        .ok();
    let (_keep, directory) = temp_dir();
    export(
        &test_server.address,
        &directory,
        &["--view", "desk", "--format", "protobuf"],
    )
    .await
    .ok();
    let place = only_entry(&directory);
    let words = ["import", place.to_str().unwrap()];
    let empty = start_server().await;
    for due in [1, 1500] {
        let mut client = program(&empty.address, &words).spawn().unwrap();
        let waiting = async {
            while feed_heads(&empty.url).await.0 < due {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PROCESS_TIMEOUT, waiting)
            .await
            .expect("records come in");
        kill(pid(client.id().unwrap()), Signal::SIGKILL).unwrap();
        client.wait().await.unwrap();
    }
    let done = dateline(&empty.address, &words).await.ok();
    assert!(
        done.stderr.contains("the digests are equal"),
        "{}",
        done.stderr
    );
    assert_eq!(
        shows(&empty.address).await,
        shows(&test_server.address).await
    );
    assert_eq!(
        feed_heads(&empty.url).await.0,
        i64::try_from(crate::support::drafts::RECORDS).unwrap()
    );
}
