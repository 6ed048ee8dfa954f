//! F rows: files for import. An error has file, line and field, and nothing is written; the rows about Bundles are in
//! `cli`.

use crate::support::{
    cli::{CommandOutput, actor, dateline},
    server::{TestServer, start_server, temp_dir},
};

async fn import(server: &TestServer, bytes: &[u8]) -> CommandOutput {
    let (_keep, directory) = temp_dir();
    let file = directory.join("records.ndjson");
    std::fs::write(&file, bytes).unwrap();
    dateline(&server.address, &["import", file.to_str().unwrap()]).await
}

#[tokio::test]
async fn f1_a_file_that_cannot_be_read_is_told_by_file_line_and_field() {
    let server = start_server().await;
    let good = actor("good");
    let before: String = (1..17)
        .map(|line| actor(&format!("good-{line}")) + "\n")
        .collect();
    let on_line_17 = |bad: &str| format!("{before}{bad}");
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let utf16 = [b"\xff\xfe".to_vec(), utf16].concat();
    let doubled = good.replace("{\"actor\":{", "{\"actor\":{\"type\":\"TYPE_GROUP\",");
    let text = |text: String| text.into_bytes();
    let mut untold = Vec::new();
    for (id, bytes, told) in [
        (
            "F1 no JSON",
            text(on_line_17("not json")),
            &["line 17", "column 2"][..],
        ),
        (
            "F1 cut",
            text(on_line_17(&good[..40])),
            &["line 17", "column"],
        ),
        (
            "F1 unknown field",
            text(on_line_17(r#"{"actor":{"nmae":"actors/x"}}"#)),
            &["line 17", "nmae"],
        ),
        (
            "F1 unknown kind",
            text(on_line_17(r#"{"aktor":{}}"#)),
            &["line 17", "aktor"],
        ),
        (
            "F1 wrong type",
            text(on_line_17(r#"{"actor":{"name":7}}"#)),
            &["line 17", "column"],
        ),
        (
            "F1 unknown enum",
            text(on_line_17(&good.replace("TYPE_GROUP", "TYPE_GOAT"))),
            &["line 17", "TYPE_GOAT"],
        ),
        (
            "F1 duplicate key",
            text(on_line_17(&doubled)),
            &["line 17", "type"],
        ),
        (
            "T4 lone surrogate",
            text(on_line_17(&good.replace("TYPE_GROUP", "\\ud800"))),
            &["line 17", "escape"],
        ),
        ("F1 UTF-16", utf16, &["UTF-8"]),
        (
            "F1 gzip, cut",
            b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xcb\x48".to_vec(),
            &["cannot read", "incomplete deflate stream"],
        ),
        (
            "F1 invalid UTF-8",
            text(on_line_17(""))
                .into_iter()
                .chain(*b"{\"actor\":{\"name\":\"\xff\"}}")
                .collect(),
            &["line 17", "UTF-8"],
        ),
        (
            "F1 rule",
            text(on_line_17(&good.replace("actors/good", "actors/A"))),
            &["line 17", "name", "lower-case"],
        ),
    ] {
        let refused = import(&server, &bytes).await;
        let missing: Vec<_> = told
            .iter()
            .filter(|part| !refused.stderr.contains(**part))
            .collect();
        if refused.code != 1
            || !missing.is_empty()
            || (id != "F1 rule" && !refused.stderr.contains("records.ndjson"))
        {
            untold.push(format!(
                "{id} (exit {}) lacks {missing:?}: {}",
                refused.code, refused.stderr
            ));
        }
    }
    let written = dateline(&server.address, &["list", "--view", "desk", "-o", "ndjson"]).await;
    assert_eq!(written.stdout, "", "nothing is written");
    assert!(untold.is_empty(), "{}", untold.join("\n"));
    server.stop().await;
}

#[tokio::test]
async fn f1_an_empty_file_is_no_records_and_the_last_line_needs_no_end() {
    let server = start_server().await;
    for empty in [&b""[..], b"\n\n", b"\xef\xbb\xbf"] {
        let done = import(&server, empty).await.ok();
        assert_eq!(done.stderr, "0 created, 0 already there, 0 published\n");
    }
    let one = import(&server, actor("one").as_bytes()).await.ok();
    assert_eq!(one.stderr, "1 created, 0 already there, 0 published\n");
    let marked = format!("\u{feff}{}\r\n{}\r\n", actor("one"), actor("two"));
    let two = import(&server, marked.as_bytes()).await.ok();
    assert_eq!(two.stderr, "1 created, 1 already there, 0 published\n");
    server.stop().await;
}

/// Number, file name, content, and the parts of the error.
type FileRow = (&'static str, &'static str, Vec<u8>, &'static [&'static str]);

fn files() -> Vec<FileRow> {
    let good = actor("good");
    let record: dateline_proto::v1::Record = dateline::json::read(&good).unwrap();
    let message = prost::Message::encode_length_delimited_to_vec(&record);
    let after = |rest: &[u8]| [&message, rest].concat();
    let lines = |rest: &str| format!("{good}\n{rest}").into_bytes();
    let packed = zstd::encode_all(lines("").repeat(50).as_slice(), 1).unwrap();
    let long = [
        lines(""),
        b"{\"actor\":{\"name\":\"".to_vec(),
        vec![b'a'; 100_000_000],
        b"\"}}\n".to_vec(),
    ]
    .concat();
    vec![
        (
            "torn last line",
            "a.ndjson",
            lines(&good[..good.len() - 3]),
            &["line 2", "may have been cut"],
        ),
        (
            "line of 100 MB",
            "a.ndjson",
            long,
            &["line 2", "longer than 16 MiB"],
        ),
        (
            "lone low surrogate",
            "a.ndjson",
            lines(&good.replace("TYPE_GROUP", "\\udc00")),
            &["line 2", "column"],
        ),
        (
            "truncated protobuf",
            "a.binpb",
            after(&message[..message.len() - 1]),
            &["record 2", "of its"],
        ),
        (
            "cut in a length",
            "a.binpb",
            after(&[0x80]),
            &["record 2", "ends within its length"],
        ),
        (
            "length too large",
            "a.binpb",
            after(&[0xff, 0xff, 0xff, 0xff, 0x0f]),
            &["record 2", "4294967295 bytes"],
        ),
        (
            "no length",
            "a.binpb",
            after(&[0xff; 12]),
            &["record 2", "does not begin with a length"],
        ),
        (
            "wrong length",
            "a.binpb",
            after(&[&[2], &message[1..]].concat()),
            &["record 2", "is no Record"],
        ),
        ("no protobuf", "a.binpb", lines(""), &["record 1"]),
        (
            "empty message",
            "a.binpb",
            after(&[0]),
            &["record 2", "empty"],
        ),
        (
            "zstd, cut",
            "a.ndjson.zst",
            packed[..packed.len() - 5].to_vec(),
            &["cannot read", "incomplete"],
        ),
        (
            "ninjs, cut",
            "a.json",
            b"[{\"uri\": \"urn:x\"},".to_vec(),
            &["a.json is not JSON", "line 1"],
        ),
        (
            "ninjs, twice",
            "a.json",
            b"[{\"uri\": \"urn:x\", \"uri\": \"urn:y\"}]".to_vec(),
            &["stands twice"],
        ),
    ]
}

#[tokio::test]
async fn f1_what_is_wrong_with_a_file_is_told_by_line_or_record_whatever_its_form() {
    let server = start_server().await;
    let (_keep, directory) = temp_dir();
    let mut untold = Vec::new();
    for (id, name, bytes, told) in files() {
        let file = directory.join(name);
        std::fs::write(&file, bytes).unwrap();
        let refused = dateline(&server.address, &["import", file.to_str().unwrap()]).await;
        let missing: Vec<_> = told
            .iter()
            .filter(|part| !refused.stderr.contains(**part))
            .collect();
        if refused.code != 1 || !missing.is_empty() || refused.stderr.len() > 1000 {
            untold.push(format!(
                "{id} (exit {}) lacks {missing:?}: {}",
                refused.code, refused.stderr
            ));
        }
    }
    let of_directory = dateline(&server.address, &["import", directory.to_str().unwrap()]).await;
    assert_eq!(of_directory.code, 1);
    assert!(
        of_directory.stderr.contains("no complete export"),
        "{}",
        of_directory.stderr
    );
    let file = directory.join("a.ndjson");
    let nowhere = directory.join("no/such/directory/a");
    let nowhere = nowhere.to_str().unwrap();
    for arguments in [
        &["import", file.to_str().unwrap(), "--rejects", nowhere][..],
        &[
            "generate",
            "--records",
            "1",
            "--seed",
            "1",
            "--output",
            nowhere,
        ],
    ] {
        let refused = dateline(&server.address, arguments).await;
        assert_eq!(refused.code, 1);
        let told = format!("cannot write {nowhere}: No such file");
        assert!(refused.stderr.contains(&told), "{}", refused.stderr);
    }
    for usage in [
        &["--format", "csv"][..],
        &["--on-error", "pray"],
        &["--rejects"],
    ] {
        let arguments = [&["import", "a"], usage].concat();
        assert_eq!(dateline(&server.address, &arguments).await.code, 2);
    }
    let written = dateline(&server.address, &["list", "--view", "desk", "-o", "ndjson"]).await;
    assert_eq!(written.stdout, "", "nothing is written");
    assert!(untold.is_empty(), "{}", untold.join("\n"));
    server.stop().await;
}

#[tokio::test]
async fn f1_nesting_without_end_is_refused_in_every_form() {
    let server = start_server().await;
    let (_keep, directory) = temp_dir();
    let deep = "[".repeat(100_000);
    let number = "9".repeat(1_000_000);
    let huge = format!(r#"{{"event":{{"name":"events/x","places":[{{"latitude":{number}}}]}}}}"#);
    let inside = format!(r#"{{"actor":{{"names":{deep}"#);
    let aliases = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n\
        d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n\
        g: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\nh: [*g,*g,*g,*g,*g,*g,*g,*g,*g]\n";
    for (command, name, text) in [
        ("import", "a.ndjson", inside.as_str()),
        ("import", "a.json", deep.as_str()),
        ("import", "b.json", inside.as_str()),
        ("import", "b.ndjson", huge.as_str()),
        ("create", "c.json", inside.as_str()),
        ("create", "d.json", huge.as_str()),
        ("create", "c.yaml", deep.as_str()),
        ("create", "d.yaml", aliases),
    ] {
        let file = directory.join(name);
        std::fs::write(&file, text).unwrap();
        let refused = dateline(&server.address, &[command, file.to_str().unwrap()]).await;
        assert_eq!(refused.code, 1, "{command} {name}: {}", refused.stderr);
        let length = refused.stderr.len();
        assert!(length < 2000, "{command} {name}: {length} bytes of words");
    }
    let written = dateline(&server.address, &["list", "--view", "desk", "-o", "ndjson"]).await;
    assert_eq!(written.stdout, "", "nothing is written");
    server.stop().await;
}
