//! Rows about floods on one connection: frames that cost the server work and the client nothing. The server may close
//! the connection or not; other connections are served meanwhile, and memory stays bounded.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::Code;

use super::{answer, assert_answer, assert_serves, framing::resident_bytes, gold_server};
use crate::support::{
    raw_grpc::{COMMIT, GrpcConnection, frame_with, grpc_request},
    server::{TIMEOUT, TestServer},
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Memory that a flood may use while it lasts; includes that of other tests of this process.
const MOST_BYTES: u64 = 500 * 1024 * 1024;
/// Maximum latency of another connection, on a machine that runs other tests at the same time.
const NEIGHBOURLY: Duration = Duration::from_secs(10);

/// An HTTP/2 frame.
fn http2(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

/// The answer of a server that still serves the connection.
const STILL_THERE: &[u8] = b"answer!!";

/// Sends the beginning of a flood, then the same bytes repeatedly. Returns true if the server closed the connection.
async fn flood(server: &TestServer, begin: &[u8], again: &[u8], times: usize) -> bool {
    let stream = TcpStream::connect(&server.address).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    // Reads what the server sends, so that it is not blocked; returns whether it answers the last ping.
    let reading = tokio::spawn(async move {
        let (mut said, mut piece) = (Vec::new(), vec![0; 64 * 1024]);
        loop {
            match reader.read(&mut piece).await {
                Ok(read @ 1..) => said.extend_from_slice(&piece[..read]),
                _ => return false,
            }
            if said.windows(STILL_THERE.len()).any(|it| it == STILL_THERE) {
                return true;
            }
            said.drain(..said.len().saturating_sub(STILL_THERE.len()));
        }
    });
    let settings = http2(4, 0, 0, &[]);
    let begun = [PREFACE, &settings, begin].concat();
    let writing = async {
        writer.write_all(&begun).await?;
        for _ in 0..times {
            writer.write_all(again).await?;
        }
        writer.write_all(&http2(6, 0, 0, STILL_THERE)).await
    };
    // Writing may fail, or block, once nobody reads.
    let written = tokio::time::timeout(TIMEOUT, writing).await;
    let is_there = tokio::time::timeout(TIMEOUT, reading).await;
    !matches!((written, is_there), (Ok(Ok(())), Ok(Ok(true))))
}

/// Calls on another connection while a flood lasts; returns the longest latency.
async fn slowest_beside<T>(server: &TestServer, flood: impl Future<Output = T>) -> (T, Duration) {
    let mut slowest = Duration::ZERO;
    let mut flood = std::pin::pin!(flood);
    loop {
        let started = Instant::now();
        let asked = assert_serves(server);
        let mut asked = std::pin::pin!(asked);
        let over = tokio::select! {
            over = &mut flood => Some(over),
            () = &mut asked => None,
        };
        match over {
            Some(over) => {
                asked.await;
                return (over, slowest.max(started.elapsed()));
            }
            None => slowest = slowest.max(started.elapsed()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c19_c20_a_flood_of_frames_on_one_connection_hurts_no_neighbour() {
    let server = gold_server().await;
    let many = |frame: Vec<u8>| frame.repeat(1000);
    // An open header block, which only CONTINUATION may follow.
    let opened = http2(1, 0, 1, &[0x82]);
    let floods = [
        (
            "CONTINUATION",
            opened.clone(),
            many(http2(9, 0, 1, &[0x40; 100])),
        ),
        ("empty CONTINUATION", opened, many(http2(9, 0, 1, &[]))),
        ("PING", Vec::new(), many(http2(6, 0, 0, b"flooding"))),
        ("SETTINGS", Vec::new(), many(http2(4, 0, 0, &[]))),
        (
            "WINDOW_UPDATE",
            Vec::new(),
            many(http2(8, 0, 0, &[0, 0, 0, 1])),
        ),
        (
            "PRIORITY",
            Vec::new(),
            many(http2(2, 0, 5, &[0, 0, 0, 0, 7])),
        ),
        (
            "unknown frames",
            Vec::new(),
            many(http2(0x5a, 0, 0, b"what?")),
        ),
    ];
    let before = resident_bytes();
    for (what, begin, again) in floods {
        let flooding = flood(&server, &begin, &again, 100);
        let (was_cut, slowest) = slowest_beside(&server, flooding).await;
        println!("100,000 frames, {what}: cut {was_cut}, slowest neighbour {slowest:?}");
        assert!(slowest < NEIGHBOURLY, "{what}: {slowest:?}");
        let must_be_cut = what.contains("CONTINUATION");
        assert!(was_cut || !must_be_cut, "{what} goes on for ever");
    }
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < MOST_BYTES, "grew by {grown} bytes");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c19_empty_pieces_of_a_message_are_counted() {
    let server = gold_server().await;
    let wire = GrpcConnection::connect(&server).await;
    let mut sender = wire.sender.clone().ready().await.unwrap();
    let (reply, mut stream) = sender
        .send_request(grpc_request(&server, COMMIT, &[]), false)
        .unwrap();
    for _ in 0..50_000 {
        if stream.send_data(Bytes::new(), false).is_err() {
            break;
        }
    }
    let answered = tokio::time::timeout(TIMEOUT, reply).await.expect("an end");
    assert!(answered.is_err(), "the connection is cut: {answered:?}");
    assert_serves(&server).await;
    server.stop().await;
}

#[tokio::test]
async fn c10_what_is_compressed_is_refused_before_it_is_expanded() {
    let server = gold_server().await;
    let zeros = std::io::Read::take(std::io::repeat(0), 256 * 1024 * 1024);
    let level = flate2::Compression::best();
    let mut bomb = Vec::new();
    let mut packer = flate2::read::GzEncoder::new(zeros, level);
    std::io::Read::read_to_end(&mut packer, &mut bomb).unwrap();
    let length = u32::try_from(bomb.len()).unwrap();
    let before = resident_bytes();
    let wire = GrpcConnection::connect(&server).await;
    let asked = grpc_request(&server, COMMIT, &[("grpc-encoding", "gzip")]);
    let reply = wire
        .call(asked, frame_with(1, length, &bomb))
        .await
        .unwrap();
    let refused = answer(Code::Unimplemented, "UNSUPPORTED_ENCODING", "uncompressed");
    assert_answer("#10", &reply.status(), &refused);
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 200 * 1024 * 1024, "grew by {grown} bytes");
    assert_serves(&server).await;
    server.stop().await;
}
