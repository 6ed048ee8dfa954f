//! Generates a server trait for every service of the package, with the codec that sends pre-encoded bytes and rejects
//! undecodable messages with the contract's errors.

use std::error::Error;

use heck::ToSnakeCase;
use prost_reflect::prost_types::FileDescriptorSet;

pub fn generate(files: &FileDescriptorSet, package: &str) -> Result<(), Box<dyn Error>> {
    let services: Vec<_> = files
        .file
        .iter()
        .filter(|file| file.package() == package)
        .flat_map(|file| &file.service)
        .map(|service| {
            let mut builder = tonic_build::manual::Service::builder()
                .name(service.name())
                .package(package);
            for method in &service.method {
                builder = builder.method(rpc(method, package));
            }
            builder.build()
        })
        .collect();
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?).join("servers");
    std::fs::create_dir_all(&out)?;
    tonic_build::manual::Builder::new()
        .build_client(false)
        .out_dir(out)
        .compile(&services);
    Ok(())
}

fn rpc(
    method: &prost_reflect::prost_types::MethodDescriptorProto,
    package: &str,
) -> tonic_build::manual::Method {
    let rust_type = |proto: &str| {
        let name = proto.trim_start_matches(&format!(".{package}."));
        format!("dateline_proto::v1::{name}")
    };
    let mut builder = tonic_build::manual::Method::builder()
        .name(method.name().to_snake_case())
        .route_name(method.name())
        .input_type(rust_type(method.input_type()))
        .output_type(format!(
            "crate::transport::codec::PreEncoded<{}>",
            rust_type(method.output_type())
        ))
        .codec_path("crate::transport::codec::PreEncodedCodec");
    if method.server_streaming() {
        builder = builder.server_streaming();
    }
    builder.build()
}
