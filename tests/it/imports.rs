//! `dateline import` as a user meets it: every file format, bad records among good ones, dry runs, repeated runs, and
//! the state after an interruption. Files that cannot be read at all are in `bad_input::files`.

mod agency_items;
mod texts;
mod versions;

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use dateline_generate::RecordGenerator;
use dateline_proto::v1::{GetFeedRequest, Record, View};
use nix::sys::signal::{Signal, kill};
use prost::Message;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::support::{
    cli::{CommandOutput, actor, dateline, program},
    process::{PROCESS_TIMEOUT, pid},
    records::name,
    server::{TestServer, start_server, temp_dir},
};

fn records(count: usize) -> Vec<Record> {
    RecordGenerator::new(1).take(count).collect()
}

fn lines(records: &[Record]) -> String {
    let line =
        |record: &Record| serde_json::to_string(&dateline::json::document(record)).unwrap() + "\n";
    records.iter().map(line).collect()
}

fn messages(records: &[Record]) -> Vec<u8> {
    records
        .iter()
        .flat_map(Message::encode_length_delimited_to_vec)
        .collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn file(directory: &Path, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let file = directory.join(name);
    std::fs::write(&file, bytes).unwrap();
    file
}

async fn import(server: &TestServer, file: &Path, arguments: &[&str]) -> CommandOutput {
    let arguments = [&["import", file.to_str().unwrap()], arguments].concat();
    dateline(&server.address, &arguments).await
}

async fn desk(server: &TestServer) -> Vec<Value> {
    let listed = dateline(&server.address, &["list", "--view", "desk", "-o", "ndjson"]);
    listed.await.ok().lines()
}

/// The head of the desk feed: the number of changes.
async fn changes(server: &TestServer) -> i64 {
    let request = GetFeedRequest {
        view: View::Desk.into(),
    };
    let mut feed = server.client.feed.clone();
    feed.get_feed(request)
        .await
        .unwrap()
        .into_inner()
        .head_sequence
}

/// The last line of stderr; on a slow machine, lines of progress precede it.
fn last(done: &CommandOutput) -> &str {
    done.stderr.lines().last().unwrap_or_default()
}

fn rejects(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn every_form_of_file_holds_the_same_records_and_a_second_run_writes_nothing() {
    let (_keep, directory) = temp_dir();
    let records = records(60);
    let (text, bytes) = (lines(&records), messages(&records));
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
    let files = [
        ("records.ndjson", text.clone().into_bytes()),
        (
            "marked.txt",
            format!("\u{feff}{}", text.replace('\n', "\r\n")).into_bytes(),
        ),
        ("records.ndjson.gz", gzip(text.as_bytes())),
        ("packed.json", gzip(text.as_bytes())),
        (
            "twice-packed.json.gz",
            [gzip(&text.as_bytes()[..99]), gzip(&text.as_bytes()[99..])].concat(),
        ),
        ("records.ndjson.zst", zstd(text.as_bytes())),
        ("records.binpb", bytes.clone()),
        ("nobody-knows", bytes.clone()),
        ("records.pb.zst", zstd(&bytes)),
    ];
    let server = start_server().await;
    let first = import(
        &server,
        &file(&directory, "first.ndjson", &text),
        &["--publish"],
    )
    .await
    .ok();
    assert_eq!(first.stderr, "60 created, 0 already there, 60 published\n");
    let before = changes(&server).await;
    for (name, bytes) in files {
        let again = import(&server, &file(&directory, name, bytes), &["--publish"]).await;
        assert_eq!(
            (again.code, again.stderr.as_str()),
            (0, "0 created, 60 already there, 0 published\n"),
            "{name}"
        );
    }
    assert_eq!(changes(&server).await, before, "nothing was written");
    server.stop().await;
}

#[tokio::test]
async fn records_are_published_as_they_come_each_after_what_it_refers_to() {
    let server = start_server().await;
    let (_keep, directory) = temp_dir();
    let mut records = records(2400);
    // The order of the file does not matter.
    records[1100..].reverse();
    let file = file(&directory, "records.ndjson", lines(&records));
    let done = import(&server, &file, &["--publish"]).await.ok();
    assert_eq!(last(&done), "2400 created, 0 already there, 2400 published");
    let again = import(&server, &file, &["--publish"]).await.ok();
    assert_eq!(last(&again), "0 created, 2400 already there, 0 published");
    server.stop().await;
}

/// Four good records, with invalid ones of all kinds among them.
fn mixed() -> (String, Vec<(u64, &'static str, &'static str, &'static str)>) {
    let nameless = r#"{"actor":{"name":"actors/nameless","type":"TYPE_GROUP"}}"#;
    let other = actor("first").replace("TYPE_GROUP", "TYPE_MEDIA");
    let text = [
        actor("first"),
        "not json".to_owned(),
        actor("second"),
        nameless.to_owned(),
        actor("third"),
        other,
        actor("fourth").replace("TYPE_GROUP", "TYPE_GOAT"),
        actor("taken").replace("TYPE_GROUP", "TYPE_MEDIA"),
        actor("fifth"),
        actor("first"),
    ];
    // Line, name, field, reason.
    let rejects = vec![
        (2, "", "", "UNREADABLE"),
        (7, "", "", "UNREADABLE"),
        (8, "actors/taken", "name", "NAME_TAKEN"),
        (6, "actors/first", "name", "NAME_TAKEN"),
        (4, "actors/nameless", "display_name", "INVALID_RECORD"),
        (4, "actors/nameless", "names", "INVALID_RECORD"),
    ];
    (text.join("\n"), rejects)
}

#[tokio::test]
async fn a_bad_record_is_left_out_alone_and_the_file_of_rejects_says_which_and_why() {
    let server = start_server().await;
    let (_keep, directory) = temp_dir();
    import(
        &server,
        &file(&directory, "taken.ndjson", actor("taken")),
        &[],
    )
    .await
    .ok();
    let (text, mut expected) = mixed();
    let mixed = file(&directory, "mixed.ndjson", text);
    let told = directory.join("rejects.ndjson");
    let told_as = told.to_str().unwrap();
    // A dry run reports everything, and writes nothing.
    let before = changes(&server).await;
    let dry = import(
        &server,
        &mixed,
        &["--on-error", "skip", "--dry-run", "--publish"],
    )
    .await;
    assert_eq!(dry.code, 1);
    assert_eq!(
        dry.stderr,
        "dry run, nothing is written: 4 would be created, 1 already there, 5 rejected\n"
    );
    assert_eq!(changes(&server).await, before);
    let skipped = import(
        &server,
        &mixed,
        &["--on-error", "skip", "--rejects", told_as],
    )
    .await;
    assert_eq!(skipped.code, 1);
    assert_eq!(
        skipped.stderr,
        "4 created, 1 already there, 0 published, 5 rejected\n"
    );
    let mut found: Vec<_> = rejects(&told)
        .iter()
        .map(|row| {
            assert!(!row["message"].as_str().unwrap().is_empty(), "{row}");
            json!([row["line"], row["name"], row["field"], row["reason"]])
        })
        .collect();
    let mut expected: Vec<_> = expected.drain(..).map(|row| json!(row)).collect();
    found.sort_by_key(ToString::to_string);
    expected.sort_by_key(ToString::to_string);
    assert_eq!(found, expected);
    assert_eq!(desk(&server).await.len(), 5);
    // A repeated run finds the same, and reports it on request.
    let again = import(&server, &mixed, &["--on-error", "report"]).await;
    assert_eq!(again.code, 1);
    let last = again.stderr.lines().last().unwrap();
    assert_eq!(last, "0 created, 5 already there, 0 published, 5 rejected");
    for told in [
        "rejected: line 2: column 2: ",
        "rejected: line 4: actors/nameless: names: ",
        "[NAME_TAKEN]",
    ] {
        assert!(
            again.stderr.contains(told),
            "{told:?} is not in {}",
            again.stderr
        );
    }
    // A run without rejects leaves an empty file.
    let clean = file(&directory, "clean.ndjson", actor("first"));
    import(
        &server,
        &clean,
        &["--on-error", "skip", "--rejects", told_as],
    )
    .await
    .ok();
    assert!(rejects(&told).is_empty());
    server.stop().await;
}

#[tokio::test]
async fn an_import_that_stops_writes_down_what_stopped_it() {
    let server = start_server().await;
    let (_keep, directory) = temp_dir();
    let told = directory.join("rejects.ndjson");
    let (text, _) = mixed();
    let lines: Vec<_> = text.lines().collect();
    for (id, text, line) in [
        ("unreadable", lines[..3].join("\n"), 2),
        ("refused", [lines[2], lines[3]].join("\n"), 2),
    ] {
        let file = file(&directory, "mixed.ndjson", text);
        let stopped = import(&server, &file, &["--rejects", told.to_str().unwrap()]).await;
        assert_eq!(stopped.code, 1, "{id}");
        assert!(rejects(&told).iter().all(|row| row["line"] == line), "{id}");
        assert!(!rejects(&told).is_empty(), "{id}");
    }
    assert!(desk(&server).await.is_empty(), "nothing of the batch is in");
    server.stop().await;
}

#[tokio::test]
async fn what_refers_to_a_record_that_was_left_out_stays_a_draft() {
    let server = start_server().await;
    let (_keep, directory) = temp_dir();
    let records = records(20);
    let gone = records
        .iter()
        .position(|record| name(record).starts_with("articles/"))
        .unwrap();
    let kept: Vec<_> = [&records[..gone], &records[gone + 1..]].concat();
    let told = directory.join("rejects.ndjson");
    let arguments = [
        "--publish",
        "--on-error",
        "skip",
        "--rejects",
        told.to_str().unwrap(),
    ];
    let file = file(&directory, "kept.ndjson", lines(&kept));
    let done = import(&server, &file, &arguments).await;
    assert_eq!(done.code, 1, "{}", done.stderr);
    let rows = rejects(&told);
    assert!(
        rows.iter()
            .all(|row| row["reason"] == "UNRESOLVED_REFERENCES"),
        "{rows:?}"
    );
    let missing = name(&records[gone]);
    assert!(
        rows.iter()
            .any(|row| row["message"].as_str().unwrap().contains(missing)),
        "{rows:?}"
    );
    let drafts = desk(&server)
        .await
        .iter()
        .filter(|record| record.to_string().contains("STATE_DRAFT"))
        .count();
    assert!(
        drafts > 0
            && done
                .stderr
                .contains(&format!("{} published, {drafts} rejected", 19 - drafts)),
        "{}",
        done.stderr
    );
    // Once the reference exists, the same command does the rest.
    let whole = self::file(&directory, "whole.ndjson", lines(&records));
    let rest = import(&server, &whole, &["--publish"]).await.ok();
    assert_eq!(
        last(&rest),
        format!("1 created, 19 already there, {} published", drafts + 1)
    );
    server.stop().await;
}

#[tokio::test]
async fn ninjs_items_become_drafts_of_articles_and_what_has_no_room_is_counted() {
    let server = start_server().await;
    let (_keep, directory) = temp_dir();
    let item = |number: u32| {
        json!({
            "uri": format!("http://wire.example.org/{number}"), "type": "text", "language": "en",
            "standard": {"name": "ninjs", "version": "3.1", "schema": "http://www.iptc.org/std/ninjs/ninjs-schema_3.1.json"},
            "headlines": [{"value": format!("Story {number}")}], "bodies": [{"value": "One.\r\n\r\nTwo.", "wordCount": 2}],
            "people": [{"name": "Ann"}], "versionCreated": "2026-08-01T06:00:00Z",
        })
    };
    let one = serde_json::to_string_pretty(&item(1)).unwrap();
    let list = serde_json::to_string_pretty(&[item(1), item(2)]).unwrap();
    let lines = format!("{}\n{}\n{}\n", item(1), item(2), item(3));
    for (name, text, told) in [
        ("one.json", one, "1 created, 0 already there"),
        ("list.json", list, "1 created, 1 already there"),
        ("lines.ndjson", lines, "1 created, 2 already there"),
    ] {
        let done = import(&server, &file(&directory, name, text), &[])
            .await
            .ok();
        assert!(done.stderr.starts_with(told), "{name}: {}", done.stderr);
        assert!(done.stderr.contains("people ("), "{name}: {}", done.stderr);
    }
    let picture = json!([item(4), {"uri": "urn:x", "type": "picture"}]).to_string();
    let done = import(
        &server,
        &file(&directory, "picture.json", picture),
        &["--on-error", "report"],
    )
    .await;
    assert_eq!(done.code, 1);
    assert!(
        done.stderr.contains("item 2: type is \"picture\""),
        "{}",
        done.stderr
    );
    let desk = desk(&server).await;
    assert_eq!(desk.len(), 4);
    assert!(
        desk.iter()
            .all(|record| record["article"]["body"] == "One.\n\nTwo."),
        "{desk:?}"
    );
    server.stop().await;
}

#[tokio::test]
async fn ctrl_c_says_how_far_it_came_and_the_same_command_goes_on() {
    let server = start_server().await;
    let drafts: Vec<String> = (0..3500)
        .map(|number| actor(&format!("a-{number}")) + "\n")
        .collect();
    let mut importing = program(&server.address, &["import", "-"]).spawn().unwrap();
    let mut stdin = importing.stdin.take().unwrap();
    // More than two batches; then the import waits for more input.
    stdin
        .write_all(drafts[..2500].concat().as_bytes())
        .await
        .unwrap();
    tokio::time::timeout(PROCESS_TIMEOUT, async {
        while changes(&server).await < 2000 {}
    })
    .await
    .unwrap();
    kill(pid(importing.id().unwrap()), Signal::SIGINT).unwrap();
    let output = tokio::time::timeout(PROCESS_TIMEOUT, importing.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    drop(stdin);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    // The database has two batches; the answer for the second one may or may not arrive before the signal.
    let came_to = [1000, 2000].map(|count| {
        format!("stopped: {count} created, 0 already there, 0 published; the same command goes on from here\n")
    });
    assert!(came_to.contains(&told), "{told}");
    let again =
        crate::support::cli::dateline_reading(&server.address, &["import", "-"], &drafts.concat())
            .await
            .ok();
    assert_eq!(
        again.stderr,
        "1500 created, 2000 already there, 0 published\n"
    );
    server.stop().await;
}
