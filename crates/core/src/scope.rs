//! Who a tenant's rows are read and written for.
//!
//! A `Scope` is a value with private fields. Outside this crate these are the ways to one: a membership that was
//! checked ([`crate::accounts::enter`]; [`crate::accounts::visit`] also while the account is suspended), a bot that
//! was let in ([`crate::agent_bots::enter`]), an account that a platform app made or was given
//! ([`crate::platform::account`]), a job's account ([`Scope::of_job`]), a channel's inbox (a
//! [`crate::inboxes::Door`]), and the command line ([`Scope::of_command_line`]). Every statement on tenant data
//! binds [`Scope::account_id`].

use std::ops::Deref;
use std::sync::Arc;

use chatwarden_db::Tx;

use crate::agent_bots::AgentBot;
use crate::events::Performer;
use crate::ids::{AccountId, UserId};
use crate::users::{Member, UserPush};

/// The right to a tenant's rows, as `R`.
#[derive(Debug, Clone)]
pub struct Scope<R = Tenant>(R);

/// The tenant itself: jobs, channels, the command line.
#[derive(Debug, Clone)]
pub struct Tenant {
    account_id: AccountId,
    actor: Option<Actor>,
}

/// Who it is that reads and writes, where it is somebody of the account's.
#[derive(Debug, Clone)]
enum Actor {
    Member(Arc<Member>),
    Bot(Arc<AgentBot>),
}

/// A member of the account.
#[derive(Debug, Clone)]
pub struct Agent {
    tenant: Scope<Tenant>,
    member: Arc<Member>,
}

/// A member with the administrator's role.
#[derive(Debug, Clone)]
pub struct Admin {
    agent: Scope<Agent>,
}

/// An agent bot in an account that it serves.
#[derive(Debug, Clone)]
pub struct Bot {
    tenant: Scope<Tenant>,
    bot: Arc<AgentBot>,
}

impl Scope {
    pub(crate) const fn of_account(account_id: AccountId) -> Self {
        Self(Tenant { account_id, actor: None })
    }

    /// The scope of a job: the account was stored with it by an operation that had a scope.
    pub(crate) const fn of_job(account_id: AccountId) -> Self {
        Self::of_account(account_id)
    }

    /// The scope of whoever runs commands on the machine.
    pub const fn of_command_line(account_id: AccountId) -> Self {
        Self::of_account(account_id)
    }

    /// The tenant, for `$1` of every statement on its rows.
    pub const fn account_id(&self) -> AccountId {
        self.0.account_id
    }

    /// The member who looks, for what each member sees their own way.
    pub(crate) fn viewer(&self) -> Option<UserId> {
        match &self.0.actor {
            Some(Actor::Member(member)) => Some(member.id),
            Some(Actor::Bot(_)) | None => None,
        }
    }

    /// The member or the bot as the one who acts, for events that say so.
    pub(crate) fn performer(&self, tx: &Tx<'_>) -> Performer {
        match &self.0.actor {
            Some(Actor::Member(member)) => Performer::User(UserPush::of(tx, member)),
            Some(Actor::Bot(bot)) => Performer::Bot(bot.push(tx)),
            None => Performer::System,
        }
    }
}

impl Scope<Agent> {
    pub(crate) fn of_member(account_id: AccountId, member: Member) -> Self {
        let member = Arc::new(member);
        let tenant = Scope(Tenant { account_id, actor: Some(Actor::Member(member.clone())) });
        Self(Agent { tenant, member })
    }

    /// The member.
    pub fn member(&self) -> &Member {
        &self.0.member
    }

    /// The member's id as a person.
    pub fn user_id(&self) -> UserId {
        self.0.member.id
    }

    /// Whether the member is an administrator.
    pub fn is_admin(&self) -> bool {
        self.0.member.role == crate::users::Role::Administrator
    }

    /// The same as an administrator, where the member is one.
    pub fn admin(self) -> Option<Scope<Admin>> {
        self.is_admin().then_some(Scope(Admin { agent: self }))
    }
}

impl Scope<Bot> {
    pub(crate) fn of_bot(account_id: AccountId, bot: AgentBot) -> Self {
        let bot = Arc::new(bot);
        let tenant = Scope(Tenant { account_id, actor: Some(Actor::Bot(bot.clone())) });
        Self(Bot { tenant, bot })
    }

    /// The bot.
    pub fn bot(&self) -> &AgentBot {
        &self.0.bot
    }
}

impl Deref for Scope<Bot> {
    type Target = Scope;
    fn deref(&self) -> &Scope {
        &self.0.tenant
    }
}

impl Deref for Scope<Agent> {
    type Target = Scope;
    fn deref(&self) -> &Scope {
        &self.0.tenant
    }
}

impl Deref for Scope<Admin> {
    type Target = Scope<Agent>;
    fn deref(&self) -> &Scope<Agent> {
        &self.0.agent
    }
}
