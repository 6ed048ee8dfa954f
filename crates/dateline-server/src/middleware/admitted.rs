//! An admitted caller, which admission puts into the extensions of the request and handlers take out.

use std::sync::Arc;

use dateline_access::{Caller, Denied};
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;

use crate::status;

/// An admitted caller and its stream permits, which are released when their last holder is dropped.
#[derive(Debug, Clone)]
pub struct Admitted {
    caller: Caller,
    permits: Arc<Vec<OwnedSemaphorePermit>>,
}

impl Admitted {
    /// Joins a caller and its permits.
    pub(super) fn new(caller: Caller, permits: Vec<OwnedSemaphorePermit>) -> Self {
        Self {
            caller,
            permits: Arc::new(permits),
        }
    }

    /// Returns the caller.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Returns the permits alone, for a stream to hold without the rest.
    #[must_use]
    pub fn permits(&self) -> Arc<Vec<OwnedSemaphorePermit>> {
        self.permits.clone()
    }
}

/// Returns the caller of a request and its message.
///
/// # Errors
/// `UNAUTHENTICATED` if the request was not admitted.
pub fn extract_caller<T>(request: tonic::Request<T>) -> Result<(Caller, T), Status> {
    let (admitted, message) = extract_admitted(request)?;
    Ok((admitted.caller, message))
}

/// Returns the caller with its stream permits, and the message.
///
/// # Errors
/// Like [`extract_caller`].
pub fn extract_admitted<T>(mut request: tonic::Request<T>) -> Result<(Admitted, T), Status> {
    let admitted = request.extensions_mut().remove::<Admitted>();
    let admitted = admitted.ok_or_else(|| status::denied(&Denied::Missing))?;
    Ok((admitted, request.into_inner()))
}
