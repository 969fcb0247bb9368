//! An unlogged batch over several partitions: a write each, one answer.

use quorate_env::Instant;
use quorate_model::Consistency;
use quorate_model::request::{Outcome, RequestError, WriteType};

use crate::levels::Requirement;
use crate::limits;
use crate::message::EncodedMutation;
use crate::plan::ReplicaPlan;
use crate::write::{WriteInput, WriteMachine, WriteOutput, WriteRequest};

/// What happened.
#[derive(Clone, Debug)]
pub enum BatchInput {
    /// To one of its writes, named by its index.
    Part(usize, WriteInput),
    /// To all of them: a broken link, or time.
    All(WriteInput),
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum BatchOutput {
    /// For one of its writes: never `Done` or `Finished`.
    Part(usize, WriteOutput),
    /// The answer for the client; said once.
    Done(Result<(), RequestError>),
    /// Nothing more is awaited. Said once, last.
    Finished,
}

/// See the module.
#[derive(Debug)]
pub struct BatchMachine {
    consistency: Consistency,
    write_type: WriteType,
    parts: Vec<WriteMachine>,
    results: Vec<Option<Result<(), RequestError>>>,
    answered: usize,
    unfinished: usize,
    done: bool,
}

impl BatchMachine {
    /// Starts all writes, or none: if the level cannot be met for one of them, the batch is refused with nothing sent.
    pub fn start(
        writes: Vec<(EncodedMutation, ReplicaPlan)>,
        consistency: Consistency,
        write_type: WriteType,
        deadline: Instant,
        now: Instant,
        out: &mut Vec<BatchOutput>,
    ) -> Self {
        let mut machine = Self {
            consistency,
            write_type,
            parts: Vec::new(),
            results: Vec::new(),
            answered: 0,
            unfinished: 0,
            done: false,
        };
        if let Err(error) = Self::check_start(&writes, consistency) {
            machine.done = true;
            out.push(BatchOutput::Done(Err(error)));
            out.push(BatchOutput::Finished);
            return machine;
        }
        machine.unfinished = writes.len();
        machine.results.resize(writes.len(), None);
        let mut outputs = Vec::new();
        for (index, (mutation, plan)) in writes.into_iter().enumerate() {
            let request = WriteRequest { mutation, consistency, write_type, deadline };
            machine.parts.push(WriteMachine::start(request, plan, now, &mut outputs));
            machine.pass_on(index, &mut outputs, out);
        }
        if machine.parts.is_empty() {
            machine.done = true;
            out.push(BatchOutput::Done(Ok(())));
            out.push(BatchOutput::Finished);
        }
        machine
    }

    fn check_start(writes: &[(EncodedMutation, ReplicaPlan)], consistency: Consistency) -> Result<(), RequestError> {
        if writes.len() > limits::BATCH_PARTITIONS_MAX {
            return Err(RequestError::invalid(format!(
                "a batch of {} partitions; at most {} are allowed",
                writes.len(),
                limits::BATCH_PARTITIONS_MAX
            )));
        }
        writes.iter().try_for_each(|(_, plan)| Requirement::for_write(consistency, plan)?.check_alive(plan.alive()))
    }

    /// The writes, for their mutations and plans.
    pub fn part(&self, index: usize) -> Option<&WriteMachine> {
        self.parts.get(index)
    }

    /// When it wants a [`WriteInput::Tick`].
    pub fn deadline(&self) -> Option<Instant> {
        self.parts.iter().find_map(WriteMachine::deadline)
    }

    /// Whether it can go.
    pub fn is_finished(&self) -> bool {
        self.unfinished == 0
    }

    /// Takes an event.
    pub fn step(&mut self, now: Instant, input: BatchInput, out: &mut Vec<BatchOutput>) {
        let mut outputs = Vec::new();
        match input {
            BatchInput::Part(index, input) => {
                if let Some(part) = self.parts.get_mut(index) {
                    part.step(now, input, &mut outputs);
                    self.pass_on(index, &mut outputs, out);
                }
            }
            BatchInput::All(input) => {
                for index in 0..self.parts.len() {
                    self.parts[index].step(now, input.clone(), &mut outputs);
                    self.pass_on(index, &mut outputs, out);
                }
            }
        }
        self.check();
    }

    /// Starts one of its writes again with a newer plan.
    pub fn replan(&mut self, now: Instant, index: usize, plan: ReplicaPlan, out: &mut Vec<BatchOutput>) {
        let mut outputs = Vec::new();
        if let Some(part) = self.parts.get_mut(index) {
            part.replan(now, plan, &mut outputs);
            self.pass_on(index, &mut outputs, out);
        }
    }

    fn pass_on(&mut self, index: usize, outputs: &mut Vec<WriteOutput>, out: &mut Vec<BatchOutput>) {
        for output in outputs.drain(..) {
            match output {
                WriteOutput::Done(result) => {
                    self.results[index] = Some(result);
                    self.answered += 1;
                    if self.answered == self.results.len() {
                        self.done = true;
                        out.push(BatchOutput::Done(self.verdict()));
                    }
                }
                WriteOutput::Finished => {
                    self.unfinished -= 1;
                    if self.unfinished == 0 {
                        out.push(BatchOutput::Finished);
                    }
                }
                output => out.push(BatchOutput::Part(index, output)),
            }
        }
    }

    /// One answer of many: a failure before a timeout before a refusal. A refusal stands only if every part was refused;
    /// otherwise some of the batch may be there, and the error has to say so.
    fn verdict(&self) -> Result<(), RequestError> {
        let errors = || self.results.iter().flatten().filter_map(|result| result.as_ref().err());
        let Some(first) = errors().next() else { return Ok(()) };
        if let Some(failure) = errors().find(|error| matches!(error, RequestError::WriteFailure { .. })) {
            return Err(failure.clone());
        }
        if let Some(unknown) = errors().find(|error| error.outcome() == Outcome::Unknown) {
            return Err(unknown.clone());
        }
        if errors().count() == self.results.len() {
            return Err(first.clone());
        }
        let required = self.parts.first().map_or(0, |part| part.requirement().required());
        Err(RequestError::WriteFailure {
            consistency: self.consistency,
            received: 0,
            required,
            write_type: self.write_type,
            failures: vec![(quorate_model::NodeId::default(), format!("a part of the batch was refused: {first}"))],
        })
    }

    /// Asserts the invariants.
    pub fn check(&self) {
        assert_eq!(self.answered, self.results.iter().flatten().count(), "answers counted");
        assert_eq!(
            self.unfinished,
            self.parts.iter().filter(|part| !part.is_finished()).count(),
            "unfinished writes counted"
        );
        assert!(self.done || self.answered < self.results.len() || self.results.is_empty(), "all answered, not done");
        self.parts.iter().for_each(WriteMachine::check);
    }
}
