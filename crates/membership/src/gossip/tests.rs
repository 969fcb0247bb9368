use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn node(id: u128) -> NodeId {
    NodeId::from_u128(id)
}

fn cluster() -> ClusterId {
    ClusterId::from_u128(77)
}

fn gossips(count: u128, seed: u64) -> Vec<Gossip> {
    let nodes: Vec<NodeId> = (1..=count).map(node).collect();
    let mut random = Random::new(seed);
    nodes
        .iter()
        .map(|id| {
            let mut gossip = Gossip::new(*id, cluster(), 1, SECOND, random.fork());
            gossip.set_nodes(nodes.iter().copied());
            gossip.set_seeds([nodes[0]]);
            gossip.set_number(GossipKey::Load, u64::from(id.0[15]));
            gossip
        })
        .collect()
}

fn index(id: NodeId) -> usize {
    usize::from(id.0[15]) - 1
}

/// Runs rounds with some loss; whoever is heard counts as live. Returns what was put out, by node.
fn run(
    gossips: &mut [Gossip],
    random: &mut Random,
    seconds: std::ops::Range<u64>,
    loss: u64,
) -> Vec<Vec<GossipOutput>> {
    let mut seen = vec![Vec::new(); gossips.len()];
    for second in seconds {
        let now = Instant((second + 1) * 1_000_000_000);
        let mut queue: Vec<(NodeId, NodeId, GossipFrame)> = Vec::new();
        for gossip in gossips.iter_mut() {
            let mut out = Vec::new();
            gossip.step(now, GossipInput::Tick, &mut out);
            assert_eq!(gossip.deadline(), Some(now + SECOND));
            queue.extend(sends(gossip, &out));
        }
        while let Some((from, to, frame)) = queue.pop() {
            if random.chance(loss, 100) {
                continue;
            }
            let at = index(to);
            let frame = GossipFrame::from_bytes(&frame.to_bytes()).unwrap();
            let mut out = Vec::new();
            gossips[at].step(now, GossipInput::Message { from, frame }, &mut out);
            for output in &out {
                if let GossipOutput::Advanced(heard) = output {
                    gossips[at].set_live(*heard, true);
                }
            }
            gossips[at].check();
            queue.extend(sends(&gossips[at], &out));
            seen[at].extend(out);
        }
    }
    seen
}

fn sends(gossip: &Gossip, out: &[GossipOutput]) -> Vec<(NodeId, NodeId, GossipFrame)> {
    out.iter()
        .filter_map(|output| match output {
            GossipOutput::Send { to, frame } => Some((gossip.me, *to, frame.clone())),
            _ => None,
        })
        .collect()
}

#[test]
fn everybody_learns_everything() {
    for seed in 0..10 {
        let mut all = gossips(10, seed);
        let mut random = Random::new(seed);
        run(&mut all, &mut random, 0..30, 20);
        all[3].set_text(GossipKey::Status, "DRAINING");
        all[3].set_number(GossipKey::Load, 4000);
        run(&mut all, &mut random, 30..50, 20);
        for gossip in &all {
            for id in 1..=10 {
                let state = gossip.state(node(id)).expect("everybody is known");
                let load = if id == 4 { 4000 } else { id as u64 };
                assert_eq!(state.number(GossipKey::Load), Some(load), "seed {seed}");
            }
            assert_eq!(gossip.state(node(4)).unwrap().text(GossipKey::Status), Some("DRAINING"));
        }
    }
}

#[test]
fn heartbeats_of_everybody_advance_every_few_rounds() {
    let mut all = gossips(5, 1);
    let mut random = Random::new(1);
    run(&mut all, &mut random, 0..20, 0);
    let seen = run(&mut all, &mut random, 20..60, 0);
    for (at, outputs) in seen.iter().enumerate() {
        for other in (1..=5).filter(|id| *id != at as u128 + 1) {
            let beats = outputs.iter().filter(|output| **output == GossipOutput::Advanced(node(other))).count();
            assert!(beats >= 20, "{at} heard {other} {beats} times in 40 rounds");
        }
    }
}

#[test]
fn a_restart_replaces_what_was_known() {
    let mut all = gossips(3, 4);
    let mut random = Random::new(4);
    all[1].set_text(GossipKey::Status, "NORMAL");
    run(&mut all, &mut random, 0..20, 0);
    let mut restarted = Gossip::new(node(2), cluster(), 2, SECOND, random.fork());
    restarted.set_nodes((1..=3).map(node));
    restarted.set_number(GossipKey::Load, 9);
    all[1] = restarted;
    let seen = run(&mut all, &mut random, 20..40, 0);
    assert!(seen[0].contains(&GossipOutput::Restarted(node(2))));
    let state = all[0].state(node(2)).unwrap();
    assert_eq!((state.generation, state.number(GossipKey::Load), state.text(GossipKey::Status)), (2, Some(9), None));
}

#[test]
fn a_cloned_directory_notices_that_it_is_not_the_only_one() {
    let mut all = gossips(3, 5);
    let mut random = Random::new(5);
    let mut newer = Gossip::new(node(2), cluster(), 7, SECOND, random.fork());
    newer.set_nodes((1..=3).map(node));
    let old = std::mem::replace(&mut all[1], newer);
    run(&mut all, &mut random, 0..20, 0);
    all[1] = old;
    let seen = run(&mut all, &mut random, 20..40, 0);
    assert!(seen[1].contains(&GossipOutput::OwnGenerationAhead { generation: 7 }));
}

#[test]
fn strangers_and_other_clusters_are_not_believed() {
    let mut all = gossips(2, 6);
    let delta = Delta { node: node(9), generation: 1, heartbeat: 5, values: BTreeMap::new() };
    let frame = |cluster, delta: &Delta| GossipFrame { cluster, message: GossipMessage::Ack2(vec![delta.clone()]) };
    let mut out = Vec::new();
    let gossip = &mut all[0];
    gossip.next_round = Instant(u64::MAX);
    let from_stranger = GossipInput::Message { from: node(9), frame: frame(cluster(), &delta) };
    gossip.step(Instant(1), from_stranger, &mut out);
    let about_stranger = GossipInput::Message { from: node(2), frame: frame(cluster(), &delta) };
    gossip.step(Instant(1), about_stranger, &mut out);
    let foreign = GossipInput::Message { from: node(2), frame: frame(ClusterId::from_u128(1), &delta) };
    gossip.step(Instant(1), foreign, &mut out);
    assert_eq!(out, []);
    assert_eq!((gossip.counters().unknown_node, gossip.counters().foreign), (2, 1));
    assert_eq!(gossip.state(node(9)), None);
}

#[test]
fn messages_stay_bounded() {
    let mut all = gossips(200, 7);
    let text = "x".repeat(GOSSIP_TEXT_BYTES_MAX + 10);
    for id in 2..=200u128 {
        let gossip = &mut all[0];
        let values = BTreeMap::from([(
            GossipKey::Status,
            Versioned { version: 1, value: GossipValue::Text("x".repeat(GOSSIP_TEXT_BYTES_MAX)) },
        )]);
        gossip.learn(vec![Delta { node: node(id), generation: 1, heartbeat: 1, values }], &mut Vec::new());
        gossip.set_text(GossipKey::Status, &text);
    }
    let digests: Vec<Digest> = (1..=200).map(|id| Digest { node: node(id), generation: 0, version: 0 }).collect();
    let deltas = all[0].deltas(&digests);
    let size: usize = deltas.iter().map(|delta| delta.to_bytes().len()).sum();
    assert!(deltas.len() > 50 && size <= DELTA_BYTES_MAX, "{} deltas of {size} bytes", deltas.len());
}
