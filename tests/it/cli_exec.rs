//! `dateline watch --exec`: whatever a command has not acknowledged is sent again after any crash at any time.

use std::{collections::BTreeSet, path::PathBuf, process::Stdio};

use nix::sys::signal::{Signal, kill};
use serde_json::{Value, json};
use tokio::process::Child;

use crate::support::{
    cli::{CommandOutput, dateline, dateline_reading, import_gold, program},
    process::{PROCESS_TIMEOUT, pid},
    server::{TestServer, start_server, temp_dir},
};

/// Number of long articles: a snapshot of them, and the batch that publishes them, take several responses.
const ARTICLES: usize = 16;

async fn import_long_articles(server: &TestServer) {
    let lines = (0..ARTICLES).map(|number| {
        let body = format!("{number} ").repeat(60_000);
        let article = json!({ "article": {
            "name": format!("articles/long-{number:02}"), "headline": format!("Long {number}"),
            "languageCode": "en", "body": body.trim_end(),
        }});
        format!("{article}\n")
    });
    let lines: String = lines.collect();
    dateline_reading(&server.address, &["import", "-", "--publish"], &lines)
        .await
        .ok();
}

/// A watch with a command, in a directory that holds the command's files.
struct Exec<'a> {
    server: &'a TestServer,
    directory: PathBuf,
    script: &'static str,
}

impl Exec<'_> {
    fn child(&self, arguments: &[&str]) -> Child {
        let all = [&["watch", "--exec", self.script], arguments].concat();
        let mut command = program(&self.server.address, &all);
        command
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .spawn()
            .unwrap()
    }

    async fn run(&self, arguments: &[&str]) -> CommandOutput {
        end(self.child(arguments)).await
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.directory.join(file)).unwrap_or_default()
    }

    /// The lines that the command applied.
    fn applied(&self) -> Vec<Value> {
        lines(&self.read("applied"))
    }

    async fn exists(&self, file: &str) {
        let file = self.directory.join(file);
        let waiting = async {
            while !file.exists() {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        let waited = tokio::time::timeout(PROCESS_TIMEOUT, waiting).await;
        waited.unwrap_or_else(|_| panic!("{} is not made", file.display()));
    }
}

/// Exit code and output; code -1 if a signal ended it.
async fn end(child: Child) -> CommandOutput {
    let output = tokio::time::timeout(PROCESS_TIMEOUT, child.wait_with_output()).await;
    let output = output.expect("the watch ends").unwrap();
    CommandOutput {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn sequences(lines: &[Value]) -> Vec<u64> {
    let sequence = |line: &Value| line["sequence"].as_str()?.parse().ok();
    lines.iter().filter_map(sequence).collect()
}

fn snapshot_names(lines: &[Value]) -> Vec<String> {
    let name = |line: &Value| {
        line["snapshot"]["article"]["name"]
            .as_str()
            .map(str::to_owned)
    };
    lines.iter().filter_map(name).collect()
}

/// Publishes one more record in a batch of its own.
async fn publish_one(server: &TestServer, id: &str) {
    let story = json!({ "article": { "name": format!("articles/{id}"), "headline": id, "languageCode": "en" } });
    let import = ["import", "-", "--publish"];
    dateline_reading(&server.address, &import, &story.to_string())
        .await
        .ok();
}

/// Crashes in the middle of its input at the run whose number is in `crash`; other runs apply all of their input at
/// once.
const CRASHES: &str = "n=$(($(cat runs 2>/dev/null || echo 0) + 1)); echo $n > runs
if [ $n = $(cat crash) ]; then head -c 1000 >/dev/null; kill -9 $$; fi
cat > part.$n && cat part.$n >> applied && tail -n 1 part.$n >> lasts";

#[tokio::test]
async fn f2_f3_a_command_that_crashes_at_every_delivery_in_turn_loses_nothing_in_stream_and_snapshot()
 {
    let server = start_server().await;
    import_long_articles(&server).await;
    for id in ["one", "two", "three"] {
        publish_one(&server, id).await;
    }
    let all = ARTICLES + 3;
    for start in ["--from-beginning", "--snapshot"] {
        let mut deliveries = 1;
        let mut crash = 1;
        while crash <= deliveries {
            let (_keep, directory) = temp_dir();
            let exec = Exec {
                server: &server,
                directory: directory.clone(),
                script: CRASHES,
            };
            std::fs::write(directory.join("crash"), crash.to_string()).unwrap();
            let state = ["--state-file", "state", "--exec-attempts", "1"];
            let limit = all.to_string();
            let watch = [&[start, "--limit", &limit][..], &state].concat();
            let crashed = exec.run(&watch).await;
            assert_eq!(crashed.code, 1, "{}", crashed.stderr);
            let told = "the command of --exec ended with signal: 9";
            assert!(crashed.stderr.contains(told), "{}", crashed.stderr);
            // The same command resumes; fewer records than all are left.
            let left = all
                - exec
                    .applied()
                    .iter()
                    .filter(|line| line["caughtUp"].is_null())
                    .count();
            let limit = left.to_string();
            let watch = [&[start, "--limit", &limit][..], &state].concat();
            let again = exec.run(&watch).await;
            assert_eq!(again.code, 0, "{}", again.stderr);
            let applied = exec.applied();
            if start == "--snapshot" {
                let names = snapshot_names(&applied);
                assert_eq!(names.len(), all, "crash at {crash}");
                assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), all);
            } else {
                let expected: Vec<_> = (1..=all as u64).collect();
                assert_eq!(sequences(&applied), expected, "crash at {crash}");
                // Whole batches, however the responses were divided.
                let lasts = lines(&exec.read("lasts"));
                assert!(lasts.iter().all(|last| last["lastInBatch"] == true));
            }
            deliveries = exec.read("runs").trim().parse::<u64>().unwrap() - 1;
            crash += 1;
        }
        let least = if start == "--snapshot" { 3 } else { 1 };
        assert!(deliveries >= least, "{start}: {deliveries} deliveries");
    }
    server.stop().await;
}

#[tokio::test]
async fn f2_a_command_is_tried_again_with_the_same_batch_until_it_acknowledges_it() {
    let server = start_server().await;
    import_gold(&server.address).await;
    let (_keep, directory) = temp_dir();
    let exec = Exec {
        server: &server,
        directory,
        script: "cat > in.$DATELINE_ATTEMPT; [ $DATELINE_ATTEMPT = 3 ] && cat in.3 >> applied",
    };
    let done = exec.run(&["--from-beginning", "--limit", "47"]).await.ok();
    assert_eq!(exec.applied().len(), 47);
    assert_eq!(exec.read("in.1"), exec.read("in.3"));
    assert!(done.stderr.contains("attempt 2 of 8"), "{}", done.stderr);
    assert!(done.stderr.contains("attempt 3 of 8"), "{}", done.stderr);
    assert!(
        done.stderr.contains("acknowledged up to cursor "),
        "{}",
        done.stderr
    );
    server.stop().await;
}

#[tokio::test]
async fn f2_after_the_last_attempt_it_ends_with_the_batch_kept_and_tells_the_last_acknowledged_cursor()
 {
    let server = start_server().await;
    import_gold(&server.address).await;
    let (_keep, directory) = temp_dir();
    let mut exec = Exec {
        server: &server,
        directory: directory.clone(),
        script: "exit 7",
    };
    let flags = [
        "--from-beginning",
        "--state-file",
        "state",
        "--exec-attempts",
        "2",
    ];
    let failed = exec.run(&flags).await;
    assert_eq!(failed.code, 1);
    for told in [
        "the command of --exec ended with exit status: 7, at attempt 2",
        "what ends with sequence 47, which is kept",
    ] {
        assert!(failed.stderr.contains(told), "{told}: {}", failed.stderr);
    }
    // The command reads some input, acknowledges one batch, and then fails again.
    exec.script = "[ $DATELINE_SEQUENCE = 47 ] && echo $DATELINE_CURSOR > cursor";
    let taking = exec.child(&flags);
    exec.exists("cursor").await;
    publish_one(&server, "one").await;
    let failed = end(taking).await;
    assert_eq!(failed.code, 1, "{}", failed.stderr);
    let cursor = exec.read("cursor");
    let told = format!("acknowledged up to cursor {}", cursor.trim());
    assert!(failed.stderr.contains(&told), "{told}: {}", failed.stderr);
    // From that cursor, and from the state file, only unacknowledged changes are sent.
    let since = [
        "watch",
        "--since",
        cursor.trim(),
        "--limit",
        "1",
        "-o",
        "ndjson",
    ];
    let since = dateline(&server.address, &since).await.ok();
    assert_eq!(sequences(&since.lines()), [48]);
    exec.script = "cat >> applied";
    exec.run(&["--state-file", "state", "--limit", "1"])
        .await
        .ok();
    assert_eq!(sequences(&exec.applied()), [48]);
    server.stop().await;
}

#[tokio::test]
async fn f2_a_watcher_that_is_killed_between_the_command_and_its_state_file_repeats_and_loses_nothing()
 {
    let server = start_server().await;
    import_gold(&server.address).await;
    publish_one(&server, "one").await;
    let (_keep, directory) = temp_dir();
    // On its first run the command kills its parent after its work.
    let exec = Exec {
        server: &server,
        directory,
        script: "cat >> applied; [ -e killed ] || { touch killed; kill -9 $PPID; }",
    };
    let flags = ["--from-beginning", "--state-file", "state", "--limit", "48"];
    assert_eq!(exec.run(&flags).await.code, -1);
    exec.run(&flags).await.ok();
    let all = sequences(&exec.applied());
    assert!(all.len() > 48, "something comes twice");
    let each: BTreeSet<_> = all.into_iter().collect();
    assert_eq!(each, (1..=48).collect());
    server.stop().await;
}

#[tokio::test]
async fn f2_a_command_that_stores_the_cursor_with_its_effects_has_each_change_once() {
    let server = start_server().await;
    import_gold(&server.address).await;
    publish_one(&server, "one").await;
    let (_keep, directory) = temp_dir();
    // Effects and cursor are one file, replaced atomically; then the command kills its parent.
    let exec = Exec {
        server: &server,
        directory: directory.clone(),
        script: "{ sed 1d store; cat; } > new 2>/dev/null
{ echo $DATELINE_CURSOR; cat new; } > whole && mv whole store && kill -9 $PPID",
    };
    let mut since = "beginning".to_owned();
    let mut seen = Vec::new();
    for more in ["two", "three", "four"] {
        let watched = exec.run(&["--since", &since]).await;
        assert_eq!(watched.code, -1, "{}", watched.stderr);
        let store = exec.read("store");
        let (cursor, rest) = store.split_once('\n').unwrap();
        cursor.clone_into(&mut since);
        seen = sequences(&lines(rest));
        publish_one(&server, more).await;
    }
    assert_eq!(seen, (1..=50).collect::<Vec<_>>());
    server.stop().await;
}

#[tokio::test]
async fn ctrl_c_waits_for_the_command_and_saves_what_it_acknowledged() {
    let server = start_server().await;
    import_gold(&server.address).await;
    let (_keep, directory) = temp_dir();
    let exec = Exec {
        server: &server,
        directory: directory.clone(),
        script: "cat >> applied; touch began; while [ ! -e go ]; do sleep 0.02; done",
    };
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        drop(std::fs::remove_file(directory.join("began")));
        drop(std::fs::remove_file(directory.join("go")));
        let mut child = exec.child(&["--from-beginning", "--state-file", "state"]);
        exec.exists("began").await;
        kill(pid(child.id().unwrap()), signal).unwrap();
        let soon = std::time::Duration::from_millis(200);
        let waited = tokio::time::timeout(soon, child.wait()).await;
        assert!(waited.is_err(), "it waits for its command");
        std::fs::write(directory.join("go"), "").unwrap();
        let done = end(child).await.ok();
        assert!(
            done.stderr.contains("waiting for the command"),
            "{}",
            done.stderr
        );
        publish_one(
            &server,
            if signal == Signal::SIGINT {
                "one"
            } else {
                "two"
            },
        )
        .await;
    }
    assert_eq!(sequences(&exec.applied()), (1..=48).collect::<Vec<_>>());
    server.stop().await;
}

#[tokio::test]
async fn a_second_ctrl_c_ends_the_command_too_and_keeps_the_batch() {
    let server = start_server().await;
    import_gold(&server.address).await;
    let (_keep, directory) = temp_dir();
    let mut exec = Exec {
        server: &server,
        directory: directory.clone(),
        script: "cat > in; touch began; sleep 600",
    };
    let child = exec.child(&["--from-beginning", "--state-file", "state"]);
    exec.exists("began").await;
    let id = pid(child.id().unwrap());
    let signalling = tokio::spawn(async move {
        // Repeats until the process is gone: a second signal may be merged with the first.
        while kill(id, Signal::SIGINT).is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    });
    let done = end(child).await;
    signalling.abort();
    assert_eq!(done.code, 1, "{}", done.stderr);
    assert!(done.stderr.contains("which is kept"), "{}", done.stderr);
    exec.script = "cat >> applied";
    exec.run(&["--state-file", "state", "--limit", "1"])
        .await
        .ok();
    assert_eq!(exec.applied().len(), 47, "all of the batch comes again");
    server.stop().await;
}

#[tokio::test]
async fn the_exit_code_of_the_command_is_its_word_whatever_it_reads_and_prints() {
    let server = start_server().await;
    import_long_articles(&server).await;
    let (_keep, directory) = temp_dir();
    let mut exec = Exec {
        server: &server,
        directory,
        script: "echo taken",
    };
    let done = exec.run(&["--from-beginning", "--limit", "1"]).await.ok();
    assert_eq!(
        done.stdout, "taken\n",
        "a batch is whole, whatever the limit is"
    );
    exec.script = "cat > in.$DATELINE_ATTEMPT";
    for output in ["json", "yaml", "cloudevents"] {
        let watch = ["--from-beginning", "--limit", "1", "-o", output];
        exec.run(&watch).await.ok();
        assert!(
            exec.read("in.1").matches("articles/long-").count() >= ARTICLES,
            "{output}"
        );
    }
    let table = exec.run(&["--from-beginning", "-o", "table"]).await;
    assert_eq!(table.code, 2, "{}", table.stderr);
    let alone = dateline(&server.address, &["watch", "--exec-attempts", "2"]).await;
    assert_eq!(alone.code, 2, "{}", alone.stderr);
    server.stop().await;
}

#[tokio::test]
async fn f2_a_state_file_with_a_pipe_is_warned_of_and_a_reader_that_goes_away_is_told_with_the_cursor()
 {
    let server = start_server().await;
    import_gold(&server.address).await;
    let (_keep, directory) = temp_dir();
    let state = directory.join("state");
    let state = state.to_str().unwrap();
    let watch = [
        "watch",
        "--from-beginning",
        "-o",
        "ndjson",
        "--state-file",
        state,
    ];
    let piped = dateline(&server.address, &[&watch[..], &["--limit", "20"]].concat())
        .await
        .ok();
    assert!(piped.stderr.starts_with("warning: "), "{}", piped.stderr);
    for told in ["a pipe", "--exec CMD", ">> FILE"] {
        assert!(piped.stderr.contains(told), "{told}: {}", piped.stderr);
    }
    // With output to a file there is no warning.
    let other = directory.join("other.state");
    let other = [
        "watch",
        "--from-beginning",
        "--state-file",
        other.to_str().unwrap(),
        "--limit",
        "1",
    ];
    let mut command = program(&server.address, &other);
    command.stdout(std::fs::File::create(directory.join("out")).unwrap());
    let filed = end(command.spawn().unwrap()).await.ok();
    assert_eq!(filed.stderr, "");
    for more in [&["--state-file", state][..], &[]] {
        let watch = ["watch", "--from-beginning", "-o", "ndjson"];
        let mut child = program(&server.address, &[&watch[..], more].concat())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let done = end(child).await;
        assert_eq!(done.code, 1, "{}", done.stderr);
        let told = done.stderr.lines().last().unwrap();
        let told = told.strip_prefix("nobody reads the output any more; written up to cursor ");
        let since = [
            "watch",
            "--since",
            told.unwrap(),
            "--limit",
            "1",
            "-o",
            "ndjson",
        ];
        let next = dateline(&server.address, &since).await.ok();
        assert_eq!(
            sequences(&next.lines()),
            [1],
            "the cursor lies before the only response"
        );
    }
    server.stop().await;
}
