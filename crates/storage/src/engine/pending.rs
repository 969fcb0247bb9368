//! Positions of the log that were appended and neither applied nor abandoned.

use std::collections::VecDeque;

use crate::LogPosition;

/// They come in order, and go nearly so: the first one is what the log must keep.
#[derive(Default)]
pub(super) struct Pending(VecDeque<(LogPosition, bool)>);

impl Pending {
    /// Adds a position behind all others.
    pub(super) fn push(&mut self, position: LogPosition) {
        assert!(self.0.back().is_none_or(|(last, _)| *last < position), "positions are handed out in order");
        self.0.push_back((position, true));
    }

    /// Takes one out; nothing if it is not there.
    pub(super) fn remove(&mut self, position: LogPosition) {
        if let Ok(index) = self.0.binary_search_by_key(&position, |(known, _)| *known)
            && let Some((_, waits)) = self.0.get_mut(index)
        {
            *waits = false;
        }
        while self.0.pop_front_if(|(_, waits)| !*waits).is_some() {}
    }

    /// The first one.
    pub(super) fn first(&self) -> Option<LogPosition> {
        self.0.front().map(|(position, _)| *position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_the_first_that_is_left() {
        let at = |offset| LogPosition { segment: 1, offset };
        let mut pending = Pending::default();
        (1..=4).for_each(|offset| pending.push(at(offset)));
        for (gone, first) in [(2, Some(1)), (1, Some(3)), (1, Some(3)), (9, Some(3)), (4, Some(3)), (3, None)] {
            pending.remove(at(gone));
            assert_eq!(pending.first(), first.map(at), "after {gone}");
        }
        assert!(pending.0.is_empty());
    }
}
