//! Links that prove an address: confirming it, choosing a new password, accepting an invitation.
//! Only the hash of a link's token is kept, and the link itself sealed until its mail is sent.

use chatwarden_db::{Json, WriteTx, args};
use serde::Serialize;
use serde_json::json;

use super::{User, save, sql};
use crate::accounts::Account;
use crate::desk::desk;
use crate::error::Result;
use crate::ids::UserId;
use crate::mail::{self, Mail, Template};
use crate::sessions::{digest, secret};

/// How long a link to a new password is good, in seconds (`behaviours.md §2.1`).
const RESET: i64 = 6 * 3600;

/// A person with their token, as `users.set_reset_tokens` reads them.
#[derive(Serialize)]
struct Token {
    id: UserId,
    hash: String,
}

/// New links by which people set their passwords, sealed; in the order of the people.
async fn password_links(tx: &mut WriteTx<'_>, users: &[User]) -> Result<Vec<String>> {
    let tokens: Vec<String> = users.iter().map(|_| secret(tx.ambient())).collect();
    let kept: Vec<Token> = users
        .iter()
        .zip(&tokens)
        .map(|(user, token)| Token { id: user.id, hash: digest(token) })
        .collect();
    let now = tx.now();
    tx.run(&sql::SET_RESET_TOKENS, args![Json(&kept), now]).await?;
    let base = desk(tx).frontend_url.clone();
    let link =
        |token: &String| format!("{base}/app/auth/password/edit?reset_password_token={token}");
    Ok(users
        .iter()
        .zip(&tokens)
        .map(|(user, token)| mail::sealed_link(tx, user.id, &link(token)))
        .collect())
}

/// Sends a link to choose a new password.
///
/// # Errors
/// What the database says.
pub async fn send_reset(tx: &mut WriteTx<'_>, user: &User) -> Result<()> {
    let link = password_links(tx, std::slice::from_ref(user)).await?.pop();
    let mail = Mail {
        template: Template::ResetPassword,
        to: user.email.clone(),
        locale: desk(tx).default_locale.clone(),
        args: json!({"email": user.email, "user_id": user.id, "link": link}),
    };
    mail::send(tx, None, &mail).await
}

/// Invites people who have no passwords yet into an account.
///
/// # Errors
/// What the database says.
pub async fn send_invitations(
    tx: &mut WriteTx<'_>,
    users: &[User],
    inviter: &str,
    account: &Account,
) -> Result<()> {
    if users.is_empty() {
        return Ok(());
    }
    let links = password_links(tx, users).await?;
    let mails: Vec<Mail> = users
        .iter()
        .zip(links)
        .map(|(user, link)| Mail {
            template: Template::Invitation,
            to: user.email.clone(),
            locale: account.locale.clone(),
            args: json!({
                "name": user.name,
                "inviter": inviter,
                "account": account.name,
                "user_id": user.id,
                "link": link,
            }),
        })
        .collect();
    mail::send_all(tx, Some(account.id), &mails).await
}

/// Sends a link that confirms the address: the new one where one waits.
///
/// # Errors
/// What the database says.
pub async fn send_confirmation(tx: &mut WriteTx<'_>, user: &User) -> Result<()> {
    let base = desk(tx).frontend_url.clone();
    let locale = desk(tx).default_locale.clone();
    let (template, to, link) = match &user.unconfirmed_email {
        None if user.confirmed_at.is_some() => {
            (Template::AlreadyConfirmed, &user.email, format!("{base}/app/auth/sign_in"))
        }
        waiting => {
            let (now, token) = (tx.now(), secret(tx.ambient()));
            tx.run(&sql::SET_CONFIRMATION_TOKEN, args![user.id, digest(&token), now]).await?;
            let link = format!("{base}/app/auth/confirmation?confirmation_token={token}");
            (Template::Confirmation, waiting.as_ref().unwrap_or(&user.email), link)
        }
    };
    let link = mail::sealed_link(tx, user.id, &link);
    let args = json!({"name": user.name, "email": to, "user_id": user.id, "link": link});
    mail::send(tx, None, &Mail { template, to: to.clone(), locale, args }).await
}

/// The person of a link to a new password, locked, where the link is still good.
///
/// # Errors
/// What the database says.
pub async fn by_reset_token(tx: &mut WriteTx<'_>, token: &str) -> Result<Option<User>> {
    let oldest = tx.now().plus_seconds(-RESET);
    Ok(tx.opt(&sql::BY_RESET_TOKEN, args![digest(token), oldest]).await?)
}

/// What came of following a confirmation link.
#[derive(Debug)]
pub enum Confirmation {
    /// The address is confirmed now.
    Done(Box<User>),
    /// It was confirmed before.
    Already,
    /// There is no such link.
    Unknown,
}

/// Follows a confirmation link.
///
/// # Errors
/// What the database says; where the new address is somebody's by now, [`crate::Error::Invalid`].
pub async fn confirm(tx: &mut WriteTx<'_>, token: &str) -> Result<Confirmation> {
    let Some(mut user) = tx.opt(&sql::BY_CONFIRMATION_TOKEN, args![digest(token)]).await? else {
        return Ok(Confirmation::Unknown);
    };
    let waiting = user.unconfirmed_email.take();
    if waiting.is_none() && user.confirmed_at.is_some() {
        return Ok(Confirmation::Already);
    }
    if let Some(email) = waiting {
        user.email = email;
    }
    user.confirmed_at = Some(tx.now());
    save(tx, &mut user).await?;
    Ok(Confirmation::Done(Box::new(user)))
}
