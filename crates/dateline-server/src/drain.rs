//! Ends streams for two reasons outside of them: the server stops, or their connection has reached its maximum age.
//! Both are announced (F12).

use http::Extensions;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{
    status::{self, Reason},
    transport::Peer,
};

/// The signals that end an otherwise endless stream.
#[derive(Debug, Clone)]
pub struct Drain {
    server: CancellationToken,
    connection: CancellationToken,
}

impl Drain {
    /// Creates the signals of a request: `server` ends every stream, its connection's token only those of that
    /// connection.
    #[must_use]
    pub fn for_request(server: &CancellationToken, request: &Extensions) -> Self {
        let peer = request.get::<Peer>();
        Self {
            server: server.clone(),
            connection: peer.map_or_else(|| server.clone(), |peer| peer.drain_token().clone()),
        }
    }

    /// Returns a token that is cancelled when the stream has to end.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.connection.child_token()
    }

    /// Returns the status that the stream ends with.
    #[must_use]
    pub fn status(&self) -> Status {
        if self.server.is_cancelled() {
            let message =
                "the server is shutting down; go on from the last cursor, here or elsewhere";
            return status::unavailable(Reason::ShuttingDown, message);
        }
        let message =
            "the connection has been open for long enough; go on from the last cursor, on another";
        status::unavailable(Reason::ConnectionAged, message)
    }
}
