//! Rate limits: classes, quotas and who keeps them (operations.md §5, behaviours.md §17).
//!
//! With Redis all nodes share the buckets; when it is away each node keeps its share of the
//! quotas locally: the layer fails local, and open only for deliveries of providers. Counters:
//! `ratelimit.decisions{class,decision}`, where `local` is an admission decided without Redis
//! although there should be one; timer `ratelimit.backend{outcome}`.

mod breaker;
mod config;
mod decision;
mod layer;
mod local;
mod quota;
mod redis;
mod rules;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hmac::{Hmac, KeyInit, Mac};
use http::Method;
use sha2::Sha256;

pub use config::{ConfigError, RateLimitConfig};
pub use decision::{Decision, RateClass};
pub use layer::{Decided, Decisions, LimitRate, layer};
pub use quota::{InvalidQuota, Quota};
pub use rules::{Profile, is_met};

use crate::ambient::Ambient;
use crate::client_ip::ClientIp;
use crate::path;
use breaker::Breaker;
use decision::{Standing, Taken};
use local::{LocalStore, Recent};
use quota::Reading;
use redis::{RedisStore, SharedStore, StoreError};
use rules::{Away, Cost, KeyKind, RULES, Rule, When};

/// Whom a check is about: as much as the caller knows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Subject<'a> {
    /// The client, for the classes by address and the allow list.
    pub client: Option<&'a ClientIp>,
    /// E-mail address in the body or query.
    pub email: Option<&'a str>,
    /// `mfa_token` in the body.
    pub mfa_token: Option<&'a str>,
    /// The account acted in.
    pub account: Option<i64>,
    /// The user acting.
    pub user: Option<i64>,
    /// The API token used, by its id.
    pub token: Option<i64>,
    /// The visitor acting, by what their inbox calls them.
    pub contact: Option<&'a str>,
    /// The website visited, by its token.
    pub website: Option<&'a str>,
    /// Size of the content, for the classes that count bytes.
    pub bytes: Option<u64>,
}

/// A bucket to be taken from.
#[derive(Debug, Clone)]
struct Bucket {
    /// Number within the table of limits, the key in the local store.
    slot: u16,
    class: &'static str,
    window: u8,
    quota: Quota,
    cost: u64,
    attempts: bool,
    away: Away,
    unavailable: bool,
}

/// The buckets of one identity, decided as one: all of them of attempts, or none.
#[derive(Debug, Clone)]
struct Group {
    identity: String,
    buckets: Vec<Bucket>,
}

impl Group {
    fn of_attempts(&self) -> bool {
        self.buckets.iter().any(|bucket| bucket.attempts)
    }
}

/// The limits of a process. Cheap to clone.
#[derive(Clone)]
pub struct RateLimiter {
    inner: Arc<Inner>,
}

struct Inner {
    config: RateLimitConfig,
    ambient: Ambient,
    /// The rules that are on, with their quotas.
    rules: Vec<(u16, &'static Rule, Vec<Quota>)>,
    /// Paths with a class of their own are left out of `general`.
    split: bool,
    local: LocalStore,
    shared: Option<Box<dyn SharedStore>>,
    breaker: Breaker,
    /// Until when buckets of an identity are known to be empty: a flood costs Redis nothing.
    denials: Recent<Vec<(u16, u64, Reading)>>,
    instances: AtomicU64,
}

impl std::fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RateLimiter").field("config", &self.inner.config.profile).finish()
    }
}

impl RateLimiter {
    /// Limits of this process alone.
    #[must_use]
    pub fn local(config: RateLimitConfig, ambient: Ambient) -> Self {
        Self::with_store(config, ambient, None)
    }

    /// Limits shared through Redis. It need not be there yet. To be called within a Tokio
    /// runtime.
    ///
    /// # Errors
    /// If the URL is not one of Redis.
    pub fn shared(
        config: RateLimitConfig,
        ambient: Ambient,
        redis_url: &str,
    ) -> Result<Self, ConfigError> {
        let client = ::redis::Client::open(redis_url)?;
        let store = RedisStore::new(client, &config.partition, config.timeout)?;
        breaker::tell(breaker::CLOSED);
        Ok(Self::with_store(config, ambient, Some(Box::new(store))))
    }

    fn with_store(
        config: RateLimitConfig,
        ambient: Ambient,
        shared: Option<Box<dyn SharedStore>>,
    ) -> Self {
        let rules: Vec<_> = (0_u16..)
            .step_by(256)
            .zip(RULES)
            .filter(|(_, rule)| config.widget || !rule.widget)
            .map(|(slot, rule)| {
                let stated = config.overrides.get(rule.class).map(Vec::as_slice);
                (slot, rule, stated.unwrap_or_else(|| rule.quotas(config.profile)).to_vec())
            })
            .filter(|(.., quotas)| !quotas.is_empty())
            .collect();
        Self {
            inner: Arc::new(Inner {
                split: rules.iter().any(|(_, rule, _)| rule.class == "api-ip"),
                rules,
                local: LocalStore::new(config.capacity),
                denials: Recent::new(config.capacity),
                shared,
                breaker: Breaker::default(),
                instances: AtomicU64::new(1),
                config,
                ambient,
            }),
        }
    }

    /// How many nodes are alive: without Redis each keeps its share of the quotas.
    pub fn set_instances(&self, instances: u64) {
        self.inner.instances.store(instances.max(1), Ordering::Relaxed);
    }

    /// Checks the classes of a request that only the handler can key: after authentication those
    /// of the account, user and token; on sign-in and the like those of the e-mail address.
    pub async fn check_request(
        &self,
        method: &Method,
        path: &str,
        query: Option<&str>,
        subject: &Subject<'_>,
    ) -> Decision {
        self.decide(self.groups(false, method, path, query, subject)).await
    }

    /// Checks one class by its name, whatever the request. A class that is off, or whose key the
    /// subject doesn't have, allows.
    pub async fn check(&self, class: &str, subject: &Subject<'_>) -> Decision {
        let mut groups = Vec::new();
        if self.limits(subject) {
            for (slot, rule, quotas) in &self.inner.rules {
                if rule.class == class {
                    self.inner.add(&mut groups, (*slot, rule, quotas), "", None, subject);
                }
            }
        }
        self.decide(groups).await
    }

    /// Gives back what a decision took: an attempt that succeeded doesn't count.
    pub async fn refund(&self, decision: &Decision) {
        for taken in &decision.taken {
            if taken.shared {
                if let Some(store) = &self.inner.shared
                    && let Err(error) = store.refund(&taken.group).await
                {
                    tracing::debug!(%error, "a rate limit was not given back");
                }
            } else {
                self.inner.local.refund(&taken.group);
            }
        }
    }

    fn is_local(&self) -> bool {
        self.inner.shared.is_none()
    }

    /// Whether a class is on, and applies to this subject: for what is counted elsewhere.
    #[must_use]
    pub fn applies(&self, class: &str, subject: &Subject<'_>) -> bool {
        self.inner.rules.iter().any(|(_, rule, _)| rule.class == class) && self.limits(subject)
    }

    /// Do limits apply to this subject at all?
    fn limits(&self, subject: &Subject<'_>) -> bool {
        let config = &self.inner.config;
        if !config.enabled {
            return false;
        }
        let Some(client) = subject.client else { return true };
        !((config.allow_loopback && client.is_local())
            || config.allow.iter().any(|network| network.contains(&client.ip)))
    }

    /// The buckets a request takes from, by identity.
    fn groups(
        &self,
        edge: bool,
        method: &Method,
        path: &str,
        query: Option<&str>,
        subject: &Subject<'_>,
    ) -> Vec<Group> {
        let mut groups = Vec::new();
        if !self.limits(subject) {
            if edge && self.inner.config.enabled {
                decided("general", "exempt");
            }
            return groups;
        }
        // Handlers of GET answer HEAD as well, and do the same work.
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let first = path::segments(path).next().unwrap_or_default();
        if self.inner.config.exempt.iter().any(|exempt| exempt == first) {
            if edge {
                decided("general", "exempt");
            }
            return groups;
        }
        for (slot, rule, quotas) in &self.inner.rules {
            let applies = rule.at_the_edge() == edge
                && match rule.when {
                    When::Always => true,
                    When::QueryLacks(name) => {
                        path::query_value(query, name).is_none_or(|value| value.is_empty())
                    }
                    When::Mfa(with) => subject.mfa_token.is_some() == with,
                }
                && rule.on.iter().any(|(methods, pattern)| {
                    (methods.is_empty() || methods.contains(method)) && pattern.matches(path)
                })
                && !(self.inner.split && rule.except.iter().any(|pattern| pattern.matches(path)));
            if applies {
                self.inner.add(&mut groups, (*slot, rule, quotas), path, query, subject);
            }
        }
        groups
    }

    /// Decides group after group; what earlier groups took is given back if a later one refuses.
    async fn decide(&self, groups: Vec<Group>) -> Decision {
        let config = &self.inner.config;
        let mut decision = Decision {
            headers: config.headers,
            legacy: config.legacy_headers,
            ..Decision::default()
        };
        for group in groups {
            let (group, readings, shared, fallback) = self.inner.take(group).await;
            let mut refused = false;
            for (bucket, reading) in group.buckets.iter().zip(readings) {
                if !reading.allowed {
                    refused = true;
                    decision.unavailable |= bucket.unavailable;
                }
                decision.standings.push(Standing {
                    class: bucket.class,
                    window: bucket.window,
                    quota: bucket.quota,
                    reading,
                });
            }
            for bucket in &group.buckets {
                let mine = |it: &&Standing| it.class == bucket.class && it.window == bucket.window;
                let denied =
                    decision.standings.iter().find(mine).is_some_and(|it| !it.reading.allowed);
                match (denied, refused) {
                    (true, _) => decided(bucket.class, "deny"),
                    (false, false) if bucket.window == 0 => {
                        decided(bucket.class, if fallback { "local" } else { "allow" });
                    }
                    _ => {}
                }
            }
            if refused {
                // Attempts that were charged stay charged.
                let mut earlier =
                    Decision { taken: std::mem::take(&mut decision.taken), ..Decision::default() };
                earlier.taken.retain(|taken| !taken.group.of_attempts());
                self.refund(&earlier).await;
                let [jitter] = self.inner.ambient.random();
                decision.jitter = jitter;
                return decision;
            }
            decision.taken.push(Taken { group, shared });
        }
        decision
    }
}

impl Inner {
    fn add(
        &self,
        groups: &mut Vec<Group>,
        (slot, rule, quotas): (u16, &Rule, &[Quota]),
        path: &str,
        query: Option<&str>,
        subject: &Subject<'_>,
    ) {
        let Some(identity) = self.identity(rule.key, path, query, subject) else { return };
        let cost = match rule.cost {
            Cost::One => 1,
            Cost::Bytes => match subject.bytes {
                Some(bytes) => bytes,
                None => return,
            },
        };
        let buckets = (0_u8..).zip(quotas).map(|(window, quota)| Bucket {
            slot: slot + u16::from(window),
            class: rule.class,
            window,
            quota: *quota,
            cost,
            attempts: rule.attempts,
            away: rule.away,
            unavailable: rule.unavailable,
        });
        let same =
            |group: &&mut Group| group.identity == identity && group.of_attempts() == rule.attempts;
        match groups.iter_mut().find(same) {
            Some(group) => group.buckets.extend(buckets),
            None => groups.push(Group { identity, buckets: buckets.collect() }),
        }
    }

    /// The name of whom a bucket belongs to, none if the subject doesn't tell.
    fn identity(
        &self,
        key: KeyKind,
        path: &str,
        query: Option<&str>,
        subject: &Subject<'_>,
    ) -> Option<String> {
        let ip = || subject.client.map(|client| client.prefix());
        Some(match key {
            KeyKind::Ip => format!("ip:{}", ip()?),
            KeyKind::IpAndQuery(name) => {
                // Who leaves the parameter out shares one bucket.
                let value = path::query_value(query, name).unwrap_or_default();
                format!("ip:{}:{}", ip()?, self.hash(&value))
            }
            KeyKind::IpAndWebsite => format!("ip:{}:{}", ip()?, self.hash(subject.website?)),
            KeyKind::Path => {
                let segments: Vec<&str> = path::segments(path).collect();
                format!("path:{}", self.hash(&segments.join("/")))
            }
            KeyKind::Email => format!("email:{}", self.hash(&subject.email?.trim().to_lowercase())),
            KeyKind::MfaToken => format!("mfa:{}", self.hash(subject.mfa_token?)),
            KeyKind::Account => format!("account:{}", subject.account?),
            KeyKind::User => format!("user:{}", subject.user?),
            KeyKind::AccountUser => format!("account:{}:user:{}", subject.account?, subject.user?),
            KeyKind::Token => format!("token:{}", subject.token?),
            KeyKind::Contact => format!("contact:{}", self.hash(subject.contact?)),
        })
    }

    /// What a client sent is not kept as it is, and can't be found out by trying.
    fn hash(&self, text: &str) -> String {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.config.secret) else {
            // HMAC takes keys of every length.
            return String::new();
        };
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    /// The group as it was decided, its readings, whether the shared store decided and whether it
    /// should have.
    async fn take(&self, group: Group) -> (Group, Vec<Reading>, bool, bool) {
        let Some(store) = &self.shared else {
            let readings = self.local.take(&group, self.ambient.micros());
            return (group, readings, false, false);
        };
        let (denied, readings) = self.remembered(&group);
        if !readings.is_empty() {
            return (denied, readings, true, false);
        }
        if self.breaker.admits(self.ambient.clock.monotonic()) {
            let begun = self.ambient.clock.monotonic();
            let answer = store.take(&group).await;
            let now = self.ambient.clock.monotonic();
            let outcome = answer.as_ref().map_or_else(StoreError::outcome, |_| "ok");
            metrics::histogram!("ratelimit.backend", "outcome" => outcome)
                .record(now.saturating_sub(begun).as_secs_f64());
            match answer {
                Ok(readings) => {
                    if self.breaker.succeeded() {
                        tracing::info!("Redis is back: rate limits are shared by all nodes again");
                    }
                    self.remember(&group, &readings);
                    return (group, readings, true, false);
                }
                Err(error) => {
                    if self.breaker.failed(now) {
                        tracing::warn!(%error, "rate limits are kept by each node: Redis is away");
                    }
                }
            }
        }
        let group = self.share_of(group);
        let readings = self.local.take(&group, self.ambient.micros());
        (group, readings, false, true)
    }

    /// What this node decides by itself, with its share of the quotas.
    fn share_of(&self, mut group: Group) -> Group {
        let instances = self.instances.load(Ordering::Relaxed);
        group.buckets.retain(|bucket| bucket.away != Away::Open);
        for bucket in &mut group.buckets {
            let halved = if bucket.away == Away::Halved { 2 } else { 1 };
            bucket.quota = bucket.quota.divided(instances * halved);
        }
        group
    }

    /// The buckets of the group known to be empty, and how they stand.
    fn remembered(&self, group: &Group) -> (Group, Vec<Reading>) {
        let now = self.ambient.micros();
        let mut denied = Group { identity: group.identity.clone(), buckets: Vec::new() };
        let mut readings = Vec::new();
        self.denials.peek(&group.identity, |denials| {
            for bucket in &group.buckets {
                let known = denials.iter().find(|(slot, ..)| *slot == bucket.slot);
                let Some((_, until, then)) = known.filter(|(_, until, _)| *until > now) else {
                    continue;
                };
                let retry = until - now;
                let reset = then.reset.saturating_sub(then.retry.saturating_sub(retry));
                denied.buckets.push(bucket.clone());
                readings.push(Reading { retry, reset, ..*then });
            }
        });
        (denied, readings)
    }

    /// Remembers denials, except of attempts: each of them must be charged.
    fn remember(&self, group: &Group, readings: &[Reading]) {
        let now = self.ambient.micros();
        for (bucket, reading) in group.buckets.iter().zip(readings) {
            if !reading.allowed && !bucket.attempts {
                self.denials.update(&group.identity, |denials| {
                    denials.retain(|(slot, until, _)| *until > now && *slot != bucket.slot);
                    denials.push((bucket.slot, now.saturating_add(reading.retry), *reading));
                });
            }
        }
    }
}

fn decided(class: &'static str, decision: &'static str) {
    metrics::counter!("ratelimit.decisions", "class" => class, "decision" => decision).increment(1);
}

#[cfg(test)]
mod tests;
