//! A thread's own machine. It is stepped where an event arrives, and its outputs are carried out at once: no request is
//! handed to another thread.
//!
//! The host lives in a thread-local because the services of tonic must be `Send`, while nothing here ever leaves its
//! thread. No borrow of it lasts over an `await`.

use std::cell::RefCell;
use std::sync::Arc;

use quorate_env::{Instant, Now};
use quorate_model::request::ClientRequest;
use quorate_node::{Input, MachineId, Output, RequestId};
use quorate_os::Clock;
use tokio::sync::Notify;

use crate::front::{AnswerTo, Waiting};
use crate::limits::INPUTS_A_TURN;
use crate::machine::Machine;
use crate::mailbox::Mail;
use crate::shared::Shared;
use crate::transport::Transport;
use crate::waiting::WaitingTable;

thread_local! {
    static HOST: RefCell<Option<Host>> = const { RefCell::new(None) };
}

/// A machine with what its thread needs to carry out its outputs.
pub(crate) struct Host {
    pub(crate) id: MachineId,
    pub(crate) shared: Arc<Shared>,
    pub(crate) transport: Transport,
    machine: Box<dyn Machine>,
    clock: Clock,
    out: Vec<Output>,
    waiting: WaitingTable<Waiting>,
    /// When the ticker will wake; it is woken earlier if the machine's deadline comes to lie before it.
    armed: Option<Instant>,
    ticker: Arc<Notify>,
    /// The machine has put something into the log since the committer was asked last.
    sync_wanted: bool,
}

impl Host {
    pub(crate) fn new(id: MachineId, machine: Box<dyn Machine>, clock: Clock, shared: Arc<Shared>) -> Self {
        Self {
            id,
            transport: Transport::new(id, Arc::clone(&shared)),
            shared,
            machine,
            clock,
            out: Vec::new(),
            waiting: WaitingTable::default(),
            armed: None,
            ticker: Arc::new(Notify::new()),
            sync_wanted: false,
        }
    }

    /// Puts the host in its thread, for good.
    pub(crate) fn install(self) {
        HOST.with(|slot| *slot.borrow_mut() = Some(self));
    }

    /// Takes an event and carries out what follows from it.
    pub(crate) fn input(&mut self, input: Input) {
        self.input_at(self.clock.now(), input);
        self.ask_for_sync();
    }

    /// The same, for one of many events that came together: they share one look at the clock, and one
    /// [`Self::ask_for_sync`] after them.
    pub(crate) fn input_at(&mut self, now: Now, input: Input) {
        let mut out = std::mem::take(&mut self.out);
        self.machine.step(now, input, &mut out);
        for output in out.drain(..) {
            self.carry_out(output);
        }
        self.out = out;
        let deadline = self.machine.deadline();
        if deadline.is_some_and(|deadline| self.armed.is_none_or(|armed| deadline < armed)) {
            self.armed = deadline;
            self.ticker.notify_one();
        }
    }

    /// Takes a client's request. The answer goes where `waiting` says.
    pub(crate) fn request(&mut self, request: ClientRequest, waiting: Waiting) -> RequestId {
        let id = self.request_at(self.clock.now(), request, waiting);
        self.ask_for_sync();
        id
    }

    /// The same, for one of many requests that came together: they share one look at the clock, and one
    /// [`Self::ask_for_sync`] after them.
    pub(crate) fn request_at(&mut self, now: Now, request: ClientRequest, waiting: Waiting) -> RequestId {
        self.shared.metrics.request_begins();
        let id = self.waiting.insert(waiting);
        self.input_at(now, Input::Client { id, request });
        id
    }

    /// Nobody waits for this request any more.
    pub(crate) fn cancel(&mut self, id: RequestId) {
        if self.waiting.remove(id).is_some() {
            self.shared.metrics.request_cancelled();
            self.input(Input::Cancel(id));
        }
    }

    /// Has the committer sync what was put into the log, if anything was.
    pub(crate) fn ask_for_sync(&mut self) {
        if std::mem::take(&mut self.sync_wanted)
            && let Some(mailbox) = self.shared.mailbox(self.id)
        {
            self.shared.committer.request(mailbox);
        }
    }

    /// The time.
    pub(crate) fn now(&self) -> Now {
        self.clock.now()
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Send { to, lane, frame } => self.transport.send(to, lane, frame),
            Output::SendToAddress { address, frame } => self.transport.send_to_address(&address, frame),
            Output::Reply { id, response } => {
                if let Some(waiting) = self.waiting.remove(id) {
                    waiting.answer(*response, &self.shared.metrics);
                }
            }
            Output::Job(job) => {
                if let Some(mailbox) = self.shared.mailbox(self.id) {
                    self.shared.jobs.submit(job, Arc::clone(mailbox));
                }
            }
            Output::SyncLog => self.sync_wanted = true,
            Output::Internal { to, message } => match self.shared.mailbox(to) {
                Some(mailbox) => mailbox.send(Mail::Input(Input::Internal(message))),
                None => panic!("a message for machine {}, of which there is none", to.0),
            },
            Output::Directory(nodes) => {
                if self.shared.directory.replace(nodes) {
                    self.shared.announce_directory();
                }
            }
            Output::Fatal(message) => self.shared.stopping.fail(message),
        }
    }
}

/// Uses this thread's host. `None` on a thread that has none, or whose host has ended.
pub(crate) fn with<T>(action: impl FnOnce(&mut Host) -> T) -> Option<T> {
    HOST.with(|slot| slot.borrow_mut().as_mut().map(action))
}

/// Gives this thread's host an event.
pub(crate) fn input(input: Input) {
    with(|host| host.input(input));
}

/// Ends this thread's host: its links close, and whoever waits for an answer hears that there is none.
pub(crate) fn remove() {
    let host = HOST.with(|slot| slot.borrow_mut().take());
    drop(host);
}

/// Wakes the machine at its deadlines, for as long as the thread lives.
pub(crate) async fn tick() {
    let Some((ticker, clock)) = with(|host| (Arc::clone(&host.ticker), host.clock)) else { return };
    loop {
        let Some(deadline) = with(|host| {
            host.armed = host.machine.deadline();
            host.armed
        }) else {
            return;
        };
        let Some(deadline) = deadline else {
            ticker.notified().await;
            continue;
        };
        let left = deadline.since(clock.now().mono);
        if left.is_zero() {
            input(Input::Tick);
            // A machine whose deadline does not move must not starve the sockets.
            tokio::task::yield_now().await;
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep(left) => {}
            () = ticker.notified() => {}
        }
    }
}

/// Hands the thread's mail to its machine until it is told to stop.
pub(crate) async fn read_mail() {
    let Some(mailbox) = with(|host| host.shared.mailbox(host.id).map(Arc::clone)).flatten() else { return };
    let mut mail = Vec::new();
    loop {
        mailbox.wait().await;
        loop {
            let more = mailbox.take(INPUTS_A_TURN, &mut mail);
            let stop = with(|host| {
                let mut stop = false;
                for item in mail.drain(..) {
                    match item {
                        Mail::Input(input) => host.input(input),
                        Mail::Request(request, sender) => {
                            let waiting = Waiting::new(&request, host.clock, AnswerTo::Call(sender));
                            host.request(*request, waiting);
                        }
                        Mail::Directory => host.transport.directory_changed(),
                        Mail::Stop => stop = true,
                    }
                }
                stop
            });
            if stop.unwrap_or(true) {
                return;
            }
            if !more {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
}
