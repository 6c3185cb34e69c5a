//! The first account: made by a one-time link or on the command line, when there is nobody yet.

pub mod sql;

use chatwarden_db::{Tx, WriteTx, args};
use sha2::{Digest as _, Sha256};

use crate::accounts::{self, NewAccount};
use crate::agents::{self, Terms};
use crate::error::{Error, Result};
use crate::passwords::Hashed;
use crate::scope::Scope;
use crate::tokens::{self, Owner};
use crate::users::{self, NewUser, Role, User};

/// Under which key of the installation the link's hash is kept.
const LINK: &str = "setup_link";

/// What was made.
#[derive(Debug)]
pub struct Founded {
    /// The account.
    pub account: accounts::Account,
    /// Its administrator.
    pub user: User,
    /// The administrator's API token.
    pub token: String,
}

/// Whether nobody is there yet.
///
/// # Errors
/// What the database says.
pub async fn is_needed(tx: &mut Tx<'_>) -> Result<bool> {
    Ok(tx.opt(&sql::ANYBODY, []).await?.is_none())
}

fn hashed(link: &str) -> String {
    Sha256::digest(link.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Makes the secret of a one-time link; links that were made before stop working. `None` where somebody is there
/// already.
///
/// # Errors
/// What the database says.
pub async fn make_link(tx: &mut WriteTx<'_>) -> Result<Option<String>> {
    if !is_needed(tx).await? {
        return Ok(None);
    }
    let link = tx.ambient().hex(24);
    tx.run(&sql::PUT, args![LINK, hashed(&link)]).await?;
    Ok(Some(link))
}

/// Whether a link's secret is the one that was made last, and nobody is there yet.
///
/// # Errors
/// What the database says.
pub async fn is_open(tx: &mut Tx<'_>, link: &str) -> Result<bool> {
    // Hashes are compared: how far a guess is right can't be told by the time it takes.
    let kept = tx.opt(&crate::installation::sql::GET, args![LINK]).await?;
    Ok(kept.is_some_and(|(kept,)| kept == hashed(link)) && is_needed(tx).await?)
}

/// Makes the first account by its link, which works once.
///
/// # Errors
/// [`Error::NotFound`] for a link that doesn't work (any more); [`Error::Invalid`] for what was typed.
pub async fn redeem(
    tx: &mut WriteTx<'_>,
    link: &str,
    account: &str,
    name: &str,
    email: &str,
    password: Hashed,
) -> Result<Founded> {
    if !is_open(tx, link).await? {
        return Err(Error::NotFound);
    }
    // Whoever deletes the row redeems the link; another at the same moment finds none.
    if tx.run(&sql::TAKE, args![LINK, hashed(link)]).await? == 0 {
        return Err(Error::NotFound);
    }
    found(tx, account, name, email, password).await
}

/// Makes an account and its administrator.
///
/// # Errors
/// [`Error::Invalid`] for what was typed.
pub async fn found(
    tx: &mut WriteTx<'_>,
    account: &str,
    name: &str,
    email: &str,
    password: Hashed,
) -> Result<Founded> {
    let account =
        accounts::create(tx, NewAccount { name: account.to_owned(), ..NewAccount::default() })
            .await?;
    let user = users::create(
        tx,
        NewUser {
            email: users::address::normalised(email),
            name: name.to_owned(),
            display_name: None,
            password,
            custom_attributes: serde_json::json!({}),
            confirmed: true,
        },
    )
    .await?;
    let scope = Scope::of_command_line(account.id);
    let terms = Terms { role: Some(Role::Administrator), ..Terms::default() };
    agents::join(tx, &scope, user.id, terms, None).await?;
    let token = tokens::of(tx, Owner::User(user.id)).await?.ok_or(Error::NotFound)?;
    Ok(Founded { account, user, token })
}
