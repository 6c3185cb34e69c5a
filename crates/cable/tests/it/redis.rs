//! The bus and presence on a real Redis, through a proxy that can be cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chatwarden_cable::{
    Bus, BusState, HubConfig, Link, Presence, RedisBus, RedisBusConfig, RedisPresence, Refusal,
    Signal,
};
use chatwarden_testkit::services::Redis;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::stage::{EPOCH, NOW, Socket, Stage, clock, confirmed, message, publication, rejected};

/// Long enough for the reconnection of a client with back-off; what is waited for comes sooner.
const SOON: Duration = Duration::from_secs(15);

/// The Redis of this test run, host and port: the one of the environment, else its own.
fn address() -> String {
    let redis = Redis::shared().expect("a Redis starts");
    redis.url().trim_start_matches("redis://").trim_end_matches('/').to_owned()
}

fn unique(name: &str) -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::SeqCst);
    format!("test:{}:{count}:{name}", std::process::id())
}

/// What a proxy does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    /// Connections stay, nothing gets through.
    Stalled,
    /// Connections end, new ones end at once.
    Cut,
}

/// Stands between a node and Redis.
struct Proxy {
    url: String,
    way: watch::Sender<Way>,
    kicks: Arc<Notify>,
    tasks: TaskTracker,
}

impl Proxy {
    async fn start(to: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let way = watch::Sender::new(Way::Open);
        let kicks = Arc::new(Notify::new());
        let tasks = TaskTracker::new();
        let (ways, kicked, inner) = (way.clone(), Arc::clone(&kicks), tasks.clone());
        tasks.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let forwarding = forward(client, to.clone(), ways.subscribe());
                let kicked = Arc::clone(&kicked);
                inner.spawn(async move {
                    tokio::select! {
                        () = forwarding => {}
                        () = kicked.notified() => {}
                    }
                });
            }
        });
        Self { url, way, kicks, tasks }
    }

    fn make(&self, way: Way) {
        self.way.send_replace(way);
    }

    /// Ends the connections there are; new ones are welcome at once.
    fn kick(&self) {
        self.kicks.notify_waiters();
    }
}

async fn forward(mut client: TcpStream, to: String, mut way: watch::Receiver<Way>) {
    let copying = async {
        let Ok(mut server) = TcpStream::connect(to).await else { return };
        let _bytes = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    };
    tokio::pin!(copying);
    loop {
        let now = *way.borrow_and_update();
        match now {
            Way::Open => tokio::select! {
                () = &mut copying => return,
                changed = way.changed() => if changed.is_err() { return },
            },
            Way::Stalled => {
                if way.changed().await.is_err() {
                    return;
                }
            }
            Way::Cut => return,
        }
    }
}

struct Node {
    bus: Arc<RedisBus>,
    state: watch::Receiver<BusState>,
    signals: Option<mpsc::Receiver<Signal>>,
    stop: CancellationToken,
}

impl Node {
    async fn start(url: &str, prefix: &str, name: &str) -> Self {
        let stop = CancellationToken::new();
        let config = RedisBusConfig {
            url: url.to_owned(),
            prefix: prefix.to_owned(),
            node: name.to_owned(),
            clock: clock(),
        };
        let (bus, signals) = RedisBus::start(config, &TaskTracker::new(), stop.clone()).unwrap();
        let state = bus.state();
        Self { bus, state, signals: Some(signals), stop }
    }

    async fn until(&mut self, what: &str, wanted: impl FnMut(&BusState) -> bool) -> BusState {
        match timeout(SOON, self.state.wait_for(wanted)).await {
            Ok(state) => *state.unwrap(),
            Err(_) => panic!("{what}"),
        }
    }

    async fn up(&mut self) -> BusState {
        self.until("the link comes up", |state| state.link == Link::Up).await
    }

    async fn hear(&mut self) -> Signal {
        let signals = self.signals.as_mut().unwrap();
        timeout(SOON, signals.recv()).await.expect("a signal arrives").unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn said(id: i64) -> Signal {
    Signal::Publication(Arc::new(publication(id, &["t"])))
}

#[tokio::test]
async fn others_hear_it_and_the_node_itself_does_not() {
    let to = address();
    let (url, prefix) = (format!("redis://{to}"), unique("bus"));
    let mut a = Node::start(&url, &prefix, "a").await;
    let mut b = Node::start(&url, &prefix, "b").await;
    let elsewhere = unique("bus");
    let mut stranger = Node::start(&url, &elsewhere, "c").await;
    let mut neighbour = Node::start(&url, &elsewhere, "d").await;
    for node in [&mut a, &mut b, &mut stranger, &mut neighbour] {
        node.up().await;
    }
    for id in 1..=200 {
        a.bus.send(&said(id));
    }
    a.bus.send(&Signal::Refresh("t".into()));
    for id in 1..=200 {
        assert_eq!(b.hear().await, said(id), "in order");
    }
    assert_eq!(b.hear().await, Signal::Refresh("t".into()));
    b.bus.send(&said(7));
    assert_eq!(a.hear().await, said(7), "the first thing it hears: none of its own");
    stranger.bus.send(&said(8));
    assert_eq!(neighbour.hear().await, said(8));
    a.bus.send(&said(9));
    assert_eq!(b.hear().await, said(9), "nothing of another installation before it");
}

#[tokio::test]
async fn a_cut_link_is_noticed_and_mended_with_a_gap_on_both_sides() {
    let to = address();
    let prefix = unique("bus");
    let proxy = Proxy::start(to.clone()).await;
    let mut a = Node::start(&proxy.url, &prefix, "a").await;
    let mut b = Node::start(&format!("redis://{to}"), &prefix, "b").await;
    let before = a.up().await;
    let others_before = b.up().await;

    proxy.make(Way::Cut);
    let cut = a.until("the cut is noticed", |state| state.link != Link::Up).await;
    assert_eq!(cut, BusState { link: Link::Down { since: NOW }, gaps: before.gaps });
    a.bus.send(&said(1));
    proxy.make(Way::Open);
    let mended = a.up().await;
    assert_eq!(mended.gaps, before.gaps + 1);
    b.until("the others are told to catch up", |state| state.gaps > others_before.gaps).await;

    a.bus.send(&said(2));
    loop {
        // What was said during the cut may have come through, or not.
        if b.hear().await == said(2) {
            break;
        }
    }
    b.bus.send(&said(3));
    assert_eq!(a.hear().await, said(3), "subscribed again");
    proxy.tasks.close();
}

/// The client library is back within milliseconds: what was said meanwhile is lost all the same.
#[tokio::test]
async fn the_shortest_interruption_is_a_gap() {
    let to = address();
    let proxy = Proxy::start(to).await;
    let mut a = Node::start(&proxy.url, &unique("bus"), "a").await;
    let before = a.up().await;
    proxy.kick();
    a.until("a gap", |state| state.link == Link::Up && state.gaps > before.gaps).await;
    proxy.tasks.close();
}

#[tokio::test]
async fn a_link_that_swallows_everything_is_noticed() {
    let to = address();
    let prefix = unique("bus");
    let proxy = Proxy::start(to.clone()).await;
    let mut a = Node::start(&proxy.url, &prefix, "a").await;
    let mut b = Node::start(&format!("redis://{to}"), &prefix, "b").await;
    let before = a.up().await;
    b.up().await;
    proxy.make(Way::Stalled);
    a.until("the silence is noticed", |state| state.link != Link::Up).await;
    proxy.make(Way::Open);
    assert!(a.up().await.gaps > before.gaps);
    b.bus.send(&said(1));
    assert_eq!(a.hear().await, said(1));
    proxy.tasks.close();
}

#[tokio::test]
async fn a_redis_that_comes_late_is_found() {
    let to = address();
    let prefix = unique("bus");
    let mut b = Node::start(&format!("redis://{to}"), &prefix, "b").await;
    let others_before = b.up().await;
    let proxy = Proxy::start(to).await;
    proxy.make(Way::Cut);
    let mut a = Node::start(&proxy.url, &prefix, "a").await;
    // More than may wait: none of it blocks or fails.
    for id in 1..=10_000 {
        a.bus.send(&said(id));
    }
    assert_eq!(a.state.borrow().link, Link::Down { since: NOW });
    proxy.make(Way::Open);
    a.up().await;
    b.until("the others are told to catch up", |state| state.gaps > others_before.gaps).await;
    proxy.tasks.close();
}

#[tokio::test]
async fn two_hubs_over_redis() {
    let to = address();
    let (url, prefix) = (format!("redis://{to}"), unique("bus"));
    let mut stages = Vec::new();
    let mut nodes = Vec::new();
    for name in ["a", "b"] {
        let mut node = Node::start(&url, &prefix, name).await;
        node.up().await;
        let bus: Arc<dyn Bus> = Arc::clone(&node.bus) as _;
        let stage = Stage::with(HubConfig::new(EPOCH, clock()), bus);
        stage.allow("t", &[]);
        stage.tasks.spawn(Arc::clone(&stage.hub).listen(node.signals.take().unwrap()));
        stages.push(stage);
        nodes.push(node);
    }
    let [here, there] = &*stages else { unreachable!() };
    let mut socket = there.connect(chatwarden_cable::Protocol::V1Json);
    socket.subscribe("t").await;
    assert_eq!(next(&mut socket).await["type"], "welcome");
    assert_eq!(next(&mut socket).await, confirmed("t"));
    here.publish(publication(1, &["t"]));
    assert_eq!(next(&mut socket).await["message"], message(1));
    there.refuse("t", Refusal::Denied);
    here.refresh("t");
    assert_eq!(next(&mut socket).await, rejected("t"));
}

async fn next(socket: &mut Socket) -> serde_json::Value {
    loop {
        let frame = timeout(SOON, socket.outbox.recv()).await.expect("a frame").unwrap();
        let frame = crate::stage::show(frame);
        if frame["type"] != "ping" {
            return frame;
        }
    }
}

const RETENTION: Duration = Duration::from_secs(60);

async fn seen(
    presence: &RedisPresence,
    groups: &[(&str, i64)],
    now: i64,
) -> Option<Vec<Vec<(String, i64)>>> {
    let mut found = presence.seen(groups, now).await?;
    for members in &mut found {
        members.sort_unstable();
    }
    Some(found)
}

#[tokio::test]
async fn presence_is_shared_and_its_window_inclusive() {
    let to = address();
    let (url, prefix) = (format!("redis://{to}"), unique("presence"));
    let a = RedisPresence::new(&url, &prefix, RETENTION).unwrap();
    let b = RedisPresence::new(&url, &prefix, RETENTION).unwrap();
    a.touch("g", "1", 1_000).await;
    a.touch("g", "2", 2_000).await;
    b.touch("g", "3", 3_000).await;
    a.touch("g", "3", 1_500).await;
    a.touch("h", "4", 3_000).await;
    let all = [("1".to_owned(), 1_000), ("2".to_owned(), 2_000), ("3".to_owned(), 3_000)];
    for (since, expected) in
        [(1_000, &all[..]), (2_000, &all[1..]), (3_000, &all[2..]), (3_001, &[])]
    {
        for node in [&a, &b] {
            let found = seen(node, &[("g", since), ("h", 3_000), ("i", 0)], 3_000).await.unwrap();
            assert_eq!(found[0], expected, "since {since}");
            assert_eq!(found[1], [("4".to_owned(), 3_000)], "since {since}");
            assert!(found[2].is_empty(), "since {since}");
        }
    }
    // 1 is expired when somebody asks 60 s later, whatever the window.
    assert_eq!(seen(&a, &[("g", 0)], 61_001).await.unwrap()[0], all[1..]);
}

#[tokio::test]
async fn without_redis_nobody_waits_for_it() {
    let to = address();
    for way in [Way::Cut, Way::Stalled] {
        let proxy = Proxy::start(to.clone()).await;
        let a = RedisPresence::new(&proxy.url, &unique("presence"), RETENTION).unwrap();
        a.touch("g", "1", 1_000).await;
        assert_eq!(seen(&a, &[("g", 0)], 1_000).await, Some(vec![vec![("1".to_owned(), 1_000)]]));
        proxy.make(way);
        let answer = timeout(Duration::from_secs(1), async {
            a.touch("g", "3", 1_000).await;
            seen(&a, &[("g", 0)], 1_000).await
        });
        assert_eq!(answer.await.expect("an answer within the time-outs"), None);
        proxy.tasks.close();
    }
}
