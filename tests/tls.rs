//! TLS with real nodes: for clients on both fronts, between nodes, and certificates that change while a node serves.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

#[path = "tls/certificates.rs"]
mod certificates;
mod support;
#[path = "tls/wire.rs"]
mod wire;

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use certificates::{Authority, Files, path};
use quorate_client::{Session, Tls};
use rustix::process::Signal;
use support::cluster::{address, network, quorum};
use support::program::quorate_in;
use support::{Node, TestCluster, eventually, quorate};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// No change takes longer to be seen.
const SEEN_WITHIN: Duration = Duration::from_secs(30);

fn client_arguments(mode: &str, files: &Files) -> Vec<String> {
    vec![
        format!("--client-tls={mode}"),
        format!("--client-tls-certificate={}", files.certificate),
        format!("--client-tls-key={}", files.key),
    ]
}

fn internode_arguments(ca: &str, files: &Files) -> Vec<String> {
    vec![
        "--internode-tls=required".to_owned(),
        format!("--internode-tls-certificate={}", files.certificate),
        format!("--internode-tls-key={}", files.key),
        format!("--internode-tls-ca={ca}"),
    ]
}

/// One node with these arguments, ready.
async fn one_node(ip: Ipv4Addr, folder: &Path, arguments: &[String]) -> Node {
    let mut all = vec![format!("--cluster-name=tls-{ip}"), format!("--seeds={ip}"), "--workers=1".to_owned()];
    all.extend_from_slice(arguments);
    let mut node = Node::new(ip, folder, &all);
    node.start();
    node.ready().await;
    node
}

async fn session(ip: Ipv4Addr, tls: Option<Tls>) -> Result<Session, quorate_client::Error> {
    Session::builder().contact_point(ip.to_string()).tls(tls).options(quorum()).connect().await
}

async fn refusals(node: &Node) -> f64 {
    node.metric("quorate_tls_handshake_failures_total").await.unwrap()
}

#[tokio::test]
async fn three_nodes_with_tls_on_all_ports_serve_and_let_nobody_else_in() {
    let folder = tempfile::tempdir().unwrap();
    let network = network();
    let addresses: Vec<Ipv4Addr> = (1..=4).map(|number| address(network, number)).collect();
    let authority = Authority::new(folder.path(), "ca");
    let other = Authority::new(folder.path(), "other");
    let files = authority.sign("node", &addresses);
    let (ca, other_ca) = (path(folder.path(), "ca", "pem"), path(folder.path(), "other", "pem"));
    let mut arguments = client_arguments("required", &files);
    arguments.extend(internode_arguments(&ca, &files));
    arguments.push("--internode-tls-verify-names=true".to_owned());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut cluster = TestCluster::start_on(network, 3, &arguments).await;
    let first = addresses[0];

    // Clients of ours.
    let tls = Tls::from_files(&ca, None).unwrap();
    let session = session(addresses[1], Some(tls)).await.unwrap();
    let create = "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}";
    session.query(create, ()).await.unwrap();
    session.query("CREATE TABLE ks.t (k int PRIMARY KEY, v text)", ()).await.unwrap();
    for key in 0..50 {
        session.query("INSERT INTO ks.t (k, v) VALUES (?, 'kept')", (key,)).await.unwrap();
    }
    let host = first.to_string();
    let count = ["shell", &host, "--tls-ca", &ca, "--format", "csv", "-e", "CONSISTENCY ALL; SELECT v FROM ks.t;"];
    assert_eq!(quorate(&count).await.ok().matches("kept").count(), 50);
    let over_cql: Vec<&str> = count.iter().copied().chain(["--front", "cql"]).collect();
    assert_eq!(quorate(&over_cql).await.ok().matches("kept").count(), 50);
    let status = quorate(&["admin", "-h", &host, "--tls-ca", &ca, "status"]).await.ok();
    assert_eq!(status.lines().filter(|line| line.starts_with("UN")).count(), 3, "{status}");

    // Drivers.
    let mut driver = wire::connect(first, &ca).await.unwrap();
    wire::options(&mut driver).await.unwrap();

    // Without TLS, or with the trust in another authority.
    for port in [9042, 9044, 7000] {
        assert_eq!(wire::plain_until_its_end(first, port).await.unwrap(), b"", "port {port}");
    }
    let plain = quorate(&["admin", "-h", &host, "status"]).await;
    let plain = plain.failed();
    assert!(plain.contains("requires TLS"), "{plain}");
    let mistrust = wire::connect(first, &other_ca).await.unwrap_err().to_string();
    assert!(mistrust.contains("UnknownIssuer"), "{mistrust}");
    let shell = quorate(&["shell", &host, "--tls-ca", &other_ca, "-e", "SELECT key FROM system.local;"]).await;
    assert!(shell.failed().contains("UnknownIssuer"));
    let over_cql = ["shell", &host, "--front", "cql", "--tls-ca", &other_ca, "-e", "SELECT key FROM system.local;"];
    assert!(quorate(&over_cql).await.failed().contains("UnknownIssuer"));

    // Whoever wants to be a node.
    let foreign = other.sign("foreign", &addresses);
    wire::peer_verdict(first, &ca, Some(&files)).await.unwrap();
    let without = wire::peer_verdict(first, &ca, None).await.unwrap_err().to_string();
    assert!(without.contains("CertificateRequired"), "{without}");
    let stranger = wire::peer_verdict(first, &ca, Some(&foreign)).await.unwrap_err().to_string();
    assert!(stranger.contains("fatal alert"), "{stranger}");
    assert!(refusals(&cluster.nodes[0]).await >= 6.0);

    // A node of another authority joins nothing, and says why.
    let index = cluster.prepare();
    let mut foreign_arguments = internode_arguments(&other_ca, &foreign);
    foreign_arguments.push(format!("--cluster-name=test-{network}"));
    foreign_arguments.push(format!("--seeds={first}"));
    let foreign_arguments: Vec<&str> = foreign_arguments.iter().map(String::as_str).collect();
    cluster.nodes[index].with_arguments(&foreign_arguments);
    cluster.nodes[index].start();
    eventually(SEEN_WITHIN, "the foreign node says why it is alone", async || {
        let log = cluster.nodes[index].log_text();
        if log.contains("the TLS handshake with it failed") && log.contains("UnknownIssuer") {
            Ok(())
        } else {
            Err(log)
        }
    })
    .await;
    assert!(cluster.nodes[index].ready_line().is_none());
}

#[tokio::test]
async fn optional_tls_serves_both_on_the_same_ports() {
    let folder = tempfile::tempdir().unwrap();
    let ip = address(network(), 1);
    let files = Authority::new(folder.path(), "ca").sign("node", &[ip]);
    let ca = path(folder.path(), "ca", "pem");
    let _node = one_node(ip, folder.path(), &client_arguments("optional", &files)).await;
    wire::options(&mut wire::connect(ip, &ca).await.unwrap()).await.unwrap();
    wire::options(&mut TcpStream::connect((ip, 9042)).await.unwrap()).await.unwrap();
    for tls in [None, Some(Tls::from_files(&ca, None).unwrap())] {
        session(ip, tls).await.unwrap().query("SELECT key FROM system.local", ()).await.unwrap();
    }
}

#[tokio::test]
async fn clients_without_a_certificate_are_refused_where_one_is_required() {
    let folder = tempfile::tempdir().unwrap();
    let ip = address(network(), 1);
    let authority = Authority::new(folder.path(), "ca");
    let (files, client) = (authority.sign("node", &[ip]), authority.sign("client", &[]));
    let ca = path(folder.path(), "ca", "pem");
    let mut arguments = client_arguments("required", &files);
    arguments.push(format!("--client-tls-ca={ca}"));
    arguments.push("--client-tls-require-certificate=true".to_owned());
    let _node = one_node(ip, folder.path(), &arguments).await;

    let mut with = wire::connect_to(ip, 9042, &ca, Some(&client)).await.unwrap();
    wire::options(&mut with).await.unwrap();
    let mut without = wire::connect(ip, &ca).await.unwrap();
    let refused = wire::options(&mut without).await.unwrap_err().to_string();
    assert!(refused.contains("CertificateRequired"), "{refused}");

    let host = ip.to_string();
    let certified = ["--tls-ca", &ca, "--tls-cert", &client.certificate, "--tls-key", &client.key];
    let mut command = vec!["admin", "-h", &host, "info"];
    assert_eq!(quorate(&command).await.status, 1);
    command.extend(certified);
    quorate(&command).await.ok();
}

#[tokio::test]
async fn new_connections_see_a_new_certificate_and_old_ones_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let ip = address(network(), 1);
    let authority = Authority::new(folder.path(), "ca");
    let files = authority.sign("node", &[ip]);
    let ca = path(folder.path(), "ca", "pem");
    let node = one_node(ip, folder.path(), &client_arguments("required", &files)).await;
    let host = ip.to_string();
    let reload = ["admin", "-h", &host, "--tls-ca", &ca, "reloadssl"];
    let mut old = wire::connect(ip, &ca).await.unwrap();
    wire::options(&mut old).await.unwrap();
    let shows = async |what: &str, expected| {
        eventually(SEEN_WITHIN, what, async || {
            let shown = wire::shown(&wire::connect(ip, &ca).await.map_err(|error| error.to_string())?);
            if shown == expected { Ok(()) } else { Err("another certificate is shown".to_owned()) }
        })
        .await;
    };

    // By itself.
    authority.sign("node", &[ip]);
    let second = wire::certificate(&files.certificate);
    shows("the certificate that was put there", second.clone()).await;
    wire::options(&mut old).await.unwrap();

    // A bad one changes nothing, and says so.
    let good = std::fs::read(&files.certificate).unwrap();
    std::fs::write(&files.certificate, "no certificate").unwrap();
    let refused = quorate(&reload).await.failed();
    assert!(refused.contains(&files.certificate) && refused.contains("no certificate in it"), "{refused}");
    assert!(node.metric("quorate_tls_reload_failures_total").await.unwrap() >= 1.0);
    assert_eq!(wire::shown(&wire::connect(ip, &ca).await.unwrap()), second);
    std::fs::write(&files.certificate, good).unwrap();

    // On demand, seen at once by whoever comes after it.
    authority.sign("node", &[ip]);
    quorate(&reload).await.ok();
    assert_eq!(wire::shown(&wire::connect(ip, &ca).await.unwrap()), wire::certificate(&files.certificate));

    // By a signal.
    authority.sign("node", &[ip]);
    node.signal(Signal::HUP);
    shows("the certificate of the signal", wire::certificate(&files.certificate)).await;
    wire::options(&mut old).await.unwrap();
}

#[tokio::test]
async fn a_handshake_that_stalls_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let ip = address(network(), 1);
    let files = Authority::new(folder.path(), "ca").sign("node", &[ip]);
    let ca = path(folder.path(), "ca", "pem");
    let node = one_node(ip, folder.path(), &client_arguments("required", &files)).await;
    let mut stalled = Vec::new();
    for port in [9042, 9044] {
        for _ in 0..100 {
            let mut stream = TcpStream::connect((ip, port)).await.unwrap();
            // The beginning of a handshake's record, of which the rest never comes.
            stream.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).await.unwrap();
            stalled.push(stream);
        }
    }
    wire::options(&mut wire::connect(ip, &ca).await.unwrap()).await.unwrap();
    session(ip, Some(Tls::from_files(&ca, None).unwrap())).await.unwrap();
    eventually(SEEN_WITHIN, "those that stall are cut off", async || {
        let refused = refusals(&node).await;
        if refused >= 200.0 { Ok(()) } else { Err(format!("{refused} were refused")) }
    })
    .await;
}

#[tokio::test]
async fn unusable_files_keep_a_node_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let ip = address(network(), 1);
    let (authority, other) = (Authority::new(folder.path(), "ca"), Authority::new(folder.path(), "other"));
    let (good, another) = (authority.sign("good", &[ip]), authority.sign("another", &[ip]));
    let past = |params: &mut rcgen::CertificateParams| params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let expired = authority.sign_with("expired", &[ip], past);
    let empty = path(folder.path(), "empty", "pem");
    std::fs::write(&empty, "").unwrap();
    let absent = path(folder.path(), "absent", "pem");
    let listen = format!("--listen={ip}");
    let refuses = async |arguments: Vec<String>, parts: &[&str]| {
        let mut all = vec!["start", listen.as_str()];
        all.extend(arguments.iter().map(String::as_str));
        let said = quorate_in(folder.path(), &all).await.failed();
        for part in parts {
            assert!(said.contains(part), "no '{part}' in:\n{said}");
        }
    };
    let clients = |certificate: &str, key: &str| {
        client_arguments("required", &Files { certificate: certificate.to_owned(), key: key.to_owned() })
    };
    refuses(clients(&absent, &good.key), &["TLS for clients", &absent, "cannot be read"]).await;
    refuses(clients(&empty, &good.key), &[&empty, "no certificate in it"]).await;
    refuses(clients(&good.certificate, &empty), &[&empty, "no private key in it"]).await;
    refuses(clients(&good.certificate, &another.key), &[&another.key, "not the key of the certificate"]).await;
    refuses(clients(&expired.certificate, &expired.key), &[&expired.certificate, "expired"]).await;
    let ca = path(folder.path(), "ca", "pem");
    refuses(internode_arguments(&empty, &good), &["TLS for internode", &empty, "no certificate in it"]).await;
    let foreign = other.sign("foreign", &[ip]);
    refuses(internode_arguments(&ca, &foreign), &[&foreign.certificate, &ca, "UnknownIssuer"]).await;
    refuses(vec![format!("--client-tls-key={}", good.key)], &["client_tls_key", "no effect"]).await;
}
