//! What every handler has at hand.

use std::ops::Deref;
use std::sync::Arc;

use chatwarden_cable::{Channels, Hub};
use chatwarden_core::Store;
use chatwarden_core::desk::Desk;
use chatwarden_core::outside::Outside;
use chatwarden_core::passwords::{Hashed, Verdict};
use chatwarden_guard::RateLimiter;
use chatwarden_telemetry::health::Health;
use chatwarden_telemetry::logs::Levels;
use chatwarden_telemetry::meters::Registry;

use crate::actuator;
use crate::error::Answer;
use crate::front_ends::FrontEnds;
use crate::passwords::Passwords;

/// The server's state, shared by all requests. Dereferences to its [`Store`]: `app.write(…)`.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    store: Store,
    desk: Arc<Desk>,
    hub: Arc<Hub>,
    channels: Arc<Channels>,
    limiter: RateLimiter,
    telemetry: Telemetry,
    front_ends: FrontEnds,
    api_docs: bool,
    passwords: Passwords,
    outside: Outside,
    kept: actuator::Kept,
}

/// What is around the product's routes.
#[derive(Clone)]
pub struct Around {
    /// The rate limits, for those that need to know who asks.
    pub limiter: RateLimiter,
    /// What the server knows of itself.
    pub telemetry: Telemetry,
    /// Chatwoot's own front ends.
    pub front_ends: FrontEnds,
    /// Whether the description of the API is shown.
    pub api_docs: bool,
}

/// What the server knows of itself.
#[derive(Clone)]
pub struct Telemetry {
    /// How the parts are, as last looked at.
    pub health: Health,
    /// What is measured.
    pub meters: Registry,
    /// Which loggers write what.
    pub levels: Levels,
    /// The endpoints that show it.
    pub actuator: Arc<actuator::Settings>,
}

impl App {
    /// The state of a server.
    pub fn new(
        store: Store,
        desk: Arc<Desk>,
        hub: Arc<Hub>,
        channels: Arc<Channels>,
        around: Around,
        outside: Outside,
    ) -> Self {
        let Around { limiter, telemetry, front_ends, api_docs } = around;
        let kept = actuator::Kept::new(telemetry.actuator.cache_ttl);
        Self(Arc::new(Inner {
            store,
            desk,
            hub,
            channels,
            limiter,
            telemetry,
            front_ends,
            api_docs,
            passwords: Passwords::default(),
            outside,
            kept,
        }))
    }

    /// The installation.
    pub fn desk(&self) -> &Arc<Desk> {
        &self.0.desk
    }

    /// The sockets.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.0.hub
    }

    /// What sockets may subscribe to.
    pub fn channels(&self) -> &Arc<Channels> {
        &self.0.channels
    }

    /// The rate limits, for those that need to know who asks.
    pub fn limiter(&self) -> &RateLimiter {
        &self.0.limiter
    }

    /// Hashes a password, outside any transaction.
    pub(crate) async fn hash_password(&self, password: String) -> Answer<Hashed> {
        self.0.passwords.hash(password, self.db().ambient().bytes()).await
    }

    /// Compares a password with a stored hash, outside any transaction; with nobody's it takes as long.
    pub(crate) async fn verify_password(
        &self,
        password: String,
        stored: Option<String>,
    ) -> Answer<Verdict> {
        self.0.passwords.verify(password, stored).await
    }

    /// The web and the disk.
    pub fn outside(&self) -> &Outside {
        &self.0.outside
    }

    /// How the parts are, as last looked at.
    pub fn health(&self) -> &Health {
        &self.0.telemetry.health
    }

    /// Which loggers write what.
    pub(crate) fn levels(&self) -> &Levels {
        &self.0.telemetry.levels
    }

    /// What is measured.
    pub fn meters(&self) -> &Registry {
        &self.0.telemetry.meters
    }

    /// Chatwoot's own front ends.
    pub(crate) fn front_ends(&self) -> &FrontEnds {
        &self.0.front_ends
    }

    /// Whether the description of the API is shown.
    pub(crate) fn api_docs(&self) -> bool {
        self.0.api_docs
    }

    /// What operators were answered a moment ago.
    pub(crate) fn kept(&self) -> &actuator::Kept {
        &self.0.kept
    }

    /// The endpoints for operators.
    pub(crate) fn actuator(&self) -> &actuator::Settings {
        &self.0.telemetry.actuator
    }
}

impl Deref for App {
    type Target = Store;
    fn deref(&self) -> &Store {
        &self.0.store
    }
}
