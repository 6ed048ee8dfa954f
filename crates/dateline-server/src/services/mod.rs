//! The gRPC services, one module for each, and what they share: requests, responses, page tokens and commits.

pub(crate) mod admin_service;
mod commit;
pub(crate) mod editorial_service;
pub(crate) mod export_service;
pub(crate) mod feed_service;
pub(crate) mod match_service;
pub mod page_token;
pub(crate) mod record_service;
mod request;
pub(crate) mod response;
pub(crate) mod search_service;
