//! What a traced request did: as its client gets it, and as rows of `system_traces`.
//!
//! The coordinator keeps the one list of events. Replicas send theirs with their answers, in microseconds since the request
//! reached them; the coordinator places them between its sending and its receiving, so that clocks need not agree.

use std::net::IpAddr;

use quorate_coordinator::message::ReplicaRequest;
use quorate_cql::system_tables::NamedRow;
use quorate_env::{Instant, Now};
use quorate_model::request::{BoundValue, ClientRequest, RequestBody, ResultMetadata, Trace, TraceEvent, Values};
use quorate_model::{Consistency, Value};

use crate::limits;
use crate::machine::{MachineId, PeerAddress};

/// A traced request.
pub(super) struct Tracing {
    /// A version-1 UUID.
    session: [u8; 16],
    /// By the coordinator's wall clock, in microseconds since 1970.
    pub(super) started_at: i64,
    began: Instant,
    /// Set when the client is answered.
    duration_us: Option<u64>,
    /// Whether the client asked for it, rather than chance.
    asked: bool,
    client: Option<IpAddr>,
    request: &'static str,
    parameters: Vec<(&'static str, String)>,
    /// Bound values, by the name that Cassandra gives them.
    bound: Vec<(String, String)>,
    coordinator: PeerAddress,
    events: Vec<Event>,
    /// How many of them have been made rows.
    stored: usize,
}

/// Something that happened.
struct Event {
    source: PeerAddress,
    /// Microseconds since the session began, by the coordinator's clock.
    at_us: u64,
    /// Microseconds since the request reached its source.
    elapsed_us: u64,
    activity: String,
}

/// Where nodes can be reached, for rows: address and internode port.
pub(super) type AddressOf<'a> = &'a dyn Fn(quorate_model::NodeId) -> (IpAddr, u16);

impl Tracing {
    pub(super) fn new(request: &ClientRequest, coordinator: PeerAddress, now: Now, random: u64) -> Self {
        let options = &request.options;
        let name = match request.body {
            RequestBody::Query { .. } => "Execute CQL3 query",
            RequestBody::Prepare { .. } => "Preparing CQL3 query",
            RequestBody::Execute { .. } => "Execute CQL3 prepared query",
            RequestBody::Batch { .. } => "Execute batch of CQL3 queries",
            RequestBody::Admin(_) => "Execute a verb",
        };
        let mut parameters = Vec::new();
        if !matches!(request.body, RequestBody::Prepare { .. } | RequestBody::Admin(_)) {
            let serial = options.serial_consistency.unwrap_or(Consistency::Serial);
            parameters.push(("consistency_level", options.consistency.name().to_owned()));
            parameters.push(("serial_consistency_level", serial.name().to_owned()));
            if let Some(size) = options.page_size {
                parameters.push(("page_size", size.to_string()));
            }
        }
        Self {
            session: time_uuid(hundred_nanos(now.wall.0), random),
            started_at: now.wall.0,
            began: now.mono,
            duration_us: None,
            asked: options.tracing,
            client: options.client,
            request: name,
            parameters,
            bound: Vec::new(),
            coordinator,
            events: Vec::new(),
            stored: 0,
        }
    }

    /// Notes the statement and what is bound to its markers.
    pub(super) fn statement(&mut self, text: &str, parameters: &ResultMetadata, values: &Values) {
        self.parameters.push(("query", shorten(text)));
        for (index, column) in parameters.columns.iter().enumerate().take(limits::TRACE_VALUES_MAX) {
            let value = match values {
                Values::Positional(values) => values.get(index),
                Values::Named(values) => values.iter().find(|(name, _)| *name == column.name).map(|(_, value)| value),
            };
            let shown = match value {
                Some(BoundValue::Bytes(bytes)) => match Value::decode(&column.cql_type, bytes) {
                    Ok(value) => shorten(&value.to_cql_literal(&column.cql_type)),
                    Err(_) => continue,
                },
                Some(BoundValue::Null) => "null".to_owned(),
                Some(BoundValue::Unset) => "unset".to_owned(),
                None => continue,
            };
            self.bound.push((format!("bound_var_{index}_{}", column.name), shown));
        }
    }

    /// Notes an event of the coordinator's.
    pub(super) fn note(&mut self, now: Now, activity: String) {
        let at_us = micros(now.mono, self.began);
        self.push(Event { source: self.coordinator, at_us, elapsed_us: at_us, activity });
    }

    /// Notes what a replica did between `sent` and now.
    pub(super) fn note_replica(&mut self, now: Now, source: PeerAddress, sent: Instant, events: &[(u64, String)]) {
        let (sent_us, received_us) = (micros(sent, self.began), micros(now.mono, self.began));
        let took_us = events.iter().map(|(elapsed_us, _)| *elapsed_us).max().unwrap_or_default();
        let way_us = received_us.saturating_sub(sent_us).saturating_sub(took_us) / 2;
        for (elapsed_us, activity) in events {
            let at_us = sent_us.saturating_add(way_us).saturating_add(*elapsed_us).min(received_us);
            // On the coordinator itself there is one time.
            let elapsed_us = if source.node == self.coordinator.node { at_us } else { *elapsed_us };
            self.push(Event { source, at_us, elapsed_us, activity: activity.clone() });
        }
    }

    fn push(&mut self, event: Event) {
        if self.events.len() < limits::TRACE_EVENTS_MAX {
            self.events.push(event);
        }
    }

    /// The client is being answered. Gives the trace if it asked for one.
    pub(super) fn finish(&mut self, now: Now) -> Option<Trace> {
        // What is done in one step takes no time by its clock; clients take 0 for 'not complete'.
        let duration_us = micros(now.mono, self.began).max(1);
        self.duration_us = Some(duration_us);
        self.events.sort_by_key(|event| event.at_us);
        if !self.asked {
            return None;
        }
        let events = self.events.iter().map(|event| TraceEvent {
            node: event.source.node,
            elapsed_us: event.elapsed_us,
            activity: event.activity.clone(),
        });
        Some(Trace { session: self.session, duration_us, events: events.collect() })
    }

    /// The session's row of `system_traces.sessions`.
    pub(super) fn session_row(&self, address_of: AddressOf<'_>) -> NamedRow {
        let (address, port) = address_of(self.coordinator.node);
        let text = |text: &str| Value::Text(text.to_owned());
        let own = self.parameters.iter().map(|(name, value)| (text(name), text(value)));
        let bound = self.bound.iter().map(|(name, value)| (text(name), text(value)));
        let mut parameters: Vec<(Value, Value)> = own.chain(bound).collect();
        parameters.sort_by_key(|(name, _)| if let Value::Text(name) = name { name.clone() } else { String::new() });
        let mut row = vec![
            ("session_id", Value::Uuid(self.session)),
            ("command", text("QUERY")),
            ("coordinator", Value::Inet(address)),
            ("coordinator_port", Value::Int(i32::from(port))),
            ("parameters", Value::Map(parameters)),
            ("request", text(self.request)),
            ("started_at", Value::Timestamp(self.started_at.div_euclid(1000))),
        ];
        if let Some(client) = self.client {
            row.push(("client", Value::Inet(client)));
        }
        if let Some(duration_us) = self.duration_us {
            row.push(("duration", int(duration_us)));
        }
        row
    }

    /// Rows of `system_traces.events` for the events that have none yet.
    pub(super) fn event_rows(&mut self, address_of: AddressOf<'_>) -> Vec<NamedRow> {
        let from = std::mem::replace(&mut self.stored, self.events.len());
        let start = hundred_nanos(self.started_at);
        let random = u64::from_be_bytes(self.session.last_chunk().copied().unwrap_or_default());
        let rows = self.events.iter().enumerate().skip(from).map(|(index, event)| {
            let ticks = start.wrapping_add(event.at_us.wrapping_mul(10));
            // The index tells events of one moment apart, in their order.
            let id = time_uuid(ticks, (random & !0xffff) | (index as u64 & 0xffff));
            let (address, port) = address_of(event.source.node);
            vec![
                ("session_id", Value::Uuid(self.session)),
                ("event_id", Value::Uuid(id)),
                ("activity", Value::Text(event.activity.clone())),
                ("source", Value::Inet(address)),
                ("source_elapsed", int(event.elapsed_us)),
                ("source_port", Value::Int(i32::from(port))),
                ("thread", Value::Text(thread(event.source.machine))),
            ]
        });
        rows.collect()
    }

    /// Whether the client was answered, and something has happened since.
    pub(super) fn has_late_events(&self) -> bool {
        self.duration_us.is_some() && self.stored < self.events.len()
    }
}

/// A request to a replica, for a trace.
pub(super) fn describe(request: &ReplicaRequest) -> String {
    match request {
        ReplicaRequest::Write(mutation) => format!("a mutation of {} bytes", mutation.bytes.len()),
        ReplicaRequest::Repair(mutation) => format!("a read repair of {} bytes", mutation.bytes.len()),
        ReplicaRequest::Read { digest_only: true, .. } => "a digest request".to_owned(),
        ReplicaRequest::Read { .. } => "a read".to_owned(),
        ReplicaRequest::ReadRemains(_) => "a read of what is left".to_owned(),
    }
}

/// A text of bounded length.
pub(super) fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(limits::TRACE_TEXT_CHARS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

fn thread(machine: MachineId) -> String {
    match machine {
        MachineId::CONTROL => "control".to_owned(),
        MachineId(number) => format!("worker-{}", number.saturating_sub(1)),
    }
}

fn int(value: u64) -> Value {
    Value::Int(i32::try_from(value).unwrap_or(i32::MAX))
}

fn micros(at: Instant, since: Instant) -> u64 {
    u64::try_from(at.since(since).as_micros()).unwrap_or(u64::MAX)
}

/// 100 ns intervals from 1582-10-15 (RFC 9562, section 5.1) to a moment in microseconds since 1970.
pub(super) fn hundred_nanos(wall_us: i64) -> u64 {
    const OFFSET: u64 = 0x01b2_1dd2_1381_4000;
    OFFSET.wrapping_add((wall_us as u64).wrapping_mul(10))
}

/// A version-1 UUID of a moment.
pub(super) fn time_uuid(ticks: u64, random: u64) -> [u8; 16] {
    let high = (ticks << 32) | ((ticks >> 16) & 0xffff_0000) | 0x1000 | ((ticks >> 48) & 0x0fff);
    let low = (random & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000;
    ((u128::from(high) << 64) | u128::from(low)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use quorate_env::WallTime;
    use quorate_model::NodeId;
    use quorate_model::request::QueryOptions;

    use super::*;

    fn at(us: u64) -> Now {
        Now { mono: Instant(us * 1000), wall: WallTime(1_700_000_000_000_000 + us as i64) }
    }

    fn address_of(_: NodeId) -> (IpAddr, u16) {
        (IpAddr::V4(Ipv4Addr::LOCALHOST), 7000)
    }

    fn tracing(asked: bool) -> Tracing {
        let body = RequestBody::Query { text: "SELECT".to_owned(), values: Values::default() };
        let options = QueryOptions { tracing: asked, ..QueryOptions::default() };
        let coordinator = PeerAddress { node: NodeId::from_u128(1), machine: MachineId::worker(0) };
        Tracing::new(&ClientRequest { body, keyspace: None, options }, coordinator, at(0), 7)
    }

    #[test]
    fn a_replica_s_events_lie_between_the_sending_and_the_receiving_whatever_its_clock_says() {
        let mut trace = tracing(true);
        trace.note(at(10), "sent".to_owned());
        let replica = PeerAddress { node: NodeId::from_u128(2), machine: MachineId::worker(3) };
        let events = [(0, "began".to_owned()), (40, "done".to_owned())];
        trace.note_replica(at(110), replica, at(10).mono, &events);
        trace.note(at(60), "meanwhile".to_owned());
        let shown = trace.finish(at(200)).unwrap();
        let shown: Vec<_> = shown.events.iter().map(|event| (event.activity.as_str(), event.elapsed_us)).collect();
        assert_eq!(shown, [("sent", 10), ("began", 0), ("meanwhile", 60), ("done", 40)]);
    }

    #[test]
    fn events_have_increasing_ids_and_are_made_rows_once() {
        let mut trace = tracing(true);
        (0..20).for_each(|number| trace.note(at(5), number.to_string()));
        let mut ids: Vec<[u8; 16]> = Vec::new();
        for row in trace.event_rows(&address_of) {
            let Some((_, Value::Uuid(id))) = row.into_iter().find(|(name, _)| *name == "event_id") else { panic!() };
            ids.push(id);
        }
        assert_eq!(ids.len(), 20);
        assert!(ids.is_sorted_by(|a, b| a < b), "in one moment, too, they are told apart and in order");
        assert!(trace.event_rows(&address_of).is_empty() && !trace.has_late_events());
        trace.finish(at(6));
        trace.note(at(9), "late".to_owned());
        assert!(trace.has_late_events());
        assert_eq!(trace.event_rows(&address_of).len(), 1);
    }

    #[test]
    fn no_request_takes_no_time() {
        let mut trace = tracing(true);
        assert_eq!(trace.finish(at(0)).unwrap().duration_us, 1, "cqlsh shows no end of a trace of no duration");
    }

    #[test]
    fn what_was_traced_by_chance_is_stored_and_not_sent() {
        let mut trace = tracing(false);
        assert_eq!(trace.finish(at(30)), None);
        let row = trace.session_row(&address_of);
        assert!(row.contains(&("duration", Value::Int(30))), "{row:?}");
    }
}
