//! TLS of the server and of the client: trusted servers, admitted clients, and their identities.

use std::{convert::Infallible, sync::Arc, time::Duration};

use dateline_access::CertificateName;
use dateline_client::{Client, Failure};
use dateline_server::transport::{ConnectionLimits, Peer, TlsFiles, Transport};
use http::{Request, Response};
use rustls::{ClientConfig, RootCertStore, pki_types::pem::PemObject, version::TLS12};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tonic::{Code, body::Body};
use tower::{Service, ServiceExt, service_fn};

use super::nato;
use crate::support::{
    certs::{Authority, CertDir},
    gold::publish_gold,
    raw_h2::H2Connection,
    server::{TIMEOUT, TestServer, config, create_database, start_server_with, temp_dir},
};

const URI: &str = "spiffe://dateline.example/exporter";
const DNS: &str = "exporter.dateline.example";

/// Starts a server with TLS, and a client that trusts it.
async fn tls_site(tls: TlsFiles, files: &CertDir, authority: &Authority) -> TestServer {
    let mut config = config(&create_database().await);
    config.tls = Some(tls);
    config.limits.connections.tls_handshake_timeout = Duration::from_millis(500);
    let mut test_server = start_server_with(config).await;
    let connection = files.client(&test_server.address, authority, None);
    test_server.client = Client::connect_with(&connection).await.unwrap();
    publish_gold(&test_server).await;
    test_server
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_believes_the_authority_is_served_and_another_does_not_come_in() {
    let (_keep, path) = temp_dir();
    let (files, authority) = (CertDir(path), Authority::new());
    let test_server = tls_site(files.server(&authority), &files, &authority).await;
    test_server.client.get(nato()).await.unwrap();
    let stranger = files.client(&test_server.address, &Authority::new(), None);
    let failure = Client::connect_with(&stranger).await.unwrap_err();
    assert_eq!(failure.code, Code::Unavailable);
    assert!(failure.message().contains("--ca"), "{failure}");
    test_server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h6_plain_text_to_a_port_with_tls_is_closed_and_hurts_nobody() {
    let (_keep, path) = temp_dir();
    let (files, authority) = (CertDir(path), Authority::new());
    let test_server = tls_site(files.server(&authority), &files, &authority).await;
    let plain = H2Connection::connect_with_preface(&test_server.address).await;
    plain.received().await;
    let mut http = H2Connection::connect(&test_server.address).await;
    http.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    http.received().await;
    // A silent connection is closed: the handshake has a timeout.
    H2Connection::connect(&test_server.address)
        .await
        .received()
        .await;
    test_server.client.get(nato()).await.unwrap();
    test_server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_1_2_is_spoken_only_when_it_is_asked_for() {
    let (_keep, path) = temp_dir();
    let (files, authority) = (CertDir(path), Authority::new());
    for also_1_2 in [false, true] {
        let tls = TlsFiles {
            also_1_2,
            ..files.server(&authority)
        };
        let test_server = tls_site(tls, &files, &authority).await;
        let connected = old_client(&test_server.address, &authority).await;
        assert_eq!(connected, also_1_2);
        test_server.stop().await;
    }
}

/// True if a handshake with TLS 1.2 succeeds.
async fn old_client(address: &str, authority: &Authority) -> bool {
    let mut roots = RootCertStore::empty();
    let pem = authority.pem.as_bytes();
    let certificate = rustls::pki_types::CertificateDer::from_pem_slice(pem);
    roots.add(certificate.unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = "localhost".try_into().unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    connector.connect(name, stream).await.is_ok()
}

/// Starts only the edge, with calls that return the caller's identity.
async fn asks_who(tls: TlsFiles) -> (String, CancellationToken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let transport =
        Transport::new(vec![listener], &ConnectionLimits::default(), Some(tls)).unwrap();
    let service = service_fn(|request: Request<Body>| {
        Box::pin(async move {
            let peer = request.extensions().get::<Peer>().expect("a peer");
            assert!(peer.address().ip().is_loopback());
            let mut response = Response::new(Body::empty());
            let certificate = peer.certificate();
            let names = certificate.map(|it| it.names()).unwrap_or_default();
            let names: Vec<_> = names.iter().map(CertificateName::as_str).collect();
            let who = names.join(" ").parse().unwrap();
            response.headers_mut().insert("x-who", who);
            Ok::<_, Infallible>(response)
        })
    });
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        let stopped = stopping.cancelled();
        transport
            .serve(service, CancellationToken::new(), stopped)
            .await;
    });
    (address, stop)
}

/// The identity by which the server knows a client.
async fn who(client: &Client) -> Result<String, tonic::transport::Error> {
    let mut channel = client.channel();
    let request = Request::post("/").body(Body::empty()).unwrap();
    let response = channel.ready().await?.call(request).await?;
    let who = response.headers()["x-who"].to_str().unwrap();
    Ok(who.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_known_by_the_names_of_its_certificate_and_never_by_the_common_one() {
    let (_keep, path) = temp_dir();
    let (files, authority, clients) = (CertDir(path), Authority::new(), Authority::new());
    for optional in [false, true] {
        let (address, stop) = asks_who(TlsFiles {
            client_authorities: Some(files.write("clients.pem", &clients.pem)),
            client_optional: optional,
            ..files.server(&authority)
        })
        .await;
        let known = clients.client(URI, DNS);
        let connection = files.client(&address, &authority, Some(&known));
        let client = Client::connect_with(&connection).await.unwrap();
        assert_eq!(who(&client).await.unwrap(), format!("{URI} {DNS}"));

        let nobody = files.client(&address, &authority, None);
        let answer = call_as(&nobody).await;
        assert_eq!(answer.ok().as_deref(), optional.then_some(""));
        for paper in [
            Authority::new().client(URI, DNS),
            clients.client_until(URI, DNS, 2020),
        ] {
            let stranger = files.client(&address, &authority, Some(&paper));
            call_as(&stranger).await.expect_err("it is not believed");
        }
        assert_eq!(who(&client).await.unwrap(), format!("{URI} {DNS}"));
        stop.cancel();
    }
}

/// Connects and calls once: with TLS 1.3 a client learns of a refusal with the first answer only.
async fn call_as(connection: &dateline_client::Connection) -> Result<String, String> {
    let calling = async {
        let client = Client::connect_with(connection).await;
        let client = client.map_err(|failure: Failure| failure.to_string())?;
        who(&client).await.map_err(|error| error.to_string())
    };
    tokio::time::timeout(TIMEOUT, calling)
        .await
        .expect("an answer")
}

#[tokio::test]
async fn files_that_do_not_fit_are_refused_at_the_start() {
    let (_keep, path) = temp_dir();
    let (files, authority) = (CertDir(path), Authority::new());
    let good = files.server(&authority);
    let another = files.write("another.key", &authority.server().key);
    let nothing = files.write("nothing.pem", "nothing");
    let missing = files.0.join("missing.pem");
    for (tls, words) in [
        (
            TlsFiles {
                key: another,
                ..good.clone()
            },
            "cannot be used",
        ),
        (
            TlsFiles {
                certificate: nothing.clone(),
                ..good.clone()
            },
            "is no certificate",
        ),
        (
            TlsFiles {
                key: nothing.clone(),
                ..good.clone()
            },
            "is no private key",
        ),
        (
            TlsFiles {
                certificate: missing,
                ..good.clone()
            },
            "cannot read",
        ),
        (
            TlsFiles {
                client_authorities: Some(nothing),
                ..good
            },
            "is no certificate",
        ),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let limits = ConnectionLimits::default();
        let refused = Transport::new(vec![listener], &limits, Some(tls)).unwrap_err();
        let told = refused.to_string();
        assert!(told.contains(words), "{told}");
        assert!(!told.contains("PRIVATE"), "{told}");
    }
}
