//! Turns `proto/` into Rust: messages (prost), service traits over ready bytes (tonic), the walk over every
//! field with its rules, and the descriptor set that reflection and JSON need. No `protoc`: `protox` reads
//! the schemas.

#[path = "build/services.rs"]
mod services;
#[path = "build/walk.rs"]
mod walk;

use std::{env, error::Error, fs, path::PathBuf};

const PACKAGE: &str = "dateline.v1";

const SCHEMAS: [&str; 5] = [
    "dateline/v1/record_service.proto",
    "dateline/v1/editorial_service.proto",
    "dateline/v1/feed_service.proto",
    "dateline/v1/admin_service.proto",
    "dateline/v1/export_service.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    for watched in [
        "proto",
        "third_party",
        "build",
        "migrations",
        "sql",
        ".sqlx",
    ] {
        println!("cargo:rerun-if-changed={watched}");
    }
    let out = PathBuf::from(env::var("OUT_DIR")?);

    let mut compiler = protox::Compiler::new(["proto", "third_party"])?;
    compiler
        .include_source_info(true)
        .include_imports(true)
        .open_files(SCHEMAS)?;
    // The encoded form keeps extension options; the `prost_types` form silently drops them, and with them
    // every rule.
    let encoded = compiler.encode_file_descriptor_set();
    let files = compiler.file_descriptor_set();
    let pool = prost_reflect::DescriptorPool::decode(encoded.as_slice())?;
    fs::write(out.join("descriptors.binpb"), &encoded)?;
    fs::write(out.join("walk.rs"), walk::generate(&pool, PACKAGE)?)?;

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
                "#[prost_reflect(message_name = \"{}\", descriptor_pool = \"crate::proto::DESCRIPTORS\")]",
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
    // Servers come from `services`, whose codec sends ready bytes; only the clients are typed throughout.
    tonic_prost_build::configure()
        .build_server(false)
        .compile_fds_with_config(files.clone(), messages)?;
    services::generate(&files, PACKAGE)?;
    Ok(())
}
