//! Simulated clients: each has one operation in flight, records it, and never repeats one of unknown outcome.
//!
//! Client 0 is the operator: it makes the schema, and at the end asks what the checkers want to know. What it is given
//! has to succeed within a number of attempts.

use std::collections::VecDeque;
use std::time::Duration;

use quorate_env::Random;
use quorate_model::request::{
    Answer, ClientRequest, ClientResponse, Outcome, QueryOptions, RequestBody, RequestError, Rows,
};
use quorate_node::{Input, NodePhase, RequestId};

use super::{Event, World};
use crate::clock::WALL_START_US;
use crate::history::{Body, Fate, Record, STAMPED, TIED};
use crate::knobs::Knobs;
use crate::limits::{ANSWER_SLACK, SIDE_PARTITIONS};
use crate::plant::Plant;
use crate::workload::{self, Expected, Intent, Prepared, ReadShape, WriteShape, read_rows};

/// How often the operator tries one thing.
const ATTEMPTS_MAX: u32 = 60;
/// Between two attempts.
const RETRY_NS: u64 = 250_000_000;

/// A client.
pub(super) struct Client {
    pub random: Random,
    /// Grows with everything that the client waits for, so that what comes late is known to be late.
    pub turn: u64,
    pub busy: Option<Busy>,
    /// The operator's tasks.
    pub tasks: VecDeque<Intent>,
    pub attempts: u32,
    /// The operation numbers of the tasks that were done.
    pub done: Vec<usize>,
    prepared: Prepared,
    /// Whether it executes prepared statements.
    prepares: bool,
}

/// An operation in flight.
pub(super) struct Busy {
    intent: Intent,
    operation: usize,
    request: ClientRequest,
    /// What is being prepared first.
    preparing: Option<String>,
    pages: Vec<Rows>,
    /// The request in flight.
    sent: Option<Sent>,
    /// How often it was sent again.
    retries: u32,
}

/// A request in flight.
#[derive(Clone, Copy)]
struct Sent {
    id: RequestId,
    node: usize,
    machine: usize,
    /// When, and for how long the node had stood still by then.
    at: u64,
    stood_still: u64,
    /// Whether the client will not wait for as long as the node may take.
    is_impatient: bool,
}

impl Client {
    pub fn new(index: usize, mut random: Random) -> Self {
        Self {
            prepares: index > 0 && random.chance(1, 2),
            random,
            turn: 0,
            busy: None,
            tasks: VecDeque::new(),
            attempts: 0,
            done: Vec::new(),
            prepared: Prepared::new(),
        }
    }

    pub fn is_idle(&self) -> bool {
        self.busy.is_none() && self.tasks.is_empty()
    }
}

impl World {
    /// Gives the operator something to do.
    pub(super) fn assign(&mut self, tasks: impl IntoIterator<Item = Intent>) {
        let operator = &mut self.clients.all[0];
        operator.tasks.extend(tasks);
        operator.attempts = 0;
        if operator.busy.is_none() {
            self.client_rests(0, 1_000);
        }
    }

    /// Starts the other clients.
    pub(super) fn start_clients(&mut self) {
        for client in 1..self.clients.all.len() {
            let after = self.random.below(self.knobs.think_ns);
            self.client_rests(client, after);
        }
    }

    fn client_rests(&mut self, client: usize, after: u64) {
        let state = &mut self.clients.all[client];
        state.turn += 1;
        let turn = state.turn;
        self.schedule(after, Event::Client { client, turn });
    }

    /// A pause is over, or an answer has not come.
    pub(super) fn client_wakes(&mut self, client: usize, turn: u64) {
        if self.clients.all[client].turn != turn {
            return;
        }
        if self.clients.all[client].busy.is_some() {
            self.client_waited(client);
            return;
        }
        let intent = match client {
            0 => match self.clients.all[0].tasks.front() {
                Some(intent) => intent.clone(),
                None => return,
            },
            _ if self.clients.invoked >= self.steps => return,
            _ => {
                self.clients.invoked += 1;
                self.knobs.mix.intent(&mut self.clients.all[client].random)
            }
        };
        self.begin_operation(client, intent);
    }

    fn begin_operation(&mut self, client: usize, intent: Intent) {
        let operation = self.clients.history.records.len();
        let invoked_us = WALL_START_US + (self.now / 1_000) as i64;
        let timestamp = invoked_us.max(self.clients.last_timestamp + 1);
        self.clients.last_timestamp = timestamp;
        let state = &self.clients.all[client];
        let built = workload::build(&intent, operation, timestamp, state.prepares.then_some(&state.prepared));
        self.clients.moment += 1;
        self.clients.history.records.push(Record {
            body: built.body,
            invoked: self.clients.moment,
            returned: None,
            fate: Fate::InFlight,
            error: None,
            through: None,
            invoked_us,
            returned_us: None,
        });
        let busy = Busy {
            intent,
            operation,
            request: built.request,
            preparing: built.to_prepare,
            pages: Vec::new(),
            sent: None,
            retries: 0,
        };
        self.clients.all[client].busy = Some(busy);
        self.send_request(client);
    }

    /// Sends what the client has to send next to some node, and sets its alarm.
    fn send_request(&mut self, client: usize) {
        let nodes = self.running();
        let state = &mut self.clients.all[client];
        let wanted = match state.busy.as_ref().map(|busy| &busy.intent) {
            Some(Intent::WriteStamped { pk }) => nodes.get(usize::from(*pk) % nodes.len().max(1)),
            Some(Intent::ReadAt { node, .. }) => nodes.iter().find(|running| *running == node),
            _ => None,
        };
        let Some(node) = wanted.or_else(|| state.random.pick(&nodes)).copied() else {
            self.end_operation(client, Fate::Refused, Some("no node runs".to_owned()));
            return;
        };
        let Some(running) = &self.nodes[node].running else { return };
        let worker = 1 + state.random.below(running.machines() as u64 - 1) as usize;
        // The operator does not ask whom it knows to be no use.
        if client == 0 && running.shared.phase() != NodePhase::Ready {
            self.end_operation(client, Fate::Refused, Some("the node is not ready".to_owned()));
            return;
        }
        self.clients.next_request += 1;
        let id = RequestId(self.clients.next_request);
        let state = &mut self.clients.all[client];
        state.turn += 1;
        let turn = state.turn;
        let Some(busy) = &mut state.busy else { return };
        let is_impatient = client > 0 && state.random.chance(self.knobs.manners.impatience, 100);
        let stood_still = self.nodes[node].stood_still_ns(self.now);
        busy.sent = Some(Sent { id, node, machine: worker, at: self.now, stood_still, is_impatient });
        self.clients.history.records[busy.operation].through = Some((node, self.nodes[node].life));
        let request = match &busy.preparing {
            Some(text) => ClientRequest {
                body: RequestBody::Prepare { text: text.clone() },
                keyspace: None,
                options: QueryOptions::default(),
            },
            None => busy.request.clone(),
        };
        self.clients.waiting.insert(id, (client, turn));
        let life = self.nodes[node].life;
        let after = self.random.between(20_000, 2_000_000);
        self.schedule(after, Event::Step { node, life, machine: worker, input: Input::Client { id, request } });
        let patience = match is_impatient {
            true => self.random.between(1_000_000, nanos(self.knobs.timing.write_timeout)),
            false => self.patience(),
        };
        self.schedule(patience, Event::Client { client, turn });
    }

    /// The longest that any operation may take while its node's process runs.
    fn patience(&self) -> u64 {
        let timing = &self.knobs.timing;
        let longest = [timing.write_timeout, timing.read_timeout, timing.range_timeout, timing.schema_timeout];
        nanos(longest.into_iter().max().unwrap_or_default() * 2 + ANSWER_SLACK)
    }

    /// The answer has not come in time. That must not be, unless the node stood still, or the client is impatient.
    fn client_waited(&mut self, client: usize) {
        let Some(busy) = &self.clients.all[client].busy else { return };
        let (operation, sent) = (busy.operation, busy.sent);
        if let Some(sent) = sent.filter(|sent| !sent.is_impatient) {
            let stood_still = self.nodes[sent.node].stood_still_ns(self.now).saturating_sub(sent.stood_still);
            let ran = (self.now - sent.at).saturating_sub(stood_still);
            let patience = self.patience();
            if ran < patience {
                let turn = self.clients.all[client].turn;
                let left = (patience - ran).max(self.nodes[sent.node].paused_until.saturating_sub(self.now));
                self.schedule(left, Event::Client { client, turn });
                return;
            }
            let intent = format!("{:?}", busy.intent);
            self.blame("liveness", format!("node {} never answered operation {operation} ({intent})", sent.node));
        }
        if let Some(sent) = sent {
            self.clients.waiting.remove(&sent.id);
            let (node, life) = (sent.node, self.nodes[sent.node].life);
            // Some clients say that they are gone, others are just gone.
            if sent.is_impatient && self.random.chance(1, 2) {
                let input = Input::Cancel(sent.id);
                let machine = sent.machine;
                self.schedule(1_000_000, Event::Step { node, life, machine, input });
            }
        }
        self.end_operation(client, Fate::Unknown, Some("no answer".to_owned()));
    }

    /// A node has answered.
    pub(super) fn reply(&mut self, node: usize, id: RequestId, response: ClientResponse) {
        let text = match &response.result {
            Ok(answer) => {
                if let Answer::Rows(rows) = answer {
                    self.trace.note(self.now, node, "rows", &rows.data);
                }
                String::new()
            }
            Err(error) => error.to_string(),
        };
        self.trace.note(self.now, node, "reply", text.as_bytes());
        let Some((client, turn)) = self.clients.waiting.remove(&id) else {
            if !self.clients.is_known(id) {
                self.blame("answers", format!("node {node} answered request {}, which is not in flight", id.0));
            }
            return;
        };
        let after = self.random.between(20_000, 2_000_000);
        self.schedule(after, Event::Answered { client, turn, answer: Box::new(response) });
    }

    pub(super) fn client_answered(&mut self, client: usize, turn: u64, response: ClientResponse) {
        if self.clients.all[client].turn != turn {
            return;
        }
        let response = self.through_cache(client, response);
        let Some(busy) = &mut self.clients.all[client].busy else { return };
        busy.sent = None;
        if let Some(text) = busy.preparing.take() {
            self.client_prepared(client, text, response);
            return;
        }
        match response.result {
            Ok(Answer::Rows(rows)) => {
                let state = rows.paging_state.clone();
                busy.pages.push(rows);
                if state.is_some() {
                    busy.request.options.paging_state = state;
                    self.send_request(client);
                } else {
                    self.finish_read(client);
                }
            }
            Ok(_) => self.end_operation(client, Fate::Acked, None),
            Err(error) => {
                if matches!(error, RequestError::Unprepared(_)) {
                    self.clients.all[client].prepared.clear();
                }
                let fate = match error.outcome() {
                    Outcome::Refused => Fate::Refused,
                    Outcome::Unknown => Fate::Unknown,
                };
                self.end_operation(client, fate, Some(error.to_string()));
            }
        }
    }

    /// The planted stale cache: some answers are older than their questions.
    fn through_cache(&mut self, client: usize, response: ClientResponse) -> ClientResponse {
        if self.plant != Some(Plant::StaleCache) || !matches!(response.result, Ok(Answer::Rows(_))) {
            return response;
        }
        let Some(busy) = &self.clients.all[client].busy else { return response };
        if busy.request.options.page_size.is_some() {
            return response;
        }
        let question = format!("{:?}", busy.intent);
        let earlier = self.clients.cache.entry(question).or_insert_with(|| response.clone()).clone();
        if self.random.chance(1, 30) { earlier } else { response }
    }

    fn client_prepared(&mut self, client: usize, text: String, response: ClientResponse) {
        match response.result {
            Ok(Answer::Prepared(prepared)) => {
                let state = &mut self.clients.all[client];
                state.prepared.insert(text, prepared.id);
                let Some(busy) = &mut state.busy else { return };
                let timestamp = busy.request.options.timestamp.map_or(0, |timestamp| timestamp.0);
                let built = workload::build(&busy.intent, busy.operation, timestamp, Some(&state.prepared));
                busy.request = built.request;
                self.send_request(client);
            }
            Ok(other) => {
                self.blame("answers", format!("PREPARE was answered with {other:?}"));
                self.end_operation(client, Fate::Refused, None);
            }
            // Nothing was executed.
            Err(error) => self.end_operation(client, Fate::Refused, Some(error.to_string())),
        }
    }

    fn finish_read(&mut self, client: usize) {
        let Some(busy) = &self.clients.all[client].busy else { return };
        let operation = busy.operation;
        let expected = match &busy.intent {
            Intent::Read { shape, .. } | Intent::ReadAt { shape, .. } => Expected::Main(shape),
            Intent::ReadSide { tied: true, pk, .. } => Expected::Side(TIED + pk, TIED),
            Intent::ReadSide { tied: false, pk, .. } => Expected::Side(STAMPED + pk, STAMPED),
            _ => Expected::Short,
        };
        match read_rows(&busy.pages, expected) {
            Ok((found, keys)) => {
                if let Body::Read { seen, rows, .. } = &mut self.clients.history.records[operation].body {
                    (*seen, *rows) = (found, keys);
                }
                self.end_operation(client, Fate::Acked, None);
            }
            Err(error) => {
                let intent = format!("{:?}", busy.intent);
                self.blame("answers", format!("read {operation} ({intent}): {}", error.0));
                self.end_operation(client, Fate::Unknown, Some(error.0));
            }
        }
    }

    /// A process is gone: whoever waited for it knows nothing.
    pub(super) fn disconnect_clients(&mut self, node: usize) {
        for client in 0..self.clients.all.len() {
            let state = &self.clients.all[client];
            let Some(sent) = state.busy.as_ref().and_then(|busy| busy.sent).filter(|sent| sent.node == node) else {
                continue;
            };
            self.clients.waiting.remove(&sent.id);
            let turn = self.clients.all[client].turn;
            let after = self.random.between(100_000, 500_000_000);
            self.schedule(after, Event::Disconnected { client, turn });
        }
    }

    pub(super) fn client_disconnected(&mut self, client: usize, turn: u64) {
        if self.clients.all[client].turn == turn && self.clients.all[client].busy.is_some() {
            self.end_operation(client, Fate::Unknown, Some("the connection is gone".to_owned()));
        }
    }

    fn end_operation(&mut self, client: usize, fate: Fate, error: Option<String>) {
        if fate == Fate::Unknown && self.sends_again(client) {
            return;
        }
        let Some(busy) = self.clients.all[client].busy.take() else { return };
        // What was sent before may have had its effect, whatever became of the last attempt.
        let fate = if busy.retries > 0 && fate == Fate::Refused { Fate::Unknown } else { fate };
        self.clients.moment += 1;
        let until = WALL_START_US + (self.now / 1_000) as i64;
        let record = &mut self.clients.history.records[busy.operation];
        record.returned = Some(self.clients.moment);
        record.returned_us = Some(until);
        record.fate = fate;
        record.error.clone_from(&error);
        if let Body::Truncate { until_us, .. } = &mut record.body {
            *until_us = Some(until);
        }
        let operation = busy.operation as u64;
        self.trace.note(self.now, client, "outcome", &[&operation.to_le_bytes()[..], &[fate as u8]].concat());
        if client > 0
            && fate == Fate::Acked
            && matches!(busy.intent, Intent::Ddl(_) | Intent::Comment | Intent::Truncate)
        {
            self.judged.changes += 1;
        }
        if client == 0 {
            self.task_ended(fate, busy, error);
        } else {
            let after = Knobs::around(&mut self.clients.all[client].random, self.knobs.think_ns);
            self.client_rests(client, after);
        }
    }

    /// A write of unknown outcome is sent once more, with the timestamp that it had, by clients that do so.
    fn sends_again(&mut self, client: usize) -> bool {
        let retries = self.knobs.manners.retries;
        let Some(busy) = &mut self.clients.all[client].busy else { return false };
        if client == 0 || busy.retries >= retries || !may_be_sent_again(&busy.intent) {
            return false;
        }
        busy.retries += 1;
        busy.sent = None;
        *self.faults.counts.entry("write sent again".to_owned()).or_default() += 1;
        self.send_request(client);
        true
    }

    /// One of the operator's tasks: done, or to be tried again.
    fn task_ended(&mut self, fate: Fate, busy: Busy, error: Option<String>) {
        let operator = &mut self.clients.all[0];
        if fate == Fate::Acked {
            operator.attempts = 0;
            operator.tasks.pop_front();
            operator.done.push(busy.operation);
            self.client_rests(0, 1_000_000);
            return;
        }
        operator.attempts += 1;
        if operator.attempts >= ATTEMPTS_MAX {
            operator.tasks.clear();
            let text =
                format!("{:?} failed {ATTEMPTS_MAX} times, at last with: {}", busy.intent, error.unwrap_or_default());
            self.blame("liveness", text);
            return;
        }
        self.client_rests(0, RETRY_NS);
    }

    /// What the operator asks each node alone: what was acknowledged at ALL must be on every replica, before any read at
    /// a higher level mends what is not.
    pub(super) fn local_questions(&self) -> Vec<Intent> {
        let partitions = self.knobs.mix.partitions;
        let of_node = |node| (0..partitions).map(move |pk| (node, pk));
        let places = (0..self.started()).flat_map(of_node);
        let shape = |pk| ReadShape::Partition { pk, limit: None, reversed: false };
        places.map(|(node, pk)| Intent::ReadAt { node, shape: shape(pk) }).collect()
    }

    /// What the operator asks at the end of everything that was written.
    pub(super) fn last_questions(&self, level: crate::history::Level) -> Vec<Intent> {
        let partition = |pk| Intent::Read {
            shape: ReadShape::Partition { pk, limit: None, reversed: false },
            level,
            page_size: None,
        };
        let scan = |page_size| Intent::Read { shape: ReadShape::Scan, level, page_size };
        let mut questions: Vec<Intent> = (0..self.knobs.mix.partitions).map(partition).collect();
        questions.extend([scan(None), scan(Some(3)), Intent::ReadShort { level }]);
        if self.knobs.mix.asides > 0 {
            let sides =
                (0..SIDE_PARTITIONS).flat_map(|pk| [true, false].map(|tied| Intent::ReadSide { tied, pk, level }));
            questions.extend(sides);
        }
        questions
    }
}

impl super::Clients {
    /// Whether a request with this number was ever sent: its client may have given up, or its node restarted.
    fn is_known(&self, id: RequestId) -> bool {
        id.0 <= self.next_request
    }
}

/// Whether a write is the same when it is sent again: not if its TTL begins anew.
fn may_be_sent_again(intent: &Intent) -> bool {
    match intent {
        Intent::Write { shape: WriteShape::Insert { ttl, .. }, .. } => ttl.is_none(),
        Intent::Write { .. } => true,
        _ => false,
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
