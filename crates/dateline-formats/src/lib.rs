//! File formats: writes records as files for other tools, and reads records from the files of others.
//!
//! - [`mod@export`]: the records of a feed as files in seven formats, with a manifest; reads such exports back.
//! - [`mod@import`]: the records of a file in any format, one by one; articles from plain text.
//! - [`cloudevents`]: the items of a feed as events.
//! - [`json`], [`yaml`]: messages as documents, read strictly.
//!
//! Depends on the generated messages and the rules of records; not on gRPC, the store, flags or a terminal.

pub mod cloudevents;
mod delimited;
pub mod enum_names;
pub mod export;
pub mod import;
pub mod json;
mod ninjs;
mod wire;
pub mod yaml;
