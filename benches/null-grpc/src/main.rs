//! `null-grpc IP:PORT`: serves until it is killed.
#![allow(clippy::print_stdout, reason = "scripts wait for its one line")]

use std::net::SocketAddr;

use tonic::transport::Server;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address: SocketAddr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9944".to_owned()).parse()?;
    // One thread, as a worker of the real server has.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        println!("ready: grpc={address}");
        Server::builder().tcp_nodelay(true).add_service(null_grpc::Null::service()).serve(address).await
    })?;
    Ok(())
}
