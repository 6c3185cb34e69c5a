//! Random transactions: both engines see the same and end the same.

use chatwarden_db::{DbError, Engine, WriteTx, args};
use proptest::prelude::*;

use super::{DELETE, INSERT, RESIZE, SUM, UPSERT, place_on, rows, too_late, write};

/// A step of a random transaction.
#[derive(Debug, Clone)]
enum Step {
    Insert(i64, u8),
    Upsert(i64, u8),
    Resize(i64, i8),
    Delete(i64),
    /// Steps under a savepoint; where one fails, all of them are undone.
    Nested(Vec<Step>),
    /// Fails the transaction.
    GiveUp,
}

fn step() -> impl Strategy<Value = Step> {
    let plain = prop_oneof![
        4 => (0..12_i64, 0..8_u8).prop_map(|(id, name)| Step::Insert(id, name)),
        3 => (0..12_i64, 0..8_u8).prop_map(|(id, name)| Step::Upsert(id, name)),
        3 => (0..12_i64, -9..9_i8).prop_map(|(id, by)| Step::Resize(id, by)),
        2 => (0..12_i64).prop_map(Step::Delete),
        1 => Just(Step::GiveUp),
    ];
    plain.prop_recursive(2, 8, 4, |inner| prop::collection::vec(inner, 1..4).prop_map(Step::Nested))
}

/// What a transaction saw and how it ended, in words that both engines share.
type Seen = (bool, Vec<u64>, i64);

async fn play(tx: &mut WriteTx<'_>, steps: &[Step], seen: &mut Vec<u64>) -> Result<(), DbError> {
    for step in steps {
        let changed = match step {
            Step::Insert(id, name) => {
                tx.run(&INSERT, args![*id, format!("name {name}"), 1_i64]).await?
            }
            Step::Upsert(id, name) => {
                tx.run(&UPSERT, args![*id, format!("name {name}"), 2_i64]).await?
            }
            Step::Resize(id, by) => tx.run(&RESIZE, args![*id, i64::from(*by)]).await?,
            Step::Delete(id) => tx.run(&DELETE, args![*id]).await?,
            Step::GiveUp => return Err(too_late()),
            Step::Nested(inner) => {
                let inner = inner.clone();
                let outcome = tx
                    .savepoint(async |tx: &mut WriteTx<'_>| {
                        let mut seen = Vec::new();
                        Box::pin(play(tx, &inner, &mut seen)).await.map(|()| seen)
                    })
                    .await;
                match outcome {
                    Ok(inner) => inner.into_iter().sum::<u64>() + 100,
                    Err(_) => 1000,
                }
            }
        };
        seen.push(changed);
    }
    Ok(())
}

async fn history(
    engine: Engine,
    transactions: Vec<Vec<Step>>,
) -> (Vec<Seen>, Vec<(i64, String, i64)>) {
    let place = place_on(engine).await;
    let mut out = Vec::new();
    for steps in transactions {
        let outcome = write(&place.db, async move |tx| {
            let mut seen = Vec::new();
            play(tx, &steps, &mut seen).await?;
            let (sum,) = tx.one(&SUM, []).await?;
            Ok((true, seen, sum))
        })
        .await;
        out.push(outcome.unwrap_or((false, Vec::new(), 0)));
    }
    (out, rows(&place.db).await)
}

/// Random histories end the same on both engines: what each transaction saw, and what stands.
#[test]
fn both_engines_tell_the_same_story() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let config =
        ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new_with_rng(
        config,
        proptest::test_runner::TestRng::deterministic_rng(
            proptest::test_runner::RngAlgorithm::ChaCha,
        ),
    );
    let stories = prop::collection::vec(prop::collection::vec(step(), 1..8), 1..12);
    runner
        .run(&stories, |story| {
            let lite = runtime.block_on(history(Engine::Sqlite, story.clone()));
            let full = runtime.block_on(history(Engine::Postgres, story));
            prop_assert_eq!(lite, full);
            Ok(())
        })
        .expect("the same story");
}
