//! How long a connection may keep us waiting: for the head of a request, between requests, and for it to take
//! what it asked for.
//!
//! hyper has one timer for both, and none before the first byte. A proxy that keeps connections for
//! a minute needs the second limit long; a client that trickles headers needs the first one short.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep};

use super::connection::Limits;

/// The requests of one connection, as far as its time limits ask.
#[derive(Debug, Default)]
pub(super) struct Exchanges {
    begun: AtomicUsize,
    ended: AtomicUsize,
    upgraded: AtomicBool,
    first: Notify,
}

impl Exchanges {
    /// A request has arrived; it is under way until the result is dropped.
    pub(super) fn begin(this: &Arc<Self>) -> Exchange {
        this.begun.fetch_add(1, Ordering::AcqRel);
        this.first.notify_one();
        Exchange(this.clone())
    }

    /// Whether the connection has asked for anything yet.
    pub(super) fn any_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire) > 0
    }

    /// Resolves when it has.
    pub(super) async fn begun(&self) {
        if !self.any_begun() {
            self.first.notified().await;
        }
    }
}

/// A request under way.
#[derive(Debug)]
pub(super) struct Exchange(Arc<Exchanges>);

impl Exchange {
    /// The connection is no longer HTTP: whoever took it over watches it.
    pub(super) fn upgraded(&self) {
        self.0.upgraded.store(true, Ordering::Release);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::AcqRel);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Waiting {
    /// For the rest of a head.
    Head,
    /// For a request to begin.
    Idle,
}

/// A stream that fails when a head takes too long or nothing of an answer is taken for too long, and ends when
/// nothing is asked for too long.
pub(super) struct Patient<S> {
    stream: S,
    exchanges: Arc<Exchanges>,
    limits: Limits,
    waiting: Option<Waiting>,
    /// How many requests had ended when `waiting` was set.
    since: usize,
    timer: Pin<Box<Sleep>>,
    /// Runs while the client takes nothing: most never let it come to that.
    stalled: Option<Pin<Box<Sleep>>>,
    /// HTTP/2 watches itself by pings once it is established.
    multiplexed: bool,
}

impl<S> Patient<S> {
    pub(super) fn new(stream: S, exchanges: Arc<Exchanges>, limits: Limits) -> Self {
        Self {
            stream,
            exchanges,
            limits,
            waiting: Some(Waiting::Head),
            since: 0,
            timer: Box::pin(sleep(limits.head)),
            stalled: None,
            multiplexed: false,
        }
    }

    fn wait(&mut self, waiting: Waiting, limit: Duration) {
        self.waiting = Some(waiting);
        self.timer.as_mut().reset(Instant::now() + limit);
    }

    /// Brings `waiting` in line with what has happened since the last read.
    fn review(&mut self) {
        let ended = self.exchanges.ended.load(Ordering::Acquire);
        let begun = self.exchanges.begun.load(Ordering::Acquire);
        let watched_by_others =
            self.exchanges.upgraded.load(Ordering::Acquire) || (self.multiplexed && begun > 0);
        if watched_by_others || begun > ended {
            self.waiting = None;
        } else if self.waiting.is_none() || self.since != ended {
            self.wait(Waiting::Idle, self.limits.idle);
        }
        self.since = ended;
    }

    /// Fails what has been written for too long without a byte being taken.
    fn unless_stalled(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let limit = self.limits.stalled;
        let timer = self.stalled.get_or_insert_with(|| Box::pin(sleep(limit)));
        timer.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.review();
        let before = buffer.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut this.stream).poll_read(context, buffer) {
            let bytes = buffer.filled().get(before..).unwrap_or_default();
            if !this.exchanges.any_begun() && bytes.starts_with(b"PRI ") {
                this.multiplexed = true;
            }
            if this.waiting == Some(Waiting::Idle) && !bytes.is_empty() {
                this.wait(Waiting::Head, this.limits.head);
            }
            return Poll::Ready(read);
        }
        match this.waiting {
            Some(waiting) if this.timer.as_mut().poll(context).is_ready() => {
                Poll::Ready(match waiting {
                    Waiting::Head => Err(io::ErrorKind::TimedOut.into()),
                    // As if the client had closed: hyper ends an idle connection without a word.
                    Waiting::Idle => Ok(()),
                })
            }
            _ => Poll::Pending,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.unless_stalled(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.unless_stalled(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::time::timeout;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    struct Fixture {
        client: DuplexStream,
        server: Patient<DuplexStream>,
        exchanges: Arc<Exchanges>,
        start: Instant,
    }

    impl Fixture {
        fn new() -> Self {
            let (client, server) = duplex(64);
            let exchanges = Arc::new(Exchanges::default());
            let server = Patient::new(server, exchanges.clone(), Limits::default());
            Self { client, server, exchanges, start: Instant::now() }
        }

        async fn sent(&mut self, bytes: &[u8]) {
            self.client.write_all(bytes).await.expect("sent");
            let mut read = vec![0; bytes.len()];
            self.server.read_exact(&mut read).await.expect("read");
        }

        /// What a read gives and after how many seconds; `None` when it still waits after an hour.
        async fn read(&mut self) -> Option<(Result<usize, io::ErrorKind>, u64)> {
            let mut buffer = [0; 64];
            let read = timeout(HOUR, self.server.read(&mut buffer)).await.ok()?;
            Some((read.map_err(|error| error.kind()), self.start.elapsed().as_secs()))
        }
    }

    const SLOW: Result<usize, io::ErrorKind> = Err(io::ErrorKind::TimedOut);

    #[tokio::test(start_paused = true)]
    async fn the_first_head_has_to_come() {
        let mut silent = Fixture::new();
        assert_eq!(silent.read().await, Some((SLOW, 10)));
        let mut slow = Fixture::new();
        tokio::time::advance(Duration::from_secs(6)).await;
        slow.sent(b"GET / HT").await;
        assert_eq!(slow.read().await, Some((SLOW, 10)), "a byte does not start the time anew");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_between_requests_may_be_longer() {
        let mut fixture = Fixture::new();
        fixture.sent(b"GET").await;
        drop(Exchanges::begin(&fixture.exchanges));
        assert_eq!(fixture.read().await, Some((Ok(0), 75)), "it ends without an error");
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_head_has_the_time_of_the_first() {
        let mut fixture = Fixture::new();
        drop(Exchanges::begin(&fixture.exchanges));
        let mut buffer = [0; 1];
        let waiting = fixture.server.read(&mut buffer);
        assert!(timeout(Duration::from_secs(70), waiting).await.is_err());
        fixture.sent(b"G").await;
        assert_eq!(fixture.read().await, Some((SLOW, 80)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_under_way_takes_its_time() {
        let mut fixture = Fixture::new();
        let exchange = Exchanges::begin(&fixture.exchanges);
        assert_eq!(fixture.read().await, None);
        drop(exchange);
        assert_eq!(fixture.read().await, Some((Ok(0), 3675)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_takes_is_given_up() {
        let Fixture { mut client, mut server, exchanges, start } = Fixture::new();
        let _under_way = Exchanges::begin(&exchanges);
        // What is taken slowly is taken: 64 bytes fit on the way.
        for _ in 0..3 {
            server.write_all(&[0; 64]).await.expect("written");
            tokio::time::advance(Duration::from_secs(29)).await;
            client.read_exact(&mut [0; 64]).await.expect("taken");
        }
        let slow = server.write_all(&[0; 65]).await.expect_err("nobody takes it");
        assert_eq!(
            (slow.kind(), start.elapsed().as_secs()),
            (io::ErrorKind::TimedOut, 3 * 29 + 30)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_upgraded_connection_is_left_alone() {
        let mut fixture = Fixture::new();
        let exchange = Exchanges::begin(&fixture.exchanges);
        exchange.upgraded();
        drop(exchange);
        fixture.sent(b"frame").await;
        assert_eq!(fixture.read().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn http2_watches_itself_once_it_is_used() {
        let mut unused = Fixture::new();
        unused.sent(b"PRI * HTTP/2.0").await;
        assert_eq!(unused.read().await, Some((SLOW, 10)));
        let mut used = Fixture::new();
        used.sent(b"PRI * HTTP/2.0").await;
        drop(Exchanges::begin(&used.exchanges));
        used.sent(b"ping").await;
        assert_eq!(used.read().await, None);
    }
}
