//! Who waits for the answers of a thread's machine.

use quorate_node::RequestId;

/// What waits for each request in flight, by a number that is not given again: the place in the table, and how often that
/// place was used. As large as the most that ever waited at once, which the machine bounds.
pub(crate) struct WaitingTable<T> {
    places: Vec<(u32, Option<T>)>,
    free: Vec<u32>,
}

impl<T> Default for WaitingTable<T> {
    fn default() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }
}

impl<T> WaitingTable<T> {
    /// Puts in who waits.
    pub(crate) fn insert(&mut self, waiting: T) -> RequestId {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push((0, None));
            u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX)
        });
        let uses = match self.places.get_mut(place as usize) {
            Some((uses, slot)) => {
                *uses = uses.wrapping_add(1);
                *slot = Some(waiting);
                *uses
            }
            None => unreachable!("a place that was just made or was free"),
        };
        RequestId((u64::from(uses) << 32) | u64::from(place))
    }

    /// What waits for this request, if anything still does.
    pub(crate) fn get_mut(&mut self, id: RequestId) -> Option<&mut T> {
        let (uses, place) = ((id.0 >> 32) as u32, id.0 as u32);
        let (used, slot) = self.places.get_mut(place as usize)?;
        if *used == uses { slot.as_mut() } else { None }
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.places.len().saturating_sub(self.free.len())
    }

    /// Takes out all.
    pub(crate) fn into_values(self) -> impl Iterator<Item = T> {
        self.places.into_iter().filter_map(|(_, slot)| slot)
    }

    /// Takes out who waits for this request, if anybody still does.
    pub(crate) fn remove(&mut self, id: RequestId) -> Option<T> {
        let (uses, place) = ((id.0 >> 32) as u32, id.0 as u32);
        let (used, slot) = self.places.get_mut(place as usize)?;
        let waiting = if *used == uses { slot.take() } else { None }?;
        self.free.push(place);
        Some(waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_comes_twice_finds_nobody_the_second_time() {
        let mut table = WaitingTable::default();
        let (first, second) = (table.insert("first"), table.insert("second"));
        assert_eq!(table.remove(first), Some("first"));
        assert_eq!((table.len(), table.get_mut(first)), (1, None));
        assert_eq!(table.get_mut(second), Some(&mut "second"));
        let third = table.insert("third");
        assert_eq!((table.remove(first), table.remove(first)), (None, None));
        assert_eq!((table.remove(third), table.remove(second)), (Some("third"), Some("second")));
        assert_eq!(table.remove(RequestId(u64::MAX)), None);
        assert_eq!((table.places.len(), table.len()), (2, 0));
        table.insert("fourth");
        assert_eq!(table.into_values().collect::<Vec<_>>(), ["fourth"]);
    }
}
