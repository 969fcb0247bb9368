//! The scenario of `tests/drivers/README.md` through the scylla crate.

mod cluster;
mod data;
mod values;
mod world;

use std::sync::Arc;

use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::policies::load_balancing::DefaultPolicy;
use scylla::statement::Consistency;
use world::{Failure, Heard, Listener, World};

pub const KEYSPACE: &str = "d_rust";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    if let Err(error) = run().await {
        eprintln!("rust: {error}");
        std::process::exit(1);
    }
}

async fn run() -> Result<(), Failure> {
    let world = World::from_environment()?;
    let heard = Arc::new(Heard::default());
    let session = &connect(&world, &heard).await.map_err(|error| format!("connect: {error}"))?;
    done("connect");
    step(&world, "nodes", cluster::nodes(&world, session)).await?;
    step(&world, "schema", data::schema(&world, session)).await?;
    step(&world, "types", data::types(&world, session)).await?;
    step(&world, "prepared", data::prepared(session)).await?;
    step(&world, "batches", data::batches(session)).await?;
    step(&world, "paging", data::paging(session)).await?;
    step(&world, "routing", cluster::routing(session)).await?;
    step(&world, "errors", data::errors(session)).await?;
    step(&world, "tracing", cluster::tracing(&world, session)).await?;
    step(&world, "down and up", cluster::down_and_up(&world, session, &heard)).await?;
    step(&world, "tls", cluster::tls()).await
}

async fn step(world: &World, name: &str, work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    if world.skip.iter().any(|skipped| skipped == name) {
        println!("rust: {name} skipped");
        return Ok(());
    }
    work.await.map_err(|error| format!("{name}: {error}"))?;
    done(name);
    Ok(())
}

fn done(name: &str) {
    println!("rust: {name} ok");
}

async fn connect(world: &World, heard: &Arc<Heard>) -> Result<Session, Failure> {
    let policy = DefaultPolicy::builder().prefer_datacenter(world.data_center.clone()).token_aware(true).build();
    let profile = ExecutionProfile::builder()
        .consistency(Consistency::Quorum)
        .load_balancing_policy(policy)
        .request_timeout(Some(std::time::Duration::from_secs(30)))
        .build();
    let mut builder = SessionBuilder::new()
        .known_node(world.nodes[0].to_string())
        .default_execution_profile_handle(profile.into_handle());
    builder.config.host_listener = Some(Arc::new(Listener(Arc::clone(heard))));
    let session = builder.build().await?;
    let (version,) = session
        .query_unpaged("SELECT release_version FROM system.local", ())
        .await?
        .into_rows_result()?
        .single_row::<(String,)>()?;
    check!(version.starts_with(|first: char| first.is_ascii_digit()), "release_version is '{version}'");
    Ok(session)
}
