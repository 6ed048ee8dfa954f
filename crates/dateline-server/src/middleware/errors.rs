//! Gives errors of the framework the contract's details: an oversized message, an unknown method, a deadline.

use http::Response;
use tonic::{Code, Status, body::Body};

use crate::status::{self, Reason};

const DETAILS: &str = "grpc-status-details-bin";

/// Replaces a gRPC error that has no details.
pub(super) fn add_details(response: Response<Body>) -> Response<Body> {
    let Some(status) = Status::from_header_map(response.headers()) else {
        return response;
    };
    if status.code() == Code::Ok || response.headers().contains_key(DETAILS) {
        return response;
    }
    framework_error(&status).into_http()
}

/// Maps an error of the framework to the contract's error table.
fn framework_error(status: &Status) -> Status {
    let text = status.message();
    match status.code() {
        Code::OutOfRange => {
            let message = "the message is larger than this method takes; send less at once";
            status::plain(Code::ResourceExhausted, Reason::MessageTooLarge, message)
        }
        Code::Unimplemented if text.contains("ncoding") || text.contains("ompress") => {
            status::plain(
                Code::Unimplemented,
                Reason::UnsupportedEncoding,
                "messages are taken uncompressed",
            )
        }
        Code::Unimplemented => status::plain(
            Code::Unimplemented,
            Reason::UnknownMethod,
            "there is no such method",
        ),
        Code::Cancelled | Code::DeadlineExceeded => status::plain(
            Code::DeadlineExceeded,
            Reason::DeadlineExceeded,
            "the deadline passed before the answer was ready",
        ),
        // tonic reports a request that is not framed as gRPC as internal.
        Code::Internal | Code::InvalidArgument => {
            tracing::debug!(text, "a request that the framework refused");
            status::plain(
                Code::InvalidArgument,
                Reason::UndecodableMessage,
                "the message is not framed as gRPC wants it",
            )
        }
        Code::Unavailable => status::unavailable(Reason::StoreUnavailable, "try again"),
        code => status::plain(code, Reason::InvalidRequest, text),
    }
}
