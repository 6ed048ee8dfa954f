//! The command line as a user meets it: the real program, run against a real server. In every run, data goes to stdout,
//! everything else to stderr, and neither holds escape codes unless it is a terminal.

use std::{path::Path, time::Duration};

use crate::support::{
    cli::{GOLD_FILE, actor, dateline, dateline_reading, import_gold, name, program, without_meta},
    gold::GOLD,
    server::{TIMEOUT, start_server, temp_dir},
};

fn write(directory: &Path, file: &str, text: &str) -> String {
    let path = directory.join(file);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_import_creates_and_publishes_and_a_second_one_finds_everything_there() {
    let test_server = start_server().await;
    let first = import_gold(&test_server.address).await;
    assert_eq!(first.stderr, "47 created, 0 already there, 47 published\n");
    assert_eq!(first.stdout, "");
    let second = import_gold(&test_server.address).await;
    assert_eq!(second.stderr, "0 created, 47 already there, 0 published\n");
    test_server.stop().await;
}

#[tokio::test]
async fn an_import_that_stopped_before_publishing_is_completed_by_the_next() {
    let test_server = start_server().await;
    dateline(&test_server.address, &["import", GOLD_FILE])
        .await
        .ok();
    assert_eq!(
        import_gold(&test_server.address).await.stderr,
        "0 created, 47 already there, 47 published\n"
    );
    test_server.stop().await;
}

#[tokio::test]
async fn import_reads_stdin_as_a_bundle_or_as_ndjson() {
    let test_server = start_server().await;
    let bundle = dateline_reading(&test_server.address, &["import", "-"], GOLD)
        .await
        .ok();
    assert_eq!(bundle.stderr, "47 created, 0 already there, 0 published\n");
    let lines = format!("{}\n\n{}\n", actor("readers"), actor("writers"));
    let lines = dateline_reading(&test_server.address, &["import", "-"], &lines)
        .await
        .ok();
    assert_eq!(lines.stderr, "2 created, 0 already there, 0 published\n");
    let desk = dateline(
        &test_server.address,
        &["get", "--view", "desk", "-o", "ndjson", "actors/writers"],
    )
    .await
    .ok();
    assert_eq!(
        without_meta(desk.lines().remove(0)).to_string(),
        actor("writers")
    );
    test_server.stop().await;
}

#[tokio::test]
async fn w6_a_bad_file_is_refused_with_its_lines_and_fields_and_nothing_is_written() {
    let test_server = start_server().await;
    let (_keep, directory) = temp_dir();
    let good = actor("good");
    let nameless = r#"{"actor":{"name":"actors/bad","type":"TYPE_GROUP"}}"#;
    let cases = [
        (
            format!("{good}\n{{\"actor\":{{\"nmae\":\"actors/x\"}}}}\n"),
            vec!["line 2", "nmae"],
        ),
        (format!("{good}\nnot json\n"), vec!["line 2"]),
        (
            format!("{good}\n\n{nameless}\n"),
            vec![
                "line 3: actors/bad: display_name",
                "line 3: actors/bad: names",
            ],
        ),
        (
            r#"{"actors":[{"name":"actors/bad","type":"TYPE_GROUP"}]}"#.to_owned(),
            vec!["actors/bad: display_name"],
        ),
        (
            r#"{"actors":[{"nmae":"actors/x"}]}"#.to_owned(),
            vec!["nmae", "line 1"],
        ),
        (
            r#"{"actors":"#.to_owned(),
            vec!["neither a Bundle nor NDJSON"],
        ),
    ];
    for (text, told) in cases {
        let file = write(&directory, "bad", &text);
        let refused = dateline(&test_server.address, &["import", &file]).await;
        assert_eq!(refused.code, 1, "{text}");
        for part in told {
            assert!(
                refused.stderr.contains(part),
                "{part:?} is not told of {text}: {}",
                refused.stderr
            );
        }
    }
    let absent = dateline(&test_server.address, &["import", "/no/such/file"]).await;
    assert_eq!(absent.code, 1);
    assert!(
        absent
            .stderr
            .contains("cannot read /no/such/file: No such file"),
        "{}",
        absent.stderr
    );
    let written = dateline(
        &test_server.address,
        &["list", "--view", "desk", "-o", "ndjson"],
    )
    .await
    .ok();
    assert_eq!(written.stdout, "");
    test_server.stop().await;
}

#[tokio::test]
async fn an_import_never_changes_a_record() {
    let test_server = start_server().await;
    dateline_reading(&test_server.address, &["import", "-"], &actor("readers"))
        .await
        .ok();
    let other = actor("readers").replace("TYPE_GROUP", "TYPE_MEDIA");
    let refused = dateline_reading(&test_server.address, &["import", "-"], &other).await;
    assert_eq!(refused.code, 1);
    let told = "line 1: actors/readers is there already with other content";
    assert!(refused.stderr.contains(told), "{}", refused.stderr);
    test_server.stop().await;
}

#[tokio::test]
async fn an_unknown_record_is_exit_3_and_what_is_known_is_printed_all_the_same() {
    let test_server = start_server().await;
    import_gold(&test_server.address).await;
    let some = dateline(
        &test_server.address,
        &["get", "-o", "ndjson", "actors/nobody", "actors/nato"],
    )
    .await;
    assert_eq!(some.code, 3);
    assert_eq!(
        some.lines().iter().map(name).collect::<Vec<_>>(),
        ["actors/nato"]
    );
    assert_eq!(
        some.stderr,
        "there is no published record actors/nobody; --view desk shows drafts too\n"
    );
    test_server.stop().await;
}

#[tokio::test]
async fn a_refused_argument_is_told_as_it_was_typed() {
    let test_server = start_server().await;
    let cases: [(&[&str], &str); 4] = [
        (&["get", "nato"], "error: nato: "),
        (
            &["list", "--region", "KZ", "--region", "kz"],
            "error: --region kz: ",
        ),
        (
            &["list", "--from", "2021-13-01"],
            "error: --from 2021-13-01: ",
        ),
        (
            &["watch", "--since", "bm8tY3Vyc29yLW9mLXRoaXMtc2VydmVy"],
            "[INVALID_CURSOR]",
        ),
    ];
    for (arguments, told) in cases {
        let refused = dateline(&test_server.address, arguments).await;
        assert_eq!(
            (refused.code, refused.stdout.as_str()),
            (1, ""),
            "{arguments:?}"
        );
        assert!(
            refused.stderr.contains(told),
            "{arguments:?}: {}",
            refused.stderr
        );
    }
    let address = dateline("not an address", &["health"]).await;
    assert_eq!(address.code, 1);
    assert!(
        address
            .stderr
            .contains("not an address is not the address of a server"),
        "{}",
        address.stderr
    );
    test_server.stop().await;
}

#[tokio::test]
async fn without_a_server_it_is_exit_4_and_the_message_says_how_to_start_one() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    for arguments in [
        &["health"][..],
        &["list"],
        &["get", "actors/nato"],
        &["watch"],
        &["import", GOLD_FILE],
    ] {
        let failed = dateline(&free, arguments).await;
        assert_eq!(
            (failed.code, failed.stdout.as_str()),
            (4, ""),
            "{arguments:?}"
        );
        assert!(
            failed
                .stderr
                .contains(&format!("no server answers at {free}")),
            "{}",
            failed.stderr
        );
        assert!(
            failed.stderr.contains("`dateline serve`"),
            "{}",
            failed.stderr
        );
    }
}

#[tokio::test]
async fn health_tells_scripts_and_people() {
    let test_server = start_server().await;
    let serving = dateline(&test_server.address, &["health"]).await.ok();
    assert_eq!(
        (serving.stdout.as_str(), serving.stderr.as_str()),
        ("serving\n", "")
    );
    test_server.stop().await;
}

#[tokio::test]
async fn help_of_every_command_fits_a_terminal() {
    for command in [
        "",
        "serve",
        "demo",
        "import",
        "create",
        "edit",
        "submit",
        "send-back",
        "publish",
        "correct",
        "retract",
        "merge",
        "unmerge",
        "restore",
        "delete",
        "purge",
        "diff",
        "history",
        "get",
        "list",
        "watch",
        "health",
        "completions",
    ] {
        let arguments: Vec<_> = [command, "--help"]
            .into_iter()
            .filter(|word| !word.is_empty())
            .collect();
        let help = dateline("", &arguments).await.ok();
        assert!(help.stdout.contains("Usage: dateline"), "{}", help.stdout);
        let widest = help
            .stdout
            .lines()
            .map(|line| line.chars().count())
            .max()
            .unwrap();
        assert!(widest <= 100, "{command}: {widest} columns");
    }
    assert!(
        dateline("", &["completions", "bash"])
            .await
            .ok()
            .stdout
            .contains("complete -F _dateline")
    );
    assert_eq!(dateline("", &["list", "--no-such-flag"]).await.code, 2);
}

#[tokio::test]
async fn who_closes_the_pipe_early_is_not_complained_to() {
    let test_server = start_server().await;
    import_gold(&test_server.address).await;
    for arguments in [
        &["list", "-o", "ndjson"][..],
        &["list"],
        &["history", "actors/nato"],
        &["completions", "bash"],
        &["health"],
    ] {
        let mut child = program(&test_server.address, arguments).spawn().unwrap();
        // Closed before a line is read: the first write fails, however small it is.
        drop(child.stdout.take());
        let output = tokio::time::timeout(TIMEOUT, child.wait_with_output())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(
            !stderr.contains("error") && !stderr.contains("panicked"),
            "{arguments:?}: {stderr}"
        );
    }
    test_server.stop().await;
}

#[tokio::test]
async fn the_demo_shows_the_article_first_compares_and_leaves_nothing_behind() {
    let (_keep, directory) = temp_dir();
    let mut demo = program("", &["demo", "--once"]);
    demo.env("TMPDIR", &directory);
    let output = tokio::time::timeout(TIMEOUT + Duration::from_mins(1), demo.output())
        .await
        .unwrap()
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{stdout}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let first = stdout
        .lines()
        .find(|line| line.contains("  published  "))
        .unwrap();
    assert!(first.contains("articles/kazakhstan-confirms"), "{first}");
    assert!(
        stdout.contains("all 47 are equal, value for value"),
        "{stdout}"
    );
    assert!(!stdout.contains('\u{1b}'));
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
}
