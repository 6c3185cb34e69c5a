use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::routing::get;
use futures::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use super::*;

/// Long enough never to pass in a test.
const NEVER: Duration = Duration::from_secs(3600);

/// A server under test. Its steps are semaphores, so that a test waits for what happened instead
/// of for time.
struct Fixture {
    address: SocketAddr,
    stop: CancellationToken,
    abort: CancellationToken,
    /// A permit for each request to `/slow` that has begun.
    begun: Arc<Semaphore>,
    /// A request to `/slow` ends when it gets a permit.
    gate: Arc<Semaphore>,
    /// A permit once the drain has closed the listener.
    closed: Arc<Semaphore>,
    /// The hooks that have run.
    steps: Arc<Mutex<Vec<&'static str>>>,
    server: JoinSet<Result<Drained, Aborted>>,
}

impl Fixture {
    async fn start(delay: Duration, timeout: Duration, workers_end: bool) -> Self {
        let begun = Arc::new(Semaphore::new(0));
        let gate = Arc::new(Semaphore::new(0));
        let closed = Arc::new(Semaphore::new(0));
        let steps: Arc<Mutex<Vec<&'static str>>> = Arc::default();
        let step = |name| {
            let steps = steps.clone();
            move || steps.lock().expect("steps").push(name)
        };
        let slow = {
            let (begun, gate) = (begun.clone(), gate.clone());
            move || async move {
                begun.add_permits(1);
                gate.acquire().await.expect("open").forget();
                "slow"
            }
        };
        let router = Router::new()
            .route("/", get(|| async { "fast" }))
            .route("/slow", get(slow.clone()).post(slow))
            .route(
                "/peer",
                get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() }),
            )
            .route("/echo", get(|upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(echo) }));
        let (drain, sockets, workers, flush) =
            (step("drain"), step("sockets"), step("workers"), step("flush"));
        let told = closed.clone();
        let lifecycle = Lifecycle::new(delay, timeout)
            .on_drain(drain)
            .sockets(move || async move {
                sockets();
                told.add_permits(1);
            })
            .workers(move || async move {
                workers();
                if !workers_end {
                    std::future::pending().await
                }
            })
            .flush(|| async move { flush() });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("an address");
        let (stop, abort) = (lifecycle.stop.clone(), lifecycle.abort.clone());
        let mut server = JoinSet::new();
        server.spawn(serve(vec![(listener, router)], Limits::default(), lifecycle));
        Self { address, stop, abort, begun, gate, closed, steps, server }
    }

    async fn patient() -> Self {
        Self::start(Duration::ZERO, NEVER, true).await
    }

    async fn client(&self) -> Client {
        Client(TcpStream::connect(self.address).await.expect("connected"))
    }

    /// Begins the drain and waits until the listener is closed.
    async fn close(&self) {
        self.stop.cancel();
        self.closed.acquire().await.expect("closed").forget();
    }

    async fn ended(&mut self) -> Result<Drained, Aborted> {
        self.server.join_next().await.expect("a server").expect("no panic")
    }
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if socket.send(message).await.is_err() {
            return;
        }
    }
}

struct Client(TcpStream);

impl Client {
    async fn ask(&mut self, path: &str) {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")).await;
    }

    async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.expect("sent");
    }

    /// Reads an answer whose body ends with `end`.
    async fn answer(&mut self, end: &str) -> String {
        let mut text = Vec::new();
        while !text.ends_with(end.as_bytes()) {
            let read = self.0.read_buf(&mut text).await.expect("read");
            assert!(read > 0, "closed after {:?}", String::from_utf8_lossy(&text));
        }
        String::from_utf8(text).expect("a text")
    }

    /// Waits for the end of the connection, whichever way it comes.
    async fn closed(mut self) {
        let mut rest = Vec::new();
        if self.0.read_to_end(&mut rest).await.is_ok() {
            assert_eq!(String::from_utf8_lossy(&rest), "");
        }
    }
}

const CLEAN: Result<Drained, Aborted> = Ok(Drained { cut: 0, complete: true });

#[tokio::test]
async fn a_request_under_way_is_finished_and_new_connections_are_refused() {
    let mut fixture = Fixture::patient().await;
    let mut client = fixture.client().await;
    client.ask("/slow").await;
    fixture.begun.acquire().await.expect("begun").forget();
    fixture.close().await;
    let refused = TcpStream::connect(fixture.address).await.expect_err("refused");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    fixture.gate.add_permits(1);
    let answer = client.answer("slow").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    client.closed().await;
    assert_eq!(fixture.ended().await, CLEAN);
    let steps = fixture.steps.lock().expect("steps").clone();
    assert_eq!(steps, ["drain", "sockets", "workers", "flush"]);
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let mut fixture = Fixture::patient().await;
    let mut client = fixture.client().await;
    for _ in 0..2 {
        client.ask("/").await;
        let answer = client.answer("fast").await;
        assert!(!answer.contains("connection: close"), "{answer}");
    }
    fixture.stop.cancel();
    client.closed().await;
    assert_eq!(fixture.ended().await, CLEAN);
}

#[tokio::test]
async fn a_connection_that_has_not_asked_yet_may_still_ask() {
    let mut fixture = Fixture::patient().await;
    let mut client = fixture.client().await;
    fixture.close().await;
    client.ask("/").await;
    let answer = client.answer("fast").await;
    assert!(answer.contains("connection: close"), "{answer}");
    client.closed().await;
    assert_eq!(fixture.ended().await, CLEAN);
}

#[tokio::test]
async fn it_serves_until_the_delay_is_over_and_an_abort_ends_it_at_once() {
    let mut fixture = Fixture::start(NEVER, 2 * NEVER, true).await;
    let mut kept = fixture.client().await;
    kept.ask("/").await;
    kept.answer("fast").await;
    fixture.stop.cancel();
    // Who keeps a connection is told to come anew, long before connections are closed.
    for mut client in [kept, fixture.client().await] {
        client.ask("/").await;
        let answer = client.answer("fast").await;
        assert!(answer.contains("connection: close"), "{answer}");
        client.closed().await;
    }
    let client = fixture.client().await;
    let mut hanging = fixture.client().await;
    hanging.ask("/slow").await;
    fixture.begun.acquire().await.expect("begun").forget();
    fixture.abort.cancel();
    assert_eq!(fixture.ended().await, Err(Aborted));
    client.closed().await;
    hanging.closed().await;
    assert_eq!(*fixture.steps.lock().expect("steps"), ["drain"]);
}

#[tokio::test]
async fn what_takes_too_long_is_cut() {
    let mut fixture = Fixture::start(Duration::ZERO, Duration::from_millis(50), false).await;
    let mut client = fixture.client().await;
    client.ask("/slow").await;
    fixture.begun.acquire().await.expect("begun").forget();
    fixture.stop.cancel();
    assert_eq!(fixture.ended().await, Ok(Drained { cut: 1, complete: false }));
    client.closed().await;
    assert_eq!(*fixture.steps.lock().expect("steps"), ["drain", "sockets", "workers", "flush"]);
}

#[tokio::test]
async fn handlers_know_the_peer() {
    let fixture = Fixture::patient().await;
    let mut client = fixture.client().await;
    let own = client.0.local_addr().expect("an address").to_string();
    client.ask("/peer").await;
    client.answer(&own).await;
}

#[tokio::test]
async fn web_sockets_are_upgraded_and_do_not_hold_up_the_drain() {
    let mut fixture = Fixture::patient().await;
    let address = format!("ws://{}/echo", fixture.address);
    let stream = fixture.client().await.0;
    let (mut socket, _) = tokio_tungstenite::client_async(address, stream).await.expect("upgraded");
    for text in ["one", "two"] {
        socket.send(Message::text(text)).await.expect("sent");
        let echoed = socket.next().await.expect("open").expect("a message");
        assert_eq!(echoed, Message::text(text));
    }
    fixture.stop.cancel();
    assert_eq!(fixture.ended().await, CLEAN);
    // Whoever holds the sockets says good-bye to them: they outlive the connection's task.
    socket.send(Message::text("three")).await.expect("sent");
    assert_eq!(socket.next().await.expect("open").expect("a message"), Message::text("three"));
}

#[tokio::test]
async fn http2_finishes_its_streams() {
    let mut fixture = Fixture::patient().await;
    let stream = TokioIo::new(fixture.client().await.0);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream)
            .await
            .expect("a connection");
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let request = |path: &str| {
        axum::http::Request::get(format!("http://{}{path}", fixture.address))
            .body(Empty::<axum::body::Bytes>::new())
            .expect("a request")
    };
    let fast = sender.send_request(request("/")).await.expect("an answer");
    assert_eq!(fast.version(), axum::http::Version::HTTP_2);
    let slow = sender.send_request(request("/slow"));
    let ended = async {
        fixture.begun.acquire().await.expect("begun").forget();
        fixture.close().await;
        fixture.gate.add_permits(1);
    };
    let (slow, ()) = tokio::join!(slow, ended);
    let body = slow.expect("an answer").into_body().collect().await.expect("a body");
    assert_eq!(body.to_bytes(), "slow");
    driver.join_next().await.expect("a driver").expect("no panic").expect("a clean end");
    assert_eq!(fixture.ended().await, CLEAN);
}

#[tokio::test]
async fn more_headers_than_allowed_are_refused() {
    let fixture = Fixture::patient().await;
    for (headers, status) in [(60, "HTTP/1.1 200"), (70, "HTTP/1.1 431")] {
        let mut client = fixture.client().await;
        let lines: String = (0..headers).map(|n| format!("X-{n}: x\r\n")).collect();
        let head = format!("GET / HTTP/1.1\r\nHost: test\r\n{lines}\r\n");
        client.0.write_all(head.as_bytes()).await.expect("sent");
        let mut start = [0; 12];
        client.0.read_exact(&mut start).await.expect("an answer");
        assert_eq!(String::from_utf8_lossy(&start), status);
    }
}

#[tokio::test]
async fn a_body_that_nobody_reads_does_not_end_the_connection() {
    let fixture = Fixture::patient().await;
    let mut client = fixture.client().await;
    client.send("POST /slow HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\n").await;
    fixture.begun.acquire().await.expect("begun").forget();
    // The body comes after the answer is ready, as from clients that send it by itself.
    fixture.gate.add_permits(1);
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    client.send("hello").await;
    let answer = client.answer("slow").await;
    assert!(!answer.contains("connection: close"), "{answer}");
    client.ask("/").await;
    client.answer("fast").await;
}

#[tokio::test]
async fn the_end_is_announced_where_a_body_is_not_read() {
    let fixture = Fixture::patient().await;
    for more in ["Content-Length: 9000000", "Content-Length: 5\r\nExpect: 100-continue"] {
        let mut client = fixture.client().await;
        client.send(&format!("POST /nowhere HTTP/1.1\r\nHost: test\r\n{more}\r\n\r\n")).await;
        let answer = client.answer("\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{more}: {answer}");
        assert!(answer.contains("connection: close"), "{more}: {answer}");
        client.closed().await;
    }
}
