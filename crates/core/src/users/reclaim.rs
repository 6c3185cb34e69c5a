//! An address belongs to whoever reads its mail, not to whoever signed up with it first.

use chatwarden_db::{WriteTx, args};

use super::{User, save, set_password, sql};
use crate::error::Result;
use crate::passwords::Hashed;
use crate::tokens::{self, Owner};
use crate::{notification_subscriptions, platform, second_factor};

/// Takes a [locked](super::lock) person who never confirmed the address away from whoever signed up with it: of
/// all that lets somebody in or tells them anything, only `password` is left. For the moment at which the person
/// becomes more than whoever signed up: an account invites them, or the address is confirmed.
///
/// # Errors
/// What the database says.
pub async fn reclaim(tx: &mut WriteTx<'_>, user: &mut User, password: Hashed) -> Result<()> {
    // A new address would be the other one's, and confirming it would sign that one in.
    user.unconfirmed_email = None;
    save(tx, user).await?;
    tx.run(&sql::DROP_CONFIRMATION_TOKEN, args![user.id]).await?;
    set_password(tx, user, password, None).await?;
    tokens::renew(tx, Owner::User(user.id)).await?;
    tx.run(&second_factor::sql::DELETE, args![user.id]).await?;
    tx.run(&platform::sql::DROP_TICKETS_OF, args![user.id]).await?;
    tx.run(&notification_subscriptions::sql::UNSUBSCRIBE_ALL, args![user.id]).await?;
    Ok(())
}
