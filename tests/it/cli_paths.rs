//! Commands that open a named file: a pipe without a writer, a device, a socket or a directory is refused within
//! seconds, and a pipe with a writer is read.

use std::os::unix::net::UnixListener;

use nix::{sys::stat::Mode, unistd::mkfifo};
use tokio::process::Command;

use crate::support::{
    cli::{CommandOutput, actor, dateline, import_gold, program},
    desk::draft,
    server::{PROGRAM, TIMEOUT, start_server, temp_dir},
};

#[tokio::test]
async fn no_command_hangs_on_a_path_that_is_no_file() {
    let test_server = start_server().await;
    let name = draft(&test_server, "readers").await;
    let (_keep, directory) = temp_dir();
    let socket = directory.join("socket");
    let _socket = UnixListener::bind(&socket).unwrap();
    let pipe = directory.join("pipe");
    mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    let paths = [&pipe, &socket, &directory, &"/dev/zero".into()]
        .map(|path| path.to_str().unwrap().to_owned());
    let mut runs = tokio::task::JoinSet::new();
    for path in paths {
        let path = path.as_str();
        let commands = [
            vec!["verify", path],
            vec!["import", path],
            vec!["import", "-", "--original", path],
            vec!["create", path],
            vec!["create", "article", path],
            vec!["edit", &name, "--from", path],
            vec!["health", "--token-file", path],
            vec!["health", "--ca", path],
            vec!["watch", "--limit", "1", "--state-file", path],
        ];
        for command in commands {
            // A directory is searched for an export.
            let mut child = program(&test_server.address, &command);
            let told = command.join(" ");
            runs.spawn(async move {
                let output = tokio::time::timeout(TIMEOUT, child.output()).await;
                (
                    output.unwrap_or_else(|_| panic!("{told} ends")).unwrap(),
                    told,
                )
            });
        }
    }
    while let Some(run) = runs.join_next().await {
        let (output, told) = run.unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            matches!(output.status.code(), Some(1 | 4)),
            "{told}: {stderr}"
        );
        assert!(stderr.contains("error: "), "{told}: {stderr}");
    }
    let written = [
        "generate",
        "--records",
        "1",
        "--seed",
        "1",
        "-o",
        pipe.to_str().unwrap(),
    ];
    let nobody = dateline("", &written).await;
    assert_eq!(nobody.code, 1);
    assert!(
        nobody.stderr.contains("nobody reads from it"),
        "{}",
        nobody.stderr
    );
    test_server.stop().await;
}

/// Runs a script in bash, which has `<(command)`.
async fn bash(server: &str, script: &str) -> CommandOutput {
    let mut command = Command::new("bash");
    command
        .args(["-c", script])
        .env("DATELINE_SERVER", server)
        .env("DATELINE", PROGRAM);
    let output = tokio::time::timeout(TIMEOUT, command.output()).await;
    let output = output.expect("the script ends").unwrap();
    CommandOutput {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[tokio::test]
async fn a_pipe_that_somebody_writes_to_is_read_like_a_file() {
    let test_server = start_server().await;
    import_gold(&test_server.address).await;
    let (_keep, directory) = temp_dir();
    for id in ["one", "two", "three"] {
        std::fs::write(directory.join(id), actor(id)).unwrap();
    }
    let directory = directory.display();
    for (script, told) in [
        (
            format!("$DATELINE import <(sleep 0.2; cat {directory}/one)"),
            "1 created",
        ),
        (
            format!(
                "$DATELINE create <(cat {directory}/two) -o ndjson >/dev/null && echo made >&2"
            ),
            "made",
        ),
        (
            format!(
                "mkfifo {directory}/p; cat {directory}/three > {directory}/p & $DATELINE import {directory}/p"
            ),
            "1 created",
        ),
        (
            format!("cat {directory}/one | $DATELINE import /dev/stdin"),
            "1 already there",
        ),
        (
            "$DATELINE verify <($DATELINE watch --from-beginning -o ndjson --limit 47)".to_owned(),
            "47 records at 47",
        ),
        (
            "$DATELINE health --token-file <(echo) >&2".to_owned(),
            "serving",
        ),
        ("$DATELINE import /dev/null".to_owned(), "0 created"),
    ] {
        let done = bash(&test_server.address, &script).await.ok();
        assert!(done.stderr.contains(told), "{script}: {}", done.stderr);
    }
    test_server.stop().await;
}
