//! The platform API: programs that run an installation's accounts, users and bots
//! (`behaviours.md §25`). An app reads and changes what it made, and what it was given; into its accounts it takes
//! anybody, by the id, and their names are read there. It is a program of whoever runs the installation.

pub mod sql;

use chatwarden_db::{Tx, WriteTx, args};

use crate::accounts::{self, Account, NewAccount};
use crate::agent_bots::{self, AgentBot, Draft};
use crate::error::{Error, Result};
use crate::ids::{AccountId, AgentBotId, PlatformAppId, UserId};
use crate::passwords::Hashed;
use crate::scope::Scope;
use crate::sessions;
use crate::tokens::{self, Owner};
use crate::users::{self, NewUser, User};

/// How long a link to sign in is good, in seconds.
const LINK: i64 = 5 * 60;

/// What an app may reach.
#[derive(Debug, Clone, Copy)]
enum Thing {
    Account(AccountId),
    User(UserId),
    AgentBot(AgentBotId),
}

impl Thing {
    const fn parts(self) -> (&'static str, i64) {
        match self {
            Self::Account(id) => ("Account", id.0),
            Self::User(id) => ("User", id.0),
            Self::AgentBot(id) => ("AgentBot", id.0),
        }
    }
}

/// Makes an app; its token.
///
/// # Errors
/// What the database says.
pub async fn create_app(tx: &mut WriteTx<'_>, name: &str) -> Result<String> {
    let now = tx.now();
    let (id,) = tx.one(&sql::INSERT_APP, args![name, now]).await?;
    Ok(tokens::renew(tx, Owner::PlatformApp(PlatformAppId(id))).await?)
}

async fn permit(tx: &mut WriteTx<'_>, app: PlatformAppId, thing: Thing) -> Result<()> {
    let (now, (kind, id)) = (tx.now(), thing.parts());
    tx.run(&sql::PERMIT, args![app, kind, id, now]).await?;
    Ok(())
}

async fn forget(tx: &mut WriteTx<'_>, thing: Thing) -> Result<()> {
    let (kind, id) = thing.parts();
    tx.run(&sql::FORGET, args![kind, id]).await?;
    Ok(())
}

/// Refuses what the app neither made nor was given.
async fn check(tx: &mut Tx<'_>, app: PlatformAppId, thing: Thing) -> Result<()> {
    let (kind, id) = thing.parts();
    match tx.opt(&sql::PERMITTED, args![app, kind, id]).await? {
        Some(_) => Ok(()),
        None => Err(Error::Unauthorized("Non permissible resource".to_owned())),
    }
}

/// An account of the app's, and the right to its rows.
///
/// # Errors
/// [`Error::NotFound`], or [`Error::Unauthorized`] where it is none of the app's.
pub async fn account(
    tx: &mut Tx<'_>,
    app: PlatformAppId,
    id: AccountId,
) -> Result<(Account, Scope)> {
    let found = tx.opt(&accounts::sql::GET, args![id]).await?.ok_or(Error::NotFound)?;
    check(tx, app, Thing::Account(id)).await?;
    Ok((found, Scope::of_account(id)))
}

/// The app's accounts, oldest first.
///
/// # Errors
/// What the database says.
pub async fn list_accounts(tx: &mut Tx<'_>, app: PlatformAppId) -> Result<Vec<Account>> {
    Ok(tx.all(&accounts::sql::OF_APP, args![app]).await?)
}

/// Makes an account of the app's.
///
/// # Errors
/// [`Error::Invalid`] where a rule is broken.
pub async fn create_account(
    tx: &mut WriteTx<'_>,
    app: PlatformAppId,
    new: NewAccount,
) -> Result<Account> {
    let made = accounts::create(tx, new).await?;
    permit(tx, app, Thing::Account(made.id)).await?;
    Ok(made)
}

/// Removes an account of the app's: nobody gets in any more.
///
/// # Errors
/// As [`account`].
pub async fn delete_account(tx: &mut WriteTx<'_>, app: PlatformAppId, id: AccountId) -> Result<()> {
    let (_, scope) = account(tx, app, id).await?;
    accounts::delete(tx, &scope).await?;
    forget(tx, Thing::Account(id)).await
}

/// A user of the app's.
///
/// # Errors
/// [`Error::NotFound`], or [`Error::Unauthorized`] where it is none of the app's.
pub async fn user(tx: &mut Tx<'_>, app: PlatformAppId, id: UserId) -> Result<User> {
    let found = users::get(tx, id).await?;
    check(tx, app, Thing::User(id)).await?;
    Ok(found)
}

/// A user of the app's, for changing.
///
/// # Errors
/// As [`user`].
pub async fn lock_user(tx: &mut WriteTx<'_>, app: PlatformAppId, id: UserId) -> Result<User> {
    let found = users::lock(tx, id).await?;
    check(tx, app, Thing::User(id)).await?;
    Ok(found)
}

/// Makes a user of the app's, or gives it the one with that address.
///
/// # Errors
/// [`Error::Invalid`] where a rule is broken.
pub async fn create_user(tx: &mut WriteTx<'_>, app: PlatformAppId, new: NewUser) -> Result<User> {
    if let Some(user) = adopt_user(tx, app, &new.email, Some(&new.password)).await? {
        return Ok(user);
    }
    let made = users::create(tx, new).await?;
    permit(tx, app, Thing::User(made.id)).await?;
    Ok(made)
}

/// Gives the app the user with an address, where there is one. The address counts as confirmed; where it was not
/// before, the user's password is `password`, and whoever signed up with the address is out.
///
/// # Errors
/// What the database says.
pub async fn adopt_user(
    tx: &mut WriteTx<'_>,
    app: PlatformAppId,
    email: &str,
    password: Option<&Hashed>,
) -> Result<Option<User>> {
    let Some(mut user) = users::lock_by_email(tx, email).await? else { return Ok(None) };
    if user.confirmed_at.is_none() {
        let password = password.cloned().unwrap_or(Hashed::unusable());
        users::reclaim(tx, &mut user, password).await?;
    }
    permit(tx, app, Thing::User(user.id)).await?;
    Ok(Some(user))
}

/// Removes a user of the app's.
///
/// # Errors
/// As [`user`].
pub async fn delete_user(tx: &mut WriteTx<'_>, app: PlatformAppId, id: UserId) -> Result<()> {
    let user = lock_user(tx, app, id).await?;
    users::delete(tx, &user).await?;
    forget(tx, Thing::User(id)).await
}

/// A ticket with which a user of the app's signs in once, within five minutes.
///
/// # Errors
/// As [`user`].
pub async fn login_ticket(
    tx: &mut WriteTx<'_>,
    app: PlatformAppId,
    id: UserId,
) -> Result<(User, String)> {
    let user = user(tx, app, id).await?;
    let (now, ticket) = (tx.now(), tx.ambient().hex(32));
    tx.run(&sql::DROP_TICKETS, args![now]).await?;
    let expires = now.plus_seconds(LINK);
    tx.run(&sql::INSERT_TICKET, args![sessions::digest(&ticket), user.id, expires]).await?;
    Ok((user, ticket))
}

/// Takes a ticket of a user: whether it was good. It is good for nothing afterwards.
///
/// # Errors
/// What the database says.
pub async fn take_ticket(tx: &mut WriteTx<'_>, user: UserId, ticket: &str) -> Result<bool> {
    let now = tx.now();
    Ok(tx.run(&sql::TAKE_TICKET, args![sessions::digest(ticket), user, now]).await? == 1)
}

/// A bot of the app's.
///
/// # Errors
/// [`Error::NotFound`], or [`Error::Unauthorized`] where it is none of the app's.
pub async fn agent_bot(tx: &mut Tx<'_>, app: PlatformAppId, id: AgentBotId) -> Result<AgentBot> {
    let found = tx.opt(&agent_bots::sql::GET, args![id]).await?.ok_or(Error::NotFound)?;
    check(tx, app, Thing::AgentBot(id)).await?;
    Ok(found)
}

/// The app's bots, oldest first.
///
/// # Errors
/// What the database says.
pub async fn list_agent_bots(tx: &mut Tx<'_>, app: PlatformAppId) -> Result<Vec<AgentBot>> {
    Ok(tx.all(&agent_bots::sql::OF_APP, args![app]).await?)
}

/// Makes a bot of the app's, of the installation or of one of the app's accounts.
///
/// # Errors
/// [`Error::Invalid`] where a rule is broken; as [`account`] for the account.
pub async fn create_agent_bot(
    tx: &mut WriteTx<'_>,
    app: PlatformAppId,
    of: Option<AccountId>,
    draft: Draft,
) -> Result<AgentBot> {
    if let Some(id) = of {
        match account(tx, app, id).await {
            Err(Error::NotFound) => return Err(Error::invalid("account", "must exist")),
            other => other?,
        };
    }
    let made = agent_bots::create(tx, of, draft).await?;
    permit(tx, app, Thing::AgentBot(made.id)).await?;
    Ok(made)
}

/// Removes a bot of the app's.
///
/// # Errors
/// As [`agent_bot`].
pub async fn delete_agent_bot(
    tx: &mut WriteTx<'_>,
    app: PlatformAppId,
    id: AgentBotId,
) -> Result<()> {
    let bot = agent_bot(tx, app, id).await?;
    agent_bots::delete(tx, &bot).await?;
    forget(tx, Thing::AgentBot(id)).await
}
