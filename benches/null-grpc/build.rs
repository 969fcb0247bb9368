//! Generates the server stub; its messages are those of `quorate-proto`.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let descriptors = protox::compile(["quorate/v1/quorate.proto"], [&root])?;
    tonic_prost_build::configure()
        .build_client(false)
        .build_server(true)
        .extern_path(".quorate.v1", "::quorate_proto::v1")
        .compile_fds(descriptors)?;
    Ok(())
}
