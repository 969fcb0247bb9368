//! Frames that wait for a stream, and the stream that puts all of them into one message.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use quorate_proto::internode::v1::{Batch, Frame};
use tokio_stream::Stream;

use crate::limits::{BATCH_BYTES_GOAL, LANE_BYTES_MAX};

/// Bounded by bytes. At the bound, and when it is closed or its peer cannot be reached, frames are not taken.
#[derive(Default)]
pub(crate) struct FrameQueue {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    frames: VecDeque<Frame>,
    bytes: usize,
    waker: Option<Waker>,
    /// The peer could not be reached: frames would only grow old.
    unreachable: bool,
    /// A frame was not taken for that reason, and nobody was told since.
    refused: bool,
    closed: bool,
    /// Counts the streams that were fed from here; only the latest one is.
    generation: u64,
}

/// A frame's envelope, roughly.
const ENVELOPE_BYTES: usize = 24;

impl FrameQueue {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a frame; false if it was dropped.
    pub(crate) fn push(&self, frame: Frame) -> bool {
        let mut inner = self.inner();
        let bytes = frame.payload.len() + ENVELOPE_BYTES;
        if inner.closed || inner.unreachable || inner.bytes + bytes > LANE_BYTES_MAX {
            inner.refused |= inner.unreachable;
            return false;
        }
        inner.bytes += bytes;
        inner.frames.push_back(frame);
        let waker = inner.waker.take();
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    /// The peer can be reached again. True if frames were refused while it could not be: whoever sent them is to hear of it.
    pub(crate) fn reachable(&self) -> bool {
        let mut inner = self.inner();
        inner.unreachable = false;
        std::mem::take(&mut inner.refused)
    }

    /// The peer cannot be reached; gives what waited.
    pub(crate) fn unreachable(&self) -> VecDeque<Frame> {
        let mut inner = self.inner();
        inner.unreachable = true;
        inner.refused = false;
        inner.bytes = 0;
        std::mem::take(&mut inner.frames)
    }

    /// Ends the stream.
    pub(crate) fn close(&self) {
        let mut inner = self.inner();
        inner.closed = true;
        inner.frames.clear();
        inner.bytes = 0;
        if let Some(waker) = inner.waker.take() {
            waker.wake();
        }
    }

    /// Whether frames still go somewhere.
    pub(crate) fn is_open(&self) -> bool {
        let inner = self.inner();
        !inner.closed && !inner.unreachable
    }
}

/// A stream's messages: a first one, then whatever is in the queue.
pub(crate) struct FrameStream {
    first: Option<Batch>,
    queue: Arc<FrameQueue>,
    generation: u64,
    /// End after the first message (a refusal).
    only_first: bool,
}

impl FrameStream {
    pub(crate) fn new(first: Batch, queue: Arc<FrameQueue>) -> Self {
        let generation = {
            let mut inner = queue.inner();
            inner.generation += 1;
            inner.generation
        };
        Self { first: Some(first), queue, generation, only_first: false }
    }

    pub(crate) fn refusal(first: Batch) -> Self {
        Self { first: Some(first), queue: Arc::default(), generation: 0, only_first: true }
    }

    fn next_batch(&mut self, context: &mut Context<'_>) -> Poll<Option<Batch>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first));
        }
        let mut inner = self.queue.inner();
        if inner.closed || self.only_first || inner.generation != self.generation {
            return Poll::Ready(None);
        }
        if inner.frames.is_empty() {
            inner.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        let mut frames = Vec::new();
        let mut bytes = 0;
        while bytes < BATCH_BYTES_GOAL {
            let Some(next) = inner.frames.front() else { break };
            let size = next.payload.len() + ENVELOPE_BYTES;
            if bytes > 0 && bytes + size > BATCH_BYTES_GOAL {
                break;
            }
            bytes += size;
            frames.extend(inner.frames.pop_front());
        }
        inner.bytes = inner.bytes.saturating_sub(bytes);
        Poll::Ready(Some(Batch { frames, ..Batch::default() }))
    }
}

/// On a client's side the items are messages alone.
pub(crate) struct Outgoing(pub(crate) FrameStream);

impl Stream for Outgoing {
    type Item = Batch;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.next_batch(context)
    }
}

impl Stream for FrameStream {
    type Item = Result<Batch, tonic::Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.next_batch(context).map(|batch| batch.map(Ok))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn frame(bytes: usize) -> Frame {
        Frame { target: 1, source: 2, payload: Bytes::from(vec![7; bytes]), crc32c: 0 }
    }

    fn next(stream: &mut FrameStream) -> Poll<Option<Batch>> {
        stream.next_batch(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn what_is_ready_goes_in_one_message() {
        let queue = Arc::new(FrameQueue::default());
        let mut stream = FrameStream::new(Batch::default(), Arc::clone(&queue));
        assert!(matches!(next(&mut stream), Poll::Ready(Some(first)) if first.frames.is_empty()));
        assert!(next(&mut stream).is_pending());
        for _ in 0..100 {
            assert!(queue.push(frame(10)));
        }
        assert!(matches!(next(&mut stream), Poll::Ready(Some(batch)) if batch.frames.len() == 100));
        assert!(next(&mut stream).is_pending());
        queue.close();
        assert!(matches!(next(&mut stream), Poll::Ready(None)));
        assert!(!queue.push(frame(1)));
    }

    #[test]
    fn a_full_queue_takes_no_more_and_messages_stay_small() {
        let queue = Arc::new(FrameQueue::default());
        let mut stream = FrameStream::new(Batch::default(), Arc::clone(&queue));
        let _ = next(&mut stream);
        let mut taken = 0;
        while queue.push(frame(900_000)) {
            taken += 1;
        }
        assert!(taken >= 30 && taken * 900_000 <= LANE_BYTES_MAX);
        assert!(matches!(next(&mut stream), Poll::Ready(Some(batch)) if batch.frames.len() == 1));
        assert!(queue.push(frame(900_000)), "there is room again");
        assert!(!queue.unreachable().is_empty());
        assert!(!queue.push(frame(1)));
        assert!(queue.reachable(), "a frame was refused meanwhile");
        assert!(next(&mut stream).is_pending());
        assert!(queue.unreachable().is_empty());
        assert!(!queue.reachable(), "none was");
    }
}
