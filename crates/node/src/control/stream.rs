//! Copying ranges from other nodes, page by page: those that this node takes over, and those that it has lost.
//!
//! A page is an ordinary replica read of everything in a range, tombstones included; each partition of it is logged,
//! synced and applied by a worker of this node before the next page is asked for. A finished range is remembered in the
//! system store. Everything may be repeated: merging is idempotent.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use quorate_coordinator::message::{
    EncodedMutation, ReplicaFailure, ReplicaRequest, ReplicaResponse, RequestEnvelope, ResponseEnvelope,
};
use quorate_env::Instant;
use quorate_membership::join::CopyTask;
use quorate_model::read::Resume;
use quorate_model::{Mutation, NodeId, Position, ReadCommand, ReadResponse, ReadTarget, RowChoice, Seconds, Token};

use super::{Control, Owner, Step};
use crate::internal::Message;
use crate::limits;
use crate::machine::{Lane, MachineId};
use crate::peer::Frame;

/// How long a source has for one page.
const PAGE_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after a page that did not come.
const RETRY: Duration = Duration::from_millis(500);

/// Why a range is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// This node takes it over.
    Join,
    /// This node has lost what it had of it.
    Rebuild,
}

/// What is being copied.
#[derive(Debug)]
struct Copying {
    task: CopyTask,
    purpose: Purpose,
    /// Parts of the range that do not wrap, not begun yet.
    parts: VecDeque<(Option<Token>, Token)>,
    part: (Option<Token>, Token),
    from: Option<Resume>,
    /// The source has lost some of it too, and is asked for what is left.
    remains: bool,
    attempts: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The next page is to be asked for, at this time or later.
    Ask { not_before: Instant },
    /// It was asked for.
    Asked { call: u64, source: NodeId, deadline: Instant },
    /// It has come and is being applied.
    Applying { tokens: BTreeSet<u64>, next: Option<Resume>, failed: bool },
}

/// See the module. One range at a time.
#[derive(Debug, Default)]
pub(super) struct Stream {
    waiting: VecDeque<(CopyTask, Purpose)>,
    copying: Option<Copying>,
    next: u64,
}

impl Stream {
    /// Has these ranges copied, unless that is under way.
    pub(super) fn want(&mut self, tasks: Vec<CopyTask>, purpose: Purpose) {
        if self.is_idle() {
            self.waiting.extend(tasks.into_iter().map(|task| (task, purpose)));
        }
    }

    /// Whether nothing is being copied.
    pub(super) fn is_idle(&self) -> bool {
        self.copying.is_none() && self.waiting.is_empty()
    }

    /// What was asked of this node will not come.
    pub(super) fn link_lost(&mut self, node: NodeId) {
        if let Some(copying) = &mut self.copying
            && matches!(copying.state, State::Asked { source, .. } if source == node)
        {
            copying.state = State::Ask { not_before: Instant::default() };
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.copying.as_ref().map(|copying| &copying.state)? {
            State::Ask { not_before } => Some(*not_before),
            State::Asked { deadline, .. } => Some(*deadline),
            State::Applying { .. } => None,
        }
    }
}

impl Control {
    pub(super) fn drive_stream(&mut self, step: &mut Step<'_>) {
        if self.stream.copying.is_none()
            && let Some((task, purpose)) = self.stream.waiting.pop_front()
        {
            let mut parts: VecDeque<_> = task.range.unwrapped().into();
            let Some(part) = parts.pop_front() else { return };
            let state = State::Ask { not_before: step.now.mono };
            self.stream.copying =
                Some(Copying { task, purpose, parts, part, from: None, remains: false, attempts: 0, state });
        }
        let Some(copying) = &mut self.stream.copying else { return };
        match copying.state {
            State::Asked { deadline, .. } if deadline <= step.now.mono => {
                copying.state = State::Ask { not_before: step.now.mono + RETRY };
            }
            State::Ask { not_before } if not_before <= step.now.mono => self.ask_page(step),
            _ => {}
        }
    }

    fn ask_page(&mut self, step: &mut Step<'_>) {
        let epoch = self.log.epoch();
        self.stream.next += 1;
        let call = Owner::Stream.tag(self.stream.next);
        let Some(copying) = &mut self.stream.copying else { return };
        let sources: Vec<NodeId> =
            std::iter::once(copying.task.source).chain(copying.task.alternatives.iter().copied()).collect();
        let Some(source) = sources.get(copying.attempts % sources.len()).copied() else { return };
        copying.attempts += 1;
        let (after, last) = copying.part;
        let command = ReadCommand {
            table: copying.task.table,
            target: ReadTarget::Range { after, last, from: copying.from.clone() },
            slices: vec![(Position::START, Position::END)],
            reversed: false,
            row_limit: u32::MAX,
            per_partition_limit: u32::MAX,
            byte_limit: limits::STREAM_PAGE_BYTES,
            // Before everything expires: a copy takes what is there as it is.
            now: Seconds(i64::MIN),
            rows: RowChoice::All,
        };
        let timeout_ms = u32::try_from(PAGE_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
        let body = match copying.remains {
            true => ReplicaRequest::ReadRemains(Arc::new(command)),
            false => ReplicaRequest::Read { command: Arc::new(command), digest_only: false },
        };
        let frame = Frame::Request(RequestEnvelope { id: call, epoch, timeout_ms, trace: false, body });
        copying.state = State::Asked { call, source, deadline: step.now.mono + PAGE_TIMEOUT };
        self.send_request(step, source, Lane::Large, &frame);
    }

    pub(super) fn stream_answered(&mut self, step: &mut Step<'_>, node: NodeId, envelope: ResponseEnvelope) {
        let Some(copying) = &mut self.stream.copying else { return };
        if !matches!(copying.state, State::Asked { call, source, .. } if call == envelope.id && source == node) {
            return;
        }
        match envelope.body {
            ReplicaResponse::Data(page) => {
                copying.attempts = copying.attempts.saturating_sub(1);
                self.apply_page(step, page);
            }
            ReplicaResponse::Failed(ReplicaFailure::UnknownTable) => self.finish_task(step),
            // To take over a range it must be whole. To rebuild one, what is left anywhere helps; two that wait for each
            // other to be whole would wait for ever.
            ReplicaResponse::Failed(ReplicaFailure::Corrupt(_))
                if copying.purpose == Purpose::Rebuild && !copying.remains =>
            {
                copying.remains = true;
                self.ask_page(step);
            }
            _ => copying.state = State::Ask { not_before: step.now.mono + RETRY },
        }
    }

    fn apply_page(&mut self, step: &mut Step<'_>, page: ReadResponse) {
        self.shared.metrics.streamed_partitions_total.add(page.partitions.len() as u64);
        let Some(table) = self.stream.copying.as_ref().map(|copying| copying.task.table) else { return };
        let mut tokens = BTreeSet::new();
        for (key, update) in page.partitions {
            if update.is_empty() {
                continue;
            }
            self.stream.next += 1;
            let token = Owner::Stream.tag(self.stream.next);
            tokens.insert(token);
            let mutation = EncodedMutation::new(Mutation { table, key, update });
            self.to_worker(step, MachineId::worker(0), Message::Apply { token, mutation });
        }
        if let Some(copying) = &mut self.stream.copying {
            copying.state = State::Applying { tokens, next: page.stopped_at, failed: false };
        }
        self.finish_page(step);
    }

    pub(super) fn stream_applied(&mut self, step: &mut Step<'_>, token: u64, response: ReplicaResponse) {
        let Some(Copying { state: State::Applying { tokens, failed, .. }, .. }) = &mut self.stream.copying else {
            return;
        };
        if tokens.remove(&token) {
            match response {
                ReplicaResponse::Written | ReplicaResponse::Failed(ReplicaFailure::UnknownTable) => {}
                _ => *failed = true,
            }
            self.finish_page(step);
        }
    }

    /// If all of a page is applied: goes on with the next page, the next part, or the next range.
    fn finish_page(&mut self, step: &mut Step<'_>) {
        let Some(copying) = &mut self.stream.copying else { return };
        let State::Applying { tokens, next, failed } = &mut copying.state else { return };
        if !tokens.is_empty() {
            return;
        }
        if *failed {
            // The same page again: some of it is here already, which does no harm.
            copying.state = State::Ask { not_before: step.now.mono + RETRY };
            return;
        }
        copying.from = next.take();
        if copying.from.is_none() {
            match copying.parts.pop_front() {
                Some(part) => copying.part = part,
                None => {
                    self.finish_task(step);
                    return;
                }
            }
        }
        copying.state = State::Ask { not_before: step.now.mono };
        self.ask_page(step);
    }

    fn finish_task(&mut self, step: &mut Step<'_>) {
        let Some(copying) = self.stream.copying.take() else { return };
        match copying.purpose {
            Purpose::Join => self.range_copied(step, copying.task.key()),
            Purpose::Rebuild => self.rebuilt_range(step, &copying.task, copying.remains),
        }
        self.drive_stream(step);
    }
}
