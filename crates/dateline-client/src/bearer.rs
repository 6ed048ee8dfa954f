//! The token that is sent with every call.

use secrecy::{ExposeSecret, SecretString};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::Interceptor,
};

/// Adds a token to calls, if there is one.
#[derive(Debug, Clone, Default)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Bearer {
    /// Reads a token; `None` if it is not a valid header value. An empty token means that none is sent.
    pub(super) fn new(token: Option<&SecretString>) -> Option<Self> {
        let Some(token) = token.filter(|token| !token.expose_secret().is_empty()) else {
            return Some(Self(None));
        };
        let value = format!("Bearer {}", token.expose_secret());
        let mut value = MetadataValue::try_from(value).ok()?;
        // Keeps the token out of `Debug` output and of the HPACK table.
        value.set_sensitive(true);
        Some(Self(Some(value)))
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        // A header that the caller has set is kept.
        if let Some(value) = &self.0
            && !request.metadata().contains_key("authorization")
        {
            request
                .metadata_mut()
                .insert("authorization", value.clone());
        }
        Ok(request)
    }
}
