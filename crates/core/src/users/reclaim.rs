//! An address belongs to whoever reads its mail, not to whoever signed up with it first.

use chatwarden_db::{Json, WriteTx, args};
use serde::Serialize;

use super::{User, save, sql};
use crate::error::Result;
use crate::ids::UserId;
use crate::passwords::Hashed;
use crate::tokens::{self, Owner};
use crate::{events, notification_subscriptions, platform, second_factor, sessions};

/// A person as `users.reclaim` reads them.
#[derive(Serialize)]
struct Taken {
    id: UserId,
    pubsub_token: String,
}

/// Takes a [locked](super::lock) person who never confirmed the address away from whoever signed up with it: of
/// all that lets somebody in or tells them anything, only `password` is left. The address is confirmed with that.
///
/// # Errors
/// What the database says.
pub async fn reclaim(tx: &mut WriteTx<'_>, user: &mut User, password: Hashed) -> Result<()> {
    reclaim_all(tx, std::slice::from_mut(user), &password).await?;
    user.confirmed_at = Some(tx.now());
    save(tx, user).await
}

/// As [`reclaim`], for several whom an account invites, in as many statements as for one: they have yet to confirm
/// their addresses.
///
/// # Errors
/// What the database says.
pub(crate) async fn reclaim_all(
    tx: &mut WriteTx<'_>,
    users: &mut [User],
    password: &Hashed,
) -> Result<()> {
    if users.is_empty() {
        return Ok(());
    }
    let now = tx.now();
    let mut taken = Vec::with_capacity(users.len());
    for user in users.iter_mut() {
        let old = std::mem::replace(&mut user.pubsub_token, tx.ambient().token(24));
        events::refresh(tx, old);
        // A new address would be the other one's, and confirming it would sign that one in.
        user.unconfirmed_email = None;
        password.as_str().clone_into(&mut user.encrypted_password);
        user.updated_at = now;
        taken.push(Taken { id: user.id, pubsub_token: user.pubsub_token.clone() });
    }
    tx.run(&sql::RECLAIM, args![Json(&taken), *password, now]).await?;
    tokens::renew_all(tx, users.iter().map(|user| Owner::User(user.id))).await?;
    let ids: Vec<i64> = users.iter().map(|user| user.id.0).collect();
    for statement in [
        &sessions::sql::END_OF,
        &second_factor::sql::DELETE_OF,
        &platform::sql::DROP_TICKETS_OF,
        &notification_subscriptions::sql::UNSUBSCRIBE_ALL,
    ] {
        tx.run(statement, args![ids]).await?;
    }
    Ok(())
}
