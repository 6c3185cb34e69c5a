//! Agent bots: programs that answer in conversations (`resources.md §13`). A bot without an account
//! belongs to the installation; accounts may use it, not change it.

pub mod sql;

use chatwarden_db::{Json, Timestamp, Tx, WriteTx, args};
use serde_json::{Value, json};

use crate::accounts;
use crate::conversations::{self, Holder};
use crate::error::{Error, Invalid, Result};
use crate::ids::{AccountId, AgentBotId};
use crate::scope::{Bot, Scope};
use crate::storage::{Avatar, avatar_url};
use crate::tokens::{self, Owner};

/// The longest address that is called (`behaviours.md §18`).
const ADDRESS: usize = 2048;
/// The longest name and description.
const SHORT: usize = 255;

chatwarden_db::row! {
    /// A bot.
    pub struct AgentBot {
        pub id: AgentBotId,
        pub account_id: Option<AccountId>,
        pub name: String,
        pub description: Option<String>,
        pub outgoing_url: Option<String>,
        pub bot_config: Json<Value>,
        pub secret: String,
        pub avatar: Option<Avatar>,
        pub created_at: Timestamp,
        pub updated_at: Timestamp,
    }
}

impl AgentBot {
    /// Whether it is one of the installation.
    pub fn is_system(&self) -> bool {
        self.account_id.is_none()
    }

    /// The bot in cable frames and as the sender of messages (`resources.md §7`).
    pub fn push(&self, tx: &Tx<'_>) -> Value {
        let avatar = avatar_url(tx, self.avatar.as_ref());
        json!({"id": self.id, "name": self.name, "avatar_url": avatar, "type": "agent_bot"})
    }
}

/// What a bot is said to be.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// The name.
    pub name: Option<String>,
    /// What it does.
    pub description: Option<Option<String>>,
    /// Where it listens.
    pub outgoing_url: Option<Option<String>>,
    /// Its own settings: an object.
    pub bot_config: Option<Value>,
}

impl Draft {
    fn apply(self, bot: &mut AgentBot) -> Result<()> {
        if let Some(name) = self.name {
            bot.name = name;
        }
        if let Some(description) = self.description {
            bot.description = description;
        }
        if let Some(outgoing_url) = self.outgoing_url {
            bot.outgoing_url = outgoing_url;
        }
        if let Some(bot_config) = self.bot_config {
            bot.bot_config = Json(bot_config);
        }
        let mut faults = Invalid::default();
        if bot.name.trim().is_empty() {
            faults.add("name", "can't be blank");
        }
        let mut limit = |field: &'static str, text: Option<&str>, most: usize| {
            if text.is_some_and(|text| text.chars().count() > most) {
                faults.add(field, format!("is too long (maximum is {most} characters)"));
            }
        };
        limit("name", Some(&bot.name), SHORT);
        limit("description", bot.description.as_deref(), SHORT);
        limit("outgoing_url", bot.outgoing_url.as_deref(), ADDRESS);
        faults.check()
    }
}

/// Makes a bot, of an account or of the installation, with an API token.
///
/// # Errors
/// [`Error::Invalid`] where a rule is broken.
pub(crate) async fn create(
    tx: &mut WriteTx<'_>,
    account: Option<AccountId>,
    draft: Draft,
) -> Result<AgentBot> {
    let mut bot = AgentBot {
        id: AgentBotId(0),
        account_id: account,
        name: String::new(),
        description: None,
        outgoing_url: None,
        bot_config: Json(json!({})),
        secret: tx.ambient().token(24),
        avatar: None,
        created_at: tx.now(),
        updated_at: tx.now(),
    };
    draft.apply(&mut bot)?;
    let (id,) = tx
        .one(
            &sql::INSERT,
            args![
                account,
                bot.name,
                bot.description,
                bot.outgoing_url,
                bot.bot_config,
                bot.secret,
                bot.created_at
            ],
        )
        .await?;
    bot.id = AgentBotId(id);
    tokens::renew(tx, Owner::AgentBot(bot.id)).await?;
    Ok(bot)
}

/// Makes a bot of the account.
///
/// # Errors
/// [`Error::Invalid`] where a rule is broken.
pub async fn create_own(tx: &mut WriteTx<'_>, scope: &Scope, draft: Draft) -> Result<AgentBot> {
    create(tx, Some(scope.account_id()), draft).await
}

/// The bots that the account may use: its own and the installation's.
///
/// # Errors
/// What the database says.
pub async fn list(tx: &mut Tx<'_>, scope: &Scope) -> Result<Vec<AgentBot>> {
    Ok(tx.all(&sql::USABLE, args![scope.account_id()]).await?)
}

/// A bot that the account may use.
///
/// # Errors
/// [`Error::NotFound`] where there is none.
pub async fn find(tx: &mut Tx<'_>, scope: &Scope, id: AgentBotId) -> Result<AgentBot> {
    tx.opt(&sql::FIND_USABLE, args![scope.account_id(), id]).await?.ok_or(Error::NotFound)
}

/// A bot of the account's own.
///
/// # Errors
/// [`Error::NotFound`] where there is none.
pub async fn find_own(tx: &mut Tx<'_>, scope: &Scope, id: AgentBotId) -> Result<AgentBot> {
    let bot = find(tx, scope, id).await?;
    if bot.is_system() { Err(Error::NotFound) } else { Ok(bot) }
}

/// Changes a bot that the caller may change.
///
/// # Errors
/// [`Error::Invalid`] where a rule is broken.
pub async fn update(tx: &mut WriteTx<'_>, bot: &mut AgentBot, draft: Draft) -> Result<()> {
    draft.apply(bot)?;
    bot.updated_at = tx.now();
    tx.run(
        &sql::UPDATE,
        args![
            bot.id,
            bot.account_id,
            bot.name,
            bot.description,
            bot.outgoing_url,
            bot.bot_config,
            bot.updated_at
        ],
    )
    .await?;
    Ok(())
}

/// Gives a bot a new secret to sign with.
///
/// # Errors
/// What the database says.
pub async fn reset_secret(tx: &mut WriteTx<'_>, bot: &mut AgentBot) -> Result<()> {
    bot.secret = tx.ambient().token(24);
    bot.updated_at = tx.now();
    let args = args![bot.id, bot.account_id, bot.secret, bot.updated_at];
    tx.run(&sql::SET_SECRET, args).await?;
    Ok(())
}

/// Removes a bot that the caller may remove: its inboxes and conversations are without it.
///
/// # Errors
/// What the database says.
pub async fn delete(tx: &mut WriteTx<'_>, bot: &AgentBot) -> Result<()> {
    tokens::remove(tx, Owner::AgentBot(bot.id)).await?;
    tx.run(&sql::DISCONNECT, args![bot.id]).await?;
    let account = bot.account_id.unwrap_or(AccountId(0));
    conversations::release(tx, account, Holder::AgentBot(bot.id)).await?;
    tx.run(&sql::DELETE, args![bot.id, bot.account_id]).await?;
    Ok(())
}

/// Lets a bot into an account: its own, or one whose inboxes it serves (`behaviours.md §2.2`).
///
/// # Errors
/// [`Error::NotFound`] where there is no such account; [`Error::Unauthorized`] where the bot has no business
/// there, or the account is suspended.
pub async fn enter(tx: &mut Tx<'_>, account: AccountId, id: AgentBotId) -> Result<Scope<Bot>> {
    let found = tx.opt(&accounts::sql::GET, args![account]).await?.ok_or(Error::NotFound)?;
    let bot = tx.opt(&sql::ENTER, args![account, id]).await?.ok_or_else(|| {
        Error::Unauthorized("Bot is not authorized to access this account".to_owned())
    })?;
    if found.status == accounts::Status::Suspended {
        return Err(Error::Unauthorized("Account is suspended".to_owned()));
    }
    Ok(Scope::of_bot(account, bot))
}
