//! Leases: who of several nodes does what only one may do.

use std::time::Duration;

use chatwarden_db::{DbError, WriteTx, args, statements};

statements! {
    /// $1 name, $2 holder, $3 until, $4 now: taken where it is free, kept where it is one's own
    ACQUIRE: (i64,) = "leases.acquire",
        "insert into leases (name, holder, token, until) values ($1, $2, 1, $3)
         on conflict (name) do update set holder = excluded.holder, until = excluded.until,
            token = leases.token + case when leases.holder = excluded.holder then 0 else 1 end
         where leases.holder = excluded.holder or leases.until < $4
         returning token";
    /// $1 name, $2 holder
    RELEASE: () = "leases.release", "update leases set until = 0 where name = $1 and holder = $2";
}

/// Takes or renews the lease `name` for `holder`; its fencing token, or `None` while another holds it.
///
/// # Errors
/// What the database says.
pub async fn acquire(
    tx: &mut WriteTx<'_>,
    name: &str,
    holder: &str,
    ttl: Duration,
) -> Result<Option<i64>, DbError> {
    let now = tx.now();
    let until = now.plus_micros(i64::try_from(ttl.as_micros()).unwrap_or(i64::MAX));
    Ok(tx.opt(&ACQUIRE, args![name, holder, until, now]).await?.map(|(token,)| token))
}

/// Gives a lease back, where `holder` has it.
///
/// # Errors
/// What the database says.
pub async fn release(tx: &mut WriteTx<'_>, name: &str, holder: &str) -> Result<(), DbError> {
    tx.run(&RELEASE, args![name, holder]).await.map(drop)
}
