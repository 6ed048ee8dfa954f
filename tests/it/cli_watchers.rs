//! `dateline watch` as a process that dies, is stopped, loses its server, or runs twice.

use nix::sys::signal::{Signal, kill};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout},
};

use crate::support::{
    cli::{dateline, dateline_reading, import_gold, program},
    drafts::{RECORDS, drafts},
    process::{PROCESS_TIMEOUT, pid, serve},
    server::{start_server, temp_dir},
};

/// A running watcher.
struct WatchProcess {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl WatchProcess {
    fn start(server: &str, arguments: &[&str]) -> Self {
        let mut child = program(server, arguments).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Reads the sequences of `count` lines; fewer only if it ends.
    async fn read(&mut self, count: usize) -> Vec<u64> {
        let mut sequences = Vec::new();
        while sequences.len() < count {
            let next = tokio::time::timeout(PROCESS_TIMEOUT, self.lines.next_line()).await;
            let Some(line) = next.expect("a line comes").unwrap() else {
                break;
            };
            // A killed process may leave an incomplete line.
            if let Ok(line) = serde_json::from_str::<Value>(&line) {
                sequences.push(line["sequence"].as_str().unwrap().parse().unwrap());
            }
        }
        sequences
    }

    fn signal(&self, signal: Signal) {
        kill(pid(self.child.id().expect("it runs")), signal).unwrap();
    }

    async fn end(mut self) -> Option<i32> {
        let ended = tokio::time::timeout(PROCESS_TIMEOUT, self.child.wait()).await;
        ended.expect("it ends").unwrap().code()
    }
}

fn watch_from<'a>(file: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let watch = ["watch", "--from-beginning", "-o", "ndjson", "--state-file"];
    [&watch[..], &[file], more].concat()
}

#[tokio::test]
async fn f2_a_watcher_that_is_killed_or_interrupted_goes_on_from_its_state_file() {
    let test_server = start_server().await;
    import_gold(&test_server.address).await;
    for (signal, code) in [(Signal::SIGKILL, None), (Signal::SIGINT, Some(0))] {
        let (_keep, directory) = temp_dir();
        let file = directory.join("news.state");
        let watch = watch_from(file.to_str().unwrap(), &[]);
        let mut next = 1;
        for last in [1, 20, 47] {
            let mut watcher = WatchProcess::start(&test_server.address, &watch);
            let mut seen = watcher.read(1).await;
            while seen.last().is_some_and(|seen| *seen < last) {
                seen.extend(watcher.read(1).await);
            }
            watcher.signal(signal);
            // Lines printed before the signal are kept.
            seen.extend(watcher.read(usize::MAX).await);
            assert_eq!(watcher.end().await, code);
            let first = *seen.first().unwrap();
            assert_eq!(seen, (first..).take(seen.len()).collect::<Vec<_>>());
            assert!(first <= next, "{first} after {} at {signal}", next - 1);
            if signal == Signal::SIGINT {
                assert_eq!(first, next, "nothing comes twice");
            }
            next = next.max(seen.last().unwrap() + 1);
            if next == 48 {
                break;
            }
        }
        assert_eq!(next, 48);
    }
}

#[tokio::test]
async fn a_state_file_is_held_by_one_watcher_at_a_time() {
    let test_server = start_server().await;
    import_gold(&test_server.address).await;
    let (_keep, directory) = temp_dir();
    let file = directory.join("news.state");
    let file = file.to_str().unwrap();
    let mut first = WatchProcess::start(&test_server.address, &watch_from(file, &[]));
    assert_eq!(first.read(47).await.len(), 47);
    let second = watch_from(file, &["--limit", "1"]);
    let refused = dateline(&test_server.address, &second).await;
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("is in use"), "{}", refused.stderr);
    first.signal(Signal::SIGINT);
    assert_eq!(first.end().await, Some(0));
}

#[tokio::test]
async fn f2_f12_a_watcher_outlives_its_server_and_misses_nothing() {
    let (_keep, directory) = temp_dir();
    let data = directory.join("data");
    let mut server = serve(&data, "127.0.0.1:0").await;
    let address = server.address.clone();
    let watch = [
        "watch",
        "--from-beginning",
        "--view",
        "desk",
        "-o",
        "ndjson",
    ];
    let mut watcher = WatchProcess::start(&address, &watch);
    let mut seen = Vec::new();
    for (round, signal) in [Signal::SIGKILL, Signal::SIGTERM].into_iter().enumerate() {
        let file = drafts(&format!("round-{round}"));
        dateline_reading(&address, &["import", "-"], &file)
            .await
            .ok();
        // Killed in the middle of its output.
        seen.extend(watcher.read(RECORDS / 2).await);
        server.signal(signal);
        server.end().await;
        server = serve(&data, &address).await;
        seen.extend(watcher.read(RECORDS / 2).await);
    }
    let all = u64::try_from(2 * RECORDS).unwrap();
    assert_eq!(seen, (1..=all).collect::<Vec<_>>());
    watcher.signal(Signal::SIGINT);
    assert_eq!(watcher.end().await, Some(0));
    server.signal(Signal::SIGTERM);
    assert_eq!(server.end().await, Some(0));
}

#[tokio::test]
async fn f2_a_watcher_whose_reader_goes_away_remembers_what_was_read() {
    let test_server = start_server().await;
    import_gold(&test_server.address).await;
    let (_keep, directory) = temp_dir();
    let file = directory.join("news.state");
    let file = file.to_str().unwrap();
    let mut watcher =
        WatchProcess::start(&test_server.address, &watch_from(file, &["--limit", "20"]));
    let seen = watcher.read(usize::MAX).await;
    assert_eq!(seen.last(), Some(&20));
    assert_eq!(watcher.end().await, Some(0));
    // A pipe that nobody reads: no further line counts as printed.
    let mut watcher = WatchProcess::start(&test_server.address, &watch_from(file, &[]));
    drop(watcher.lines);
    let ended = tokio::time::timeout(PROCESS_TIMEOUT, watcher.child.wait()).await;
    assert!(ended.expect("it ends").unwrap().code().is_some());
    let mut watcher =
        WatchProcess::start(&test_server.address, &watch_from(file, &["--limit", "27"]));
    assert_eq!(
        watcher.read(usize::MAX).await,
        (21..=47).collect::<Vec<_>>()
    );
    assert_eq!(watcher.end().await, Some(0));
}
