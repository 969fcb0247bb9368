//! Feeding what was read to the answer in the making, and noting where the next read begins.

use quorate_coordinator::Continuation;
use quorate_cql::ResultBuilder;
use quorate_model::read::Resume;
use quorate_model::request::RequestError;
use quorate_model::wire::WireError;
use quorate_model::{
    ClusteringKey, DecoratedKey, LiveRows, Partition, Position, ReadResponse, ReadTarget, Row, RowMap,
};

use super::reads::{Goal, ReadOp};

/// Feeds an answer to what is made of it and notes where the next read begins.
pub(super) fn feed(read: &mut ReadOp, response: ReadResponse) -> Result<(), RequestError> {
    let Some(command) = read.current() else { return Ok(()) };
    let (table, reversed) = (command.table, command.reversed);
    let following = Continuation::after(read.resume.as_ref(), &response, command.now);
    let answering = match &mut read.goal {
        Goal::Answer(answering) => answering,
        Goal::Write(pending) => {
            if let Some(pending) = pending {
                pending.add(table, response)?;
            }
            read.go_on(following);
            return Ok(());
        }
    };
    let Some(builder) = &mut answering.builder else { return Ok(()) };
    let stopped_inside = |key: &DecoratedKey| {
        following.as_ref().is_some_and(|next| next.place.key == *key && next.place.position.is_some())
    };
    if answering.operation.is_grouped() && answering.page_size.is_some() {
        let stopped = feed_groups(builder, (&response, reversed), read.resume.as_ref(), stopped_inside)?;
        match stopped {
            Some(place) => read.resume = place,
            None => read.go_on(following),
        }
        return Ok(());
    }
    let filtering = answering.operation.is_filtering();
    let mut finished: Option<&DecoratedKey> = None;
    for (key, partition) in &response.partitions {
        // A page that became full with a partition's last row ends there: what follows is for the next page.
        if let Some(before) = finished.replace(key).filter(|_| filtering && builder.is_full()) {
            let place = Resume { key: before.clone(), position: None };
            read.resume = Some(Continuation { place, rows_given: 0 });
            return Ok(());
        }
        let complete = !stopped_inside(key);
        if !filtering {
            builder.push(key, partition, complete)?;
            continue;
        }
        if let Some(stopped) = feed_rows(builder, key, partition, complete, reversed)? {
            let earlier = read.resume.as_ref().filter(|resume| resume.place.key == *key);
            let rows_given = earlier.map_or(0, |resume| resume.rows_given).saturating_add(stopped.1);
            let place = Resume { key: key.clone(), position: Some(stopped.0) };
            read.resume = Some(Continuation { place, rows_given });
            return Ok(());
        }
    }
    read.go_on(following);
    Ok(())
}

/// Feeds groups row by row, so that a page that is full ends before the row that begins the next group. Then it gives
/// where the next page begins: where this answer did if nothing of it was taken.
fn feed_groups(
    builder: &mut ResultBuilder,
    (response, reversed): (&ReadResponse, bool),
    from: Option<&Continuation>,
    stopped_inside: impl Fn(&DecoratedKey) -> bool,
) -> Result<Option<Option<Continuation>>, RequestError> {
    let mut taken = from.cloned();
    for (key, partition) in &response.partitions {
        let mut parts = single_rows(partition, reversed).into_iter().peekable();
        let mut rows_given = from.filter(|from| from.place.key == *key).map_or(0, |from| from.rows_given);
        let complete = !stopped_inside(key);
        while let Some((place, part)) = parts.next() {
            builder.push(key, &part, complete && parts.peek().is_none())?;
            if builder.has_refused() {
                return Ok(Some(taken));
            }
            rows_given = rows_given.saturating_add(u32::from(place.is_some()));
            if place.is_some() {
                let place = Resume { key: key.clone(), position: place };
                taken = Some(Continuation { place, rows_given });
            }
        }
        if complete {
            let place = Resume { key: key.clone(), position: None };
            taken = Some(Continuation { place, rows_given: 0 });
        }
    }
    Ok(None)
}

/// Each row of a partition with what is not of rows, and where reading goes on behind it; once without, if there are none.
fn single_rows(partition: &Partition, reversed: bool) -> Vec<(Option<Position>, Partition)> {
    let alone = |rows: RowMap| Partition {
        deletion: partition.deletion,
        static_row: partition.static_row.clone(),
        rows,
        ..Partition::default()
    };
    let single = |(clustering, row): (&ClusteringKey, &Row)| {
        let place = if reversed { Position::before(&clustering.0) } else { Position::after(&clustering.0) };
        (Some(place), alone(RowMap::from([(clustering.clone(), row.clone())])))
    };
    let mut rows: Vec<_> = partition.rows.iter().map(single).collect();
    if reversed {
        rows.reverse();
    }
    if rows.is_empty() {
        rows.push((None, partition.clone()));
    }
    rows
}

/// [`feed`] of what lives of the one partition that the current command names.
pub(super) fn feed_live(read: &mut ReadOp, live: LiveRows) -> Result<(), RequestError> {
    let Some(ReadTarget::Partition(key)) = read.current().map(|command| &command.target) else { return Ok(()) };
    let key = key.clone();
    let stopped_at = live.stopped_at.clone().map(|place| Resume { key: key.clone(), position: Some(place) });
    if let Goal::Answer(answering) = &mut read.goal
        && !answering.operation.is_filtering()
        && !answering.operation.is_aggregate()
        && let Some(builder) = &mut answering.builder
    {
        let earlier = read.resume.as_ref().filter(|resume| resume.place.key == key);
        let rows_given = earlier.map_or(0, |resume| resume.rows_given).saturating_add(live.rows.count());
        builder.push_live(&key, live, stopped_at.is_none())?;
        read.go_on(stopped_at.map(|place| Continuation { place, rows_given }));
        return Ok(());
    }
    let broken = |error: WireError| RequestError::Server(error.to_string());
    let rows = live.rows.decode().map_err(broken)?.into_iter().collect();
    let partition = Partition { static_row: live.static_row, rows, ..Partition::default() };
    let partitions = if partition.is_empty() { Vec::new() } else { Vec::from([(key, partition)]) };
    feed(read, ReadResponse { partitions, stopped_at })
}

/// Feeds a partition row by row, so that a page that is full in its midst ends exactly there: gives that place and the
/// live rows before it.
fn feed_rows(
    builder: &mut ResultBuilder,
    key: &DecoratedKey,
    partition: &Partition,
    complete: bool,
    reversed: bool,
) -> Result<Option<(Position, u32)>, RequestError> {
    let mut rows: Vec<(&ClusteringKey, &Row)> = partition.rows.iter().collect();
    if reversed {
        rows.reverse();
    }
    if rows.is_empty() {
        builder.push(key, partition, complete)?;
        return Ok(None);
    }
    let last = rows.len() - 1;
    for (index, (clustering, row)) in rows.into_iter().enumerate() {
        let one = Partition {
            deletion: partition.deletion,
            static_row: partition.static_row.clone(),
            rows: RowMap::from([(clustering.clone(), row.clone())]),
            ..Partition::default()
        };
        builder.push(key, &one, complete && index == last)?;
        if builder.is_full() && (index < last || !complete) {
            let place = if reversed { Position::before(&clustering.0) } else { Position::after(&clustering.0) };
            return Ok(Some((place, u32::try_from(index + 1).unwrap_or(u32::MAX))));
        }
    }
    Ok(None)
}
