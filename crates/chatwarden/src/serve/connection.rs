//! One connection: its protocol, its time limits, its part in the drain.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderValue, Request, StatusCode, Version, header};
use axum::response::Response;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::patience::{Exchange, Exchanges, Patient};
use super::unread::{self, Rest};

/// A connection that is open but has not asked yet when the drain begins may still ask for this
/// long: its request may be on its way.
const FIRST_REQUEST: Duration = Duration::from_secs(1);

/// HTTP/2 connections are asked for a sign of life when silent for this long, and closed when there
/// is none for as long again.
const PING: Duration = Duration::from_secs(30);

/// What a connection may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Time for the head of a request, from its first byte (for the first one: from the connection).
    pub head: Duration,
    /// Time an HTTP/1 connection may be silent between requests. Keep it above what the proxies in
    /// front reuse connections for (nginx: 60 s), or they run into closed ones.
    pub idle: Duration,
    /// Time a client may leave an answer lying without taking a byte of it.
    pub stalled: Duration,
    /// Header fields of a request.
    pub headers: usize,
    /// Bytes of an HTTP/2 header list.
    pub header_bytes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            stalled: Duration::from_secs(30),
            headers: 64,
            header_bytes: 16 * 1024,
        }
    }
}

/// Runs futures of a connection's protocol where the drain can wait for them.
#[derive(Clone)]
struct Tracked(TaskTracker);

impl<F> Executor<F> for Tracked
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

/// The steps of the end, for connections.
#[derive(Clone)]
pub(super) struct Ending {
    /// Answers say that no other will come: clients that keep connections go elsewhere, or come anew,
    /// before theirs is closed in the middle of what they ask.
    pub(super) announced: CancellationToken,
    /// Connections finish what they do.
    pub(super) closing: CancellationToken,
    /// Connections end.
    pub(super) cut: CancellationToken,
}

/// All connections of the server.
#[derive(Clone)]
pub(super) struct Connections {
    limits: Limits,
    open: TaskTracker,
    streams: TaskTracker,
    ending: Ending,
}

impl Connections {
    pub(super) fn new(limits: Limits, ending: Ending) -> Self {
        Self { limits, open: TaskTracker::new(), streams: TaskTracker::new(), ending }
    }

    /// Resolves when no more connections are wanted.
    pub(super) async fn closing(&self) {
        self.ending.closing.cancelled().await;
    }

    /// Serves a connection in a task of its own.
    pub(super) fn spawn(&self, stream: TcpStream, peer: SocketAddr, router: Router) {
        self.open.spawn(self.clone().run(stream, peer, router));
    }

    /// Resolves when every connection has ended.
    pub(super) async fn finished(&self) {
        self.open.close();
        self.open.wait().await;
        self.streams.close();
        self.streams.wait().await;
    }

    /// Ends the connections that are left and says how many there were.
    pub(super) async fn cut(&self) -> usize {
        let left = self.open.len();
        self.ending.cut.cancel();
        self.open.close();
        self.open.wait().await;
        left
    }

    async fn run(self, stream: TcpStream, peer: SocketAddr, router: Router) {
        // Answers are written whole; waiting for more bytes would only delay them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was refused");
        }
        let exchanges = Arc::new(Exchanges::default());
        let io = TokioIo::new(Patient::new(stream, exchanges.clone(), self.limits));
        let service = {
            let exchanges = exchanges.clone();
            let announced = self.ending.announced.clone();
            service_fn(move |request: Request<Incoming>| {
                let exchange = Exchanges::begin(&exchanges);
                let router = router.clone();
                let announced = announced.clone();
                let old = request.version() < Version::HTTP_2;
                // Asked for, the rest would come: whoever waits to be told has not sent it.
                let waits = request.headers().contains_key(header::EXPECT);
                async move {
                    let (request, rest) = lend(request);
                    let mut answer = answer(router, request, peer, exchange).await;
                    let whole = !old || if waits { rest.is_empty() } else { rest.read().await };
                    if old && (announced.is_cancelled() || !whole) {
                        announce_end(&mut answer);
                    }
                    Ok::<_, Infallible>(answer)
                }
            })
        };
        let protocol = self.protocol();
        let mut connection = pin!(protocol.serve_connection_with_upgrades(io, service));
        let closing = async {
            self.ending.closing.cancelled().await;
            if !exchanges.any_begun() {
                let first = exchanges.begun();
                let _ = tokio::time::timeout(FIRST_REQUEST, first).await;
            }
        };
        let ended = tokio::select! {
            biased;
            () = self.ending.cut.cancelled() => return,
            ended = connection.as_mut() => ended,
            () = closing => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    biased;
                    () = self.ending.cut.cancelled() => return,
                    ended = connection => ended,
                }
            }
        };
        if let Err(error) = ended {
            // Clients vanish all day; that is theirs to log.
            tracing::debug!(%error, "connection ended early");
        }
    }

    fn protocol(&self) -> auto::Builder<Tracked> {
        let mut protocol = auto::Builder::new(Tracked(self.streams.clone()));
        protocol
            .http1()
            .timer(TokioTimer::new())
            // `Patient` tells a slow head from a pause between requests; this timer does not.
            .header_read_timeout(None)
            .max_headers(self.limits.headers);
        protocol
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .max_header_list_size(self.limits.header_bytes);
        protocol
    }
}

fn lend(request: Request<Incoming>) -> (Request<Body>, Rest) {
    let (head, body) = request.into_parts();
    let (body, rest) = unread::lend(body);
    (Request::from_parts(head, body), rest)
}

async fn answer(
    router: Router,
    mut request: Request<Body>,
    peer: SocketAddr,
    exchange: Exchange,
) -> Response {
    request.extensions_mut().insert(ConnectInfo(peer));
    let response = match router.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        exchange.upgraded();
    }
    response.map(|body| Body::new(Held { body, _exchange: exchange }))
}

/// Says in an HTTP/1 answer that no other will come. hyper does so for answers it starts after it
/// learns of the end; this one may be ready before.
fn announce_end(answer: &mut Response) {
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        let close = HeaderValue::from_static("close");
        answer.headers_mut().insert(header::CONNECTION, close);
    }
}

/// A body that keeps its exchange open until it is sent or dropped.
struct Held {
    body: Body,
    _exchange: Exchange,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
