//! What a traced request did, in words.

use quorate_coordinator::message::ReplicaRequest;

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
