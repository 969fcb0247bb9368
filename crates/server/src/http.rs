//! Metrics and health over HTTP/1.1. Only GET and HEAD, one request a connection, a bounded head, a bounded time.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::driver::Phase;
use crate::limits::{HTTP_CONNECTIONS_MAX, HTTP_HEAD_BYTES_MAX, HTTP_TIMEOUT};
use crate::shared::Shared;

/// Gives the answer for a path.
type Route = dyn Fn(&str) -> Answer + Send + Sync;

struct Answer {
    status: &'static str,
    content_type: &'static str,
    body: String,
}

const TEXT: &str = "text/plain; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

fn text(status: &'static str, body: impl Into<String>) -> Answer {
    Answer { status, content_type: TEXT, body: body.into() }
}

/// Serves until it is dropped.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    serve_with(listener, Arc::new(move |path: &str| route(path, &shared)), HTTP_TIMEOUT).await;
}

fn route(path: &str, shared: &Shared) -> Answer {
    match path {
        "/metrics" => match shared.metrics.page() {
            Ok(body) => Answer { status: "200 OK", content_type: OPEN_METRICS, body },
            Err(error) => text("500 Internal Server Error", format!("cannot write the metrics: {error}\n")),
        },
        "/health" => match shared.stopping.failure() {
            None => text("200 OK", "alive\n"),
            Some(message) => text("503 Service Unavailable", format!("{message}\n")),
        },
        "/ready" => match shared.view.phase() {
            Phase::Ready if !shared.stopping.is_draining() => text("200 OK", "ready\n"),
            Phase::Joining => text("503 Service Unavailable", "joining\n"),
            Phase::Ready | Phase::Drained => text("503 Service Unavailable", "drained\n"),
        },
        "/" => text("200 OK", "Quorate. See /metrics, /health and /ready.\n"),
        _ => text("404 Not Found", "There is /metrics, /health and /ready.\n"),
    }
}

async fn serve_with(listener: TcpListener, route: Arc<Route>, limit: Duration) {
    let places = Arc::new(Semaphore::new(HTTP_CONNECTIONS_MAX));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept an HTTP connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // Without a place the connection is closed at once.
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let route = Arc::clone(&route);
        tokio::spawn(async move {
            // A client that is slow or breaks off costs itself its answer and nobody anything else.
            let _ = tokio::time::timeout(limit, exchange(stream, &*route)).await;
            drop(place);
        });
    }
}

async fn exchange(mut stream: TcpStream, route: &Route) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut chunk = [0; 1_024];
    let answer = loop {
        let read = stream.read(&mut chunk).await?;
        if read == 0 {
            return Ok(());
        }
        head.extend_from_slice(chunk.get(..read).unwrap_or_default());
        if head.len() > HTTP_HEAD_BYTES_MAX {
            break (text("431 Request Header Fields Too Large", "The request's head is over 8 KiB.\n"), true);
        }
        if head.windows(4).any(|end| end == b"\r\n\r\n") {
            break respond(&head, route);
        }
    };
    let (answer, with_body) = answer;
    let mut response = format!(
        "HTTP/1.1 {}\r\ncontent-type: {}\r\ncontent-length: {}\r\nconnection: close\r\ncache-control: no-store\r\n\r\n",
        answer.status,
        answer.content_type,
        answer.body.len()
    );
    if with_body {
        response.push_str(&answer.body);
    }
    stream.write_all(response.as_bytes()).await?;
    stream.shutdown().await
}

/// The answer, and whether its body is wanted.
fn respond(head: &[u8], route: &Route) -> (Answer, bool) {
    let line = head.split(|byte| *byte == b'\r').next().and_then(|line| std::str::from_utf8(line).ok());
    let mut words = line.unwrap_or_default().split(' ');
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some(method @ ("GET" | "HEAD")), Some(target), Some(version), None) if version.starts_with("HTTP/1.") => {
            let path = target.split('?').next().unwrap_or_default();
            (route(path), method == "GET")
        }
        (Some(_), Some(_), Some(version), None) if version.starts_with("HTTP/1.") => {
            (text("405 Method Not Allowed", "Only GET and HEAD.\n"), true)
        }
        _ => (text("400 Bad Request", "This is not an HTTP/1.1 request.\n"), true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(request: &[u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let route: Arc<Route> = Arc::new(|path: &str| match path {
            "/health" => text("200 OK", "alive\n"),
            _ => text("404 Not Found", "no\n"),
        });
        let server = tokio::spawn(serve_with(listener, route, Duration::from_millis(300)));
        let mut stream = TcpStream::connect(address).await.unwrap();
        let _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        server.abort();
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn paths_are_answered() {
        let answer = ask(b"GET /health?x=1 HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nalive\n"), "{answer}");
        assert!(ask(b"GET /x HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 404"));
        assert!(ask(b"HEAD /health HTTP/1.0\r\n\r\n").await.ends_with("\r\n\r\n"));
    }

    #[tokio::test]
    async fn what_is_no_get_is_refused() {
        assert!(ask(b"POST /health HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 405"));
        assert!(ask(b"\xff\xfe /health\r\n\r\n").await.starts_with("HTTP/1.1 400"));
        assert!(ask(b"GET /health\r\n\r\n").await.starts_with("HTTP/1.1 400"));
    }

    #[tokio::test]
    async fn an_endless_head_is_cut_off() {
        let mut request = b"GET / HTTP/1.1\r\nx: ".to_vec();
        request.resize(HTTP_HEAD_BYTES_MAX + 10, b'a');
        assert!(ask(&request).await.starts_with("HTTP/1.1 431"));
    }

    #[tokio::test]
    async fn a_silent_client_is_cut_off() {
        assert_eq!(ask(b"GET / HTT").await, "");
    }
}
