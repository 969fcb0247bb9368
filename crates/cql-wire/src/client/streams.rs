//! Streams: which request each answer belongs to.

/// The streams of a connection. Those in use have a tag each.
#[derive(Debug)]
pub(super) struct Streams<T> {
    /// By stream; as long as the most that were ever in flight at once.
    tags: Vec<Option<T>>,
    free: Vec<i16>,
    max: usize,
}

impl<T> Streams<T> {
    /// So many streams at most; `max` is at most 32,768.
    pub(super) fn new(max: usize) -> Self {
        Self { tags: Vec::new(), free: Vec::new(), max }
    }

    pub(super) fn max(&self) -> usize {
        self.max
    }

    pub(super) fn in_flight(&self) -> usize {
        self.tags.len().saturating_sub(self.free.len())
    }

    pub(super) fn room(&self) -> usize {
        self.max.saturating_sub(self.in_flight())
    }

    /// A stream for this tag; `None` if all are in use.
    pub(super) fn take(&mut self, tag: T) -> Option<i16> {
        if let Some(stream) = self.free.pop() {
            let place = usize::try_from(stream).ok().and_then(|index| self.tags.get_mut(index))?;
            *place = Some(tag);
            return Some(stream);
        }
        if self.tags.len() >= self.max {
            return None;
        }
        let stream = i16::try_from(self.tags.len()).ok()?;
        self.tags.push(Some(tag));
        Some(stream)
    }

    /// The tag of a stream, which is free again; `None` if it was not in use.
    pub(super) fn give_back(&mut self, stream: i16) -> Option<T> {
        let index = usize::try_from(stream).ok()?;
        let tag = self.tags.get_mut(index)?.take()?;
        self.free.push(stream);
        Some(tag)
    }

    /// All tags, by stream. No stream is in use after it.
    pub(super) fn abandon(&mut self) -> impl Iterator<Item = T> + use<T> {
        self.free.clear();
        std::mem::take(&mut self.tags).into_iter().flatten()
    }
}
