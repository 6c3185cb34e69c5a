//! Memberships: who works in an account, and as what (`resources.md §3`).

pub mod sql;

use std::collections::BTreeSet;

use chatwarden_db::{Timestamp, Tx, WriteTx, args};

use crate::accounts::{self, Account};
use crate::conversations::{self, Holder};
use crate::error::{Error, Result, TAKEN};
use crate::events;
use crate::ids::{AccountId, AccountUserId, UserId};
use crate::notification_settings;
use crate::passwords::Hashed;
use crate::scope::{Admin, Scope};
use crate::teams;
use crate::users::{self, Availability, Member, NewUser, Role, User, address, links};

chatwarden_db::row! {
    /// A membership's own columns.
    pub struct AccountUser {
        pub id: AccountUserId,
        pub account_id: AccountId,
        pub user_id: UserId,
        pub role: Role,
        pub inviter_id: Option<UserId>,
        pub availability: Availability,
        pub auto_offline: bool,
        pub active_at: Option<Timestamp>,
        pub created_at: Timestamp,
        pub updated_at: Timestamp,
    }
}

/// A membership to be made, or what is to be changed of one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terms {
    /// The role; agent at first.
    pub role: Option<Role>,
    /// The availability; online at first.
    pub availability: Option<Availability>,
    /// Whether the member is shown offline when not present; so at first.
    pub auto_offline: Option<bool>,
}

/// The members of the account, by name as people sort it.
///
/// # Errors
/// What the database says.
pub async fn list(tx: &mut Tx<'_>, scope: &Scope) -> Result<Vec<Member>> {
    let rows = tx.all(&sql::LIST, args![scope.account_id()]).await?;
    let mut members: Vec<Member> = rows.into_iter().map(Member::from).collect();
    members.sort_by_cached_key(|member| (member.name.to_lowercase(), member.id));
    Ok(members)
}

/// A member of the account.
///
/// # Errors
/// [`Error::NotFound`] where there is none.
pub async fn find(tx: &mut Tx<'_>, scope: &Scope, user: UserId) -> Result<Member> {
    users::sql::member(tx, scope, user).await?.ok_or(Error::NotFound)
}

/// The memberships of the account, oldest first.
///
/// # Errors
/// What the database says.
pub async fn memberships(tx: &mut Tx<'_>, scope: &Scope) -> Result<Vec<AccountUser>> {
    Ok(tx.all(&sql::ROWS, args![scope.account_id()]).await?)
}

/// Makes a person a member.
///
/// # Errors
/// [`Error::Invalid`] where the person is one already, or there is no such person.
pub async fn join(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    user: UserId,
    terms: Terms,
    inviter: Option<UserId>,
) -> Result<AccountUser> {
    join_all(tx, scope, &[user], terms, inviter)
        .await?
        .pop()
        .ok_or_else(|| Error::invalid("user", "must exist"))
}

/// As [`join`], for several, in as many statements as for one; who does not exist is left out.
async fn join_all(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    users: &[UserId],
    terms: Terms,
    inviter: Option<UserId>,
) -> Result<Vec<AccountUser>> {
    let now = tx.now();
    let role = terms.role.unwrap_or(Role::Agent);
    let availability = terms.availability.unwrap_or(Availability::Online);
    let auto_offline = terms.auto_offline.unwrap_or(true);
    let ids: Vec<i64> = users.iter().map(|user| user.0).collect();
    let made = tx
        .all(
            &sql::INSERT,
            args![scope.account_id(), ids, role, inviter, availability, auto_offline, now],
        )
        .await
        .map_err(|error| {
            if error.broke("account_users_account_id_user_id_key") {
                Error::invalid("user_id", TAKEN)
            } else if error.broke("foreign_key") {
                Error::invalid("user", "must exist")
            } else {
                error.into()
            }
        })?;
    notification_settings::begin(tx, scope, users).await?;
    Ok(made)
}

/// Changes a membership. A change of the role changes what the member's sockets hear.
///
/// # Errors
/// [`Error::NotFound`] where the person is no member.
pub async fn change(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    user: UserId,
    terms: Terms,
) -> Result<AccountUser> {
    let now = tx.now();
    let changed = tx
        .opt(
            &sql::CHANGE,
            args![
                scope.account_id(),
                user,
                terms.role,
                terms.availability,
                terms.auto_offline,
                now
            ],
        )
        .await?
        .ok_or(Error::NotFound)?;
    if terms.role.is_some() {
        refresh(tx, user).await?;
    }
    Ok(changed)
}

/// Makes a person a member, or changes the membership there is.
///
/// # Errors
/// [`Error::Invalid`] where there is no such person.
pub async fn join_or_change(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    user: UserId,
    terms: Terms,
) -> Result<AccountUser> {
    match change(tx, scope, user, terms).await {
        Err(Error::NotFound) => join(tx, scope, user, terms, None).await,
        other => other,
    }
}

/// Somebody to be invited.
#[derive(Debug, Clone)]
pub struct Invitation {
    /// The address, normalised.
    pub email: String,
    /// The name, where the person is new; the local part of the address where none is given.
    pub name: Option<String>,
}

impl From<Invitation> for NewUser {
    fn from(invitation: Invitation) -> Self {
        let name = invitation.name.filter(|name| !name.trim().is_empty());
        Self {
            name: name.unwrap_or_else(|| address::local(&invitation.email).to_owned()),
            email: invitation.email,
            display_name: None,
            password: Hashed::unusable(),
            custom_attributes: serde_json::json!({}),
            confirmed: false,
        }
    }
}

/// Invites somebody: who is new, or never confirmed the address, gets a mail to choose a password. Whoever signed
/// up with an address that is not confirmed comes in by that mail alone.
///
/// # Errors
/// [`Error::Invalid`] where the address is none, or the person is a member already.
pub async fn invite(
    tx: &mut WriteTx<'_>,
    scope: &Scope<Admin>,
    account: &Account,
    invitation: Invitation,
    terms: Terms,
) -> Result<Member> {
    let made = invite_each(tx, scope, account, vec![invitation], terms).await?;
    let member = made.first().ok_or(Error::NotFound)?;
    find(tx, scope, member.user_id).await
}

/// As [`invite`], for several of different addresses, in as many statements as for one.
async fn invite_each(
    tx: &mut WriteTx<'_>,
    scope: &Scope<Admin>,
    account: &Account,
    invitations: Vec<Invitation>,
    terms: Terms,
) -> Result<Vec<AccountUser>> {
    let emails: Vec<String> = invitations.iter().map(|invited| invited.email.clone()).collect();
    let (confirmed, mut strangers): (Vec<User>, Vec<User>) = users::lock_by_emails(tx, &emails)
        .await?
        .into_iter()
        .partition(|user| user.confirmed_at.is_some());
    users::reclaim_all(tx, &mut strangers, &Hashed::unusable()).await?;
    let known: BTreeSet<&str> =
        confirmed.iter().chain(&strangers).map(|user| user.email.as_str()).collect();
    let new = invitations
        .into_iter()
        .filter(|invited| !known.contains(invited.email.as_str()))
        .map(NewUser::from)
        .collect();
    strangers.extend(users::create_all(tx, new).await?);
    let people: Vec<UserId> = confirmed.iter().chain(&strangers).map(|user| user.id).collect();
    let made = join_all(tx, scope, &people, terms, Some(scope.user_id())).await?;
    links::send_invitations(tx, &strangers, scope.member().available_name(), account).await?;
    Ok(made)
}

/// Invites several by their addresses alone; those that can't be invited are left out. They begin
/// as offline, whatever they do. It is the last step of an account's set-up.
///
/// # Errors
/// What the database says.
pub async fn invite_all(
    tx: &mut WriteTx<'_>,
    scope: &Scope<Admin>,
    account: &Account,
    emails: &[String],
) -> Result<()> {
    // In order: two who invite the same people at once wait for each other, once.
    let mut emails: BTreeSet<String> = emails
        .iter()
        .map(|email| address::normalised(email))
        .filter(|email| address::is_address(email))
        .collect();
    let asked: Vec<String> = emails.iter().cloned().collect();
    for (known,) in tx.all(&sql::MEMBERS_AT, args![scope.account_id(), asked]).await? {
        emails.remove(&known);
    }
    let invitations: Vec<Invitation> =
        emails.into_iter().map(|email| Invitation { email, name: None }).collect();
    if !invitations.is_empty() {
        let terms = Terms {
            role: None,
            availability: Some(Availability::Offline),
            auto_offline: Some(false),
        };
        invite_each(tx, scope, account, invitations, terms).await?;
    }
    if account.onboarding_step().is_some() {
        let mut account = accounts::lock(tx, scope).await?;
        account.end_onboarding();
        accounts::save(tx, scope, &mut account).await?;
    }
    Ok(())
}

/// Changes a member's name and membership.
///
/// # Errors
/// [`Error::NotFound`] where the person is no member; [`Error::Invalid`] where a rule is broken.
pub async fn update(
    tx: &mut WriteTx<'_>,
    scope: &Scope<Admin>,
    user: UserId,
    name: Option<String>,
    terms: Terms,
) -> Result<Member> {
    change(tx, scope, user, terms).await?;
    if let Some(name) = name {
        let mut person = users::lock(tx, user).await?;
        person.name = name;
        users::save(tx, &mut person).await?;
    }
    find(tx, scope, user).await
}

/// Notes that the member works in this account now.
///
/// # Errors
/// [`Error::NotFound`] where the person is no member.
pub async fn mark_active(tx: &mut WriteTx<'_>, scope: &Scope, user: UserId) -> Result<()> {
    let now = tx.now();
    match tx.run(&sql::MARK_ACTIVE, args![scope.account_id(), user, now]).await? {
        0 => Err(Error::NotFound),
        _ => Ok(()),
    }
}

/// Ends a membership: seats in inboxes and assignments go along; saved filters wait for who comes back. Nothing
/// happens to who is no member.
///
/// # Errors
/// What the database says.
pub async fn leave(tx: &mut WriteTx<'_>, scope: &Scope, user: UserId) -> Result<()> {
    let account = scope.account_id();
    if tx.run(&sql::DELETE, args![account, user]).await? == 0 {
        return Ok(());
    }
    tx.run(&sql::LEAVE_INBOXES, args![account, user]).await?;
    tx.run(&teams::sql::LEAVE, args![account, user]).await?;
    conversations::release(tx, account, Holder::Assignee(user)).await?;
    tx.run(&notification_settings::sql::REMOVE, args![account, user]).await?;
    refresh(tx, user).await
}

/// Ends a membership; a person without any other is removed with it.
///
/// # Errors
/// [`Error::NotFound`] where the person is no member.
pub async fn remove(tx: &mut WriteTx<'_>, scope: &Scope, user: UserId) -> Result<()> {
    find(tx, scope, user).await?;
    leave(tx, scope, user).await?;
    let person = users::lock(tx, user).await?;
    if users::memberships(tx, user).await?.is_empty() && person.kind.is_none() {
        users::delete(tx, &person).await?;
    }
    Ok(())
}

/// Has the sockets of a person checked again.
async fn refresh(tx: &mut WriteTx<'_>, user: UserId) -> Result<()> {
    let User { pubsub_token, .. } = users::get(tx, user).await?;
    events::refresh(tx, pubsub_token);
    Ok(())
}
