//! H rows about messages: invalid gRPC frames, invalid protobuf, or a message that differs from its declaration.

use bytes::Bytes;
use dateline_proto::v1::ListRecordsResponse;
use prost::Message;
use tonic::Code;

use super::{ExpectedError, answer, assert_answer, assert_serves, gold_server, heads, invalid};
use crate::support::{
    raw_grpc::{COMMIT, CREATE, GET, GrpcConnection, LIST, frame, frame_with, grpc_request},
    server::TestServer,
};

struct Bytewise {
    id: &'static str,
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: Bytes,
    answer: ExpectedError,
}

async fn prove(server: &TestServer, rows: Vec<Bytewise>) {
    let before = heads(server).await;
    for row in rows {
        // A connection for each, so that no row affects the next one.
        let wire = GrpcConnection::connect(server).await;
        let reply = wire
            .call(grpc_request(server, row.path, row.headers), row.body)
            .await;
        let reply = reply.unwrap_or_else(|error| panic!("{}: {error}", row.id));
        assert_answer(row.id, &reply.status(), &row.answer);
        assert_eq!(heads(server).await, before, "{} wrote something", row.id);
    }
    assert_serves(server).await;
}

fn undecodable(words: &str) -> ExpectedError {
    answer(Code::InvalidArgument, "UNDECODABLE_MESSAGE", words)
}

fn row(id: &'static str, path: &'static str, body: Bytes, answer: ExpectedError) -> Bytewise {
    Bytewise {
        id,
        path,
        headers: &[],
        body,
        answer,
    }
}

#[tokio::test]
async fn h2_bytes_that_are_no_message_are_refused_in_fixed_words() {
    let server = gold_server().await;
    let garbage: Vec<u8> = (0..4096_u32).map(|it| (it * 7919 % 251) as u8).collect();
    let mut rows = Vec::new();
    for (id, message) in [
        ("T3", b"\x0a\x01\xff".to_vec()),
        ("#36", b"\x0a\x02\xc0\x80".to_vec()),
        ("#36", b"\x0a\x03\xed\xa0\x80".to_vec()),
        ("#6", b"\x0a\x10a".to_vec()),
        (
            "#7",
            b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01".to_vec(),
        ),
        ("#7", b"\x00\x00".to_vec()),
        ("#7", b"\x08\x01".to_vec()),
        ("#8", [0x7b].repeat(200)),
        ("H2", [0x7b].repeat(1_000_000)),
        ("H2", garbage),
    ] {
        rows.push(row(
            id,
            GET,
            frame(&message),
            undecodable("the message cannot be decoded"),
        ));
    }
    // The framework decodes messages of its own services; its error texts are replaced.
    let health = "/grpc.health.v1.Health/Check";
    let unframed = undecodable("not framed as gRPC wants it");
    rows.push(row("H2", health, frame(b"\x0a\x01\xff"), unframed));
    prove(&server, rows).await;
    server.stop().await;
}

#[tokio::test]
async fn h1_frames_that_lie_are_refused_before_anything_is_gathered() {
    let server = gold_server().await;
    let unframed = || undecodable("not framed as gRPC wants it");
    let too_large = || {
        answer(
            Code::ResourceExhausted,
            "MESSAGE_TOO_LARGE",
            "send less at once",
        )
    };
    let get = b"\x0a\x0bactors/nato";
    prove(
        &server,
        vec![
            row("H1", GET, frame_with(0, u32::MAX, &[0; 10]), too_large()),
            row(
                "#5",
                COMMIT,
                frame(&vec![0; 4 * 1024 * 1024 + 1]),
                too_large(),
            ),
            row("H1", GET, frame_with(1, 13, get), unframed()),
            row("#12", COMMIT, frame_with(1, 13, get), unframed()),
            row("H1", GET, frame_with(7, 13, get), unframed()),
            row("H2", GET, frame_with(0, 100, get), unframed()),
            row("H2", GET, Bytes::from_static(b"\0\0"), unframed()),
            row("H2", GET, Bytes::new(), unframed()),
        ],
    )
    .await;
    server.stop().await;
}

#[tokio::test]
async fn h1_compressed_messages_are_not_taken() {
    let server = gold_server().await;
    let encoded = |headers| Bytewise {
        id: "#11",
        path: GET,
        headers,
        body: frame_with(1, 10, &[0; 10]),
        answer: answer(Code::Unimplemented, "UNSUPPORTED_ENCODING", "uncompressed"),
    };
    prove(
        &server,
        vec![
            encoded(&[("grpc-encoding", "gzip")]),
            encoded(&[("grpc-encoding", "zstd")]),
            encoded(&[("grpc-encoding", "deflate")]),
            encoded(&[("grpc-encoding", "nonsense")]),
        ],
    )
    .await;
    server.stop().await;
}

#[tokio::test]
async fn a_flood_of_empty_elements_is_refused_before_it_is_decoded() {
    let server = gold_server().await;
    let flood = [0x0a, 0x00].repeat(2_000_000);
    let before = resident_bytes();
    let refusal = answer(Code::InvalidArgument, "INVALID_REQUEST", "far more entries");
    prove(&server, vec![row("#9", COMMIT, frame(&flood), refusal)]).await;
    let grown = resident_bytes().saturating_sub(before);
    // Decoded, it would use about 2 GB. Includes the memory of other tests of this process.
    assert!(grown < 500 * 1024 * 1024, "grew by {grown} bytes");
    server.stop().await;
}

pub fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = peak.and_then(|peak| peak.split_whitespace().next()?.parse().ok());
    kilobytes.unwrap_or(0) * 1024
}

#[tokio::test]
async fn n3_a_kind_of_a_newer_client_is_an_empty_record_here() {
    let server = gold_server().await;
    let newer = row(
        "N3",
        CREATE,
        frame(b"\x0a\x02\x4a\x00"),
        invalid("INVALID_RECORD", "record", "record is empty"),
    );
    prove(&server, vec![newer]).await;
    server.stop().await;
}

#[tokio::test]
async fn unknown_fields_are_ignored_and_numbers_cut_as_protobuf_says() {
    let server = gold_server().await;
    let wire = GrpcConnection::connect(&server).await;
    // #17: fields 1000 to 1003, repeated; #18: a page size of 2^40, which decodes as 0 and means 50.
    let unknown = b"\xc2\x3e\x01a\xc8\x3e\x01".repeat(1000);
    let sent = [&unknown[..], b"\x18\x80\x80\x80\x80\x80\x20"].concat();
    let reply = wire
        .call(grpc_request(&server, LIST, &[]), frame(&sent))
        .await
        .unwrap();
    assert_eq!(reply.status().code(), Code::Ok);
    let page = ListRecordsResponse::decode(&reply.body[5..]).unwrap();
    assert_eq!(page.page_size, 50);
    server.stop().await;
}
