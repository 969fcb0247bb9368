//! An operation: one client's request from its arrival until nothing more is awaited for it.

use quorate_env::{Instant, Now};
use quorate_model::Epoch;

use super::reads::ReadOp;
use super::trace::Tracing;
use super::traces::TraceWrite;
use super::writes::WriteOp;
use crate::machine::RequestId;

/// See the module.
pub(super) struct Op {
    /// Whom to answer; `None` if the worker itself began it.
    pub client: Option<RequestId>,
    /// Whether that was done.
    pub answered: bool,
    pub arrived: Instant,
    pub deadline: Instant,
    /// The epoch that its present plans were made at.
    pub epoch: Epoch,
    pub warnings: Vec<String>,
    pub trace: Option<Box<Tracing>>,
    /// What is stored, if it is a write of a trace.
    pub storing: Option<TraceWrite>,
    /// Whether the worker knows that the client waits for it.
    pub is_filed: bool,
    /// Calls in flight.
    pub calls: Vec<u64>,
    /// The timer that is set for it.
    pub timer: Option<Instant>,
    /// Parts that wait for a later epoch to be planned again.
    pub replans: Vec<(usize, Epoch)>,
    pub kind: Kind,
}

/// What an operation does.
pub(super) enum Kind {
    Write(WriteOp),
    Read(Box<ReadOp>),
    /// The control machine works on it.
    Control,
}

impl Op {
    /// One that does nothing yet.
    pub(super) fn new(client: impl Into<Option<RequestId>>, arrived: Instant, deadline: Instant, epoch: Epoch) -> Self {
        Self {
            client: client.into(),
            answered: false,
            arrived,
            deadline,
            epoch,
            warnings: Vec::new(),
            trace: None,
            storing: None,
            is_filed: false,
            calls: Vec::new(),
            timer: None,
            replans: Vec::new(),
            kind: Kind::Control,
        }
    }

    pub(super) fn is_finished(&self) -> bool {
        match &self.kind {
            Kind::Write(write) => write.machine.is_finished(),
            Kind::Read(_) | Kind::Control => self.answered,
        }
    }

    /// When it wants to be told that time has passed.
    pub(super) fn wanted_tick(&self) -> Option<Instant> {
        match &self.kind {
            Kind::Write(write) => write.machine.deadline(),
            Kind::Read(read) => read.deadline().or(Some(self.deadline)),
            Kind::Control => Some(self.deadline),
        }
    }

    /// Whether something in it waits for this epoch or an earlier one.
    pub(super) fn waits_for_at_most(&self, epoch: Epoch) -> bool {
        self.replans.iter().any(|(_, wanted)| *wanted <= epoch)
    }

    /// Notes an event if the request is traced.
    pub(super) fn note(&mut self, now: Now, activity: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.note(now, activity());
        }
    }
}
