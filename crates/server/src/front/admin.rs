//! The `Admin` service.

use std::sync::Arc;

use quorate_model::admin::{AdminAnswer, AdminRequest};
use quorate_model::request::{Answer, ClientRequest, QueryOptions, RequestBody, RequestError};
use quorate_os::Clock;
use quorate_proto::v1;
use tonic::{Request, Response, Status};

use super::grpc::status;
use super::stub::admin_server::Admin;
use super::{call, protocol_error};
use crate::shared::Shared;

/// The operator's service of one thread.
#[derive(Clone)]
pub(crate) struct AdminService {
    shared: Arc<Shared>,
    clock: Clock,
}

impl AdminService {
    pub(crate) fn new(shared: Arc<Shared>, clock: Clock) -> Self {
        Self { shared, clock }
    }
}

/// A verb as a request.
pub(super) fn request(verb: AdminRequest) -> ClientRequest {
    ClientRequest { body: RequestBody::Admin(verb), keyspace: None, options: QueryOptions::default() }
}

/// Loggers with their levels. A directive that names no logger is for all of them.
fn logging_levels(filter: &str) -> Vec<(String, String)> {
    let directives = filter.split(',').map(str::trim).filter(|directive| !directive.is_empty());
    let level = |directive: &str| match directive.rsplit_once('=') {
        Some((logger, level)) => (logger.to_owned(), level.to_uppercase()),
        None => ("ROOT".to_owned(), directive.to_uppercase()),
    };
    directives.map(level).collect()
}

/// Loads certificates and keys anew. Reading them blocks, so that it happens elsewhere.
async fn reload_tls(shared: &Shared) -> Result<(), RequestError> {
    if shared.tls.is_off() {
        return Err(RequestError::invalid("TLS is off on this node: there is no certificate to reload"));
    }
    let tls = Arc::clone(&shared.tls);
    match tokio::task::spawn_blocking(move || tls.reload()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(errors)) => Err(RequestError::Configuration(errors.join("; "))),
        Err(_) => Err(RequestError::Overloaded("the node is stopping".to_owned())),
    }
}

#[tonic::async_trait]
impl Admin for AdminService {
    async fn run(&self, message: Request<v1::AdminRequest>) -> Result<Response<v1::AdminAnswer>, Status> {
        let verb = quorate_proto::admin_request_from_proto(message.into_inner());
        let verb = verb.map_err(|error| status(&protocol_error(&error)))?;
        if verb == AdminRequest::GetLoggingLevels {
            // Logging is the server's; the node knows nothing of it.
            let answer = AdminAnswer::Properties(logging_levels(&self.shared.log_level));
            return Ok(Response::new(quorate_proto::admin_answer_to_proto(&answer)));
        }
        if verb == AdminRequest::ReloadSsl {
            reload_tls(&self.shared).await.map_err(|error| status(&error))?;
            return Ok(Response::new(quorate_proto::admin_answer_to_proto(&AdminAnswer::Done)));
        }
        match call(&self.shared, self.clock, request(verb)).await.result {
            Ok(Answer::Admin(answer)) => Ok(Response::new(quorate_proto::admin_answer_to_proto(&answer))),
            Ok(other) => Err(status(&RequestError::Server(format!("not an operator's answer: {other:?}")))),
            Err(error) => Err(status(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_those_of_the_filter() {
        let pair = |logger: &str, level: &str| (logger.to_owned(), level.to_owned());
        assert_eq!(logging_levels("info"), [pair("ROOT", "INFO")]);
        let levels = [pair("ROOT", "WARN"), pair("quorate_node", "DEBUG")];
        assert_eq!(logging_levels("warn, quorate_node=debug"), levels);
    }
}
