//! One thread's part of a load: its connections, waited on together.

use std::time::{Duration, Instant};

use bytes::Bytes;
use quorate_client::Outcome;
use quorate_cql_wire::message::error::ErrorKind;
use quorate_cql_wire::message::result::ResultMessage;
use quorate_cql_wire::{Arrived, Response};
use quorate_model::Consistency;
use rustix::event::PollFd;

use super::connection::{Connection, Sent, wait};
use crate::args::Workload;
use crate::limits::DRAIN_TIME;
use crate::load::{LATENCY_US_MAX, Random, Tally};
use crate::target::BenchError;

/// When a phase ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// After so long.
    After(Duration),
    /// When every key was written once.
    EveryKey,
}

/// What is to be sent, and when.
pub(super) struct Phase {
    pub(super) workload: Workload,
    pub(super) reads_percent: u8,
    pub(super) keys: u64,
    /// A connection.
    pub(super) in_flight: usize,
    pub(super) rate: Option<u32>,
    pub(super) end: End,
    pub(super) seed: u64,
    pub(super) consistency: Consistency,
    pub(super) value: Bytes,
}

impl Phase {
    /// When the request of this number is due, from the start; at once if there is no rate.
    pub(super) fn due(&self, number: u64) -> Duration {
        self.rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(number as f64 / f64::from(rate)))
    }

    /// Whether the request of this number is one too many.
    pub(super) fn is_over(&self, number: u64, elapsed: Duration) -> bool {
        match self.end {
            End::EveryKey => number >= self.keys,
            End::After(duration) if self.rate.is_some() => self.due(number) >= duration,
            End::After(duration) => elapsed >= duration,
        }
    }
}

/// A connection's share: every `step`-th request, from its own place on.
struct Share {
    next: u64,
    step: u64,
    random: Random,
    over: bool,
}

/// Drives these connections, the first of which is number `first` of all `count`, until the phase is over and every
/// request answered, or no answer came for too long.
pub(super) fn drive(
    phase: &Phase,
    connections: &mut [Connection],
    first: usize,
    count: usize,
    started: Instant,
) -> Result<Tally, BenchError> {
    let mut tally = Tally::default();
    let share = |number: usize| Share {
        next: number as u64,
        step: count as u64,
        random: Random(phase.seed.wrapping_mul(1_000_003).wrapping_add(number as u64)),
        over: false,
    };
    let mut shares: Vec<Share> = (first..first + connections.len()).map(share).collect();
    let mut drained_by: Option<Instant> = None;
    loop {
        let mut wake = DRAIN_TIME;
        for (connection, share) in connections.iter_mut().zip(&mut shares) {
            wake = wake.min(put(phase, connection, share, started)?);
            connection.send()?;
        }
        let now = Instant::now();
        if shares.iter().all(|share| share.over) {
            let out: usize = connections.iter().map(Connection::in_flight).sum();
            let by = *drained_by.get_or_insert(now + DRAIN_TIME);
            if out == 0 {
                return Ok(tally);
            }
            if now >= by {
                let reason = format!("{out} requests without an answer {} s after the load", DRAIN_TIME.as_secs());
                return Err(connections.first().map_or_else(
                    || BenchError::Setup { what: "draining", reason: reason.clone() },
                    |connection| connection.failed("draining", reason.clone()),
                ));
            }
            wake = wake.min(by - now);
        }
        let interests = connections.iter_mut().map(Connection::interest);
        let mut sockets: Vec<_> = interests.map(|(socket, flags)| PollFd::from_borrowed_fd(socket, flags)).collect();
        wait(&mut sockets, wake);
        let ready: Vec<bool> = sockets.iter().map(|socket| !socket.revents().is_empty()).collect();
        drop(sockets);
        for (connection, _) in connections.iter_mut().zip(ready).filter(|(_, ready)| *ready) {
            connection.take()?;
            let now = Instant::now();
            while let Some(arrived) = connection.next()? {
                count_answer(&mut tally, arrived, now);
            }
        }
    }
}

/// Puts on a connection what is due and fits; how long until the next is due.
fn put(
    phase: &Phase,
    connection: &mut Connection,
    share: &mut Share,
    started: Instant,
) -> Result<Duration, BenchError> {
    let now = Instant::now();
    let elapsed = now - started;
    while !share.over {
        if phase.is_over(share.next, elapsed) {
            share.over = true;
            break;
        }
        let due = phase.due(share.next);
        if due > elapsed {
            return Ok(due - elapsed);
        }
        if connection.in_flight() >= phase.in_flight || !connection.keeps_up() {
            break;
        }
        let number = share.next;
        share.next = number.saturating_add(share.step);
        let is_read = match phase.workload {
            Workload::Write => false,
            Workload::Read => true,
            Workload::Mixed => share.random.next() % 100 < u64::from(phase.reads_percent),
        };
        let key = match phase.end {
            End::EveryKey => number,
            End::After(_) => share.random.next() % phase.keys,
        };
        let statements = connection.statements()?;
        let request = if is_read {
            statements.read(key, phase.consistency)
        } else {
            statements.write(key, &phase.value, phase.consistency)
        };
        let since = if phase.rate.is_some() { started + due } else { now };
        connection.put(&request, Sent { since, is_read })?;
    }
    Ok(match phase.end {
        // Over without an answer: somebody has to look at the clock.
        End::After(duration) if !share.over && phase.rate.is_none() => duration.saturating_sub(elapsed),
        _ => DRAIN_TIME,
    })
}

fn count_answer(tally: &mut Tally, arrived: Arrived<Sent>, now: Instant) {
    match arrived {
        Arrived::Answer { tag, response } => match response.body {
            Response::Error(error) => {
                match outcome(&error.kind) {
                    Outcome::Refused => tally.refused += 1,
                    Outcome::Unknown => tally.unknown += 1,
                }
                tally.first_failure.get_or_insert(error.message);
            }
            Response::Result(result) => {
                let micros = u64::try_from((now - tag.since).as_micros()).unwrap_or(u64::MAX);
                tally.latencies.saturating_record(micros.min(LATENCY_US_MAX));
                let found = matches!(&result, ResultMessage::Rows(rows) if rows.row_count > 0);
                tally.missing += u64::from(tag.is_read && !found);
            }
            other => {
                tally.unknown += 1;
                tally.first_failure.get_or_insert_with(|| format!("answered with {other:?}"));
            }
        },
        Arrived::Garbled { error, .. } => {
            tally.unknown += 1;
            tally.first_failure.get_or_insert_with(|| error.to_string());
        }
        Arrived::Ready | Arrived::Reconnect(_) | Arrived::Event(_) => {}
    }
}

/// Whether a request that was answered so may have had an effect.
fn outcome(kind: &ErrorKind) -> Outcome {
    match kind {
        ErrorKind::Server
        | ErrorKind::WriteTimeout { .. }
        | ErrorKind::WriteFailure { .. }
        | ErrorKind::CasWriteUnknown { .. }
        | ErrorKind::Truncate => Outcome::Unknown,
        _ => Outcome::Refused,
    }
}
