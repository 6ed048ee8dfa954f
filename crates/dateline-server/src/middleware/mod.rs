//! Layers around every call, outermost first: errors and deadlines, admission, backpressure; and the end of streams
//! whose credentials are revoked.

pub(crate) mod admission;
pub(crate) mod backpressure;
pub mod budget;
mod buffered_body;
pub mod errors;
pub(crate) mod revocation;
pub(crate) mod timeout;
