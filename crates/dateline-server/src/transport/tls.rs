//! TLS of the server: certificate and key from files, reloaded when they change; client certificates; and a plain
//! explanation for each failed handshake.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use dateline_access::{ClientCertificate, FileVersion};
use rustls::{
    CertificateError, InvalidMessage, RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
    version::{TLS12, TLS13},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;

use super::{client_certificates::OpenChains, log_throttle::log_throttled};

/// Interval at which the files are checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
const ALPN: &[u8] = b"h2";

/// The files and settings of the server's TLS.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate chain, the server's own certificate first; PEM.
    pub certificate: PathBuf,
    /// Its private key; PEM.
    pub key: PathBuf,
    /// Authorities of client certificates, PEM. Without it, no client certificate is requested.
    pub client_authorities: Option<PathBuf>,
    /// If true, clients without a certificate are accepted too.
    pub client_optional: bool,
    /// If true, TLS 1.2 is accepted as well as 1.3.
    pub also_1_2: bool,
}

/// Reasons for which TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Path of the file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// A file does not hold the expected content.
    #[error("{} is no {what} in PEM", path.display())]
    Content {
        /// Path of the file.
        path: PathBuf,
        /// The expected content.
        what: &'static str,
    },
    /// Certificate and key do not match, or cannot be used.
    #[error("the certificate {} and the key {} cannot be used: {source}", certificate.display(), key.display())]
    Refused {
        /// Path of the certificate.
        certificate: PathBuf,
        /// Path of the key.
        key: PathBuf,
        /// The error of rustls.
        source: rustls::Error,
    },
    /// The authorities of client certificates cannot be used.
    #[error("{} holds no authority that can be used: {why}", path.display())]
    Authorities {
        /// Path of the authorities.
        path: PathBuf,
        /// The reason, as text.
        why: String,
    },
}

/// The current TLS configuration, reloaded when its files change.
#[derive(Debug)]
pub(super) struct Tls {
    files: TlsFiles,
    now: RwLock<LoadedTls>,
    chains: OpenChains,
}

#[derive(Debug)]
struct LoadedTls {
    config: Arc<ServerConfig>,
    verifier: Arc<dyn ClientCertVerifier>,
}

impl Tls {
    pub(super) fn load(files: TlsFiles) -> Result<Self, Error> {
        let now = RwLock::new(read(&files)?);
        Ok(Self {
            files,
            now,
            chains: OpenChains::default(),
        })
    }

    /// Performs the TLS handshake of a new connection.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let (config, _) = self.now();
        TlsAcceptor::from(config).accept(stream).await
    }

    fn now(&self) -> (Arc<ServerConfig>, Arc<dyn ClientCertVerifier>) {
        let now = self.now.read().unwrap_or_else(PoisonError::into_inner);
        (now.config.clone(), now.verifier.clone())
    }

    /// Returns the client's verified certificate. It is verified again while the connection is open, see
    /// [`Self::watch_files`].
    pub(super) fn certificate(
        &self,
        stream: &TlsStream<TcpStream>,
    ) -> Option<Arc<ClientCertificate>> {
        let (_, connection) = stream.get_ref();
        let chain = connection.peer_certificates()?;
        Some(self.chains.add(chain))
    }

    /// Reloads the files whenever they change. If they cannot be used, it logs an error and keeps the old ones.
    /// Certificates of open connections are verified again when they expire, and when the authorities change.
    pub(super) async fn watch_files(&self, stop: CancellationToken) {
        let mut seen = file_versions(&self.files);
        while stop
            .run_until_cancelled(tokio::time::sleep(CHECK_INTERVAL))
            .await
            .is_some()
        {
            let now = file_versions(&self.files);
            if now == seen {
                self.chains.verify(&*self.now().1, false);
                continue;
            }
            seen = now;
            match read(&self.files) {
                Ok(read) => {
                    let verifier = read.verifier.clone();
                    *self.now.write().unwrap_or_else(PoisonError::into_inner) = read;
                    self.chains.verify(&*verifier, true);
                    tracing::info!("the TLS files have changed; new connections use them");
                }
                Err(error) => tracing::error!(
                    "the TLS files have changed, and cannot be used; the old stay in use: {error}"
                ),
            }
        }
    }
}

/// Returns the versions by which a changed file is detected.
fn file_versions(files: &TlsFiles) -> Vec<Option<FileVersion>> {
    let paths = [Some(&files.certificate), Some(&files.key)];
    let paths = paths.into_iter().chain([files.client_authorities.as_ref()]);
    paths
        .flatten()
        .map(|path| FileVersion::read(path))
        .collect()
}

fn read(files: &TlsFiles) -> Result<LoadedTls, Error> {
    let verifier = verifier(files)?;
    let certificates = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&content(&files.key)?).map_err(|_| Error::Content {
        path: files.key.clone(),
        what: "private key",
    })?;
    let refused = |source| Error::Refused {
        certificate: files.certificate.clone(),
        key: files.key.clone(),
        source,
    };
    let versions = [&TLS13, &TLS12];
    let versions = if files.also_1_2 {
        &versions[..]
    } else {
        &versions[..1]
    };
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder
        .with_protocol_versions(versions)
        .map_err(refused)?
        .with_client_cert_verifier(verifier.clone());
    let mut config = builder
        .with_single_cert(certificates, key)
        .map_err(refused)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    // Connections are long-lived, and a resumed session would not present its certificate.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(LoadedTls {
        config: Arc::new(config),
        verifier,
    })
}

fn verifier(files: &TlsFiles) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    let Some(path) = &files.client_authorities else {
        return Ok(WebPkiClientVerifier::no_client_auth());
    };
    let unusable = |why: String| Error::Authorities {
        path: path.clone(),
        why,
    };
    let mut roots = RootCertStore::empty();
    for authority in certificates(path)? {
        roots
            .add(authority)
            .map_err(|error| unusable(error.to_string()))?;
    }
    let provider = Arc::new(ring::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
    let builder = if files.client_optional {
        builder.allow_unauthenticated()
    } else {
        builder
    };
    builder.build().map_err(|error| unusable(error.to_string()))
}

fn content(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let pem = content(path)?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    read.ok()
        .filter(|certificates| !certificates.is_empty())
        .ok_or_else(|| Error::Content {
            path: path.to_owned(),
            what: "certificate",
        })
}

/// Counts a failed handshake, and logs its reason at a limited rate.
pub(super) fn log_handshake_failure(from: std::net::SocketAddr, error: &io::Error) {
    let cause = error
        .get_ref()
        .and_then(|cause| cause.downcast_ref::<rustls::Error>());
    let (kind, what) = cause.map_or(
        ("tls: gone", "it was gone before the end"),
        describe_failure,
    );
    metrics::counter!("dateline_tls_handshake_failures_total").increment(1);
    log_throttled(
        kind,
        |left_out| tracing::warn!(%from, left_out, %error, "no TLS connection: {what}"),
    );
}

fn describe_failure(error: &rustls::Error) -> (&'static str, &'static str) {
    use rustls::Error as E;
    match error {
        E::InvalidMessage(InvalidMessage::InvalidContentType) => {
            ("tls: plain", "plain text on a port with TLS")
        }
        E::InvalidMessage(_) => ("tls: nonsense", "what was sent is no TLS"),
        E::NoCertificatesPresented => ("tls: none", "it has no client certificate"),
        E::InvalidCertificate(error) => describe_certificate_error(error),
        E::NoApplicationProtocol => ("tls: alpn", "it does not speak HTTP/2 (ALPN h2)"),
        E::PeerIncompatible(_) => (
            "tls: version",
            "it speaks no version or cipher that is spoken here (--tls-min-version)",
        ),
        E::AlertReceived(_) => (
            "tls: alert",
            "it refused; perhaps it does not trust this server's certificate",
        ),
        _ => ("tls: other", "the handshake failed"),
    }
}

fn describe_certificate_error(error: &CertificateError) -> (&'static str, &'static str) {
    match error {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => (
            "tls: foreign",
            "its client certificate is of an authority that is not in --client-ca",
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            ("tls: expired", "its client certificate has expired")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            ("tls: early", "its client certificate is not valid yet")
        }
        _ => ("tls: invalid", "its client certificate is not valid"),
    }
}
