//! One node of a server: the parts, put together.
//!
//! `serve` assembles it from the configuration, tests from parts of their own.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use chatwarden_api::cable::{channels, publication};
use chatwarden_api::presence::Board;
use chatwarden_api::{App, Around};
use chatwarden_cable::{Bus, Hub, HubConfig, Link, Signal};
use chatwarden_core::desk::Desk;
use chatwarden_core::events;
use chatwarden_core::outside::Outside;
use chatwarden_core::store::{Publisher, Store};
use chatwarden_db::Db;
use chatwarden_jobs::outbox::{Relay, Stored, Tail};
use chatwarden_jobs::{Limits, Worker};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long running jobs get when the server ends (operations.md §3.5).
const RUNNING_JOBS: Duration = Duration::from_secs(10);

/// How often it is asked who the other nodes saw.
const PRESENCE_REFRESH: Duration = Duration::from_secs(2);

/// What a node is made of.
pub struct Parts {
    /// The database, migrated, lending `desk` to its transactions.
    pub db: Db,
    /// The installation.
    pub desk: Arc<Desk>,
    /// How this node hears from the others.
    pub bus: Arc<dyn Bus>,
    /// Names the database, for sockets that resume.
    pub epoch: String,
    /// Who is present; the installation asks it too.
    pub board: Arc<Board>,
    /// What is around the product's routes.
    pub around: Around,
    /// The web and the disk.
    pub outside: Outside,
    /// Names this node among all that ever were.
    pub name: String,
}

/// A node, ready to serve.
pub struct Node {
    /// What handlers share.
    pub app: App,
    /// The sockets.
    pub hub: Arc<Hub>,
    /// Who does the jobs.
    pub worker: Worker,
    /// Who is present.
    pub board: Arc<Board>,
    /// The background tasks.
    pub tasks: TaskTracker,
    /// Ends the background tasks.
    pub stop: CancellationToken,
    /// The tasks by which sockets and other nodes hear of commits: they outlast the requests.
    telling: TaskTracker,
    /// Ends `telling`.
    told: CancellationToken,
}

/// Hands what a commit made known to the sockets, here and on the other nodes.
struct ToHub(Arc<Hub>);

impl Publisher for ToHub {
    fn publish(&self, stored: Vec<Stored>) {
        for signal in stored.into_iter().flat_map(signals) {
            self.0.tell(signal);
        }
    }
}

/// What the nodes tell each other of an entry.
fn signals(stored: Stored) -> Vec<Signal> {
    if stored.entry.event == events::REFRESH {
        return stored
            .entry
            .streams
            .into_iter()
            .map(|token| Signal::Refresh(token.into()))
            .collect();
    }
    vec![Signal::Publication(Arc::new(publication(stored)))]
}

/// How often the log is looked at while the nodes hear each other: a node that is cut off can't
/// tell the others what they miss.
const FOLLOW_CALM: Duration = Duration::from_secs(5);
/// How often, while they do not.
const FOLLOW_DEAF: Duration = Duration::from_millis(250);

/// Tells this node's sockets what the others committed, from the database; what the bus told already
/// is dropped as a repeat.
async fn follow(db: Db, hub: Arc<Hub>) {
    let mut state = hub.bus().state();
    let mut tail = None;
    loop {
        let mut at = match tail {
            Some(at) => at,
            None => match Tail::from_end(&db).await {
                Ok(at) => at,
                Err(error) => {
                    tracing::warn!(%error, "the outbox can't be followed");
                    tokio::time::sleep(FOLLOW_DEAF).await;
                    continue;
                }
            },
        };
        match at.next(&db).await {
            Ok(stored) if stored.is_empty() => {
                let deaf = matches!(state.borrow_and_update().link, Link::Down { .. });
                tokio::select! {
                    () = tokio::time::sleep(if deaf { FOLLOW_DEAF } else { FOLLOW_CALM }) => {}
                    // It went down or came back, or something was missed.
                    _ = state.changed() => {}
                }
            }
            Ok(stored) => {
                for signal in stored.into_iter().flat_map(signals) {
                    hub.receive(signal);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the outbox can't be followed");
                tokio::time::sleep(FOLLOW_DEAF).await;
            }
        }
        tail = Some(at);
    }
}

impl Node {
    /// Puts the parts together and starts what runs in the background.
    pub fn assemble(parts: Parts) -> Self {
        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        let ambient = parts.db.ambient().clone();
        let clock: chatwarden_cable::Clock = Arc::new(move || ambient.now().micros());
        let (telling, told) = (TaskTracker::new(), CancellationToken::new());
        let hub = Hub::start(HubConfig::new(parts.epoch, clock), parts.bus, &telling, &told);
        let store = Store::new(parts.db.clone(), Arc::new(ToHub(hub.clone())));
        let relay = Relay::new(parts.db.clone(), chatwarden_core::jobs::routing());
        let again = ToHub(hub.clone());
        let worker = Worker::new(
            parts.db,
            chatwarden_core::jobs::registry(&store, &parts.outside),
            relay,
            chatwarden_core::jobs::SCHEDULES,
            Limits::default(),
            parts.name,
            // Those that were published after all are dropped as repeats.
            move |overdue| again.publish(overdue),
        );
        let channels = Arc::new(channels(store.clone(), parts.board.clone()));
        let app = App::new(store, parts.desk, hub.clone(), channels, parts.around, parts.outside);
        Self { app, hub, worker, board: parts.board, tasks, stop, telling, told }
    }

    /// Starts the workers: jobs are done as they come. Tests do them when they say so.
    pub fn work(&self) {
        self.worker.start(&self.tasks, &self.stop);
        let (board, ambient) = (self.board.clone(), self.app.db().ambient().clone());
        let refresh = async move {
            loop {
                board.refresh(ambient.now()).await;
                tokio::time::sleep(PRESENCE_REFRESH).await;
            }
        };
        self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(refresh));
    }

    /// Listens to the other nodes: by the bus's signals, and by the database for what the bus missed.
    pub fn listen(&self, signals: mpsc::Receiver<Signal>) {
        let until =
            |future: BoxFuture<'static, ()>| self.told.clone().run_until_cancelled_owned(future);
        self.telling.spawn(until(self.hub.clone().listen(signals).boxed()));
        self.telling.spawn(until(follow(self.app.db().clone(), self.hub.clone()).boxed()));
    }

    /// Ends what sockets and other nodes hear by; to be called when nothing is committed any more.
    pub async fn stop_telling(&self) {
        self.told.cancel();
        self.telling.close();
        self.telling.wait().await;
    }

    /// Ends what runs in the background: running jobs may finish, what does not is given back.
    pub async fn rest(&self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(RUNNING_JOBS, self.tasks.wait()).await.is_err()
            && let Err(error) = self.worker.give_back().await
        {
            tracing::warn!(%error, "jobs can't be given back; their leases will run out");
        }
    }

    /// The routes of a listener for operators, without the edge.
    pub fn operators(&self) -> Router {
        chatwarden_api::operators(self.app.clone())
    }

    /// The routes, without the edge.
    pub fn router(&self) -> Router {
        chatwarden_api::router(self.app.clone())
    }
}
