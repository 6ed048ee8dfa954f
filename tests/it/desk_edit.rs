//! `dateline edit` and `dateline correct` with a script as the editor: the saved text is sent, a text that cannot be
//! sent is kept, and a kept text can be resumed.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::support::{
    cli::{CommandOutput, dateline, program},
    desk::{desk_view, draft, published, run},
    server::{TIMEOUT, TestServer, start_server, temp_dir},
};

/// An editor that runs a shell script on the file `$1`.
fn editor(directory: &Path, script: &str) -> String {
    let path = directory.join("editor");
    std::fs::write(&path, format!("#!/bin/sh\nset -e\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Runs a command with that editor; texts are kept in the directory.
async fn edit(
    test_server: &TestServer,
    directory: &Path,
    script: &str,
    arguments: &[&str],
) -> CommandOutput {
    let editor = editor(directory, script);
    let kept = directory.join("kept");
    std::fs::create_dir_all(&kept).unwrap();
    let mut command = program(&test_server.address, arguments);
    command
        .env("EDITOR", editor)
        .env_remove("VISUAL")
        .env("TMPDIR", kept);
    command.stdin(std::process::Stdio::null());
    let output = tokio::time::timeout(TIMEOUT, command.output())
        .await
        .unwrap()
        .unwrap();
    CommandOutput {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The texts that were kept.
fn kept(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory.join("kept")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// A script that replaces a word.
fn replace(old: &str, new: &str) -> String {
    format!("sed -i 's/{old}/{new}/' \"$1\"")
}

const TITLE: &str = "displayName: .*";

#[tokio::test]
async fn a_draft_is_edited_as_yaml_or_json_and_the_file_goes() {
    let test_server = start_server().await;
    let (_keep, directory) = temp_dir();
    let name = draft(&test_server, "readers").await;
    let script = format!(
        "cp \"$1\" {}/seen\n{}",
        directory.display(),
        replace(TITLE, "displayName: Readers")
    );
    let done = edit(&test_server, &directory, &script, &["edit", &name])
        .await
        .ok();
    assert_eq!(
        done.stdout,
        "actors/readers  draft  revision 2  sequence 2\n"
    );
    let seen = std::fs::read_to_string(directory.join("seen")).unwrap();
    assert!(
        seen.starts_with("# name: actors/readers\n# state: draft\n# revision: 1\n# etag: "),
        "{seen}"
    );
    assert!(
        seen.contains("\nactor:\n  name: actors/readers\n") && !seen.contains("meta"),
        "{seen}"
    );
    let script = replace(
        "\"displayName\": \"Readers\"",
        "\"displayName\": \"All readers\"",
    );
    edit(
        &test_server,
        &directory,
        &script,
        &["edit", &name, "-o", "json"],
    )
    .await
    .ok();
    assert_eq!(
        desk_view(&test_server, &name).await["actor"]["displayName"],
        "All readers"
    );
    assert_eq!(kept(&directory), Vec::<PathBuf>::new());
    let diff = run(&test_server, &["diff", &name, "1"]).await.ok();
    assert_eq!(diff.stdout, "display_name\n- readers\n+ All readers\n");
    let data = run(&test_server, &["diff", &name, "1", "2", "-o", "json"])
        .await
        .ok();
    assert_eq!(data.json()[0]["afterJson"], "\"Readers\"");
    test_server.stop().await;
}

#[tokio::test]
async fn an_unchanged_text_changes_nothing() {
    let test_server = start_server().await;
    let (_keep, directory) = temp_dir();
    let name = draft(&test_server, "readers").await;
    for script in ["true", "echo '# a thought' >> \"$1\""] {
        let done = edit(&test_server, &directory, script, &["edit", &name])
            .await
            .ok();
        assert_eq!(
            (done.stdout.as_str(), done.stderr.as_str()),
            ("", "nothing changed\n")
        );
    }
    assert_eq!(
        desk_view(&test_server, &name).await["actor"]["meta"]["revision"],
        "1"
    );
    assert_eq!(kept(&directory), Vec::<PathBuf>::new());
    test_server.stop().await;
}

#[tokio::test]
async fn a_text_that_is_refused_is_kept_and_told_by_field() {
    let test_server = start_server().await;
    let (_keep, directory) = temp_dir();
    let name = draft(&test_server, "readers").await;
    let cases = [
        (
            replace(TITLE, "displayName: \"\""),
            "display_name: must not be empty",
        ),
        (
            replace("displayName", "dispalyName"),
            "unrecognized field name 'dispalyName', did you mean 'displayName'? at line 8",
        ),
        (
            replace("actors.readers$", "actors\\/writers"),
            "names never change",
        ),
        ("echo > \"$1\"".to_owned(), "the text is empty"),
    ];
    for (count, (script, told)) in cases.iter().enumerate() {
        let refused = edit(&test_server, &directory, script, &["edit", &name]).await;
        assert_eq!((refused.code, refused.stdout.as_str()), (1, ""));
        assert!(refused.stderr.contains(told), "{told}: {}", refused.stderr);
        let files = kept(&directory);
        assert_eq!(files.len(), count + 1);
        let named = files.iter().any(|file| {
            refused
                .stderr
                .contains(&format!("edit {name} --from {}", file.display()))
        });
        assert!(named, "{}", refused.stderr);
    }
    let failed = edit(
        &test_server,
        &directory,
        "echo x >> \"$1\"; exit 3",
        &["edit", &name],
    )
    .await;
    assert_eq!(failed.code, 1);
    assert!(
        failed.stderr.contains("the text is kept in"),
        "{}",
        failed.stderr
    );
    assert_eq!(kept(&directory).len(), cases.len() + 1);
    test_server.stop().await;
}

/// An editor that lets `other` change the record while it edits.
fn slow(directory: &Path, test_server: &TestServer, name: &str, other: &str, mine: &str) -> String {
    let fast = directory.join("fast");
    std::fs::write(&fast, format!("#!/bin/sh\n{other}\n")).unwrap();
    std::fs::set_permissions(&fast, std::fs::Permissions::from_mode(0o755)).unwrap();
    let (program, server) = (crate::support::server::PROGRAM, &test_server.address);
    format!(
        "EDITOR={} {program} edit {name} --server {server} >&2\n{mine}",
        fast.display()
    )
}

#[tokio::test]
async fn w3_a_conflict_shows_both_sides_keeps_the_text_and_from_goes_on_by_field() {
    let test_server = start_server().await;
    let (_keep, directory) = temp_dir();
    let name = draft(&test_server, "readers").await;
    let script = slow(
        &directory,
        &test_server,
        &name,
        &replace("TYPE_GROUP", "TYPE_MEDIA"),
        &replace(TITLE, "displayName: Mine"),
    );
    let refused = edit(&test_server, &directory, &script, &["edit", &name]).await;
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""));
    for told in [
        "[ETAG_MISMATCH]",
        "others changed, from revision 1 to 2:",
        "type\n- TYPE_GROUP\n+ TYPE_MEDIA",
        "you changed:",
        "+   displayName: Mine",
    ] {
        assert!(refused.stderr.contains(told), "{told}: {}", refused.stderr);
    }
    let [file] = &kept(&directory)[..] else {
        panic!("one text is kept")
    };
    let file = file.to_str().unwrap();
    let done = run(&test_server, &["edit", &name, "--from", file])
        .await
        .ok();
    assert_eq!(
        done.stdout,
        "actors/readers  draft  revision 3  sequence 3\n"
    );
    let record = desk_view(&test_server, &name).await;
    assert_eq!(record["actor"]["displayName"], "Mine");
    assert_eq!(
        record["actor"]["type"], "TYPE_MEDIA",
        "what others changed stays"
    );
    let again = run(&test_server, &["edit", &name, "--from", file])
        .await
        .ok();
    assert_eq!(again.stderr, "nothing changed\n");
    test_server.stop().await;
}

#[tokio::test]
async fn w3_fields_that_both_changed_are_sent_only_by_force() {
    let test_server = start_server().await;
    let (_keep, directory) = temp_dir();
    let name = draft(&test_server, "readers").await;
    let theirs = replace(TITLE, "displayName: Theirs");
    let script = slow(
        &directory,
        &test_server,
        &name,
        &theirs,
        &replace(TITLE, "displayName: Mine"),
    );
    edit(&test_server, &directory, &script, &["edit", &name]).await;
    let [file] = &kept(&directory)[..] else {
        panic!("one text is kept")
    };
    let file = file.to_str().unwrap();
    let refused = run(&test_server, &["edit", &name, "--from", file]).await;
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""));
    assert!(
        refused.stderr.contains("display_name"),
        "{}",
        refused.stderr
    );
    assert!(refused.stderr.contains("--force"), "{}", refused.stderr);
    assert_eq!(
        desk_view(&test_server, &name).await["actor"]["displayName"],
        "Theirs"
    );
    run(&test_server, &["edit", &name, "--from", file, "--force"])
        .await
        .ok();
    assert_eq!(
        desk_view(&test_server, &name).await["actor"]["displayName"],
        "Mine"
    );
    test_server.stop().await;
}

#[tokio::test]
async fn from_takes_what_get_wrote() {
    let test_server = start_server().await;
    let (_keep, directory) = temp_dir();
    let name = draft(&test_server, "readers").await;
    let text = run(&test_server, &["get", "--view", "desk", &name])
        .await
        .ok()
        .stdout;
    let file = directory.join("text.yaml");
    std::fs::write(
        &file,
        text.replace("displayName: readers", "displayName: Readers"),
    )
    .unwrap();
    run(
        &test_server,
        &["edit", &name, "--from", file.to_str().unwrap()],
    )
    .await
    .ok();
    assert_eq!(
        desk_view(&test_server, &name).await["actor"]["displayName"],
        "Readers"
    );
    std::fs::write(&file, "actor: {name: actors/readers}").unwrap();
    let baseless = run(
        &test_server,
        &["edit", &name, "--from", file.to_str().unwrap()],
    )
    .await;
    assert!(
        baseless.stderr.contains("# revision: N"),
        "{}",
        baseless.stderr
    );
    test_server.stop().await;
}

#[tokio::test]
async fn w8_a_published_record_is_corrected_with_a_note_for_readers() {
    let test_server = start_server().await;
    let (_keep, directory) = temp_dir();
    let name = published(&test_server, "nato").await;
    let refused = edit(&test_server, &directory, "true", &["edit", &name]).await;
    assert_eq!(refused.code, 1);
    assert!(
        refused
            .stderr
            .contains(&format!("`dateline correct {name}`")),
        "{}",
        refused.stderr
    );
    let noteless = edit(
        &test_server,
        &directory,
        &replace(TITLE, "displayName: NATO"),
        &["correct", &name],
    )
    .await;
    assert_eq!(noteless.code, 1);
    assert!(noteless.stderr.contains("# note:"), "{}", noteless.stderr);
    let script = format!(
        "{}\n{}",
        replace(TITLE, "displayName: NATO"),
        replace("# note:.*", "# note: In capitals.")
    );
    edit(&test_server, &directory, &script, &["correct", &name])
        .await
        .ok();
    let flags = ["correct", &name, "--note", "Spelt out.", "--kind", "update"];
    edit(
        &test_server,
        &directory,
        &replace(TITLE, "displayName: The NATO"),
        &flags,
    )
    .await
    .ok();
    let read = dateline(&test_server.address, &["get", "-o", "json", &name])
        .await
        .ok()
        .json();
    assert_eq!(read["actor"]["displayName"], "The NATO");
    let corrections = &read["actor"]["meta"]["corrections"];
    assert_eq!(corrections[0]["note"], "In capitals.");
    assert_eq!(corrections[1]["kind"], "KIND_UPDATE");
    test_server.stop().await;
}

#[tokio::test]
async fn without_an_editor_and_a_terminal_it_says_what_to_do() {
    let test_server = start_server().await;
    let name = draft(&test_server, "readers").await;
    let mut command = program(&test_server.address, &["edit", &name]);
    command
        .env_remove("EDITOR")
        .env_remove("VISUAL")
        .stdin(std::process::Stdio::null());
    let output = command.output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("set EDITOR") && stderr.contains("--from FILE"),
        "{stderr}"
    );
    test_server.stop().await;
}
