//! Peers that do not read the answers that they requested.

use std::{net::SocketAddr, time::Duration};

use dateline_client::Client;
use dateline_proto::v1::View;
use tokio::{io::AsyncWriteExt, net::TcpSocket};

use super::{Bystander, checkpoints, server_with};
use crate::support::{
    raw_h2::{H2Connection, LIST, PING, call, frame, preface_with_wide_windows},
    server::TIMEOUT,
    watch::watch_from_beginning,
};

#[tokio::test(flavor = "multi_thread")]
async fn f9_a_peer_that_lets_nothing_out_of_the_socket_is_closed() {
    let server = server_with(|limits| limits.write_timeout = Duration::from_millis(500)).await;
    let bystander = Bystander::start(&server.address).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let address: SocketAddr = server.address.parse().unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    // Far more than sockets hold, all of it unread.
    let mut bytes = preface_with_wide_windows();
    for number in 0..250 {
        bytes.extend(call(1 + 2 * number, LIST, b"\x18\xe8\x07"));
    }
    stream.write_all(&bytes).await.unwrap();
    let ping = frame(PING, 0, 0, &[0; 8]);
    let closed = async {
        while stream.write_all(&ping).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(TIMEOUT, closed)
        .await
        .expect("it is closed");
    bystander.stop().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f9_a_connection_none_of_whose_calls_is_taken_is_closed_and_a_quiet_one_is_not() {
    let server =
        server_with(|limits| limits.stream_stall_timeout = Duration::from_millis(500)).await;
    let quiet = Client::connect(&server.address).await.unwrap();
    let mut feed = quiet.feed.clone();
    let stream = feed
        .watch(watch_from_beginning(View::Published))
        .await
        .unwrap();
    let mut stream = stream.into_inner();
    checkpoints(&mut stream, 1).await;
    // The window of a connection that is never widened holds 64 kB.
    let mut stuck = H2Connection::connect_with_preface(&server.address).await;
    let mut bytes = Vec::new();
    for number in 0..10 {
        bytes.extend(call(1 + 2 * number, LIST, b"\x18\xe8\x07"));
    }
    assert!(stuck.send(&bytes).await);
    stuck
        .received()
        .await
        .assert_enhance_your_calm("--stream-stall-timeout");
    // One that came meanwhile, and one after that.
    checkpoints(&mut stream, 2).await;
    server.stop().await;
}
