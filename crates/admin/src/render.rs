//! Answers in nodetool's layout.

use std::collections::BTreeMap;

use quorate_model::Value;
use quorate_model::admin::{AdminAnswer, AdminRequest, ClusterStatus, NodeState, NodeStatus, SnapshotInfo};
use quorate_model::{CqlType, Token};

/// The answer as text for people and for scripts written for nodetool.
pub fn render(request: &AdminRequest, answer: &AdminAnswer) -> String {
    match (request, answer) {
        (AdminRequest::Snapshot { tag, keyspace, skip_flush, .. }, AdminAnswer::Done) => {
            let of = keyspace.as_deref().unwrap_or("all keyspaces");
            format!(
                "Requested creating snapshot(s) for [{of}] with snapshot name [{tag}] and options {{skipFlush={skip_flush}}}\n\
                 Snapshot directory: {tag}\n"
            )
        }
        (_, AdminAnswer::Done) => String::new(),
        (AdminRequest::Ring { .. }, AdminAnswer::Cluster(cluster)) => ring(cluster),
        (_, AdminAnswer::Cluster(cluster)) => status(cluster),
        (AdminRequest::DescribeCluster, AdminAnswer::Properties(properties)) => {
            let lines = properties.iter().map(|(name, value)| format!("\t{name}: {value}\n"));
            format!("Cluster Information:\n{}", lines.collect::<String>())
        }
        (AdminRequest::GetLoggingLevels, AdminAnswer::Properties(properties)) => {
            let lines = properties.iter().map(|(name, value)| format!("{name:<50}{value:>10}\n"));
            format!("\n{:<50}{:>10}\n{}", "Logger Name", "Log Level", lines.collect::<String>())
        }
        (AdminRequest::GetTraceProbability, AdminAnswer::Properties(properties)) => {
            properties.iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
        }
        (_, AdminAnswer::Properties(properties)) => {
            let line = |(name, value): &(String, String)| match value.parse() {
                // The node tells bytes; people read sizes.
                Ok(bytes) if name == "Load" || name.ends_with(" bytes") => format!("{name:<23}: {}\n", size(bytes)),
                _ => format!("{name:<23}: {value}\n"),
            };
            properties.iter().map(line).collect()
        }
        (_, AdminAnswer::Snapshots(snapshots)) => list_snapshots(snapshots),
    }
}

fn by_datacenter(cluster: &ClusterStatus) -> BTreeMap<&str, Vec<&NodeStatus>> {
    let mut datacenters: BTreeMap<&str, Vec<&NodeStatus>> = BTreeMap::new();
    for node in &cluster.nodes {
        datacenters.entry(&node.datacenter).or_default().push(node);
    }
    for nodes in datacenters.values_mut() {
        // As numbers where they are: .10 comes after .9.
        nodes.sort_by_key(|node| (node.address.parse::<std::net::IpAddr>().ok(), node.address.clone()));
    }
    datacenters
}

fn status(cluster: &ClusterStatus) -> String {
    let effective = cluster.nodes.iter().any(|node| node.owns.is_some());
    let owns_name = if effective { "Owns (effective)" } else { "Owns" };
    let mut text = String::new();
    for (datacenter, nodes) in by_datacenter(cluster) {
        let title = format!("Datacenter: {datacenter}");
        text.push_str(&format!("{title}\n{}\n", "=".repeat(title.len())));
        text.push_str("Status=Up/Down\n|/ State=Normal/Leaving/Joining/Moving\n");
        let mut rows = vec![["--", "Address", "Load", "Tokens", owns_name, "Host ID", "Rack"].map(str::to_owned)];
        rows.extend(nodes.into_iter().map(|node| {
            [
                format!("{}{}", if node.up { 'U' } else { 'D' }, letter(node.state)),
                node.address.clone(),
                load(node.load_bytes),
                node.tokens.len().to_string(),
                node.owns.map_or("?".to_owned(), |owns| format!("{:.1}%", owns * 100.0)),
                node.id.to_string(),
                node.rack.clone(),
            ]
        }));
        text.push_str(&columns(&rows));
        text.push('\n');
    }
    if !effective && !cluster.nodes.is_empty() {
        text.push_str(
            "Note: Non-system keyspaces don't have the same replication settings, effective ownership information is \
             meaningless\n",
        );
    }
    text
}

fn letter(state: NodeState) -> char {
    match state {
        NodeState::Normal => 'N',
        NodeState::Joining => 'J',
        NodeState::Leaving => 'L',
        NodeState::Moving => 'M',
    }
}

/// Left-aligned columns with two spaces between them.
fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn ring(cluster: &ClusterStatus) -> String {
    let mut text = String::new();
    for (datacenter, nodes) in by_datacenter(cluster) {
        let width = nodes.iter().map(|node| node.address.len()).max().unwrap_or(0).max("Address".len());
        let line = |cells: [&str; 7]| {
            let [address, rack, status, state, load, owns, token] = cells;
            let line = format!("{address:<width$}  {rack:<12}{status:<7}{state:<8}{load:<16}{owns:<20}{token:<44}");
            format!("{}\n", line.trim_end())
        };
        text.push_str(&format!("\nDatacenter: {datacenter}\n==========\n"));
        text.push_str(&line(["Address", "Rack", "Status", "State", "Load", "Owns", "Token"]));
        let mut tokens: Vec<(Token, &NodeStatus)> =
            nodes.iter().flat_map(|node| node.tokens.iter().map(|token| (*token, *node))).collect();
        tokens.sort_by_key(|(token, _)| *token);
        // The ring closes: its last token stands above the first, too.
        if let Some((last, _)) = tokens.last() {
            text.push_str(&line(["", "", "", "", "", "", &last.to_string()]));
        }
        for (token, node) in tokens {
            let owns = node.owns.map_or("?".to_owned(), |owns| format!("{:.2}%", owns * 100.0));
            let status = if node.up { "Up" } else { "Down" };
            let state = format!("{:?}", node.state);
            let load = load(node.load_bytes);
            text.push_str(&line([&node.address, &node.rack, status, &state, &load, &owns, &token.to_string()]));
        }
    }
    text.push_str(
        "\n  Warning: \"quorate admin ring\" is used to output all the tokens of a node.\n  To view status related info \
         of a node use \"quorate admin status\" instead.\n\n",
    );
    text
}

fn load(bytes: Option<u64>) -> String {
    bytes.map_or("?".to_owned(), size)
}

/// A size as nodetool prints it.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    let text = format!("{value:.2}");
    format!("{} {unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

fn list_snapshots(snapshots: &[SnapshotInfo]) -> String {
    if snapshots.is_empty() {
        return "Snapshot Details: \nThere are no snapshots\n".to_owned();
    }
    let names = ["Snapshot name", "Keyspace name", "Column family name", "Size on disk", "Creation time"];
    let mut rows = vec![names.map(str::to_owned)];
    rows.extend(snapshots.iter().map(|snapshot| {
        [
            snapshot.tag.clone(),
            snapshot.keyspace.clone(),
            snapshot.table.clone(),
            size(snapshot.bytes),
            created(snapshot),
        ]
    }));
    let total: u64 = snapshots.iter().map(|snapshot| snapshot.bytes).sum();
    format!("Snapshot Details: \n{}\nTotal TrueDiskSpaceUsed: {}\n\n", columns(&rows), size(total))
}

/// When it was made, in ISO form.
pub fn created(snapshot: &SnapshotInfo) -> String {
    let text = Value::Timestamp(snapshot.created_at.div_euclid(1_000)).to_display(&CqlType::Timestamp);
    text.strip_suffix("000+0000").map_or(text.clone(), |start| format!("{}Z", start.replacen(' ', "T", 1)))
}

#[cfg(test)]
mod tests {
    use quorate_model::NodeId;

    use super::*;

    fn cluster() -> ClusterStatus {
        let node = |number: u8, up, load_bytes| NodeStatus {
            id: NodeId::from_u128(u128::from(number)),
            address: format!("127.0.0.{number}"),
            grpc_port: 9044,
            cql_port: 9042,
            datacenter: "datacenter1".into(),
            rack: "rack1".into(),
            up,
            state: NodeState::Normal,
            load_bytes,
            owns: Some(1.0),
            tokens: vec![Token(i64::from(number)), Token(-i64::from(number))],
        };
        ClusterStatus {
            cluster_name: "Test Cluster".into(),
            nodes: vec![node(1, true, Some(106_865)), node(2, false, None)],
            ..ClusterStatus::default()
        }
    }

    #[test]
    fn status_is_nodetools() {
        let answer = AdminAnswer::Cluster(cluster());
        let text = render(&AdminRequest::Status { keyspace: None }, &answer);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "Datacenter: datacenter1",
                "=======================",
                "Status=Up/Down",
                "|/ State=Normal/Leaving/Joining/Moving",
                "--  Address    Load        Tokens  Owns (effective)  Host ID                               Rack",
                "UN  127.0.0.1  104.36 KiB  2       100.0%            00000000-0000-4000-8000-000000000001  rack1",
                "DN  127.0.0.2  ?           2       100.0%            00000000-0000-4000-8000-000000000002  rack1",
                "",
            ]
        );
    }

    #[test]
    fn ring_lists_tokens_in_order_and_closes() {
        let text = render(&AdminRequest::Ring { keyspace: None }, &AdminAnswer::Cluster(cluster()));
        let tokens: Vec<&str> =
            text.lines().skip(4).take(5).filter_map(|line| line.split_whitespace().last()).collect();
        assert_eq!(tokens, ["2", "-2", "-1", "1", "2"]);
        assert!(text.contains("127.0.0.2  rack1       Down   Normal  ?               100.00%             -2"));
    }

    #[test]
    fn sizes_and_the_rest() {
        assert_eq!((size(0), size(1024), size(1_572_864)), ("0 bytes".into(), "1 KiB".into(), "1.5 MiB".into()));
        let properties = AdminAnswer::Properties(vec![("Name".into(), "x".into())]);
        assert_eq!(render(&AdminRequest::DescribeCluster, &properties), "Cluster Information:\n\tName: x\n");
        assert_eq!(render(&AdminRequest::Info, &properties), "Name                   : x\n");
        let load = AdminAnswer::Properties(vec![("Load".into(), "2048".into())]);
        assert_eq!(render(&AdminRequest::Info, &load), "Load                   : 2 KiB\n");
        let none = AdminAnswer::Snapshots(Vec::new());
        assert!(render(&AdminRequest::ListSnapshots, &none).contains("There are no snapshots"));
        let one = SnapshotInfo {
            tag: "t".into(),
            keyspace: "nyc".into(),
            table: "weather".into(),
            bytes: 2048,
            created_at: 1_357_020_000_000_000,
        };
        let text = render(&AdminRequest::ListSnapshots, &AdminAnswer::Snapshots(vec![one]));
        assert!(text.contains("2013-01-01T06:00:00.000Z") && text.contains("2 KiB"));
    }
}
