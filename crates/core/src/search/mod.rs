//! One box for all: conversations, contacts and messages that hold a text (`resources.md §19`).

pub mod sql;

use chatwarden_db::{Tx, args};

use crate::contacts::Contact;
use crate::conversations::Conversation;
use crate::error::{Error, Result};
use crate::ids::{ChannelId, DisplayId};
use crate::messages::{self, Sent};
use crate::pattern;
use crate::scope::{Agent, Scope};

/// The longest text that is looked for.
const LONG: usize = 1000;
/// As many of each are on a page.
const PAGE: i64 = 15;
/// Messages older than these seconds are not looked at: three months.
const RECENT: i64 = 92 * 86_400;

/// What is looked for.
#[derive(Debug, Clone)]
pub struct Query {
    pattern: String,
    offset: i64,
}

impl Query {
    /// A text, wherever it stands, and a page of what is found, from 1.
    ///
    /// # Errors
    /// [`Error::Unprocessable`] for a text that is too long.
    pub fn new(text: &str, page: i64) -> Result<Self> {
        if text.chars().nth(LONG).is_some() {
            return Err(Error::Unprocessable(format!("q: at most {LONG} characters")));
        }
        let pattern = pattern::holding(text.trim());
        Ok(Self { pattern, offset: page.max(1).saturating_sub(1).saturating_mul(PAGE) })
    }
}

/// A conversation that was found.
#[derive(Debug, Clone)]
pub struct FoundConversation {
    /// The conversation.
    pub conversation: Conversation,
    /// Its first message.
    pub first: Option<Sent>,
    /// Its inbox's channel.
    pub channel_id: Option<ChannelId>,
}

/// Conversations by their number, and by who their contact is; the newest first.
///
/// # Errors
/// What the database says.
pub async fn conversations(
    tx: &mut Tx<'_>,
    scope: &Scope<Agent>,
    query: &Query,
) -> Result<Vec<FoundConversation>> {
    let account = scope.account_id();
    let args = args![account, scope.user_id(), scope.is_admin(), query.pattern, PAGE, query.offset];
    let found = tx.all(&sql::CONVERSATIONS, args).await?;
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<i64> = found.iter().map(|c| c.row.id.0).collect();
    let firsts = tx.all(&sql::FIRST_MESSAGES, args![account, ids]).await?;
    let ids: Vec<i64> = firsts.iter().map(|(_, message)| message.0).collect();
    let sent = messages::by_ids(tx, scope, &ids).await?;
    let inboxes: Vec<i64> = found.iter().map(|c| c.row.inbox_id.0).collect();
    let channels = tx.all(&sql::CHANNELS, args![account, inboxes]).await?;
    let of = |conversation: Conversation| FoundConversation {
        first: sent.iter().find(|s| s.message.conversation_id == conversation.row.id).cloned(),
        channel_id: channels
            .iter()
            .find(|(inbox, _)| *inbox == conversation.row.inbox_id)
            .map(|(_, channel)| *channel),
        conversation,
    };
    Ok(found.into_iter().map(of).collect())
}

/// Identified contacts, those who were active last first.
///
/// # Errors
/// What the database says.
pub async fn contacts(tx: &mut Tx<'_>, scope: &Scope, query: &Query) -> Result<Vec<Contact>> {
    let args = args![scope.account_id(), query.pattern, PAGE, query.offset];
    Ok(tx.all(&sql::CONTACTS, args).await?)
}

/// Messages of the last three months with their conversations' numbers, the newest first.
///
/// # Errors
/// What the database says.
pub async fn messages(
    tx: &mut Tx<'_>,
    scope: &Scope<Agent>,
    query: &Query,
) -> Result<Vec<(DisplayId, Sent)>> {
    let account = scope.account_id();
    let since = tx.now().plus_seconds(-RECENT);
    let args =
        args![account, scope.user_id(), scope.is_admin(), query.pattern, since, PAGE, query.offset];
    let found = tx.all(&sql::MESSAGES, args).await?;
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<i64> = found.iter().map(|(message, _)| message.0).collect();
    let mut sent = messages::by_ids(tx, scope, &ids).await?;
    sent.sort_by_key(|sent| std::cmp::Reverse(sent.message.id));
    let ids: Vec<i64> = found.iter().map(|(_, conversation)| conversation.0).collect();
    let numbers = tx.all(&sql::NUMBERS, args![account, ids]).await?;
    let of = |sent: Sent| {
        let number = numbers.iter().find(|(id, _)| *id == sent.message.conversation_id);
        number.map(|(_, number)| (*number, sent))
    };
    Ok(sent.into_iter().filter_map(of).collect())
}
