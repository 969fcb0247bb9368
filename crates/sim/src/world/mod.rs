//! The world: virtual time, the queue of what happens, nodes, network, disks, clients, faults.

mod clients;
mod director;
mod driver;
mod faults;
mod handoff;
mod links;
mod node;
mod verdict;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};

use quorate_env::Random;
use quorate_model::NodeId;
use quorate_node::{Input, Job, RequestId};

use crate::checkers::{MetadataChecker, Violation};
use crate::history::History;
use crate::knobs::Knobs;
use crate::limits;
use crate::network::{Ends, Network, Passage};
use crate::plant::Plant;
use crate::report::Report;
use crate::trace::Trace;
use clients::Client;
use director::Director;
use faults::ActiveFault;
use node::SimNode;

/// Something that is to happen.
enum Event {
    /// A machine takes an input.
    Step { node: usize, life: u64, machine: usize, input: Input },
    /// A machine's deadline may have come.
    Tick { node: usize, life: u64, machine: usize },
    /// A frame arrives.
    Arrive(Passage),
    /// A job is run.
    Job { node: usize, life: u64, machine: usize, job: Job },
    /// The committer syncs the log.
    Sync { node: usize, life: u64 },
    /// The committer's sync is over.
    Synced { node: usize, life: u64 },
    /// A node tries to open a connection.
    Dial { ends: Ends, life: u64 },
    /// A node notices that a connection is dead.
    LinkDown { ends: Ends, life: u64 },
    /// A cut has lasted for so long that connections over it are dead.
    CutNoticed { from: usize, to: usize },
    /// A process starts.
    Start { node: usize },
    /// A client goes on: thinks of something, or gives up waiting.
    Client { client: usize, turn: u64 },
    /// A client's request is at its node, or the answer at the client.
    Answered { client: usize, turn: u64, answer: Box<quorate_model::request::ClientResponse> },
    /// A client hears that its node is gone.
    Disconnected { client: usize, turn: u64 },
    /// The node that is owed hints loses its power once more.
    HandoffCrash,
    /// The next fault.
    Fault,
    /// A fault's end.
    FaultEnd(u64),
    /// The director looks at the run.
    Look,
}

/// An event with its time; the earliest first, and of one time in order of their making.
struct Scheduled {
    at: u64,
    sequence: u64,
    event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.sequence) == (other.at, other.sequence)
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.sequence).cmp(&(self.at, self.sequence))
    }
}

/// What a run does beside its seed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Operations of the clients; the default if `None`.
    pub steps: Option<u64>,
    /// A planted bug.
    pub plant: Option<Plant>,
    /// Print every event.
    pub shown: bool,
}

/// See the module.
pub struct World {
    knobs: Knobs,
    plant: Option<Plant>,
    steps: u64,
    random: Random,
    now: u64,
    sequence: u64,
    queue: BinaryHeap<Scheduled>,
    trace: Trace,
    nodes: Vec<SimNode>,
    ids: BTreeMap<NodeId, usize>,
    network: Network,
    clients: Clients,
    faults: Faults,
    director: Director,
    judged: Judged,
}

/// All clients and what they know in common.
struct Clients {
    all: Vec<Client>,
    history: History,
    /// Numbers moments: each invocation and each answer has one.
    moment: u64,
    last_timestamp: i64,
    /// Whose request it is, with the client's turn.
    waiting: BTreeMap<RequestId, (usize, u64)>,
    next_request: u64,
    invoked: u64,
    /// For the planted stale cache: the first answer to each question.
    cache: BTreeMap<String, quorate_model::request::ClientResponse>,
}

/// What goes wrong just now.
#[derive(Default)]
struct Faults {
    active: BTreeMap<u64, ActiveFault>,
    next: u64,
    /// The one node whose disk may lose what was on it.
    sick: Option<usize>,
    /// Whether bits were flipped on it.
    has_rot: bool,
    enabled: bool,
    counts: BTreeMap<String, u64>,
}

/// What was found so far.
#[derive(Default)]
struct Judged {
    violations: Vec<Violation>,
    metadata: MetadataChecker,
    crashes: u64,
    stops: u64,
    changes: u64,
}

impl World {
    /// A world in which nothing has happened yet.
    pub fn new(seed: u64, options: Options) -> Self {
        let mut random = Random::new(seed);
        let mut knobs = Knobs::draw(&mut random);
        knobs.mix.asides = crate::workload::asides_share(seed);
        knobs.mix.stamps = knobs.clocks_agree();
        let network = Network::new(random.fork(), knobs.traffic.latency_ns, knobs.traffic.lost);
        let count = knobs.nodes + knobs.joins;
        let nodes = (0..count).map(|index| SimNode::new(index, &knobs, options.plant, &mut random)).collect();
        let all = (0..=knobs.clients).map(|index| Client::new(index, random.fork())).collect();
        let factor = knobs.factor;
        // Clocks drift too, and a little; the rest is a margin for requests under way.
        let skew_us_max = knobs.clocks.skew_us.saturating_add(1_000_000);
        let clients = Clients {
            all,
            history: History { records: Vec::new(), factor, skew_us_max, distrusts_one: false },
            moment: 0,
            last_timestamp: 0,
            waiting: BTreeMap::new(),
            next_request: 0,
            invoked: 0,
            cache: BTreeMap::new(),
        };
        Self {
            plant: options.plant,
            steps: options.steps.unwrap_or(limits::STEPS_DEFAULT),
            random,
            now: 0,
            sequence: 0,
            queue: BinaryHeap::new(),
            trace: Trace::new(options.shown),
            nodes,
            ids: BTreeMap::new(),
            network,
            clients,
            faults: Faults::default(),
            director: Director::default(),
            judged: Judged::default(),
            knobs,
        }
    }

    /// Lets everything happen, and judges it.
    pub fn run(mut self, seed: u64) -> Report {
        self.trace.note(0, usize::MAX, "knobs", format!("{:?}", self.knobs).as_bytes());
        for node in 0..self.knobs.nodes {
            let after = self.random.below(500_000_000);
            self.schedule(after, Event::Start { node });
        }
        self.schedule(1, Event::Look);
        while let Some(Scheduled { at, event, .. }) = self.queue.pop() {
            self.now = at;
            self.happen(event);
            if self.director.is_finished() || self.judged.violations.len() >= limits::VIOLATIONS_MAX {
                break;
            }
            if self.trace.events > limits::EVENTS_MAX {
                self.blame("liveness", format!("the run has not ended after {} events", self.trace.events));
                break;
            }
        }
        self.report(seed)
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Step { node, life, machine, input } => self.step_event(node, life, machine, input),
            Event::Tick { node, life, machine } => self.tick(node, life, machine),
            Event::Arrive(passage) => self.arrive(passage),
            Event::Job { node, life, machine, job } => self.run_job(node, life, machine, job),
            Event::Sync { node, life } => self.sync(node, life),
            Event::Synced { node, life } => self.synced(node, life),
            Event::Dial { ends, life } => self.dial(ends, life),
            Event::LinkDown { ends, life } => self.link_down(ends, life),
            Event::CutNoticed { from, to } => self.cut_noticed(from, to),
            Event::Start { node } => self.start(node),
            Event::Client { client, turn } => self.client_wakes(client, turn),
            Event::Answered { client, turn, answer } => self.client_answered(client, turn, *answer),
            Event::Disconnected { client, turn } => self.client_disconnected(client, turn),
            Event::HandoffCrash => self.crash_handoff(),
            Event::Fault => self.next_fault(),
            Event::FaultEnd(fault) => self.end_fault(fault),
            Event::Look => self.look(),
        }
    }

    fn schedule(&mut self, after_ns: u64, event: Event) {
        self.schedule_at(self.now.saturating_add(after_ns), event);
    }

    fn schedule_at(&mut self, at: u64, event: Event) {
        self.sequence += 1;
        self.queue.push(Scheduled { at, sequence: self.sequence, event });
    }

    fn between(&mut self, range: (u64, u64)) -> u64 {
        self.random.between(range.0, range.1)
    }

    fn blame(&mut self, checker: &'static str, text: String) {
        let text = format!("at {:.3} s: {text}", self.now as f64 / 1e9);
        self.judged.violations.push(Violation::new(checker, text));
    }

    /// The nodes that run.
    fn running(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|node| self.nodes[*node].running.is_some()).collect()
    }
}
