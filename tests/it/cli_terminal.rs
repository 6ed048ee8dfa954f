//! The command line on a terminal: output at 80, 100 and 120 columns, and prompts.

use std::{fs::File, time::Duration};

use nix::sys::signal::{Signal, kill};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::support::{
    cli::{actor, dateline, dateline_reading, import_gold, program},
    desk::{draft, published, run},
    process::{PROCESS_TIMEOUT, pid, serve},
    projections::wait_projected,
    server::{start_server, temp_dir},
    terminal::Terminal,
};

async fn run_in_terminal(server: &str, arguments: &[&str], columns: u16) -> (i32, String) {
    let (code, screen, _) = Terminal::start(server, arguments, columns).end().await;
    (code, screen)
}

#[tokio::test]
async fn every_table_fits_80_100_and_120_columns_with_two_lines_a_row_at_most() {
    let test_server = start_server().await;
    import_gold(&test_server.address).await;
    draft(&test_server, "readers").await;
    let note = "Who says so, and when did they say it? ".repeat(4);
    run(&test_server, &["submit", "actors/readers"]).await.ok();
    run(
        &test_server,
        &["send-back", "actors/readers", "--note", &note],
    )
    .await
    .ok();
    dateline(
        &test_server.address,
        &[
            "token",
            "create",
            "--role",
            "exporter,reader",
            "--scope",
            "lang:en,kind:event,kind:actor",
            "--expires",
            "+90d",
        ],
    )
    .await
    .ok();
    wait_projected(&test_server.url).await;
    let story = "articles/kazakhstan-confirms-partnership-with-nato-us";
    let commands: [(&[&str], usize); 11] = [
        (&["list"], 47),
        (&["list", "--view", "desk", "--kind", "relation"], 20),
        (&["find", "kazakhstan"], 20),
        (&["list", "--newest", "--limit", "20"], 20),
        (&["history", story], 2),
        (&["history", "actors/readers"], 3),
        (&["watch", "--from-beginning", "--limit", "47"], 47),
        (&["watch", "--snapshot", "--limit", "47"], 47),
        (&["audit"], 8),
        (&["token", "list"], 1),
        (&["feed"], 10),
    ];
    for columns in [80, 100, 120] {
        for (command, rows) in commands {
            let (code, screen) = run_in_terminal(&test_server.address, command, columns).await;
            assert_eq!(code, 0, "{command:?}: {screen}");
            for line in screen
                .lines()
                .filter(|line| !line.starts_with("to go on from here"))
            {
                let width = line.chars().count();
                assert!(
                    width <= columns.into(),
                    "{command:?} at {columns}: {width} columns: {line}"
                );
            }
            let lines = screen.lines().count();
            assert!(
                lines <= 2 * rows + 6,
                "{command:?} at {columns}: {lines} lines\n{screen}"
            );
            // The last column of the audit is a list, and is cut.
            let is_named = !screen.contains("articles/") || screen.contains(story);
            let is_named = is_named || command[0] == "audit";
            assert!(
                is_named,
                "{command:?} at {columns}: the name is cut\n{screen}"
            );
        }
        let publish = ["publish", "actors/readers", "--dry-run"];
        let (_, screen) = run_in_terminal(&test_server.address, &publish, columns).await;
        assert!(
            screen.lines().all(|line| line.chars().count() <= 200),
            "{screen}"
        );
    }
    // In a pipe nothing is cut, and a row is a line.
    let piped = run(&test_server, &["list"]).await.ok().stdout;
    assert_eq!(piped.lines().count(), 48, "{piped}");
    assert!(!piped.contains('…'), "{piped}");
    test_server.stop().await;
}

#[tokio::test]
async fn no_spinner_stays_on_the_screen_however_it_ends_and_rates_are_whole() {
    let test_server = start_server().await;
    import_gold(&test_server.address).await;
    let (_keep, directory) = temp_dir();
    let file = directory.join("file");
    std::fs::write(&file, "not a line of a stream\nnor this\n").unwrap();
    let file = file.to_str().unwrap();
    let out = directory.join("out.ndjson");
    let out = out.to_str().unwrap();
    let exports = directory.join("exports");
    let exports = exports.to_str().unwrap();
    let commands: [(&[&str], i32); 5] = [
        (&["verify"], 0),
        (&["verify", file], 1),
        (
            &["generate", "--records", "3000", "--seed", "1", "-o", out],
            0,
        ),
        (&["export", "--out", exports], 0),
        (&["import", out, "--dry-run"], 0),
    ];
    for (command, expected) in commands {
        let (code, screen, all) = Terminal::start(&test_server.address, command, 80)
            .end()
            .await;
        assert_eq!(code, expected, "{command:?}: {screen}");
        let is_spinner =
            |sign: char| ('\u{2801}'..='\u{28ff}').contains(&sign) || sign == '█' || sign == '░';
        assert!(!screen.contains(is_spinner), "{command:?}: {screen}");
        for (before, _) in all.match_indices("/s") {
            let rate =
                all[..before].rsplit(|sign: char| !sign.is_ascii_digit() && !".,".contains(sign));
            let rate = rate.into_iter().next().unwrap_or_default();
            assert!(!rate.contains('.'), "{command:?}: {rate}/s");
        }
    }
    // Ctrl-C during the read: the log is not read to its end while a writer holds the file open.
    let pipe = directory.join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let verifying = Terminal::start(
        &test_server.address,
        &["verify", pipe.to_str().unwrap()],
        80,
    );
    let writer =
        tokio::task::spawn_blocking(move || File::options().write(true).open(pipe).unwrap());
    let writer = writer.await.unwrap();
    kill(pid(verifying.child.id().unwrap()), Signal::SIGINT).unwrap();
    let (code, screen, _) = verifying.end().await;
    assert_eq!(
        (code, screen.as_str()),
        (130, "stopped before everything was compared\n")
    );
    drop(writer);
    test_server.stop().await;
}

#[tokio::test]
async fn publishing_at_a_time_that_has_passed_asks_first() {
    let test_server = start_server().await;
    let name = "articles/late";
    let story =
        r#"{"article": {"name": "articles/late", "headline": "Late", "languageCode": "en"}}"#;
    dateline_reading(&test_server.address, &["create", "-"], story)
        .await
        .ok();
    let publish = ["publish", name, "--at", "2020-01-01T06:00:00Z"];
    let unasked = run(&test_server, &publish).await;
    assert_eq!((unasked.code, unasked.stdout.as_str()), (1, ""));
    let told = "2020-01-01 06:00:00 UTC has passed, so this publishes at once; say --yes";
    assert!(unasked.stderr.contains(told), "{}", unasked.stderr);
    for (answer, code) in [("no\n", 1), ("publish\n", 0)] {
        assert_eq!(
            run(&test_server, &["get", name]).await.code,
            3,
            "nothing is published yet"
        );
        let mut asking = Terminal::start(&test_server.address, &publish, 80);
        asking.type_text(answer);
        let (found, screen, _) = asking.end().await;
        assert_eq!(found, code, "{screen}");
        assert!(screen.contains("Type publish to go on: "), "{screen}");
    }
    run(&test_server, &["get", name]).await.ok();
    let other = story.replace("late", "later");
    dateline_reading(&test_server.address, &["create", "-"], &other)
        .await
        .ok();
    let sure = [
        "publish",
        "articles/later",
        "--at",
        "2020-01-01T06:00:00Z",
        "--yes",
    ];
    let sure = run(&test_server, &sure).await.ok();
    assert!(sure.stderr.contains("has passed"), "{}", sure.stderr);
    test_server.stop().await;
}

#[tokio::test]
async fn times_have_whole_seconds_and_states_that_readers_never_see_are_told() {
    let test_server = start_server().await;
    let story =
        r#"{"article": {"name": "articles/later", "headline": "Later", "languageCode": "en"}}"#;
    dateline_reading(&test_server.address, &["create", "-"], story)
        .await
        .ok();
    let hidden = run(&test_server, &["publish", "articles/later", "--at", "+2h"])
        .await
        .ok();
    let (_, time) = hidden.stdout.split_once("embargoed until ").unwrap();
    assert!(
        time[..23].ends_with(" UTC") && !time.contains('.'),
        "{}",
        hidden.stdout
    );
    let record = run(
        &test_server,
        &["get", "--view", "desk", "-o", "json", "articles/later"],
    )
    .await
    .ok();
    let time = record.json()["article"]["meta"]["embargoTime"].to_string();
    assert!(!time.contains('.'), "{time}");
    for state in ["draft", "in-review", "in_review", "in review", "EMBARGOED"] {
        for command in ["list", "watch"] {
            let silent = run(&test_server, &[command, "--state", state]).await;
            assert_eq!(
                (silent.code, silent.stdout.as_str()),
                (2, ""),
                "{command} {state}"
            );
            assert!(
                silent.stderr.contains("add --view desk"),
                "{}",
                silent.stderr
            );
        }
        run(&test_server, &["list", "--state", state, "--view", "desk"])
            .await
            .ok();
    }
    let export = run(
        &test_server,
        &["export", "--out", "/nowhere", "--state", "draft"],
    )
    .await;
    assert_eq!(export.code, 2, "{}", export.stderr);
    let unknown = run(&test_server, &["list", "--type", "organisation"]).await;
    assert_eq!(unknown.code, 1);
    for told in [
        "--type organisation: ",
        "there are: ",
        "organization",
        "member_of",
        "meeting",
    ] {
        assert!(unknown.stderr.contains(told), "{told}: {}", unknown.stderr);
    }
    test_server.stop().await;
}

#[tokio::test]
async fn since_takes_days_and_refuses_what_is_neither_a_time_nor_a_cursor() {
    let test_server = start_server().await;
    import_gold(&test_server.address).await;
    for since in ["yesterday", "today", "2020-01-01", "-1h", "beginning"] {
        let watch = ["watch", "--since", since, "--limit", "47", "-o", "ndjson"];
        let lines = dateline(&test_server.address, &watch).await.ok().lines();
        assert_eq!(lines.len(), 47, "{since}");
    }
    for since in ["last week", "tomorow", "2026-13-01", ""] {
        let refused = dateline(&test_server.address, &["watch", "--since", since]).await;
        assert_eq!((refused.code, refused.stdout.as_str()), (2, ""), "{since}");
        for told in [
            "neither a cursor nor a time",
            "2026-08-01T06:00:00Z",
            "yesterday",
        ] {
            assert!(refused.stderr.contains(told), "{since}: {}", refused.stderr);
        }
    }
    let audit = dateline(
        &test_server.address,
        &["audit", "--since", "yesterday", "-o", "ndjson"],
    )
    .await;
    assert!(!audit.ok().lines().is_empty());
    test_server.stop().await;
}

#[tokio::test]
async fn the_server_may_be_named_before_the_command() {
    let test_server = start_server().await;
    import_gold(&test_server.address).await;
    let (_keep, directory) = temp_dir();
    std::fs::write(directory.join("token"), "").unwrap();
    let token = directory.join("token");
    let address = test_server.address.as_str();
    let equals = format!("--server={address}");
    for before in [
        &["--server", address][..],
        &[&equals],
        &["--token-file", token.to_str().unwrap(), "--server", address],
    ] {
        for command in [
            &["health"][..],
            &["list", "--limit", "1"],
            &["token", "list"],
            &["get", "--", "actors/nato"],
        ] {
            // The option precedes the environment.
            dateline("127.0.0.1:1", &[before, command].concat())
                .await
                .ok();
        }
    }
    assert_eq!(
        dateline("", &["--server", address, "serve"]).await.code,
        2,
        "a server has no server"
    );
    assert_eq!(dateline("", &["--server", address]).await.code, 2);
    test_server.stop().await;
}

#[tokio::test]
async fn restoring_what_was_retracted_advises_what_is_possible() {
    let test_server = start_server().await;
    let name = published(&test_server, "nato").await;
    run(&test_server, &["retract", &name, "--note", "Invented."])
        .await
        .ok();
    let refused = run(&test_server, &["restore", &name, "1", "--note", "Back."]).await;
    assert_eq!(refused.code, 1);
    assert!(
        refused
            .stderr
            .contains("as a new record, under another name"),
        "{}",
        refused.stderr
    );
    assert!(!refused.stderr.contains("unmerge"), "{}", refused.stderr);
    test_server.stop().await;
}

#[tokio::test]
async fn an_outage_is_told_once_and_that_it_is_over() {
    let (_keep, directory) = temp_dir();
    let data = directory.join("data");
    let mut server = serve(&data, "127.0.0.1:0").await;
    let address = server.address.clone();
    dateline_reading(&address, &["import", "-"], &actor("one"))
        .await
        .ok();
    let watch = [
        "watch",
        "--view",
        "desk",
        "--from-beginning",
        "--limit",
        "2",
        "-o",
        "ndjson",
    ];
    let mut watcher = program(&address, &watch).spawn().unwrap();
    let mut lines = BufReader::new(watcher.stdout.take().unwrap()).lines();
    let first = tokio::time::timeout(PROCESS_TIMEOUT, lines.next_line()).await;
    assert!(first.expect("a line comes").unwrap().is_some());
    server.signal(Signal::SIGKILL);
    server.end().await;
    // Leaves time for failed attempts: the first pauses are a tenth of a second.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut server = serve(&data, &address).await;
    dateline_reading(&address, &["import", "-"], &actor("two"))
        .await
        .ok();
    let output = tokio::time::timeout(PROCESS_TIMEOUT, watcher.wait_with_output()).await;
    let stderr = String::from_utf8(output.expect("it ends").unwrap().stderr).unwrap();
    assert_eq!(
        stderr.matches("waiting for the server").count(),
        1,
        "{stderr}"
    );
    assert_eq!(
        stderr.matches("the server is back after ").count(),
        1,
        "{stderr}"
    );
    server.signal(Signal::SIGTERM);
    server.end().await;
}
