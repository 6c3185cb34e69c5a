//! What is decided by the shared store, and what without it.

use futures::future::BoxFuture;
use parking_lot::Mutex;

use super::*;

/// A shared store that answers as told, and counts.
#[derive(Clone, Default)]
struct Scripted {
    answers: Arc<Mutex<Vec<Option<bool>>>>,
    asked: Arc<AtomicU64>,
}

impl SharedStore for Scripted {
    fn take(&self, group: &Group) -> BoxFuture<'static, Result<Vec<Reading>, StoreError>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let answer = self.answers.lock().pop().flatten();
        let buckets = group.buckets.len();
        Box::pin(async move {
            let allowed = answer.ok_or(StoreError::Timeout)?;
            let retry = if allowed { 0 } else { 10_000_000 };
            Ok(vec![Reading { allowed, remaining: 0, reset: 60_000_000, retry }; buckets])
        })
    }

    fn refund(&self, _: &Group) -> BoxFuture<'static, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }
}

fn shared(
    config: RateLimitConfig,
    answers: &[Option<bool>],
) -> (RateLimiter, Scripted, Arc<fixed::ManualClock>) {
    let (ambient, clock) = fixed::ambient();
    let store = Scripted::default();
    store.answers.lock().extend(answers.iter().rev());
    (RateLimiter::with_store(config, ambient, Some(Box::new(store.clone()))), store, clock)
}

#[tokio::test]
async fn without_the_shared_store_each_node_keeps_its_share() {
    let (limiter, store, clock) = shared(
        quotas(&[("general", "6/h"), ("admin-login-ip", "8/h"), ("webhook-in", "1/h")]),
        &[],
    );
    limiter.set_instances(2);
    let app = app(&limiter);
    let recorded = Recorded::start();
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(ask(&app, "GET", "/hc", client("203.0.113.5")).await.status().as_u16());
    }
    assert_eq!(statuses, [200, 200, 200, 429, 429], "half of six");
    assert_eq!(store.asked.load(Ordering::Relaxed), 3, "then the breaker is open");
    assert_eq!(recorded.count("ratelimit.decisions", &[("decision", "local")]), 3);
    let recorded = Recorded::start();
    assert_eq!(ask(&app, "GET", "/hc", client("203.0.113.5")).await.status(), 429);
    assert_eq!(recorded.count("ratelimit.decisions", &[("decision", "deny")]), 1);

    let stranger = client("203.0.113.5");
    let subject = Subject { client: Some(&stranger), ..Subject::default() };
    assert_eq!(
        checked(&limiter, Method::POST, "/super_admin/sign_in", &subject, 9).await,
        2,
        "a quarter of eight"
    );
    for _ in 0..3 {
        assert_eq!(
            ask(&app, "POST", "/webhooks/line/1", client("203.0.113.5")).await.status(),
            200,
            "open"
        );
    }
    assert_eq!(store.asked.load(Ordering::Relaxed), 3);

    clock.advance(Duration::from_secs(2));
    store.answers.lock().push(Some(true));
    assert_eq!(
        ask(&app, "GET", "/hc", client("203.0.113.5")).await.status(),
        200,
        "the probe succeeds"
    );
    assert_eq!(store.asked.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn a_flood_costs_the_shared_store_nothing() {
    let (limiter, store, clock) = shared(RateLimitConfig::default(), &[Some(false), Some(true)]);
    let app = app(&limiter);
    for _ in 0..50 {
        let response = ask(&app, "GET", "/hc", client("203.0.113.5")).await;
        assert_eq!(response.status(), 429);
    }
    assert_eq!(store.asked.load(Ordering::Relaxed), 1);
    clock.advance(Duration::from_secs(4));
    let response = ask(&app, "GET", "/hc", client("203.0.113.5")).await;
    assert!(["6", "7"].contains(&header(&response, "retry-after").unwrap()));
    clock.advance(Duration::from_secs(6));
    assert_eq!(ask(&app, "GET", "/hc", client("203.0.113.5")).await.status(), 200);
    assert_eq!(store.asked.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn attempts_are_charged_however_many() {
    let (limiter, store, _) = shared(RateLimitConfig::default(), &[Some(false); 5]);
    let stranger = client("203.0.113.5");
    let subject = Subject { client: Some(&stranger), ..Subject::default() };
    for _ in 0..5 {
        let decision =
            limiter.check_request(&Method::POST, "/super_admin/sign_in", None, &subject).await;
        assert!(decision.refusal(&HeaderMap::new(), None).is_some());
    }
    assert_eq!(store.asked.load(Ordering::Relaxed), 5);
}
