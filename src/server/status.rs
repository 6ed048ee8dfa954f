//! Errors to status.
use tonic::Status;
/// x
pub fn undecodable(_error: &prost::DecodeError) -> Status { Status::invalid_argument("") }
