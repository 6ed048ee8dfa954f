//! The connection to a server: its address, and for TLS the trusted authorities and the client's certificate.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use secrecy::SecretString;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use super::{Failure, bearer::Bearer};

/// Longest file of a certificate, key or token, in bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Address and credentials for a server. Files are read for each new connection, so that they can be renewed.
#[derive(Debug, Clone, Default)]
pub struct Connection {
    /// `http://host:port`, `https://host:port`, or `host:port` alone, which means TLS if one of the TLS files is set.
    pub server: String,
    /// Trusted authorities, PEM; without it those of the system.
    pub ca: Option<PathBuf>,
    /// Client certificate, PEM; needs a key.
    pub client_cert: Option<PathBuf>,
    /// Key of the client certificate, PEM.
    pub client_key: Option<PathBuf>,
    /// File with a token.
    pub token_file: Option<PathBuf>,
    /// Token, used if there is no file.
    pub token: Option<SecretString>,
}

impl From<&str> for Connection {
    fn from(server: &str) -> Self {
        Self {
            server: server.to_owned(),
            ..Self::default()
        }
    }
}

impl From<&String> for Connection {
    fn from(server: &String) -> Self {
        server.as_str().into()
    }
}

impl From<&Connection> for Connection {
    fn from(connection: &Connection) -> Self {
        connection.clone()
    }
}

impl Connection {
    /// Connects.
    pub(super) async fn connect(&self) -> Result<Channel, Failure> {
        let connecting = self.endpoint()?;
        let connected = connecting.connect().await;
        connected.map_err(|error| Failure::unreachable(&self.server, &error))
    }

    /// Reads the token, if there is one.
    pub(super) fn bearer(&self) -> Result<Bearer, Failure> {
        let token = match (&self.token_file, &self.token) {
            (Some(path), _) => Some(
                String::from_utf8_lossy(&read(path)?)
                    .trim()
                    .to_owned()
                    .into(),
            ),
            (None, token) => token.clone(),
        };
        Bearer::new(token.as_ref())
            .ok_or_else(|| Failure::invalid_settings("a token is one line of text"))
    }

    fn endpoint(&self) -> Result<Endpoint, Failure> {
        let url = self.url()?;
        let is_tls = url.starts_with("https://");
        let endpoint = Endpoint::from_shared(url)
            .map_err(|_| Failure::invalid_address(&self.server))?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(Duration::from_secs(30))
            .keep_alive_while_idle(true)
            .initial_stream_window_size(1024 * 1024)
            .initial_connection_window_size(4 * 1024 * 1024)
            // With the default limit, some hundred dropped streams would close the whole connection.
            .http2_max_local_error_reset_streams(None);
        if !is_tls {
            return Ok(endpoint);
        }
        let endpoint = endpoint.tls_config(self.tls()?);
        endpoint.map_err(|error| Failure::unreachable(&self.server, &error))
    }

    /// The address with its scheme.
    fn url(&self) -> Result<String, Failure> {
        let has_files = self.ca.is_some() || self.client_cert.is_some();
        match (self.server.split_once("://"), has_files) {
            (None, true) => Ok(format!("https://{}", self.server)),
            (None, false) => Ok(format!("http://{}", self.server)),
            // Whoever sets TLS files must not get a plaintext connection.
            (Some(("http", _)), true) => Err(Failure::invalid_settings(&format!(
                "certificates are for TLS, and {} is without; say https://",
                self.server
            ))),
            (Some(("http" | "https", _)), _) => Ok(self.server.clone()),
            (Some(_), _) => Err(Failure::unsupported_scheme(&self.server)),
        }
    }

    fn tls(&self) -> Result<ClientTlsConfig, Failure> {
        let tls = ClientTlsConfig::new().timeout(CONNECT_TIMEOUT);
        let tls = match &self.ca {
            Some(path) => tls.ca_certificate(Certificate::from_pem(read(path)?)),
            None => tls.with_native_roots(),
        };
        match (&self.client_cert, &self.client_key) {
            (Some(certificate), Some(key)) => {
                Ok(tls.identity(Identity::from_pem(read(certificate)?, read(key)?)))
            }
            (None, None) => Ok(tls),
            _ => Err(Failure::invalid_settings(
                "a client certificate goes with its key: name both",
            )),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    dateline_files::read(path, MAX_FILE_BYTES).map_err(|error| {
        Failure::invalid_settings(&format!("cannot read {}: {error}", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_believed_is_never_left_out_for_plain_text() {
        let ca = Some(PathBuf::from("ca.pem"));
        for (server, ca, expected) in [
            ("127.0.0.1:7400", None, Some("http://127.0.0.1:7400")),
            ("127.0.0.1:7400", ca.clone(), Some("https://127.0.0.1:7400")),
            ("http://a:1", None, Some("http://a:1")),
            ("https://a:1", None, Some("https://a:1")),
            ("https://a:1", ca.clone(), Some("https://a:1")),
            ("http://a:1", ca, None),
        ] {
            let connection = Connection {
                ca,
                ..server.into()
            };
            let url = connection.url().ok();
            assert_eq!(url.as_deref(), expected, "{connection:?}");
        }
    }
}
