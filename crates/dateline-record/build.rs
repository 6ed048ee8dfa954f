//! Generates the walk over every field of every message, with the rules that the schemas give it.

#[path = "build/walk.rs"]
mod walk;

use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build");
    // Set by the build script of dateline-proto.
    let descriptors = env::var("DEP_DATELINE_PROTO_DESCRIPTORS")?;
    println!("cargo:rerun-if-changed={descriptors}");
    let pool = prost_reflect::DescriptorPool::decode(fs::read(descriptors)?.as_slice())?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("walk.rs"), walk::generate(&pool, "dateline.v1")?)?;
    Ok(())
}
