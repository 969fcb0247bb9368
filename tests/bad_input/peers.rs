//! Peers that speak otherwise, or are of another cluster.

use std::net::Ipv4Addr;
use std::time::Duration;

use quorate_proto::internode::v1::refusal::Reason;
use quorate_proto::internode::v1::{Batch, Frame, Hello, Lane, Refusal};
use tokio_stream::StreamExt;

use crate::support::cluster::{address, network};
use crate::support::{Node, TestCluster, eventually, shell};

/// Says this as the first messages of a stream, and gives the first answer.
async fn converse(ip: Ipv4Addr, messages: Vec<Batch>) -> Result<Batch, tonic::Status> {
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{ip}:7000")).unwrap();
    let mut client = tonic::client::Grpc::new(channel.connect().await.unwrap());
    client.ready().await.unwrap();
    let path = tonic::codegen::http::uri::PathAndQuery::from_static("/quorate.internode.v1.Internode/Exchange");
    let codec = tonic_prost::ProstCodec::<Batch, Batch>::default();
    // The stream stays open, as a peer's would.
    let messages = tokio_stream::iter(messages).chain(tokio_stream::pending());
    let answer = client.streaming(tonic::Request::new(messages), path, codec);
    let answer = tokio::time::timeout(Duration::from_secs(10), answer).await.expect("an answer comes")?;
    let mut stream = answer.into_inner();
    let first = tokio::time::timeout(Duration::from_secs(10), stream.message()).await.expect("a message comes")?;
    first.ok_or_else(|| tonic::Status::aborted("the stream ended without a word"))
}

fn hello(cluster_name: &str) -> Hello {
    Hello {
        protocol_version: quorate_proto::INTERNODE_PROTOCOL_VERSION,
        cluster_name: cluster_name.to_owned(),
        cluster_id: Vec::new().into(),
        node_id: vec![7; 16].into(),
        machine: 0,
        lane: Lane::Urgent as i32,
        internode_address: "127.0.0.77:7000".to_owned(),
        release: "test".to_owned(),
    }
}

async fn refused(ip: Ipv4Addr, hello: Hello) -> Refusal {
    let answer = converse(ip, vec![Batch { hello: Some(hello), ..Batch::default() }]).await.unwrap();
    answer.refusal.unwrap_or_else(|| panic!("it was taken: {:?}", answer.hello))
}

#[tokio::test]
async fn a_peer_that_is_none_is_refused() {
    let cluster = TestCluster::start(1).await;
    let ip = cluster.nodes[0].ip;
    crate::insert_one(ip).await;
    let name = format!("test-{}", Ipv4Addr::new(ip.octets()[0], ip.octets()[1], ip.octets()[2], 0));

    let version = refused(ip, Hello { protocol_version: 999, ..hello(&name) }).await;
    assert_eq!(version.reason(), Reason::ProtocolVersion);
    assert!(version.message.contains("999"), "{}", version.message);
    let cluster_name = refused(ip, hello("elsewhere")).await;
    assert_eq!(cluster_name.reason(), Reason::ClusterName);
    assert!(cluster_name.message.contains("elsewhere"), "{}", cluster_name.message);
    let cluster_id = refused(ip, Hello { cluster_id: vec![9; 16].into(), ..hello(&name) }).await;
    assert_eq!(cluster_id.reason(), Reason::ClusterId);
    let malformed = refused(ip, Hello { node_id: vec![1, 2, 3].into(), ..hello(&name) }).await;
    assert_eq!(malformed.reason(), Reason::Malformed);
    let silent = converse(ip, vec![Batch::default()]).await.unwrap();
    assert_eq!(silent.refusal.map(|refusal| refusal.reason()), Some(Reason::Malformed), "no hello");

    // A peer that may talk, but talks damaged frames and nonsense: ignored and counted.
    let payload: Vec<u8> = b"nonsense".to_vec();
    let right = quorate_proto::frame_checksum(0, 0, &payload);
    let frame = |crc32c| Frame { target: 0, source: 0, payload: payload.clone().into(), crc32c };
    let frames = Batch { frames: vec![frame(right ^ 1), frame(right)], ..Batch::default() };
    let taken = converse(ip, vec![Batch { hello: Some(hello(&name)), ..Batch::default() }, frames]).await.unwrap();
    assert!(taken.hello.is_some(), "{taken:?}");
    eventually(Duration::from_secs(5), "the damaged frame is counted", async || {
        let damaged = cluster.nodes[0].metric("quorate_frames_damaged_total").await?;
        if damaged >= 1.0 { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;

    // A message over the limit ends its stream and nothing else.
    let huge = Frame { payload: vec![0; 18 << 20].into(), ..frame(0) };
    let huge = Batch { hello: Some(hello(&name)), frames: vec![huge], ..Batch::default() };
    let answer = converse(ip, vec![huge]).await;
    assert!(answer.as_ref().map_or(true, |batch| batch.refusal.is_some()), "{answer:?}");
    assert!(cluster.nodes[0].metric("quorate_peers_refused_total").await.unwrap() >= 5.0);
    crate::one_is_kept(ip).await;
    shell(ip, "INSERT INTO ks.t (k, v) VALUES (2, 'still works');").await.ok();
}

#[tokio::test]
async fn a_node_of_another_cluster_does_not_join() {
    let cluster = TestCluster::start(1).await;
    let ip = cluster.nodes[0].ip;
    let seeds = format!("--seeds={ip}");
    let own = address(network(), 1);
    let mut stranger = Node::new(own, cluster.folder(), &["--cluster-name=elsewhere".to_owned(), seeds]);
    stranger.start();
    eventually(Duration::from_secs(10), "the stranger says why it does not join", async || {
        let log = stranger.log_text();
        if log.contains("elsewhere") && log.contains("test-") { Ok(()) } else { Err(log) }
    })
    .await;
    assert!(stranger.ready_line().is_none(), "it does not serve");
    let status = crate::support::admin(ip, &["status"]).await.ok();
    assert!(!status.contains(&own.to_string()), "{status}");
}
