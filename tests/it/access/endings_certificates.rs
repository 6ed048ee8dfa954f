//! The matrix of credentials that end, for client certificates; see `endings`.

use std::{path::Path, sync::Arc, time::Duration};

use dateline_proto::v1::Role;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tonic::Code;

use crate::support::{
    callers::create_token_with,
    certs::{Authority, CertDir, IssuedCert},
    editing::RpcError,
    held_stream::{ConnectOptions, HeldStream, hold_until_expiry},
    server::{config, create_database, start_server_with, temp_dir},
};

/// A server that authenticates by certificates.
struct Certified {
    address: String,
    url: String,
    files: CertDir,
    servers: Authority,
    clients: Authority,
}

impl Certified {
    async fn start(directory: &Path, roles: &str) -> Self {
        let (files, servers) = (CertDir(directory.to_owned()), Authority::new());
        let clients = Authority::new();
        let url = create_database().await;
        let mut config = config(&url);
        let mut tls = files.server(&servers);
        tls.client_authorities = Some(files.write("clients.pem", &clients.pem));
        config.tls = Some(tls);
        config.access.required = true;
        config.access.client_roles = Some(files.write("roles.yaml", roles));
        config.limits.connections.first_request_timeout = Duration::from_mins(1);
        let running = dateline_server::start(config, tokio_util::sync::CancellationToken::new());
        let running = running.await.unwrap();
        Self {
            address: running.address.to_string(),
            url,
            files,
            servers,
            clients,
        }
    }

    fn way(&self, paper: &IssuedCert) -> ConnectOptions {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(self.servers.pem.as_bytes());
        roots.add(authority.unwrap()).unwrap();
        let certificate = CertificateDer::from_pem_slice(paper.certificate.as_bytes());
        let key = PrivateKeyDer::from_pem_slice(paper.key.as_bytes());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate.unwrap()], key.unwrap())
            .unwrap();
        tls.alpn_protocols = vec![b"h2".to_vec()];
        ConnectOptions {
            address: self.address.clone(),
            tls: Some(Arc::new(tls)),
            token: None,
        }
    }

    async fn hold(&self, name: &str) -> HeldStream {
        let paper = self
            .clients
            .client(&format!("spiffe://news/{name}"), "unused.example");
        self.way(&paper).hold().await
    }
}

fn roles(names: &[(&str, &str)]) -> String {
    let lines = names
        .iter()
        .map(|(name, what)| format!("spiffe://news/{name}: {what}\n"));
    lines.collect()
}

const READER: &str = "{roles: [reader]}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p5_client_certificates_end_by_every_way_for_streams_calls_and_connections() {
    let (_scratch, directory) = temp_dir();
    let names = [
        "removed",
        "changed",
        "narrowed",
        "malformed",
        "expires",
        "stays",
    ];
    let first = roles(&names.map(|name| (name, READER)));
    let server = Certified::start(&directory, &first).await;
    let removed = server.hold("removed").await;
    let changed = server.hold("changed").await;
    let narrowed = server.hold("narrowed").await;
    let malformed = server.hold("malformed").await;
    let stays = server.hold("stays").await;
    let (expires, end) = hold_until_expiry(async |end| {
        let name = "spiffe://news/expires";
        server.way(&server.clients.client_until_time(name, end))
    })
    .await;
    server.files.write(
        "roles.yaml",
        &roles(&[
            ("changed", "{roles: [admin]}"),
            ("narrowed", "{roles: [reader], scope: ['lang:en']}"),
            ("malformed", "{roles: [reader], scope: ['lang:en', 5]}"),
            ("expires", READER),
            ("stays", READER),
        ]),
    );
    let changed = async {
        let mut held = changed;
        held.assert_stream_ends("changed", "ACCESS_CHANGED").await;
        held.way.call(&held.feed).await.unwrap();
    };
    tokio::join!(
        removed.assert_ends("removed", "TOKEN_REVOKED", "TOKEN_INVALID"),
        changed,
        narrowed.assert_scope_narrows("narrowed"),
        malformed.assert_ends("malformed", "TOKEN_REVOKED", "TOKEN_INVALID"),
        // New connections are refused by TLS, and the old one is closed.
        expires.assert_expires("expires", end, ""),
    );
    // Callers whose credentials hold continue, until the authority is removed.
    stays.way.call(&stays.feed).await.unwrap();
    server.files.write("clients.pem", &Authority::new().pem);
    stays
        .assert_ends("authority gone", "TOKEN_REVOKED", "")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p5_nobody_is_let_in_by_a_file_of_roles_that_is_gone() {
    let (_scratch, directory) = temp_dir();
    let server = Certified::start(&directory, &roles(&[("reader", READER)])).await;
    let held = server.hold("reader").await;
    // An unreadable file changes nothing.
    server.files.write("roles.yaml", "spiffe: {");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    held.way.call(&held.feed).await.unwrap();
    std::fs::remove_file(server.files.0.join("roles.yaml")).unwrap();
    held.assert_ends("file gone", "TOKEN_REVOKED", "TOKEN_INVALID")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p5_an_expired_certificate_takes_tokens_on_its_connection_with_it() {
    let (_scratch, directory) = temp_dir();
    let server = Certified::start(&directory, &roles(&[("other", READER)])).await;
    let open = start_server_with(config(&server.url)).await;
    let (_, secret) = create_token_with(&open.client, &[Role::Reader], &[]).await;
    let soon = time::OffsetDateTime::now_utc() + Duration::from_secs(3);
    let paper = server
        .clients
        .client_until_time("spiffe://news/nobody", soon);
    let mut way = server.way(&paper);
    way.token = Some(secret);
    let held = way.hold().await;
    held.assert_ends("with a token", "TOKEN_EXPIRED", "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p5_a_uri_in_a_certificate_is_no_dns_name_of_the_roles() {
    let (_scratch, directory) = temp_dir();
    let roles = "desk.news.example: {roles: [admin]}\n";
    let server = Certified::start(&directory, roles).await;
    let paper = server.clients.client("desk.news.example", "other.example");
    let way = server.way(&paper);
    let status = way.call(&way.connect().await.unwrap()).await.unwrap_err();
    RpcError::from(status).assert_is(Code::Unauthenticated, "TOKEN_INVALID");
    let paper = server.clients.client("spiffe://other", "Desk.News.Example");
    let way = server.way(&paper);
    way.call(&way.connect().await.unwrap()).await.unwrap();
}
