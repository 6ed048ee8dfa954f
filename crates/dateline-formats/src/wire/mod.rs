//! Records read from their wire format without messages in between, for formats that are written field by field.
//!
//! Only the canonical encoding is read here ([`dateline_record::wire`]), with each field once and defaults left out. For
//! any other bytes the callers decode the message.

#[cfg(feature = "parquet")]
mod canonical;
pub(crate) mod json;
mod shape;

#[cfg(feature = "parquet")]
pub(crate) use self::canonical::canonical_body;
pub(crate) use self::shape::{FieldShape, MessageShape, SHAPES, ValueShape};
