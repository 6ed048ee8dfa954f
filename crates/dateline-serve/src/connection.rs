//! The flags that say how a server is reached.

use std::path::PathBuf;

use dateline_client::{Client, Connection, Failure};

/// Default address of the server, for serving and for connecting.
pub const DEFAULT_ADDRESS: &str = "127.0.0.1:7400";

/// The connection flags.
#[derive(Debug, Clone, clap::Args)]
pub struct Server {
    /// Address of the server: HOST:PORT, or <https://HOST:PORT> for TLS
    // Global, so that `feed --server HOST:PORT fork` forks that server's feed, and not that of the default address.
    #[arg(long = "server", global = true, env = "DATELINE_SERVER", default_value = DEFAULT_ADDRESS, value_name = "HOST:PORT")]
    address: String,
    /// Authorities of the server's certificate, PEM [default: those of the system]
    #[arg(long, global = true, env = "DATELINE_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Client certificate, PEM
    #[arg(long, global = true, env = "DATELINE_CLIENT_CERT", value_name = "FILE")]
    client_cert: Option<PathBuf>,
    /// Key of the client certificate, PEM
    #[arg(long, global = true, env = "DATELINE_CLIENT_KEY", value_name = "FILE")]
    client_key: Option<PathBuf>,
    /// File with the token; without it, the variable `DATELINE_TOKEN` may hold one
    #[arg(long, global = true, env = "DATELINE_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl Server {
    /// The connection that the flags describe.
    #[must_use]
    pub fn connection(&self) -> Connection {
        Connection {
            server: self.address.clone(),
            ca: self.ca.clone(),
            client_cert: self.client_cert.clone(),
            client_key: self.client_key.clone(),
            token_file: self.token_file.clone(),
            // Not an argument: every user of the machine could read it.
            token: std::env::var("DATELINE_TOKEN").ok().map(Into::into),
        }
    }

    /// Connects to the server.
    ///
    /// # Errors
    /// If it does not answer, or a file of the flags cannot be used.
    pub async fn connect(&self) -> Result<Client, Failure> {
        Client::connect_with(&self.connection()).await
    }
}
