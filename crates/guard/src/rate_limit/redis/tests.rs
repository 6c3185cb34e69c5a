use super::super::quota::State;
use super::super::rules::Away;
use super::super::{Bucket, Quota};
use super::*;
use proptest::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};

/// A store on the Redis of this test run.
fn store() -> RedisStore {
    let redis = chatwarden_testkit::services::Redis::shared().unwrap();
    let client = Client::open(redis.url()).unwrap();
    RedisStore::new(client, &format!("test-{}", std::process::id()), Duration::from_secs(5))
        .unwrap()
}

fn identity() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("identity {}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn bucket(slot: u16, quota: Quota, cost: u64, attempts: bool) -> Bucket {
    Bucket {
        slot,
        class: "test",
        window: u8::try_from(slot).unwrap(),
        quota,
        cost,
        attempts,
        away: Away::Local,
        unavailable: false,
    }
}

#[tokio::test]
async fn the_server_keeps_a_quota_by_its_own_clock() {
    let store = store();
    for limit in [3, 100] {
        let group = Group {
            identity: identity(),
            buckets: vec![bucket(0, Quota::new(limit, 3600), 1, false)],
        };
        for left in (0..limit).rev() {
            let readings = store.take(&group).await.unwrap();
            assert!(readings[0].allowed);
            // A quota of 100 an hour refills by one in 36 s: not during this test.
            assert_eq!(readings[0].remaining, left);
        }
        let denied = store.take(&group).await.unwrap()[0];
        assert!(!denied.allowed && denied.retry > 0 && denied.reset <= 3_600_000_000, "{denied:?}");
        store.refund(&group).await.unwrap();
        assert!(store.take(&group).await.unwrap()[0].allowed);
        assert!(!store.take(&group).await.unwrap()[0].allowed);
    }
}

#[tokio::test]
async fn buckets_are_taken_all_or_none_and_forgotten() {
    let store = store();
    let wide = bucket(0, Quota::new(100, 60), 1, false);
    let narrow = bucket(1, Quota::new(1, 3600), 1, false);
    let group = Group { identity: identity(), buckets: vec![wide, narrow] };
    store.take(&group).await.unwrap();
    for _ in 0..3 {
        let readings = store.take(&group).await.unwrap();
        assert!(readings[0].allowed && readings[0].remaining >= 99 && !readings[1].allowed);
    }
    let mut connection = store.connection.clone();
    let pattern = format!("rl:{{{}:{}}}:*", store.partition, group.identity);
    let keys: Vec<String> =
        redis::cmd("KEYS").arg(pattern).query_async(&mut connection).await.unwrap();
    assert_eq!(keys.len(), 2);
    for key in keys {
        let ttl: i64 = redis::cmd("PTTL").arg(&key).query_async(&mut connection).await.unwrap();
        assert!((1..=3_601_000).contains(&ttl), "{key} {ttl}");
    }
}

#[tokio::test]
async fn many_nodes_share_one_quota() {
    let store = store();
    for limit in [20, 50] {
        let group = Group {
            identity: identity(),
            buckets: vec![bucket(0, Quota::new(limit, 3600), 1, false)],
        };
        let asked = futures::future::join_all((0..200).map(|_| store.take(&group))).await;
        let admitted =
            asked.into_iter().filter(|readings| readings.as_ref().unwrap()[0].allowed).count();
        assert_eq!(admitted as u64, limit);
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_given_up_in_time() {
    // Nothing listens on the discard port of this address.
    let client = Client::open("redis://127.0.0.1:9/").unwrap();
    let store = RedisStore::new(client, "test", Duration::from_millis(200)).unwrap();
    let group =
        Group { identity: identity(), buckets: vec![bucket(0, Quota::new(1, 60), 1, false)] };
    let answer = tokio::time::timeout(Duration::from_secs(5), store.take(&group)).await;
    assert!(answer.expect("in time").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The script and the local store are the same arithmetic.
    #[test]
    fn the_script_decides_as_the_local_store_does(
        quotas in proptest::collection::vec((1_u64..80, 1_u64..20), 1..3),
        steps in proptest::collection::vec((0_u64..4_000_000, 1_u64..4, any::<bool>()), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = store();
            let identity = identity();
            let quotas: Vec<_> = quotas.into_iter().map(|(limit, seconds)| Quota::new(limit, seconds)).collect();
            // Windows of the same length and kind would share a key, which configuration can't say.
            if let [first, second] = quotas.as_slice() && first.period == second.period {
                return Ok(());
            }
            let mut states: Vec<_> = quotas.iter().map(|quota| State::new(*quota)).collect();
            let mut now = 1_700_000_000_000_000;
            for (step, cost, attempts) in steps {
                now += step;
                let buckets = (0..).zip(&quotas).map(|(slot, quota)| bucket(slot, *quota, cost, attempts));
                let group = Group { identity: identity.clone(), buckets: buckets.collect() };
                let waits: Vec<_> = states.iter_mut().zip(&quotas).map(|(state, quota)| state.wait(*quota, cost, now)).collect();
                let admitted = waits.iter().all(|wait| *wait == 0);
                let expected: Vec<_> = states.iter_mut().zip(&quotas).zip(waits).map(|((state, quota), wait)| {
                    if admitted || attempts {
                        state.spend(*quota, cost, now);
                    }
                    state.reading(*quota, wait, now)
                }).collect();
                prop_assert_eq!(store.take_at(Some(now), &group).await.unwrap(), expected);
            }
            Ok(())
        })?;
    }
}
