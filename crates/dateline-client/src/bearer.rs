//! The token that goes with every call.

use secrecy::{ExposeSecret, SecretString};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::Interceptor,
};

/// Shows a token, if there is one.
#[derive(Debug, Clone, Default)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Bearer {
    /// `None` if it cannot stand in a header. An empty token is none.
    pub(super) fn new(token: Option<&SecretString>) -> Option<Self> {
        let Some(token) = token.filter(|token| !token.expose_secret().is_empty()) else {
            return Some(Self(None));
        };
        let value = format!("Bearer {}", token.expose_secret());
        let mut value = MetadataValue::try_from(value).ok()?;
        // Neither shown by `Debug` nor kept in HTTP/2's table.
        value.set_sensitive(true);
        Some(Self(Some(value)))
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        // Who sets their own knows why.
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
