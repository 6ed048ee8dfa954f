//! The flags of the server's TLS.

use std::path::PathBuf;

use clap::ValueEnum;
use dateline_server::edge::TlsFiles;

/// Where the server's TLS comes from.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "TLS")]
pub(super) struct TlsArgs {
    /// The server's certificate and those up to its authority, PEM; read again when it changes
    #[arg(
        long,
        env = "DATELINE_TLS_CERT",
        requires = "tls_key",
        value_name = "FILE"
    )]
    tls_cert: Option<PathBuf>,
    /// Its key, PEM
    #[arg(
        long,
        env = "DATELINE_TLS_KEY",
        requires = "tls_cert",
        value_name = "FILE"
    )]
    tls_key: Option<PathBuf>,
    /// Oldest version of TLS that is spoken
    #[arg(
        long,
        env = "DATELINE_TLS_MIN_VERSION",
        value_enum,
        default_value = "1.3",
        value_name = "VERSION"
    )]
    tls_min_version: Version,
    /// Authorities of client certificates, PEM; with it clients need one
    #[arg(
        long,
        env = "DATELINE_CLIENT_CA",
        requires = "tls_cert",
        value_name = "FILE"
    )]
    client_ca: Option<PathBuf>,
    /// Whether a client needs a certificate, or may come without
    #[arg(
        long = "client-certs",
        env = "DATELINE_CLIENT_CERTS",
        value_enum,
        default_value = "required",
        value_name = "HOW"
    )]
    client_certs: Clients,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Version {
    #[value(name = "1.2")]
    Tls12,
    #[value(name = "1.3")]
    Tls13,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Clients {
    Required,
    Optional,
}

impl TlsArgs {
    /// The files, if TLS is wanted.
    pub(super) fn files(&self) -> Option<TlsFiles> {
        let (certificate, key) = self.tls_cert.clone().zip(self.tls_key.clone())?;
        Some(TlsFiles {
            certificate,
            key,
            client_authorities: self.client_ca.clone(),
            client_optional: self.client_certs == Clients::Optional,
            also_1_2: matches!(self.tls_min_version, Version::Tls12),
        })
    }
}
