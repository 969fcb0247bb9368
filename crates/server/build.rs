//! Generates the server stubs and the stub by which nodes call one another; their messages are those of `quorate-proto`.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let public = protox::compile(["quorate/v1/quorate.proto"], [&root])?;
    tonic_prost_build::configure()
        .build_client(false)
        .build_server(true)
        .extern_path(".quorate.v1", "::quorate_proto::v1")
        .compile_fds(public)?;
    let internode = protox::compile(["quorate/internode/v1/internode.proto"], [&root])?;
    tonic_prost_build::configure()
        .build_client(true)
        .build_server(true)
        .extern_path(".quorate.internode.v1", "::quorate_proto::internode::v1")
        .compile_fds(internode)?;
    Ok(())
}
