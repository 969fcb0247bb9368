//! From requests to the machine, and from its answers to responses.

use std::net::IpAddr;
use std::sync::Arc;

use quorate_cql_wire::convert::{
    KnownMetadata, PLACES_OPTION, answer_result, batch_request, error_message, execute_request, prepare_request,
    query_request,
};
use quorate_cql_wire::message::error::{ErrorKind, ErrorMessage};
use quorate_cql_wire::message::ready::Ready;
use quorate_cql_wire::message::startup::Startup;
use quorate_cql_wire::message::supported::Supported;
use quorate_cql_wire::{ProtocolVersion, Request, RequestMessage, Response, ResponseMessage};
use quorate_env::Now;
use quorate_model::NodeId;
use quorate_model::request::{Answer, ClientRequest, ClientResponse, RequestBody, RequestError};

use super::Thread;
use super::connection::{Connection, CqlItem, Own};
use super::metadata::id_of;
use crate::front::{AnswerTo, Waiting, failed, refusal};
use crate::shared::Shared;

/// How a request arrived.
#[derive(Clone, Copy)]
pub(super) struct Arrived {
    pub(super) version: ProtocolVersion,
    pub(super) stream: i16,
    /// Bytes that its values keep.
    pub(super) body_bytes: usize,
    /// When, about: those that came together share a moment.
    pub(super) now: Now,
}

/// What is needed to answer a request.
pub(super) struct Asked {
    pub(super) version: ProtocolVersion,
    pub(super) stream: i16,
    pub(super) body_bytes: usize,
    known: KnownMetadata,
    shared: Arc<Shared>,
}

/// Begins a request, or answers it at once.
pub(super) fn request(thread: &Arc<Thread>, connection: &Arc<Connection>, arrived: Arrived, message: RequestMessage) {
    let Arrived { version, stream, body_bytes, now } = arrived;
    let RequestMessage { tracing, custom_payload: _, body } = message;
    let mut inner = connection.inner();
    inner.requests += 1;
    let started = inner.wire.version().is_some();
    let keyspace = inner.keyspace.as_deref();
    let mut known = KnownMetadata::default();
    let begun: Result<ClientRequest, ResponseMessage> = match body {
        Request::Options(_) => Err(Response::Supported(Supported::ours()).into()),
        Request::Startup(_) if started => Err(protocol("Unexpected message STARTUP: the connection has started")),
        Request::Startup(startup) => {
            inner.remember_options(&startup.options);
            inner.throws_on_overload = startup.throws_on_overload();
            inner.wants_places = startup.option(PLACES_OPTION).is_some_and(|value| !value.is_empty());
            Err(start(&startup))
        }
        other if !started => {
            let name = RequestMessage::from(other).opcode().name();
            Err(protocol(&format!("Unexpected message {name}, expecting STARTUP or OPTIONS")))
        }
        Request::Register(register) => {
            inner.events = register.kinds;
            Err(Response::Ready(Ready).into())
        }
        Request::AuthResponse(_) => Err(protocol("Unexpected message AUTH_RESPONSE: no authentication was asked for")),
        Request::Query(query) => Ok(query_request(query, tracing, keyspace)),
        Request::Prepare(prepare) => Ok(prepare_request(prepare, tracing, keyspace)),
        Request::Batch(batch) => batch_request(batch, tracing, keyspace).map_err(ResponseMessage::from),
        Request::Execute(execute) => {
            known.skip = execute.parameters.skip_metadata;
            known.id = (version >= ProtocolVersion::V5).then(|| execute.result_metadata_id.clone());
            execute_request(execute, tracing, keyspace).map_err(ResponseMessage::from)
        }
    };
    let asked = Asked { version, stream, body_bytes, known, shared: Arc::clone(&thread.shared) };
    match begun {
        Ok(_) if !inner.has_room() => {
            thread.shared.metrics.overloaded.inc();
            let message = "too many requests are in flight on this connection".to_owned();
            inner.wire.respond(version, stream, &ErrorMessage { message, kind: ErrorKind::Overloaded }.into());
        }
        Ok(mut request) => {
            if tracing {
                request.options.client = connection.peer();
            }
            let own = inner.begin(body_bytes);
            drop(inner);
            execute(thread, connection, (own, now), request, asked);
        }
        Err(response) => inner.wire.respond(version, stream, &response),
    }
}

fn execute(
    thread: &Thread,
    connection: &Arc<Connection>,
    (own, now): (Own, Now),
    request: ClientRequest,
    mut asked: Asked,
) {
    if let RequestBody::Execute { statement, .. } = &request.body
        && asked.known.skip
        && asked.known.id.is_none()
    {
        asked.known.id = thread.shared.prepared_metadata.known(*statement);
    }
    let item = CqlItem { connection: Arc::clone(connection), own, asked };
    if let Some(error) = refusal(&thread.shared) {
        return item.answer(failed(error));
    }
    let waiting = Waiting::since(now.mono, &request, thread.clock, AnswerTo::Cql(item));
    if let Some(id) = crate::host::with(|host| host.request_at(now, request, waiting)) {
        connection.begun(own, id);
    }
}

fn protocol(message: &str) -> ResponseMessage {
    ErrorMessage { message: message.to_owned(), kind: ErrorKind::Protocol }.into()
}

fn start(startup: &Startup) -> ResponseMessage {
    let Some(version) = startup.option("CQL_VERSION") else {
        return protocol("Missing value CQL_VERSION in STARTUP message");
    };
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(major) if major >= 3 => Response::Ready(Ready).into(),
        Some(_) => protocol(&format!(
            "CQL version {version} is not supported by the binary protocol (supported versions are >= 3.0.0)"
        )),
        None => protocol(&format!("Invalid value '{version}' for CQL_VERSION")),
    }
}

/// The response that says what the machine has answered.
pub(super) fn response(response: ClientResponse, asked: &Asked) -> ResponseMessage {
    let ClientResponse { result, warnings, trace } = response;
    let result = result.and_then(|answer| {
        if let Answer::Prepared(prepared) = &answer {
            asked.shared.prepared_metadata.announce(prepared.id, id_of(&prepared.result));
        }
        answer_result(answer, asked.version, &asked.known, id_of)
            .map_err(|_| RequestError::Server("an answer that the protocol has no words for".to_owned()))
    });
    let body = match result {
        Ok(result) => Response::Result(result),
        Err(error) => Response::Error(error_message(&error, &|node| address_of(&asked.shared, node))),
    };
    // Its events are on their way to `system_traces`, where drivers look for them.
    let tracing_id = trace.map(|trace| trace.session);
    ResponseMessage { tracing_id, warnings, custom_payload: Vec::new(), body }
}

/// A node's address, as drivers know it.
fn address_of(shared: &Shared, node: NodeId) -> Option<IpAddr> {
    let snapshot = shared.view.snapshot()?;
    shared.view.ip_of(&snapshot.metadata.topology.node(node)?.address)
}
