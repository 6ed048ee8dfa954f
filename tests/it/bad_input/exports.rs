//! F rows about exports: manifests with false claims, and destinations that cannot be written. Nothing outside of the
//! export is read, nothing is imported, and nothing that looks complete is left.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::support::{
    cli::{CommandOutput, dateline, import_gold, program},
    editing::feed_heads,
    export_dir::{export, only_entry, read_files, read_manifest, verify},
    server::{TIMEOUT, TestServer, start_server, temp_dir},
};

/// An export of the gold records, alone in a directory of its own.
async fn taken(test_server: &TestServer, directory: &Path) -> PathBuf {
    let how = ["--format", "protobuf", "--view", "desk"];
    export(&test_server.address, directory, &how).await.ok();
    only_entry(directory)
}

/// False claims of a manifest, and the error for each.
fn lies() -> Vec<(&'static str, Value, &'static str)> {
    let not_beside = "is not the name of a file beside the manifest";
    vec![
        ("/files/0/name", json!("../../etc/passwd"), not_beside),
        ("/files/0/name", json!("/etc/passwd"), not_beside),
        ("/files/0/name", json!("..\\passwd"), not_beside),
        ("/files/0/name", json!("manifest.json"), not_beside),
        ("/files/0/name", json!(""), not_beside),
        ("/files/0/name", json!("a\u{0}"), not_beside),
        ("/files/0/name", json!("a".repeat(5000)), not_beside),
        ("/files/0/name", json!("absent.ndjson"), "absent.ndjson"),
        ("/files/0/sha256", json!("0".repeat(64)), "SHA-256"),
        ("/files/0/sha256", json!("none"), "its SHA-256 is none"),
        ("/files/0/bytes", json!(7), "the manifest says 7"),
        ("/files/0/records", json!(7), "the manifest says 7"),
        ("/files/0/records", json!(u64::MAX), "which cannot be"),
        ("/files/0/partition", json!(9), "it is of part 9"),
        ("/files/0/holds", json!("ghosts"), "no kind of record"),
        ("/version", json!(99), "its version is 99"),
        ("/schema", json!("dateline.v2 sha256:00"), "dateline.v1"),
        ("/sequence", json!(-1), "which cannot be"),
        ("/view", json!("../../tmp/x"), "there is none"),
        ("/feed", json!("none"), "there is none"),
        ("/digest/records", json!(-1), "which cannot be"),
        ("/tombstoneRecords", json!(u64::MAX), "which cannot be"),
        ("/files", json!("all"), "invalid type"),
    ]
}

#[tokio::test]
async fn f3_a_manifest_that_lies_is_refused_before_anything_is_written() {
    let home = start_server().await;
    import_gold(&home.address).await;
    let (_keep, directory) = temp_dir();
    let place = taken(&home, &directory).await;
    let (whole, words) = (read_manifest(&place), ["import", place.to_str().unwrap()]);
    // An import begins with the articles.
    let files = whole["files"].as_array().unwrap();
    let first = files
        .iter()
        .position(|file| file["name"].as_str().unwrap().starts_with("articles"));
    let first = format!("/files/{}/", first.expect("there are articles"));
    let empty = start_server().await;
    let mut untold = Vec::new();
    for (at, lie, told) in lies() {
        let mut told_wrong = whole.clone();
        let at = at.replace("/files/0/", &first);
        *told_wrong.pointer_mut(&at).expect("it is there") = lie.clone();
        fs::write(place.join("manifest.json"), told_wrong.to_string()).unwrap();
        // `verify` names the file; an import stops at it.
        for refused in [verify(&place).await, dateline(&empty.address, &words).await] {
            let shown = &refused.stderr;
            if refused.code != 1 || !shown.contains(told) || shown.len() > 3000 {
                untold.push(format!("{at} {lie:.60} ({}): {shown}", refused.code));
            }
        }
    }
    assert!(untold.is_empty(), "{}", untold.join("\n"));
    // An error in a later file is found after the records of earlier ones were written; before the first one there are
    // none.
    assert_eq!(feed_heads(&empty.url).await, (0, 0), "nothing is written");
    empty.stop().await;
    home.stop().await;
}

#[tokio::test]
async fn f3_a_file_that_leads_elsewhere_is_no_file_of_an_export() {
    let home = start_server().await;
    import_gold(&home.address).await;
    let (_keep, directory) = temp_dir();
    let place = taken(&home, &directory).await;
    let elsewhere = directory.join("elsewhere");
    for name in ["manifest.json", "actors-00000.binpb"] {
        let file = place.join(name);
        fs::rename(&file, &elsewhere).unwrap();
        symlink(&elsewhere, &file).unwrap();
        let refused = verify(&place).await;
        assert_eq!(refused.code, 1, "{name}: {}", refused.stderr);
        assert!(
            refused.stderr.contains("is a symbolic link"),
            "{}",
            refused.stderr
        );
        fs::remove_file(&file).unwrap();
        fs::rename(&elsewhere, &file).unwrap();
    }
    verify(&place).await.ok();
    home.stop().await;
}

/// Runs the program with a maximum file size, in blocks of 512 bytes, as on a full disk.
async fn on_a_full_disk(server: &str, blocks: u32, arguments: &[&str]) -> CommandOutput {
    let mut command = program(server, arguments);
    let inner = command.as_std();
    let words: Vec<_> = std::iter::once(inner.get_program())
        .chain(inner.get_args())
        .map(|word| word.to_str().unwrap().to_owned())
        .collect();
    // Ignoring the signal lets the write fail instead of killing the program.
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
    let mut shell = tokio::process::Command::new("sh");
    shell.args(["-c", &script, "sh"]).args(words);
    shell.env("DATELINE_SERVER", server).kill_on_drop(true);
    command.kill_on_drop(true);
    let output = tokio::time::timeout(TIMEOUT, shell.output()).await;
    let output = output.expect("it ends").unwrap();
    CommandOutput {
        code: output.status.code().expect("no signal ended the program"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[tokio::test]
async fn f4_a_disk_that_is_full_leaves_nothing_that_looks_complete_and_the_same_command_goes_on() {
    let home = start_server().await;
    import_gold(&home.address).await;
    let (_keep, directory) = temp_dir();
    let out = directory.join("out");
    let how = [
        "--format",
        "ndjson",
        "--records-per-file",
        "2",
        "--view",
        "desk",
    ];
    let words = [&["export", "--out", out.to_str().unwrap()], &how[..]].concat();
    // Some files fit; the one with the article does not.
    let full = on_a_full_disk(&home.address, 5, &words).await;
    assert_eq!(full.code, 1, "{}", full.stderr);
    assert!(full.stderr.starts_with("error: "), "{}", full.stderr);
    assert!(full.stderr.contains("too large"), "{}", full.stderr);
    assert!(!full.stderr.contains("panicked"), "{}", full.stderr);
    let unfinished = verify(&only_entry(&out)).await;
    assert!(
        unfinished.stderr.contains("no complete export"),
        "{}",
        unfinished.stderr
    );
    export(&home.address, &out, &how).await.ok();
    verify(&only_entry(&out)).await.ok();
    let names: Vec<_> = read_files(&only_entry(&out)).into_keys().collect();
    assert!(names.iter().all(|name| !name.contains('#')), "{names:?}");
    home.stop().await;
}

#[tokio::test]
async fn f4_a_place_that_is_none_is_told_and_left_as_it_is() {
    let home = start_server().await;
    import_gold(&home.address).await;
    let (_keep, directory) = temp_dir();
    let file = directory.join("a-file");
    fs::write(&file, "mine").unwrap();
    // Not writable for anybody: not even root can create a directory there.
    for place in [file.clone(), file.join("below"), "/proc/dateline".into()] {
        let refused = export(&home.address, &place, &[]).await;
        assert_eq!(refused.code, 1, "{}", refused.stderr);
        let shown = place.to_str().unwrap();
        assert!(
            refused.stderr.contains(shown),
            "{shown}: {}",
            refused.stderr
        );
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    // A directory with other files is not an export, and stays unchanged.
    let strange = directory.join("strange");
    fs::create_dir(&strange).unwrap();
    fs::write(strange.join("thesis.tex"), "mine").unwrap();
    let refused = verify(&strange).await;
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains("no complete export"),
        "{}",
        refused.stderr
    );
    export(&home.address, &strange, &[]).await.ok();
    assert_eq!(
        fs::read_to_string(strange.join("thesis.tex")).unwrap(),
        "mine"
    );
    home.stop().await;
}

#[tokio::test]
async fn c130_two_exports_to_one_place_leave_one_that_is_whole() {
    let home = start_server().await;
    import_gold(&home.address).await;
    let (_keep, directory) = temp_dir();
    let how = ["--format", "ndjson", "--records-per-file", "2"];
    let (one, other) = tokio::join!(
        export(&home.address, &directory, &how),
        export(&home.address, &directory, &how),
    );
    // One may be too late, or find its files removed; the result is never mixed from both.
    for done in [one, other] {
        assert!([0, 1].contains(&done.code), "{}", done.stderr);
    }
    export(&home.address, &directory, &how).await.ok();
    verify(&only_entry(&directory)).await.ok();
    home.stop().await;
}

#[tokio::test]
async fn c128_a_form_of_export_that_there_is_not_is_wrong_usage() {
    let (_keep, directory) = temp_dir();
    for how in [
        &["--format", "xml"][..],
        &["--compress", "rar"],
        &["--view", "all"],
        &["--records-per-file", "0"],
        &["--records-per-file=-1"],
        &["--partitions", "100000"],
        &["--sequence=-1"],
    ] {
        let refused = export("127.0.0.1:1", &directory, how).await;
        assert_eq!(refused.code, 2, "{how:?}: {}", refused.stderr);
        let (flag, _) = how[0].split_once('=').unwrap_or((how[0], ""));
        assert!(refused.stderr.contains(flag), "{how:?}: {}", refused.stderr);
    }
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
}
