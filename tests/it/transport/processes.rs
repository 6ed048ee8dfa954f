//! Limits in the server's log and metrics; and its behaviour when the system runs out of resources.

use dateline_client::Client;
use tokio::{net::TcpStream, process::Command};

use crate::support::{
    certs::{Authority, CertDir, text},
    cli::dateline,
    process::{PROCESS_TIMEOUT, Process, free_address, scrape, serve_on},
    raw_h2::{DATA, END_HEADERS, H2Connection, HEADERS, LIST, PING, RST_STREAM, frame, headers},
    server::{PROGRAM, create_database, temp_dir},
};

const URI: &str = "spiffe://dateline.example/somebody";
const DNS: &str = "somebody.example";

async fn serve(arguments: &[&str]) -> Process {
    serve_on(&create_database().await, arguments).await
}

/// True if a call is answered.
async fn is_served(connection: &dateline_client::Connection) -> bool {
    let Ok(mut client) = Client::connect_with(connection).await else {
        return false;
    };
    client
        .feed
        .get_feed(dateline_proto::v1::GetFeedRequest::default())
        .await
        .is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn h6_failed_handshakes_are_told_in_plain_words() {
    let (_keep, path) = temp_dir();
    let (files, authority, clients) = (CertDir(path), Authority::new(), Authority::new());
    let tls = files.server(&authority);
    let client_ca = files.write("clients.pem", &clients.pem);
    let server = serve(&[
        "--tls-cert",
        text(&tls.certificate),
        "--tls-key",
        text(&tls.key),
        "--client-ca",
        text(&client_ca),
    ])
    .await;
    let reach = |paper| files.client(&server.address, &authority, paper);
    let known = clients.client(URI, DNS);
    assert!(is_served(&reach(Some(&known))).await);
    let mine = reach(Some(&known));
    let paths = [&mine.ca, &mine.client_cert, &mine.client_key].map(|it| it.as_deref().unwrap());
    let [ca, certificate, key] = paths.map(text);
    let shown = [
        "--ca",
        ca,
        "--client-cert",
        certificate,
        "--client-key",
        key,
    ];
    let health = dateline(&mine.server, &[&["health"], &shown[..]].concat()).await;
    health.ok();
    let unknown = dateline(&mine.server, &["health", "--ca", certificate]).await;
    assert_eq!(unknown.code, 4, "{}", unknown.stderr);
    H2Connection::connect_with_preface(&server.address)
        .await
        .received()
        .await;
    server.wait_for_log("plain text on a port with TLS").await;
    assert!(!is_served(&reach(None)).await);
    server.wait_for_log("it has no client certificate").await;
    let foreign = Authority::new().client(URI, DNS);
    assert!(!is_served(&reach(Some(&foreign))).await);
    server
        .wait_for_log("of an authority that is not in --client-ca")
        .await;
    let expired = clients.client_until(URI, DNS, 2020);
    assert!(!is_served(&reach(Some(&expired))).await);
    server
        .wait_for_log("its client certificate has expired")
        .await;
    // Many hits do not log many lines.
    for _ in 0..500 {
        H2Connection::connect_with_preface(&server.address)
            .await
            .received()
            .await;
    }
    assert!(server.count_log_lines("plain text on a port with TLS") < 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_used_without_a_restart_and_a_broken_one_is_not() {
    let (_keep, path) = temp_dir();
    let (files, old, new) = (CertDir(path), Authority::new(), Authority::new());
    let tls = files.server(&old);
    let server = serve(&[
        "--tls-cert",
        text(&tls.certificate),
        "--tls-key",
        text(&tls.key),
    ])
    .await;
    let (by_old, by_new) = (
        files.client(&server.address, &old, None),
        files.client(&server.address, &new, None),
    );
    assert!(is_served(&by_old).await);
    files.write("server.pem", "half of a certif");
    server
        .wait_for_log("cannot be used; the old stay in use")
        .await;
    assert!(is_served(&by_old).await);
    assert!(!is_served(&by_new).await);
    let renewed = files.server(&new);
    assert_eq!(renewed.certificate, tls.certificate);
    server.wait_for_log("new connections use them").await;
    assert!(is_served(&by_new).await);
    assert!(!is_served(&by_old).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_that_bite_are_counted() {
    let metrics = free_address();
    let server = serve(&[
        "--metrics-listen",
        &metrics,
        "--max-connections",
        "2",
        "--first-request-timeout",
        "3s",
    ])
    .await;
    let kept = H2Connection::connect_with_preface(&server.address).await;
    let mut flooding = H2Connection::connect_with_preface(&server.address).await;
    let refused = H2Connection::connect(&server.address)
        .await
        .received()
        .await;
    refused.assert_enhance_your_calm("--max-connections");
    flooding.flood(&frame(PING, 0, 0, &[0; 8]), 100_000).await;
    flooding.received().await;
    kept.received().await;
    let mut empty = H2Connection::connect_with_preface(&server.address).await;
    empty
        .send(&frame(HEADERS, END_HEADERS, 1, &headers(LIST)))
        .await;
    empty.flood(&frame(DATA, 0, 1, &[]), 100_000).await;
    empty.received().await;
    for limit in [
        "max_connections",
        "control_frames_per_second",
        "first_request_timeout",
        "http2_flood",
    ] {
        let line = format!("dateline_limit_hits_total{{limit=\"{limit}\"}} 1");
        counted(&metrics, &line).await;
    }
    let mut mistaken = H2Connection::connect(&server.address).await;
    mistaken
        .send(b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03")
        .await;
    server.wait_for_log("TLS on a port without").await;
    drop(mistaken);
    let mut resetting = H2Connection::connect_with_preface(&server.address).await;
    for number in 0..1000 {
        let opened = frame(HEADERS, END_HEADERS, 1 + 2 * number, &headers(LIST));
        let reset = frame(RST_STREAM, 0, 1 + 2 * number, &[0, 0, 0, 8]);
        if !resetting.send(&[opened, reset].concat()).await {
            break;
        }
    }
    resetting.received().await;
    counted(
        &metrics,
        "dateline_limit_hits_total{limit=\"http2_flood\"} 2",
    )
    .await;
    server.wait_for_log("a flood of HTTP/2 frames").await;
    assert_eq!(
        server.count_log_lines("recv_reset"),
        0,
        "the library has its own words"
    );
    server
        .wait_for_log("too many connections: 2 (--max-connections)")
        .await;
    server
        .wait_for_log("no request within 3s (--first-request-timeout)")
        .await;
}

/// Waits until a line stands among the metrics.
async fn counted(metrics: &str, line: &str) {
    let mut last = String::new();
    let waiting = async {
        loop {
            last = scrape(metrics).await;
            if last.lines().any(|it| it == line) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let waited = tokio::time::timeout(PROCESS_TIMEOUT, waiting).await;
    assert!(waited.is_ok(), "no {line} in {last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_file_descriptors_goes_on_when_it_has_some_again() {
    let url = create_database().await;
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "ulimit -n 128; exec \"$0\" \"$@\"", PROGRAM, "serve"])
        .args(["--listen", "127.0.0.1:0", "--read-pool-size", "2"])
        .args(["--first-request-timeout", "10m"])
        .env("DATELINE_DATABASE_URL", url);
    let server = Process::start(shell).await;
    server.wait_for_log("too few file descriptors").await;
    let mut talkers = Vec::new();
    for _ in 0..200 {
        talkers.push(TcpStream::connect(&server.address).await.unwrap());
    }
    server
        .wait_for_log("no connection can be taken; trying again")
        .await;
    drop(talkers);
    let reached = server.address.as_str().into();
    let served = async {
        while !is_served(&reached).await {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PROCESS_TIMEOUT, served)
        .await
        .expect("it serves again");
}
