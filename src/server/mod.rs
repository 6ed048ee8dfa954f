//! gRPC services.
pub mod codec;
mod status;
