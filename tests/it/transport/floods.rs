//! Known attacks on HTTP/2, with bounded loops. The server closes each attacking connection, and serves another client
//! all the time.

use super::{Bystander, server_with};
use crate::support::raw_h2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, H2Connection, LIST, PING, PRIORITY, RST_STREAM,
    ReceivedFrames, SETTINGS, WINDOW_UPDATE, call, frame, headers,
};

/// Frames per write.
const AT_ONCE: usize = 100;
/// Maximum writes of a flood.
const WRITES: usize = 2000;

/// Floods beside a bystander until the server closes. Returns the frames received.
async fn flood(begin: &[u8], bytes: Vec<u8>) -> ReceivedFrames {
    let server = server_with(|_| ()).await;
    let bystander = Bystander::start(&server.address).await;
    let mut talker = H2Connection::connect_with_preface(&server.address).await;
    talker.send(begin).await;
    talker.flood(&bytes, WRITES).await;
    let heard = talker.received().await;
    bystander.stop().await;
    server.stop().await;
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn h5_floods_of_control_frames_are_cut_with_a_word() {
    for (kind, payload) in [
        (PING, &[0; 8][..]),
        (SETTINGS, &[]),
        (PRIORITY, &[0, 0, 0, 0, 1]),
        (0xf0, b"what is this"),
    ] {
        let stream = if kind == PRIORITY { 3 } else { 0 };
        let bytes = frame(kind, 0, stream, payload).repeat(AT_ONCE);
        let heard = flood(b"", bytes).await;
        heard.assert_enhance_your_calm("PING, SETTINGS, PRIORITY and unknown frames");
        heard.assert_enhance_your_calm("--control-frames-per-second");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h5_a_flood_of_window_updates_is_cut_with_a_word() {
    let update = frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]);
    let heard = flood(b"", update.repeat(AT_ONCE)).await;
    heard.assert_enhance_your_calm("WINDOW_UPDATE");
}

#[tokio::test(flavor = "multi_thread")]
async fn h5_empty_data_and_continuations_are_cut() {
    let open = frame(1, END_HEADERS, 1, &headers(LIST));
    let empty = frame(DATA, 0, 1, &[]);
    let heard = flood(&open, empty.repeat(AT_ONCE)).await;
    heard.assert_enhance_your_calm("");
    let unfinished = frame(1, 0, 1, &headers(LIST));
    let more = frame(CONTINUATION, 0, 1, b"\x00\x01a\x01b");
    let heard = flood(&unfinished, more.repeat(AT_ONCE)).await;
    heard.assert_enhance_your_calm("");
}

#[tokio::test(flavor = "multi_thread")]
async fn h5_calls_that_are_reset_at_once_are_cut() {
    let server = server_with(|_| ()).await;
    let bystander = Bystander::start(&server.address).await;
    let mut talker = H2Connection::connect_with_preface(&server.address).await;
    let mut next = 1;
    for _ in 0..100 {
        let mut bytes = Vec::new();
        for _ in 0..AT_ONCE {
            bytes.extend(frame(1, END_HEADERS, next, &headers(LIST)));
            bytes.extend(frame(RST_STREAM, 0, next, &[0, 0, 0, 8]));
            next += 2;
        }
        if !talker.send(&bytes).await {
            break;
        }
    }
    talker.received().await.assert_enhance_your_calm("");
    bystander.stop().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h4_headers_that_unpack_to_megabytes_are_refused() {
    let server = server_with(|_| ()).await;
    let bystander = Bystander::start(&server.address).await;
    let mut talker = H2Connection::connect_with_preface(&server.address).await;
    // One header of 4,000 bytes enters the dynamic table, and is then referenced 10,000 times by one byte each.
    let mut block = headers(LIST);
    block.extend([0x40, 1, b'a', 0x7f, 0xa1, 0x1e]);
    block.extend([b'x'; 4000]);
    block.extend([0xbe; 10_000]);
    let flags = END_HEADERS | END_STREAM;
    talker.send(&frame(1, flags, 1, &block)).await;
    // Whatever happens to the connection, no other answer is sent on it.
    while bystander.answered() < 100 && !talker.is_closed() {
        tokio::task::yield_now().await;
    }
    talker
        .flood(&frame(PING, 0, 0, &[0; 8]).repeat(AT_ONCE), WRITES)
        .await;
    let heard = talker.received().await;
    assert!(!heard.kinds.contains(&DATA), "{heard:?}");
    bystander.stop().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_much_may_widen_windows_and_ping_as_often() {
    let server = server_with(|limits| limits.control_frames_per_second = 1).await;
    let mut talker = H2Connection::connect_with_preface(&server.address).await;
    let update = frame(WINDOW_UPDATE, 0, 0, &[0, 1, 0, 0]);
    let ping = frame(PING, 0, 0, &[0; 8]);
    // 10 pings and 100 updates are free; each answer with data adds some more.
    for number in 0..200 {
        let asked = call(1 + 2 * number, LIST, b"");
        let wider = frame(WINDOW_UPDATE, 0, 1 + 2 * number, &[0, 0, 16, 0]);
        assert!(talker.send(&[&asked[..], &wider, &update].concat()).await);
        let answered = server.client.get(super::nato()).await;
        answered.unwrap();
    }
    assert!(!talker.is_closed(), "an honest client was cut off");
    talker.flood(&ping.repeat(AT_ONCE), WRITES).await;
    talker.received().await.assert_enhance_your_calm("PING");
    server.stop().await;
}
