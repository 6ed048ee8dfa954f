//! H rows about connections: paths, methods, headers, versions, and misuse of a connection.

use std::time::Duration;

use bytes::Bytes;
use dateline_proto::v1::View;
use dateline_server::Config;
use http::StatusCode;
use prost::Message;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::Code;

use super::{answer, assert_answer, assert_serves, gold_server};
use crate::support::{
    gold::publish_gold,
    raw_grpc::{GET, GrpcConnection, LIST, frame, grpc_request, read_reply},
    server::{TIMEOUT, TestServer, config, create_database, start_server_with},
    watch::watch_from_beginning,
};

const NATO: &[u8] = b"\x0a\x0bactors/nato";

#[tokio::test]
async fn h3_an_unknown_method_or_service_is_told_and_none_is_listed() {
    let server = gold_server().await;
    let wire = GrpcConnection::connect(&server).await;
    for path in [
        "/",
        "/dateline.v1.RecordService/DropRecords",
        "/dateline.v1.RecordService",
        "/dateline.v2.RecordService/GetRecord",
        "/../../etc/passwd",
    ] {
        let reply = wire
            .call(grpc_request(&server, path, &[]), frame(NATO))
            .await
            .unwrap();
        let expected = answer(
            Code::Unimplemented,
            "UNKNOWN_METHOD",
            "there is no such method",
        );
        assert_answer("H3", &reply.status(), &expected);
    }
    server.stop().await;
}

#[tokio::test]
async fn h3_who_speaks_no_grpc_is_told_that_this_port_does() {
    let server = gold_server().await;
    let wire = GrpcConnection::connect(&server).await;
    let json = grpc_request(&server, GET, &[("content-type", "application/json")]);
    let mut get = grpc_request(&server, "/", &[]);
    *get.method_mut() = http::Method::GET;
    get.headers_mut().remove("content-type");
    for request in [json, get] {
        let reply = wire.call(request, Bytes::from_static(b"{}")).await.unwrap();
        assert_eq!(reply.http, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert!(
            reply.body.starts_with(b"This port speaks gRPC"),
            "{reply:?}"
        );
    }
    let told = reply_text(
        &server,
        b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert!(told.starts_with("HTTP/1.1 505"), "{told}");
    assert!(told.contains("This port speaks gRPC"), "{told}");
    assert_serves(&server).await;
    server.stop().await;
}

#[tokio::test]
async fn h3_what_is_only_called_like_grpc_is_told_so_over_both_versions_of_http() {
    let server = gold_server().await;
    let wire = GrpcConnection::connect(&server).await;
    let others = [
        ("application/grpc-web", "not gRPC-Web"),
        ("application/grpc-web+proto", "not gRPC-Web"),
        ("Application/gRPC-Web-Text; charset=utf-8", "not gRPC-Web"),
        ("application/grpc+json", "This port speaks gRPC:"),
        ("application/grpc+thrift", "This port speaks gRPC:"),
        ("application/grpcx", "This port speaks gRPC:"),
        (
            "application/grpc, application/grpc",
            "This port speaks gRPC:",
        ),
        ("text/plain", "This port speaks gRPC:"),
        ("", "This port speaks gRPC:"),
    ];
    for (kind, words) in others {
        let asked = grpc_request(&server, GET, &[("content-type", kind)]);
        let reply = wire.call(asked, frame(NATO)).await.unwrap();
        assert_eq!(reply.http, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{kind}");
        let told = String::from_utf8_lossy(&reply.body).into_owned();
        assert!(told.contains(words), "{kind}: {told}");
        assert!(!reply.headers.contains_key("grpc-status"), "{kind}");
        let old = format!(
            "POST {GET} HTTP/1.1\r\nhost: x\r\ncontent-type: {kind}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        let told = reply_text(&server, old.as_bytes()).await;
        let is_refused = told.starts_with("HTTP/1.1 415") || told.starts_with("HTTP/1.1 505");
        assert!(is_refused && told.contains(words), "{kind}: {told}");
    }
    for kind in [
        "application/grpc",
        "application/grpc+proto",
        "Application/GRPC; charset=utf-8",
    ] {
        let asked = grpc_request(&server, GET, &[("content-type", kind)]);
        let reply = wire.call(asked, frame(NATO)).await.unwrap();
        assert_eq!(reply.status().code(), Code::Ok, "{kind}");
    }
    server.stop().await;
}

/// The server's answer to raw bytes, up to the close.
async fn reply_text(server: &TestServer, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(&server.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut told = Vec::new();
    let reading = tokio::time::timeout(TIMEOUT, stream.read_to_end(&mut told));
    // A reset is a close, too.
    let _ = reading.await.expect("the connection is closed");
    String::from_utf8_lossy(&told).into_owned()
}

#[tokio::test]
async fn h6_bytes_that_are_no_http_are_closed_and_hurt_nobody() {
    let server = gold_server().await;
    let tls_hello = b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03hello hello hello hello hello";
    let noise: Vec<u8> = (0..10_000_u32).map(|it| (it * 7919 % 253) as u8).collect();
    for bytes in [&tls_hello[..], &noise, b"SSH-2.0-OpenSSH_9\r\n\r\n"] {
        let told = reply_text(&server, bytes).await;
        assert!(!told.contains("panic") && told.len() < 1000, "{told}");
    }
    assert_serves(&server).await;
    server.stop().await;
}

#[tokio::test]
async fn h4_metadata_is_bounded_and_means_nothing_that_was_not_agreed() {
    let server = gold_server().await;
    for bytes in [32 * 1024, 100 * 1024, 1024 * 1024] {
        let wire = GrpcConnection::connect(&server).await;
        let big = "a".repeat(bytes);
        let answer = wire
            .call(grpc_request(&server, GET, &[("x-big", &big)]), frame(NATO))
            .await;
        if let Ok(reply) = answer {
            assert_eq!(
                reply.http,
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "{bytes}"
            );
        }
    }
    // Malformed credentials are refused even by an open server; headers that are not credentials change nothing.
    let wire = GrpcConnection::connect(&server).await;
    let mut twice = grpc_request(
        &server,
        GET,
        &[("x-role", "admin"), ("x-forwarded-user", "root")],
    );
    for value in [&b"Bearer \xff\xfe"[..], b"Basic !!!"] {
        let value = http::HeaderValue::from_bytes(value).unwrap();
        twice.headers_mut().append("authorization", value);
    }
    let reply = wire
        .call(twice, frame(b"\x0a\x0dactors/nobody"))
        .await
        .unwrap();
    assert_eq!(reply.status().code(), Code::Unauthenticated);
    let claims = [("x-role", "admin"), ("x-forwarded-user", "root")];
    let reply = wire
        .call(
            grpc_request(&server, GET, &claims),
            frame(b"\x0a\x0dactors/nobody"),
        )
        .await
        .unwrap();
    assert_eq!(reply.status().code(), Code::NotFound);
    assert_serves(&server).await;
    server.stop().await;
}

#[tokio::test]
async fn r12_a_timeout_that_is_none_is_ignored_and_one_of_nothing_has_passed() {
    let server = gold_server().await;
    let wire = GrpcConnection::connect(&server).await;
    for timeout in ["99999999H", "garbage", "-1S", "1"] {
        let headers = [("grpc-timeout", timeout)];
        let reply = wire
            .call(grpc_request(&server, GET, &headers), frame(NATO))
            .await
            .unwrap();
        assert_eq!(reply.status().code(), Code::Ok, "#14: {timeout}");
    }
    let reply = wire
        .call(
            grpc_request(&server, LIST, &[("grpc-timeout", "0n")]),
            frame(b""),
        )
        .await
        .unwrap();
    let passed = answer(
        Code::DeadlineExceeded,
        "DEADLINE_EXCEEDED",
        "the deadline passed",
    );
    assert_answer("#14", &reply.status(), &passed);
    server.stop().await;
}

#[tokio::test]
async fn h5_a_request_that_never_ends_runs_into_the_servers_own_deadline() {
    let mut config: Config = config(&create_database().await);
    config.limits.request_timeout = Duration::from_secs(5);
    let server = start_server_with(config).await;
    publish_gold(&server).await;
    let wire = GrpcConnection::connect(&server).await;
    let mut sender = wire.sender.clone().ready().await.unwrap();
    let (reply, mut stream) = sender
        .send_request(grpc_request(&server, GET, &[]), false)
        .unwrap();
    stream.send_data(frame(NATO).slice(..7), false).unwrap();
    let reply = tokio::time::timeout(TIMEOUT, read_reply(reply))
        .await
        .unwrap()
        .unwrap();
    let passed = answer(
        Code::DeadlineExceeded,
        "DEADLINE_EXCEEDED",
        "the deadline passed",
    );
    assert_answer("#15", &reply.status(), &passed);
    assert_serves(&server).await;
    server.stop().await;
}

#[tokio::test]
async fn h5_opening_and_resetting_in_a_loop_ends_that_connection_only() {
    let server = gold_server().await;
    let wire = GrpcConnection::connect(&server).await;
    let mut was_cut = false;
    for _ in 0..10_000 {
        let Ok(mut sender) = wire.sender.clone().ready().await else {
            was_cut = true;
            break;
        };
        match sender.send_request(grpc_request(&server, LIST, &[]), false) {
            Ok((_, mut stream)) => stream.send_reset(h2::Reason::CANCEL),
            Err(_) => was_cut = true,
        }
        if was_cut {
            break;
        }
    }
    assert_serves(&server).await;
    println!("the connection that reset 10,000 calls was cut: {was_cut}");
    server.stop().await;
}

#[tokio::test]
async fn h5_streams_past_the_limit_of_a_connection_wait_and_others_are_served() {
    let mut config: Config = config(&create_database().await);
    config.limits.connections.max_concurrent_streams = 8;
    let server = start_server_with(config).await;
    publish_gold(&server).await;
    let wire = GrpcConnection::connect(&server).await;
    // The server's settings arrive with its first answer.
    wire.call(grpc_request(&server, GET, &[]), frame(NATO))
        .await
        .unwrap();
    let watch = frame(&watch_from_beginning(View::Published).encode_to_vec());
    let mut open = Vec::new();
    for _ in 0..8 {
        let mut sender = wire.sender.clone().ready().await.unwrap();
        let path = "/dateline.v1.FeedService/Watch";
        let (answer, mut stream) = sender
            .send_request(grpc_request(&server, path, &[]), false)
            .unwrap();
        stream.send_data(watch.clone(), true).unwrap();
        open.push(answer.await.unwrap());
    }
    let ninth = wire.call(grpc_request(&server, GET, &[]), frame(NATO));
    let ninth = tokio::time::timeout(Duration::from_millis(300), ninth).await;
    assert!(ninth.is_err(), "the ninth waits: {ninth:?}");
    assert_serves(&server).await;
    drop(open);
    wire.call(grpc_request(&server, GET, &[]), frame(NATO))
        .await
        .unwrap();
    server.stop().await;
}
