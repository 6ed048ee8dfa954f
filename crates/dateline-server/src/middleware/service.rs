//! The shape of the services that layers wrap.

use std::{convert::Infallible, pin::Pin};

use http::{Request, Response};
use tonic::body::Body;
use tower::Service;

/// The future of a response, boxed.
pub type BoxResponseFuture =
    Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// A service of gRPC calls. Its errors are responses.
pub trait GrpcCalls:
    Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>
    + Clone
    + Send
    + 'static
{
}

impl<S> GrpcCalls for S where
    S: Service<
            Request<Body>,
            Response = Response<Body>,
            Error = Infallible,
            Future: Send + 'static,
        > + Clone
        + Send
        + 'static
{
}
