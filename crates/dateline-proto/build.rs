//! Generates messages and clients from `proto/`, and the descriptor set that reflection, JSON and the build scripts of
//! `dateline-record` and `dateline-server` need. No `protoc`: `protox` reads the schemas.

use std::{env, error::Error, fs, path::PathBuf};

const PACKAGE: &str = "dateline.v1";

const SCHEMAS: [&str; 7] = [
    "dateline/v1/record_service.proto",
    "dateline/v1/editorial_service.proto",
    "dateline/v1/feed_service.proto",
    "dateline/v1/admin_service.proto",
    "dateline/v1/export_service.proto",
    "dateline/v1/match_service.proto",
    "dateline/v1/search_service.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    for watched in ["proto", "third_party"] {
        println!("cargo:rerun-if-changed={watched}");
    }
    let out = PathBuf::from(env::var("OUT_DIR")?);

    let mut compiler = protox::Compiler::new(["proto", "third_party"])?;
    compiler
        .include_source_info(true)
        .include_imports(true)
        .open_files(SCHEMAS)?;
    // The encoded form keeps extension options; the `prost_types` form silently drops them, and so every rule.
    let encoded = compiler.encode_file_descriptor_set();
    let files = compiler.file_descriptor_set();
    let pool = prost_reflect::DescriptorPool::decode(encoded.as_slice())?;
    let descriptors = out.join("descriptors.binpb");
    fs::write(&descriptors, &encoded)?;
    println!("cargo:descriptors={}", descriptors.display());

    let mut messages = prost_build::Config::new();
    messages.btree_map(["."]).enable_type_names();
    for message in pool
        .all_messages()
        .filter(|message| message.package_name() == PACKAGE)
    {
        messages.type_attribute(
            message.full_name(),
            "#[derive(::prost_reflect::ReflectMessage)]",
        );
        messages.type_attribute(
            message.full_name(),
            format!(
                "#[prost_reflect(message_name = \"{}\", descriptor_pool = \"crate::DESCRIPTORS\")]",
                message.full_name()
            ),
        );
    }
    // Records differ in size by nature; boxing the large arm would only add a hop to every access.
    messages.type_attribute(
        ".dateline.v1.Record.kind",
        "#[allow(clippy::large_enum_variant)]",
    );
    messages.type_attribute(
        ".dateline.v1.Write.action",
        "#[allow(clippy::large_enum_variant)]",
    );
    // `dateline-server` generates its own traits, whose codec sends pre-encoded bytes; only the clients are typed
    // throughout.
    tonic_prost_build::configure()
        .build_server(false)
        .compile_fds_with_config(files, messages)?;
    Ok(())
}
