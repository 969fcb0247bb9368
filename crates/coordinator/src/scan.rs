//! One read of many partitions: range after range in ring order, several at once where rows are sparse.
//!
//! Inputs and outputs are those of [`ReadMachine`], so that a driver treats both alike.

use std::collections::VecDeque;
use std::sync::Arc;

use quorate_env::Instant;
use quorate_model::request::RequestError;
use quorate_model::{ReadResponse, ReadTarget, Resume, Token};

use crate::limits;
use crate::plan::ReplicaPlan;
use crate::read::ReadMachine;
use crate::reconcile::{Continuation, Page};
use crate::request::{ReadInput, ReadOutput, ReadRequest, ReadStats, Tag};

/// A range of tokens, not wrapping, and its replicas.
#[derive(Clone, Debug)]
pub struct ScanRange {
    /// Exclusive start; `None` is the ring's start.
    pub after: Option<Token>,
    /// Inclusive end.
    pub last: Token,
    /// Who has it.
    pub plan: ReplicaPlan,
}

#[derive(Debug)]
enum Slot {
    Reading(Box<ReadMachine>),
    Read(Result<ReadResponse, RequestError>),
}

/// See the module.
#[derive(Debug)]
pub struct ScanMachine {
    request: ReadRequest,
    /// Not yet begun, in ring order.
    waiting: VecDeque<ScanRange>,
    /// Begun, in ring order; the first one's part comes next into the page.
    begun: VecDeque<Slot>,
    /// The number of the first begun range; ranges count up through replans too, so that old answers find nobody.
    first_begun: u64,
    concurrency: usize,
    ranges_taken: u32,
    page: Page,
    /// Up to where the page is filled, within a replan.
    filled_to: Option<Resume>,
    awaiting_plan: bool,
    done: bool,
    stats: ReadStats,
}

/// Tags of one range's machine begin at its number times this.
const TAGS_OF_RANGE: u64 = 1 << 32;

impl ScanMachine {
    /// Starts a scan of the request's range. `ranges`, in ring order and without gaps, must cover it; what lies outside
    /// is left out, and neighbours with the same replicas are read as one.
    pub fn start(request: ReadRequest, ranges: Vec<ScanRange>, now: Instant, out: &mut Vec<ReadOutput>) -> Self {
        let mut machine = Self {
            page: Page::new(request.command.clone(), request.resume.clone()),
            waiting: clip(&request, ranges),
            request,
            begun: VecDeque::new(),
            first_begun: 0,
            concurrency: 1,
            ranges_taken: 0,
            filled_to: None,
            awaiting_plan: false,
            done: false,
            stats: ReadStats::default(),
        };
        machine.advance(now, out);
        machine
    }

    /// What it took so far.
    pub fn stats(&self) -> ReadStats {
        let reading = self.begun.iter().filter_map(|slot| match slot {
            Slot::Reading(machine) => Some(machine.stats()),
            Slot::Read(_) => None,
        });
        reading.fold(self.stats, add_stats)
    }

    /// Whether it can go.
    pub fn is_finished(&self) -> bool {
        self.done
    }

    /// When it wants a [`ReadInput::Tick`].
    pub fn deadline(&self) -> Option<Instant> {
        if self.done {
            return None;
        }
        let reading = self.begun.iter().filter_map(|slot| match slot {
            Slot::Reading(machine) => machine.deadline(),
            Slot::Read(_) => None,
        });
        reading.chain([self.request.deadline]).min()
    }

    /// Takes an event.
    pub fn step(&mut self, now: Instant, input: ReadInput, out: &mut Vec<ReadOutput>) {
        match &input {
            ReadInput::Response { tag, .. } => {
                let range = (tag.0 / TAGS_OF_RANGE).checked_sub(self.first_begun);
                if let Some(index) = range.and_then(|range| usize::try_from(range).ok()) {
                    self.step_range(index, now, input, out);
                }
            }
            ReadInput::LinkDown { .. } | ReadInput::Tick => {
                for index in 0..self.begun.len() {
                    self.step_range(index, now, input.clone(), out);
                }
            }
        }
        self.advance(now, out);
    }

    /// Goes on with newer plans, from where the page is filled to.
    pub fn replan(&mut self, now: Instant, ranges: Vec<ScanRange>, out: &mut Vec<ReadOutput>) {
        if self.done {
            return;
        }
        self.stats = self.stats();
        self.first_begun += self.begun.len() as u64;
        self.begun.clear();
        self.awaiting_plan = false;
        if let Some(place) = &self.filled_to {
            self.request.resume = Some(Continuation { place: place.clone(), rows_given: 0 });
        }
        self.waiting = clip(&self.request, ranges);
        self.advance(now, out);
    }

    fn step_range(&mut self, index: usize, now: Instant, input: ReadInput, out: &mut Vec<ReadOutput>) {
        let Some(Slot::Reading(machine)) = self.begun.get_mut(index) else { return };
        let mut outputs = Vec::new();
        machine.step(now, input, &mut outputs);
        self.pass_on(index, outputs, out);
    }

    fn pass_on(&mut self, index: usize, outputs: Vec<ReadOutput>, out: &mut Vec<ReadOutput>) {
        for output in outputs {
            match output {
                ReadOutput::Done(result) => {
                    if let Some(slot) = self.begun.get_mut(index) {
                        if let Slot::Reading(machine) = slot {
                            self.stats = add_stats(self.stats, machine.stats());
                        }
                        *slot = Slot::Read(result);
                    }
                }
                ReadOutput::Replan { .. } if self.awaiting_plan => {}
                ReadOutput::Replan { .. } => {
                    self.awaiting_plan = true;
                    out.push(output);
                }
                ReadOutput::Send { .. } => out.push(output),
            }
        }
    }

    fn advance(&mut self, now: Instant, out: &mut Vec<ReadOutput>) {
        while !self.done {
            if let Some(Slot::Read(_)) = self.begun.front() {
                if let Some(Slot::Read(result)) = self.begun.pop_front() {
                    self.first_begun += 1;
                    self.take(result, out);
                }
            } else if self.begun.is_empty() && self.waiting.is_empty() && !self.awaiting_plan {
                self.finish(None, out);
            } else if self.begun.len() < self.concurrency && !self.awaiting_plan && !self.waiting.is_empty() {
                self.begin(now, out);
            } else {
                break;
            }
        }
        if !self.done && self.awaiting_plan && now >= self.request.deadline {
            self.done = true;
            self.begun.clear();
            out.push(ReadOutput::Done(Err(RequestError::ReadTimeout {
                consistency: self.request.consistency,
                received: 0,
                required: 1,
                data_present: false,
            })));
        }
        self.check();
    }

    /// Begins the next range.
    fn begin(&mut self, now: Instant, out: &mut Vec<ReadOutput>) {
        let Some(range) = self.waiting.pop_front() else { return };
        let mut request = self.request.clone();
        let command = Arc::make_mut(&mut request.command);
        command.row_limit = self.page.rows_left();
        if let ReadTarget::Range { after, last, .. } = &mut command.target {
            (*after, *last) = (range.after, range.last);
        }
        let within = |resume: &Continuation| {
            let token = resume.place.key.token;
            range.after.is_none_or(|after| token > after) && token <= range.last
        };
        request.resume = request.resume.filter(within);
        let first_tag = (self.first_begun + self.begun.len() as u64) * TAGS_OF_RANGE;
        let mut outputs = Vec::new();
        let machine = ReadMachine::start_tagged(request, range.plan, first_tag, now, &mut outputs);
        self.begun.push_back(Slot::Reading(Box::new(machine)));
        self.pass_on(self.begun.len() - 1, outputs, out);
    }

    /// Takes in the next range's part, and decides how many ranges to read at once from now on.
    fn take(&mut self, result: Result<ReadResponse, RequestError>, out: &mut Vec<ReadOutput>) {
        let response = match result {
            Ok(response) => response,
            Err(error) => {
                self.done = true;
                self.begun.clear();
                return out.push(ReadOutput::Done(Err(error)));
            }
        };
        let place = response.stopped_at;
        let last = response.partitions.last().map(|(key, _)| Resume { key: key.clone(), position: None });
        let full = self.page.add(response.partitions, place.as_ref());
        if full || place.is_some() {
            return self.finish(place, out);
        }
        self.filled_to = last.or(self.filled_to.take());
        self.ranges_taken = self.ranges_taken.saturating_add(1);
        let rows_left = u64::from(self.page.rows_left());
        let rows_taken = u64::from(self.request.command.row_limit.max(1)).saturating_sub(rows_left);
        let needed = match rows_taken / u64::from(self.ranges_taken) {
            0 => limits::SCAN_CONCURRENCY_MAX as u64,
            rows_a_range => rows_left / rows_a_range + 1,
        };
        let doubled = (self.concurrency * 2).min(limits::SCAN_CONCURRENCY_MAX);
        self.concurrency = usize::try_from(needed).unwrap_or(usize::MAX).clamp(1, doubled);
    }

    fn finish(&mut self, frontier: Option<Resume>, out: &mut Vec<ReadOutput>) {
        self.done = true;
        self.begun.clear();
        let empty = Page::new(self.request.command.clone(), None);
        let page = std::mem::replace(&mut self.page, empty);
        out.push(ReadOutput::Done(Ok(page.finish(frontier))));
    }

    /// Asserts the invariants.
    pub fn check(&self) {
        assert!(self.concurrency >= 1 && self.concurrency <= limits::SCAN_CONCURRENCY_MAX, "concurrency is bounded");
        assert!(self.begun.len() <= limits::SCAN_CONCURRENCY_MAX, "ranges read at once are bounded");
        assert!(!self.done || self.begun.is_empty(), "done, yet reading");
        for slot in &self.begun {
            if let Slot::Reading(machine) = slot {
                machine.check();
            }
        }
    }
}

fn add_stats(a: ReadStats, b: ReadStats) -> ReadStats {
    ReadStats {
        speculative: a.speculative.saturating_add(b.speculative),
        mismatches: a.mismatches.saturating_add(b.mismatches),
        repairs: a.repairs.saturating_add(b.repairs),
        short_reads: a.short_reads.saturating_add(b.short_reads),
    }
}

/// The parts of the ranges that the command wants, neighbours with the same replicas joined.
fn clip(request: &ReadRequest, ranges: Vec<ScanRange>) -> VecDeque<ScanRange> {
    let mut clipped: VecDeque<ScanRange> = VecDeque::new();
    let ReadTarget::Range { after: wanted_after, last: wanted_last, .. } = &request.command.target else {
        return clipped;
    };
    for mut range in ranges {
        range.after = range.after.max(*wanted_after);
        range.last = range.last.min(*wanted_last);
        let is_empty = range.after.is_some_and(|after| after >= range.last);
        let is_past = request.resume.as_ref().is_some_and(|resume| resume.place.key.token > range.last);
        if is_empty || is_past {
            continue;
        }
        match clipped.back_mut() {
            Some(previous) if Some(previous.last) == range.after && previous.plan.same_replicas(&range.plan) => {
                previous.last = range.last;
            }
            _ => clipped.push_back(range),
        }
    }
    clipped
}

/// Whether a tag belongs to the range with this number (for drivers' traces).
pub fn range_of(tag: Tag) -> u64 {
    tag.0 / TAGS_OF_RANGE
}
