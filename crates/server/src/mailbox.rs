//! A thread's mailbox: what other threads have for its machine.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use quorate_model::request::{ClientRequest, ClientResponse};
use quorate_node::Input;
use tokio::sync::{Notify, oneshot};

use crate::limits::MAILBOX_FRAMES_MAX;

/// What a mailbox carries.
pub(crate) enum Mail {
    /// An event for the machine.
    Input(Input),
    /// A request of the server's own.
    Request(Box<ClientRequest>, oneshot::Sender<ClientResponse>),
    /// The directory of nodes changed.
    Directory,
    /// The thread is to end.
    Stop,
}

/// Bounded for peers' frames, which may be lost. Everything else answers something that the machine itself began (a job,
/// a sync, a message between machines) and is bounded by that; it must not be lost and never blocks its sender.
#[derive(Default)]
pub(crate) struct Mailbox {
    queue: Mutex<VecDeque<Mail>>,
    wake: Notify,
}

impl Mailbox {
    fn queue(&self) -> MutexGuard<'_, VecDeque<Mail>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts in what must not be lost.
    pub(crate) fn send(&self, mail: Mail) {
        self.queue().push_back(mail);
        self.wake.notify_one();
    }

    /// Puts in what may be lost; false if there was no room.
    pub(crate) fn offer(&self, input: Input) -> bool {
        let mut queue = self.queue();
        if queue.len() >= MAILBOX_FRAMES_MAX {
            return false;
        }
        queue.push_back(Mail::Input(input));
        drop(queue);
        self.wake.notify_one();
        true
    }

    /// Waits until there is something.
    pub(crate) async fn wait(&self) {
        self.wake.notified().await;
    }

    /// Takes up to so many; true if more are left.
    pub(crate) fn take(&self, count: usize, into: &mut Vec<Mail>) -> bool {
        let mut queue = self.queue();
        let count = count.min(queue.len());
        into.extend(queue.drain(..count));
        !queue.is_empty()
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.queue().len()
    }
}
