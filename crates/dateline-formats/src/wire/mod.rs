//! Records read from their wire format without messages in between, for formats that are written field by field.
//!
//! Only the canonical encoding is read here ([`dateline_record::wire`]), with each field once and defaults left out. For
//! any other bytes the callers decode the message.

pub(crate) mod json;
mod shape;

pub(crate) use self::shape::{FieldShape, MessageShape, SHAPES, ValueShape};
