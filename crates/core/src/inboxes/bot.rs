//! Which bot serves an inbox.

use chatwarden_db::{Tx, WriteTx, args};

use super::sql;
use crate::agent_bots::{self, AgentBot};
use crate::error::{Error, Result};
use crate::ids::{AgentBotId, InboxId};
use crate::scope::{Admin, Scope};

/// The bot that serves an inbox.
///
/// # Errors
/// What the database says.
pub async fn bot(tx: &mut Tx<'_>, scope: &Scope, inbox: InboxId) -> Result<Option<AgentBot>> {
    Ok(tx.opt(&agent_bots::sql::OF_INBOX, args![scope.account_id(), inbox]).await?)
}

/// Has a bot serve an inbox, or none.
///
/// # Errors
/// [`Error::NotFound`] for an inbox the account lacks, or a bot that it may not use.
pub async fn set_bot(
    tx: &mut WriteTx<'_>,
    admin: &Scope<Admin>,
    inbox: InboxId,
    bot: Option<AgentBotId>,
) -> Result<()> {
    sql::get(tx, admin, inbox).await?.ok_or(Error::NotFound)?;
    let (account, now) = (admin.account_id(), tx.now());
    match bot {
        Some(bot) => {
            agent_bots::find(tx, admin, bot).await?;
            tx.run(&sql::CONNECT_BOT, args![account, inbox, bot, now]).await?;
        }
        None => {
            tx.run(&sql::DISCONNECT_BOT, args![account, inbox]).await?;
        }
    }
    Ok(())
}
