//! Clients and servers of different protocols, and addresses by host name.

use std::process::Stdio;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    process::Command,
};

use crate::support::{
    certs::{Authority, CertDir, text},
    cli::dateline,
    process::serve_on,
    server::{PROGRAM, create_database, temp_dir},
};

/// A server that answers everything with HTTP/1.
async fn old_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut scratch = [0; 1024];
                let _ = stream.read(&mut scratch).await;
                let answer =
                    b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                let _ = stream.write_all(answer).await;
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_one_port_for_another_is_told_which_it_is() {
    let (_keep, path) = temp_dir();
    let (files, authority) = (CertDir(path), Authority::new());
    let tls = files.server(&authority);
    let url = create_database().await;
    let plain = serve_on(&url, &[]).await;
    let keys = [
        "--tls-cert",
        text(&tls.certificate),
        "--tls-key",
        text(&tls.key),
    ];
    let secure = serve_on(&url, &keys).await;
    let old = old_server().await;
    let https = |address: &str| format!("https://{address}");
    let http = |address: &str| format!("http://{address}");
    for (server, words) in [
        (https(&plain.address), "does not speak TLS"),
        (https(&old), "does not speak TLS"),
        (http(&secure.address), "with TLS say https://HOST:PORT"),
        (secure.address.clone(), "with TLS say https://HOST:PORT"),
        (http(&old), "with TLS say https://HOST:PORT"),
        (
            format!("grpc://{}", plain.address),
            "write HOST:PORT, http://HOST:PORT or",
        ),
        (
            format!("tcp://{}", plain.address),
            "write HOST:PORT, http://HOST:PORT or",
        ),
    ] {
        for command in [&["health"][..], &["feed"]] {
            let told = dateline(&server, command).await;
            assert!(
                told.code != 0 && told.stderr.contains(words),
                "{server} {command:?}: {} {}",
                told.code,
                told.stderr
            );
            assert!(!told.stderr.contains("corrupt message"), "{}", told.stderr);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_addresses_to_listen_on() {
    let url = create_database().await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let metrics = format!("localhost:{}", free.local_addr().unwrap().port());
    drop(free);
    let listen = ["--listen", "localhost:0", "--metrics-listen", &metrics];
    let server = serve_on(&url, &listen).await;
    let port = server.address.rsplit(':').next().unwrap();
    for name in ["localhost", "127.0.0.1"] {
        dateline(&format!("{name}:{port}"), &["health"]).await.ok();
    }
    let mut stream = tokio::net::TcpStream::connect(&metrics).await.unwrap();
    let asked = b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(asked).await.unwrap();
    let mut told = String::new();
    stream.read_to_string(&mut told).await.unwrap();
    assert!(told.starts_with("HTTP/1.1 200"), "{told}");

    // Addresses that other machines can reach require an explicit option, however they are named.
    for (address, words) in [
        ("0.0.0.0:0", "can be reached by others"),
        ("no.such.host.invalid:7400", "the name leads to no address"),
        ("localhost", "write HOST:PORT"),
        ("7400", "write HOST:PORT"),
    ] {
        let mut command = Command::new(PROGRAM);
        command.args(["serve", "--allow-anonymous", "--listen", address]);
        command
            .env("DATELINE_DATABASE_URL", &url)
            .stdin(Stdio::null());
        let output = command.kill_on_drop(true).output().await.unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && told.contains(words),
            "{address}: {told}"
        );
    }
}
