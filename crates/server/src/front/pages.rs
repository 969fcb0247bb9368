//! All pages of a query, one after another: the next one is read when the client has taken the one before.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use quorate_model::request::{Answer, ClientRequest, ClientResponse};
use quorate_os::Clock;
use quorate_proto::{AnswerOptions, v1};
use tokio_stream::Stream;
use tonic::Status;

use super::call;
use super::grpc::answer;
use crate::shared::Shared;

type Call = Pin<Box<dyn Future<Output = ClientResponse> + Send>>;

/// The pages of a query.
struct Pages {
    shared: Arc<Shared>,
    clock: Clock,
    request: ClientRequest,
    options: AnswerOptions,
    running: Option<Call>,
}

/// Runs a query for all of its pages. The first page's message has the metadata; later ones leave it out.
pub(super) fn pages(
    shared: Arc<Shared>,
    clock: Clock,
    request: ClientRequest,
    options: AnswerOptions,
) -> impl Stream<Item = Result<v1::QueryResponse, Status>> + Send {
    let mut pages = Pages { shared, clock, request, options, running: None };
    pages.begin();
    pages
}

impl Pages {
    fn begin(&mut self) {
        let (shared, clock, request) = (Arc::clone(&self.shared), self.clock, self.request.clone());
        self.running = Some(Box::pin(async move { call(&shared, clock, request).await }));
    }
}

fn next_page(response: &ClientResponse) -> Option<Bytes> {
    match &response.result {
        Ok(Answer::Rows(rows)) => rows.paging_state.clone(),
        _ => None,
    }
}

impl Stream for Pages {
    type Item = Result<v1::QueryResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(running) = self.running.as_mut() else { return Poll::Ready(None) };
        let response = ready!(running.as_mut().poll(context));
        self.running = None;
        let next = next_page(&response);
        let message = answer(response, self.options);
        if let Ok(message) = &message
            && let Some(v1::query_response::Answer::Rows(rows)) = &message.answer
        {
            self.options.known_metadata_id = rows.metadata_id;
        }
        if next.is_some() && message.is_ok() {
            self.request.options.paging_state = next;
            self.begin();
        }
        Poll::Ready(Some(message))
    }
}
