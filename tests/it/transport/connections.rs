//! Limits on the number of connections, and on idle ones.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use dateline_client::Client;
use dateline_proto::v1::View;
use h2::client::SendRequest;
use tokio::net::{TcpSocket, TcpStream};

use super::{Bystander, checkpoints, nato, server_with};
use crate::support::{
    raw_h2::{GET, H2Connection, PING, PREFACE, SETTINGS, call, frame},
    server::{TIMEOUT, TestServer},
    watch::watch_from_beginning,
};

const NATO: &[u8] = b"\x0a\x0bactors/nato";

/// Connects from another address of this machine.
async fn from(source: [u8; 4], server: &TestServer) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((source, 0))).unwrap();
    socket
        .connect(server.address.parse().unwrap())
        .await
        .unwrap()
}

/// Connects until a call is answered: the slot of a closed connection becomes free a moment later.
async fn let_in(connect: impl AsyncFn() -> TcpStream) -> SendRequest<Bytes> {
    let trying = async {
        loop {
            if let Ok(sender) = ask(connect().await).await {
                return sender;
            }
        }
    };
    tokio::time::timeout(TIMEOUT, trying)
        .await
        .expect("a place")
}

/// Calls once on a connection.
async fn ask(stream: TcpStream) -> Result<SendRequest<Bytes>, h2::Error> {
    let (sender, connection) = h2::client::handshake(stream).await?;
    tokio::spawn(connection);
    let mut ready = sender.clone().ready().await?;
    let request = http::Request::post(format!("http://x{GET}"))
        .header("content-type", "application/grpc")
        .body(())
        .unwrap();
    let (answer, mut body) = ready.send_request(request, false)?;
    body.send_data([&[0, 0, 0, 0, 13], NATO].concat().into(), true)?;
    assert_eq!(answer.await?.status(), http::StatusCode::OK);
    Ok(sender)
}

#[tokio::test(flavor = "multi_thread")]
async fn h5_connections_beyond_the_limit_are_told_so_and_a_place_that_is_left_is_given_again() {
    let server = server_with(|limits| limits.max_connections = 4).await;
    let bystander = Bystander::start(&server.address).await;
    let mut kept = vec![
        H2Connection::connect_with_preface(&server.address).await,
        H2Connection::connect_with_preface(&server.address).await,
    ];
    for _ in 0..100 {
        let refused = H2Connection::connect(&server.address).await;
        let heard = refused.received().await;
        assert_eq!(heard.kinds, [SETTINGS, 7]);
        heard.assert_enhance_your_calm("too many connections: 4 (--max-connections)");
    }
    kept.pop();
    let another = let_in(async || TcpStream::connect(&server.address).await.unwrap()).await;
    drop((kept, another));
    bystander.stop().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h5_connections_of_one_address_are_limited_and_others_come_in() {
    let server = server_with(|limits| limits.max_connections_per_ip = 3).await;
    // The server's own client is one of 127.0.0.1.
    let bystander = Bystander::start(&server.address).await;
    let _third = H2Connection::connect_with_preface(&server.address).await;
    for _ in 0..20 {
        let refused = H2Connection::connect(&server.address)
            .await
            .received()
            .await;
        refused.assert_enhance_your_calm(
            "too many connections from one address: 3 (--max-connections-per-ip)",
        );
    }
    let other = let_in(async || from([127, 0, 0, 2], &server).await).await;
    drop(other);
    bystander.stop().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h5_connections_without_a_first_request_are_closed() {
    let server =
        server_with(|limits| limits.first_request_timeout = Duration::from_millis(300)).await;
    let bystander = Bystander::start(&server.address).await;
    let silent = H2Connection::connect(&server.address).await;
    let begun = H2Connection::connect_with_preface(&server.address).await;
    let mut hesitant = H2Connection::connect(&server.address).await;
    hesitant.send(&PREFACE[..10]).await;
    for talker in [silent, begun, hesitant] {
        talker.received().await;
    }
    bystander.stop().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_ended_gently_whatever_it_pings_and_one_with_a_stream_is_not() {
    let server =
        server_with(|limits| limits.max_connection_idle = Duration::from_millis(500)).await;
    let streaming = Client::connect(&server.address).await.unwrap();
    let mut feed = streaming.feed.clone();
    let stream = feed
        .watch(watch_from_beginning(View::Published))
        .await
        .unwrap();
    let mut stream = stream.into_inner();
    checkpoints(&mut stream, 1).await;
    let mut pinging = H2Connection::connect_with_preface(&server.address).await;
    assert!(pinging.send(&call(1, GET, NATO)).await);
    let ping = frame(PING, 0, 0, &[0; 8]);
    let pings = async {
        // Well within the ping budget.
        while !pinging.is_closed() {
            let _ = pinging.send(&ping).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(TIMEOUT, pings)
        .await
        .expect("it is closed");
    let (code, _) = pinging.received().await.goaway.expect("a goaway");
    assert_eq!(code, 0, "nothing was wrong");
    // The server's own client was idle as well, and reconnects by itself.
    server.client.get(nato()).await.unwrap();
    // One checkpoint from meanwhile, and one after that.
    checkpoints(&mut stream, 2).await;
    server.stop().await;
}
