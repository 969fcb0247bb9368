//! The steps about nodes: who they are, who is asked, who dies.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::statement::unprepared::Statement;

use crate::check;
use crate::world::{Failure, Heard, World, until};

/// The driver knows all three, from one.
pub async fn nodes(world: &World, session: &Session) -> Result<(), Failure> {
    let wanted: BTreeSet<IpAddr> = world.nodes.iter().copied().collect();
    until("all three are known and connected", 30, async || {
        let state = session.get_cluster_state();
        let found: BTreeSet<IpAddr> =
            state.get_nodes_info().iter().filter(|node| node.is_connected()).map(|node| node.address.ip()).collect();
        (found == wanted).then_some(())
    })
    .await?;
    let state = session.get_cluster_state();
    for node in state.get_nodes_info() {
        check!(node.datacenter.as_deref() == Some(&world.data_center), "{node:?} is in another data centre");
    }
    Ok(())
}

/// The owner of each token, as the nodes' own tables have it.
async fn ring(session: &Session) -> Result<BTreeMap<i64, IpAddr>, Failure> {
    let mut tokens = BTreeMap::new();
    let mut asked = BTreeSet::new();
    for _ in 0..1_000 {
        let answer = session.query_unpaged("SELECT rpc_address, tokens FROM system.local", ()).await?;
        let (address, its_tokens) = answer.into_rows_result()?.single_row::<(IpAddr, Vec<String>)>()?;
        asked.insert(address);
        for token in its_tokens {
            tokens.insert(token.parse()?, address);
        }
        if asked.len() == 3 {
            return Ok(tokens);
        }
    }
    Err(format!("a thousand questions reached only {asked:?}").into())
}

fn owner(ring: &BTreeMap<i64, IpAddr>, token: i64) -> Option<IpAddr> {
    ring.range(token..).next().or_else(|| ring.iter().next()).map(|(_, address)| *address)
}

/// With one copy of each row, every request goes straight to the node that has it.
pub async fn routing(session: &Session) -> Result<(), Failure> {
    for statement in [
        "DROP KEYSPACE IF EXISTS d_rust_one",
        "CREATE KEYSPACE d_rust_one WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
        "CREATE TABLE d_rust_one.routed (a text, b int, v int, PRIMARY KEY ((a, b)))",
    ] {
        session.query_unpaged(statement, ()).await?;
    }
    session.refresh_metadata().await?;
    let ring = ring(session).await?;
    let insert = session.prepare("INSERT INTO d_rust_one.routed (a, b, v) VALUES (?, ?, ?)").await?;
    let select = session.prepare("SELECT v, token(a, b) FROM d_rust_one.routed WHERE a = ? AND b = ?").await?;
    let mut coordinators = BTreeSet::new();
    for number in 0..60_i32 {
        let key = format!("key {number}");
        let written = session.execute_unpaged(&insert, (&key, number, number)).await?;
        let read = session.execute_unpaged(&select, (&key, number)).await?;
        let asked = [&written, &read].map(|answer| answer.request_coordinator().connection_address().ip());
        let (value, token) = read.into_rows_result()?.single_row::<(i32, i64)>()?;
        check!(value == number, "row {number} holds {value}");
        let owner = owner(&ring, token);
        check!(asked.iter().all(|node| Some(*node) == owner), "token {token} is {owner:?}'s, but {asked:?} were asked");
        coordinators.extend(asked);
    }
    check!(coordinators.len() == 3, "60 keys went to {coordinators:?} alone");
    Ok(())
}

/// A traced request has a session and events that can be read.
pub async fn tracing(world: &World, session: &Session) -> Result<(), Failure> {
    let mut statement = Statement::new("SELECT * FROM d_rust.batched WHERE p = 1");
    statement.set_tracing(true);
    let answer = session.query_unpaged(statement, ()).await?;
    let id = answer.tracing_id().ok_or("the answer has no tracing id")?;
    let trace = session.get_tracing_info(&id).await?;
    let coordinator = trace.coordinator.ok_or("the trace names no coordinator")?;
    check!(world.nodes.contains(&coordinator), "the trace's coordinator is {coordinator}");
    check!(trace.duration.is_some(), "the trace has no duration");
    check!(
        trace.events.iter().all(|event| event.activity.is_some() && event.source.is_some()),
        "an event without text or source"
    );
    check!(trace.events.len() >= 2, "the trace has {} events", trace.events.len());
    Ok(())
}

/// The driver hears of a node that dies and comes back, goes on without it, and uses it again.
pub async fn down_and_up(world: &World, session: &Session, heard: &Arc<Heard>) -> Result<(), Failure> {
    let victim = world.nodes[2];
    heard.forget();
    world.control("kill", 3).await?;
    until("DOWN is heard", 60, async || heard.has(victim, "DOWN").then_some(())).await?;
    let write = session.prepare("INSERT INTO d_rust.batched (p, c, v) VALUES (9, ?, 'while one is down')").await?;
    for number in 0..50_i32 {
        session
            .execute_unpaged(&write, (number,))
            .await
            .map_err(|error| format!("a write while a node is down: {error}"))?;
    }
    world.control("start", 3).await?;
    until("UP is heard", 120, async || heard.has(victim, "UP").then_some(())).await?;
    until("the node is asked again", 60, async || {
        let answer = session.query_unpaged("SELECT rpc_address FROM system.local", ()).await.ok()?;
        (answer.request_coordinator().connection_address().ip() == victim).then_some(())
    })
    .await
}

/// With the right authority the driver connects by TLS, with another it does not.
pub async fn tls() -> Result<(), Failure> {
    let node = std::env::var("DRIVERS_TLS_NODE")?;
    let folder = std::env::var("DRIVERS_CERTIFICATES")?;
    let session = by_tls(&node, &format!("{folder}/ca.pem")).await?;
    session
        .query_unpaged("SELECT cluster_name FROM system.local", ())
        .await?
        .into_rows_result()?
        .single_row::<(String,)>()?;
    check!(
        by_tls(&node, &format!("{folder}/other-ca.pem")).await.is_err(),
        "a certificate of another authority was accepted"
    );
    Ok(())
}

async fn by_tls(node: &str, authority: &str) -> Result<Session, Failure> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority)?)?;
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Ok(SessionBuilder::new().known_node(node).tls_context(Some(Arc::new(config))).build().await?)
}
