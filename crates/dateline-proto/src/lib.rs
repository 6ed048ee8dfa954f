//! The generated schema: messages, clients, descriptors. The messages are the records; there are no separate structs.

mod field_rules;
mod record;

use std::sync::LazyLock;

use prost_reflect::DescriptorPool;

pub use field_rules::{has_rule, rule_text};

/// Messages and clients of `dateline.v1`.
#[allow(
    clippy::all,
    clippy::pedantic,
    missing_docs,
    unused_qualifications,
    rustdoc::all
)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/dateline.v1.rs"));
}

/// Path of the export method: clients read its responses as bytes, and few may run at once.
pub const EXPORT_METHOD: &str = "/dateline.v1.ExportService/Export";

/// The schemas as a `FileDescriptorSet` with options, for reflection.
pub const DESCRIPTOR_BYTES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.binpb"));

/// The schemas, decoded once.
#[expect(
    clippy::expect_used,
    reason = "the bytes are made by build.rs from the same schemas"
)]
pub static DESCRIPTORS: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(DESCRIPTOR_BYTES).expect("build.rs writes a valid descriptor set")
});
