//! One node of a server: the parts, put together.
//!
//! `serve` assembles it from the configuration, tests from parts of their own.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use chatwarden_api::{App, Settings};
use chatwarden_cable::{Bus, Channels, Hub, HubConfig, Publication};
use chatwarden_core::desk::Desk;
use chatwarden_core::store::{Publisher, Store};
use chatwarden_db::Db;
use chatwarden_guard::RateLimiter;
use chatwarden_jobs::outbox::{Relay, Stored};
use chatwarden_jobs::{Limits, Worker};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long running jobs get when the server ends (operations.md §3.5).
const RUNNING_JOBS: Duration = Duration::from_secs(10);

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
    /// The rate limits.
    pub limiter: RateLimiter,
    /// How the server answers.
    pub settings: Settings,
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
    /// The background tasks.
    pub tasks: TaskTracker,
    /// Ends the background tasks.
    pub stop: CancellationToken,
}

/// Hands what a commit made known to the sockets, here and on the other nodes.
struct ToHub(Arc<Hub>);

impl Publisher for ToHub {
    fn publish(&self, stored: Vec<Stored>) {
        for entry in stored {
            self.0.publish(publication(entry));
        }
    }

    fn refresh(&self, tokens: Vec<String>) {
        for token in tokens {
            self.0.refresh(&token);
        }
    }
}

/// An outbox entry as the sockets know it.
fn publication(stored: Stored) -> Publication {
    Publication {
        id: stored.id,
        at: stored.at.micros(),
        streams: stored.entry.streams.into_iter().map(Arc::from).collect(),
        except: stored.entry.except.map(Arc::from),
        message: Arc::from(stored.entry.message),
    }
}

impl Node {
    /// Puts the parts together and starts what runs in the background.
    pub fn assemble(parts: Parts) -> Self {
        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        let ambient = parts.db.ambient().clone();
        let clock: chatwarden_cable::Clock = Arc::new(move || ambient.now().micros());
        let hub = Hub::start(HubConfig::new(parts.epoch, clock), parts.bus, &tasks, &stop);
        let store = Store::new(parts.db.clone(), Arc::new(ToHub(hub.clone())));
        let relay = Relay::new(parts.db.clone(), chatwarden_core::jobs::routing());
        let again = ToHub(hub.clone());
        let worker = Worker::new(
            parts.db,
            chatwarden_core::jobs::registry(&store),
            relay,
            chatwarden_core::jobs::SCHEDULES,
            Limits::default(),
            parts.name,
            // Those that were published after all are dropped as repeats.
            move |overdue| again.publish(overdue),
        );
        let channels = Arc::new(Channels::new());
        let app = App::new(store, parts.desk, hub.clone(), channels, parts.limiter, parts.settings);
        Self { app, hub, worker, tasks, stop }
    }

    /// Starts the workers: jobs are done as they come. Tests do them when they say so.
    pub fn work(&self) {
        self.worker.start(&self.tasks, &self.stop);
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

    /// The routes, without the edge.
    pub fn router(&self) -> Router {
        chatwarden_api::router(self.app.clone())
    }
}
