//! The generated schema: messages, clients, server traits, descriptors. The messages are the records; there
//! is no second set of structs beside them.

use std::sync::LazyLock;

use prost_reflect::DescriptorPool;

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

/// Path of the one method whose answers a client takes as bytes, and of which few may run at once.
pub const EXPORT: &str = "/dateline.v1.ExportService/Export";

/// Server traits of `dateline.v1`, over the codec for ready bytes.
#[allow(clippy::all, clippy::pedantic, missing_docs, unused_qualifications)]
pub mod servers {
    include!(concat!(
        env!("OUT_DIR"),
        "/servers/dateline.v1.RecordService.rs"
    ));
    include!(concat!(
        env!("OUT_DIR"),
        "/servers/dateline.v1.EditorialService.rs"
    ));
    include!(concat!(
        env!("OUT_DIR"),
        "/servers/dateline.v1.FeedService.rs"
    ));
    include!(concat!(
        env!("OUT_DIR"),
        "/servers/dateline.v1.AdminService.rs"
    ));
    include!(concat!(
        env!("OUT_DIR"),
        "/servers/dateline.v1.ExportService.rs"
    ));
}

/// The schemas as a `FileDescriptorSet`, options included: what reflection serves.
pub const DESCRIPTOR_BYTES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.binpb"));

/// The schemas, decoded once.
#[expect(
    clippy::expect_used,
    reason = "the bytes are made by build.rs from the same schemas"
)]
pub static DESCRIPTORS: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(DESCRIPTOR_BYTES).expect("build.rs writes a valid descriptor set")
});
