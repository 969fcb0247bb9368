//! A result page by page.

use bytes::Bytes;

use crate::message::query_parameters::QueryParameters;
use crate::message::result::{ResultMessage, RowsResult};
use crate::message::{Request, RequestMessage, Response, ResponseMessage};

/// A `QUERY` or `EXECUTE` that is asked again for every page of its result.
#[derive(Clone, Debug)]
pub struct Pages {
    request: RequestMessage,
    finished: bool,
}

impl Pages {
    /// The request with so many rows a page. Other requests than `QUERY` and `EXECUTE` have one page, whatever they are.
    pub fn new(mut request: RequestMessage, page_size: i32) -> Self {
        if let Some(parameters) = parameters(&mut request) {
            parameters.page_size = Some(page_size);
            parameters.paging_state = None;
        }
        Self { request, finished: false }
    }

    /// What to ask for next; `None` after the last page.
    pub fn next_request(&self) -> Option<&RequestMessage> {
        (!self.finished).then_some(&self.request)
    }

    /// Notes how the answer says to go on, and gives its rows; `None` if it has none (an error, or nothing to say). An
    /// error leaves the page to be asked for again.
    pub fn accept<'a>(&mut self, response: &'a ResponseMessage) -> Option<&'a RowsResult> {
        match &response.body {
            Response::Result(ResultMessage::Rows(rows)) => {
                self.go_on(rows.metadata.paging_state.clone());
                Some(rows)
            }
            Response::Error(_) => None,
            _ => {
                self.finished = true;
                None
            }
        }
    }

    fn go_on(&mut self, state: Option<Bytes>) {
        match parameters(&mut self.request) {
            Some(parameters) if state.is_some() => parameters.paging_state = state,
            _ => self.finished = true,
        }
    }
}

fn parameters(request: &mut RequestMessage) -> Option<&mut QueryParameters> {
    match &mut request.body {
        Request::Query(query) => Some(&mut query.parameters),
        Request::Execute(execute) => Some(&mut execute.parameters),
        _ => None,
    }
}
