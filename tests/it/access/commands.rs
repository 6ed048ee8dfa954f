//! `dateline token`, `dateline audit`, and the bootstrap token of the first admin, on the command line.

use std::{
    os::unix::fs::PermissionsExt,
    process::{Command, Output},
};

use dateline_access::Settings;
use tokio_util::sync::CancellationToken;

use crate::support::{
    editing::create_base,
    process::Process,
    server::{PROGRAM, config, create_database, start_server, temp_dir},
};

async fn run(address: &str, args: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.args(args).args(["--server", address]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    output.await.unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_made_listed_changed_and_revoked() {
    let server = start_server().await;
    let on = server.address.as_str();
    let made = run(
        on,
        &[
            "token",
            "create",
            "--role",
            "reader,exporter",
            "--scope",
            "lang:en",
            "--expires",
            "+90d",
        ],
    )
    .await;
    assert!(made.status.success(), "{}", err(&made));
    // The secret is printed alone, so that it can be redirected to a file.
    let secret = out(&made);
    assert!(
        secret.starts_with("dateline_") && secret.trim_end().lines().count() == 1,
        "{secret}"
    );
    let id = &secret["dateline_".len()..][..8];
    let list = run(on, &["token", "list"]).await;
    for word in [id, "reader, exporter", "lang:en", "never", "local"] {
        assert!(out(&list).contains(word), "{word} in {}", out(&list));
    }
    assert!(!out(&list).contains(secret.trim()));
    let updated = run(on, &["token", "update", id, "--role", "reader"]).await;
    assert!(err(&updated).contains("reader"), "{}", err(&updated));
    let unsure = run(on, &["token", "revoke", id]).await;
    assert!(
        !unsure.status.success() && err(&unsure).contains("--yes"),
        "{}",
        err(&unsure)
    );
    // A user passed the whole secret instead of the id: it is neither sent nor printed.
    let revoked = run(on, &["token", "revoke", secret.trim(), "--yes"]).await;
    assert!(revoked.status.success(), "{}", err(&revoked));
    assert!(!err(&revoked).contains(secret.trim()), "{}", err(&revoked));
    let left = run(on, &["token", "list"]).await;
    assert!(
        !out(&left).contains(id) && err(&left).contains("no tokens"),
        "{}",
        out(&left)
    );
    let all = run(on, &["token", "list", "--all", "--output", "ndjson"]).await;
    assert!(out(&all).contains("revokeTime"), "{}", out(&all));
    for (args, words) in [
        (&["token", "revoke", "nobody", "--yes"][..], "eight letters"),
        (
            &["token", "revoke", "aaaaaaaa", "--yes"],
            "no token aaaaaaaa",
        ),
        (
            &["token", "create", "--role", "root", "--expires", "+1d"],
            "possible values",
        ),
        (&["token", "create", "--role", "reader"], "--expires"),
        (
            &["token", "create", "--role", "reader", "--expires", "+400d"],
            "within a year",
        ),
        (
            &[
                "token",
                "create",
                "--role",
                "reader",
                "--scope",
                "events",
                "--expires",
                "+1d",
            ],
            "no scope",
        ),
    ] {
        let refused = run(on, args).await;
        assert!(
            !refused.status.success() && err(&refused).contains(words),
            "{args:?}: {}",
            err(&refused)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audit_is_read_as_a_table_and_kept_line_by_line() {
    let server = start_server().await;
    create_base(&server.client).await;
    let on = server.address.as_str();
    let table = run(on, &["audit"]).await;
    for word in [
        "local",
        "Commit",
        "done",
        "articles/source created r1",
        "127.0.0.1",
    ] {
        assert!(out(&table).contains(word), "{word} in {}", out(&table));
    }
    let lines = out(&run(on, &["audit", "--output", "ndjson"]).await);
    let entries: Vec<serde_json::Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(entries.len(), 2);
    let newest = entries[0]["number"].as_str().unwrap();
    let since = run(on, &["audit", "--output", "ndjson", "--after", newest]).await;
    assert_eq!(out(&since), "");
    let of_one = run(on, &["audit", "--record", "actors/nobody"]).await;
    assert!(
        of_one.status.success() && err(&of_one).contains("nothing was done"),
        "{}",
        err(&of_one)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_admin_gets_a_token_in_a_file_of_their_own_and_only_the_first() {
    let (_scratch, directory) = temp_dir();
    let (url, file) = (create_database().await, directory.join("admin.token"));
    let start = async || {
        let mut config = config(&url);
        config.access = Settings {
            required: true,
            ..Settings::default()
        };
        config.bootstrap_token_file = Some(file.clone());
        dateline_server::start(config, CancellationToken::new())
            .await
            .unwrap()
    };
    let running = start().await;
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let token = std::fs::read_to_string(&file).unwrap();
    let on = running.address.to_string();
    let path = file.display().to_string();
    let list = run(&on, &["token", "list", "--token-file", &path]).await;
    assert!(
        out(&list).contains("first-admin"),
        "{} {}",
        out(&list),
        err(&list)
    );
    running.stop().await.unwrap();
    let running = start().await;
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        token,
        "it is left alone"
    );
    let left: Vec<_> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 1, "{left:?}");
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p17_a_server_that_nobody_can_enter_says_so_and_its_command_helps() {
    let (_scratch, directory) = temp_dir();
    let (url, file) = (create_database().await, directory.join("admin.token"));
    let serve = |more: &[&str]| {
        let mut command = tokio::process::Command::new(PROGRAM);
        command.args(["serve", "--listen", "127.0.0.1:0", "--require-credentials"]);
        command.args(["--database-url", &url]).args(more);
        Process::start(command)
    };
    let path = file.display().to_string();
    {
        let locked = serve(&[]).await;
        locked.wait_for_log("WARN").await;
        locked.wait_for_log("nobody can enter").await;
        locked.wait_for_log("--bootstrap-token-file FILE").await;
    }
    {
        let helped = serve(&["--bootstrap-token-file", &path]).await;
        helped.wait_for_log(&format!("cat {path}")).await;
        assert_eq!(helped.count_log_lines("nobody can enter"), 0);
        let create = ["token", "create", "--role", "reader", "--expires", "+1d"];
        let made = run(
            &helped.address,
            &[&create[..], &["--token-file", &path]].concat(),
        )
        .await;
        assert!(made.status.success(), "{}", err(&made));
    }
    let again = serve(&["--bootstrap-token-file", &path]).await;
    again
        .wait_for_log(&format!("the token of the first admin: cat {path}"))
        .await;
    assert_eq!(again.count_log_lines("nobody can"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p5_tokens_that_are_given_no_name_get_one_that_is_free() {
    let server = start_server().await;
    let on = server.address.as_str();
    let create = ["token", "create", "--role", "reader", "--expires", "+1d"];
    for name in ["reader", "reader-2", "reader-3"] {
        let made = run(on, &create).await;
        assert!(
            err(&made).contains(&format!("of {name}:")),
            "{}",
            err(&made)
        );
    }
    let taken = run(on, &[&create[..], &["--name", "reader"]].concat()).await;
    assert!(!taken.status.success() && err(&taken).contains("take another name"));
}
