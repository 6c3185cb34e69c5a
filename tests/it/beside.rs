//! Two at once, so that one waits for the other: what a lock is for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chatwarden_core::ids::{AccountId, UserId};
use chatwarden_core::scope::Agent;
use chatwarden_core::store::Publisher;
use chatwarden_core::{Result, Scope, Store, accounts};
use chatwarden_db::{Engine, WriteTx, statements};
use chatwarden_jobs::outbox::Stored;
use chatwarden_testkit::{Actor, App, engine};
use tokio::sync::oneshot;

statements! {
    WAITED_FOR: (bool,) = "tests.waited_for",
        "select exists (select 1 from pg_locks l where not l.granted and pg_backend_pid() = any(pg_blocking_pids(l.pid)))";
}

/// Nobody listens.
struct Nobody;

impl Publisher for Nobody {
    fn publish(&self, _: Vec<Stored>) {}
}

/// What happens meanwhile.
pub(crate) struct Meanwhile {
    begin: Option<oneshot::Sender<()>>,
    over: Arc<AtomicBool>,
}

impl Meanwhile {
    /// Lets it begin, and goes on once it waits for this transaction, or is over. SQLite has one writer: there it
    /// happens after this.
    pub(crate) async fn waits(&mut self, tx: &mut WriteTx<'_>) -> Result<()> {
        if let Some(begin) = self.begin.take() {
            let _ = begin.send(());
        }
        while engine() == Engine::Postgres && !self.over.load(Ordering::SeqCst) {
            if tx.one(&WAITED_FOR, []).await?.0 {
                break;
            }
        }
        Ok(())
    }
}

/// Does `first` in a transaction, as a member of the account, and `second` from where `first` says.
pub(crate) async fn beside<T>(
    app: &App,
    actor: &Actor,
    first: impl AsyncFnOnce(&mut WriteTx<'_>, &Scope<Agent>, &mut Meanwhile) -> Result<()>
    + Send
    + 'static,
    second: impl Future<Output = T>,
) -> T {
    let store = Store::new(app.db().clone(), Arc::new(Nobody));
    let account = AccountId(actor.account.expect("an account"));
    let user = UserId(actor.id.expect("a person"));
    let over = Arc::new(AtomicBool::new(false));
    let (begin, begun) = oneshot::channel();
    let mut meanwhile = Meanwhile { begin: Some(begin), over: over.clone() };
    let first = store.write(async move |tx| {
        let (_, scope) = accounts::enter(tx, account, user).await?;
        first(tx, &scope, &mut meanwhile).await
    });
    let second = async {
        let _ = begun.await;
        let done = second.await;
        over.store(true, Ordering::SeqCst);
        done
    };
    let (first, second) = tokio::join!(first, second);
    first.expect("the transaction stands");
    second
}
