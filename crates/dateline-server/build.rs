//! Generates the server traits of all services, with the codec that sends pre-encoded bytes.

#[path = "build/services.rs"]
mod services;

use std::{env, error::Error, fs};

use prost::Message;
use prost_reflect::prost_types::FileDescriptorSet;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build");
    // Set by the build script of dateline-proto.
    let descriptors = env::var("DEP_DATELINE_PROTO_DESCRIPTORS")?;
    println!("cargo:rerun-if-changed={descriptors}");
    let files = FileDescriptorSet::decode(fs::read(descriptors)?.as_slice())?;
    services::generate(&files, "dateline.v1")
}
