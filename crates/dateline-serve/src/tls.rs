//! The TLS flags of the server.

use std::path::PathBuf;

use clap::ValueEnum;
use dateline_server::transport::TlsFiles;

/// TLS settings of the server.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "TLS")]
pub struct TlsArgs {
    /// PEM file with the server's certificate chain; reloaded when it changes
    #[arg(
        long,
        env = "DATELINE_TLS_CERT",
        requires = "tls_key",
        value_name = "FILE"
    )]
    tls_cert: Option<PathBuf>,
    /// PEM file with the private key of that certificate
    #[arg(
        long,
        env = "DATELINE_TLS_KEY",
        requires = "tls_cert",
        value_name = "FILE"
    )]
    tls_key: Option<PathBuf>,
    /// Minimum TLS version
    #[arg(
        long,
        env = "DATELINE_TLS_MIN_VERSION",
        value_enum,
        default_value = "1.3",
        value_name = "VERSION"
    )]
    tls_min_version: Version,
    /// PEM file with the CAs of client certificates; enables mutual TLS
    #[arg(
        long,
        env = "DATELINE_CLIENT_CA",
        requires = "tls_cert",
        value_name = "FILE"
    )]
    client_ca: Option<PathBuf>,
    /// Client certificates: required, or optional (a token is accepted instead)
    #[arg(
        long,
        env = "DATELINE_CLIENT_CERT_AUTH",
        value_enum,
        default_value = "required",
        value_name = "HOW"
    )]
    client_cert_auth: ClientCertAuth,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Version {
    #[value(name = "1.2")]
    Tls12,
    #[value(name = "1.3")]
    Tls13,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ClientCertAuth {
    Required,
    Optional,
}

impl TlsArgs {
    /// Returns the files of TLS, if it is enabled.
    pub fn files(&self) -> Option<TlsFiles> {
        let (certificate, key) = self.tls_cert.clone().zip(self.tls_key.clone())?;
        Some(TlsFiles {
            certificate,
            key,
            client_authorities: self.client_ca.clone(),
            client_optional: self.client_cert_auth == ClientCertAuth::Optional,
            also_1_2: matches!(self.tls_min_version, Version::Tls12),
        })
    }
}
