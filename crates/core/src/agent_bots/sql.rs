//! Statements on agent bots.

use chatwarden_db::statements;

use super::AgentBot;

/// The columns of [`AgentBot`], for `agent_bots b`.
macro_rules! bot_columns {
    () => {
        "b.id, b.account_id, b.name, b.description, b.outgoing_url, b.bot_config, b.secret, b.avatar, b.created_at, b.updated_at"
    };
}

statements! {
    /// $1 account or null, $2 name, $3 description, $4 address, $5 settings, $6 secret, $7 now
    INSERT: (i64,) = "agent_bots.insert",
        "insert into agent_bots (account_id, name, description, outgoing_url, bot_type, bot_config, secret, created_at,
            updated_at)
         values ($1, $2, $3, $4, 0, $5, $6, $7, $7) returning id";
    /// $1 account: its own and those of the installation
    USABLE: AgentBot = "agent_bots.usable", (concat!("select ", bot_columns!(),
        " from agent_bots b where b.account_id = $1 or b.account_id is null order by b.id"));
    /// $1 account, $2 bot
    FIND_USABLE: AgentBot = "agent_bots.find_usable", (concat!("select ", bot_columns!(),
        " from agent_bots b where (b.account_id = $1 or b.account_id is null) and b.id = $2"));
    /// $1 bot, $2 its account or null, $3 name, $4 description, $5 address, $6 settings, $7 now. Not the secret: the
    /// row in hand is not locked, and a secret that was replaced must not come back.
    UPDATE: () = "agent_bots.update",
        "update agent_bots set name = $3, description = $4, outgoing_url = $5, bot_config = $6, updated_at = $7
         where id = $1 and (account_id = $2 or (cast($2 as bigint) is null and account_id is null))";
    /// $1 bot, $2 its account or null, $3 secret, $4 now
    SET_SECRET: () = "agent_bots.set_secret",
        "update agent_bots set secret = $3, updated_at = $4
         where id = $1 and (account_id = $2 or (cast($2 as bigint) is null and account_id is null))";
    /// $1 bot, $2 its account or null
    DELETE: () = "agent_bots.delete",
        "delete from agent_bots
         where id = $1 and (account_id = $2 or (cast($2 as bigint) is null and account_id is null))";
    /// $1 bot: in every account, as a bot of the installation serves several
    DISCONNECT: () = "agent_bots.disconnect", "delete from agent_bot_inboxes where agent_bot_id = $1";
    /// $1 account, $2 bot
    ENTER: AgentBot = "agent_bots.enter", (concat!("select ", bot_columns!(),
        " from agent_bots b where b.id = $2 and (b.account_id = $1 or exists (
            select 1 from agent_bot_inboxes i where i.account_id = $1 and i.agent_bot_id = b.id))"));
    /// $1 account, $2 inbox
    OF_INBOX: AgentBot = "agent_bots.of_inbox", (concat!("select ", bot_columns!(),
        " from agent_bot_inboxes i join agent_bots b on b.id = i.agent_bot_id
          where i.account_id = $1 and i.inbox_id = $2 and i.status = 0"));
    /// $1 bot
    GET: AgentBot = "agent_bots.get", (concat!("select ", bot_columns!(), " from agent_bots b where b.id = $1"));
    /// $1 platform app: those that it made or was given
    OF_APP: AgentBot = "agent_bots.of_app", (concat!("select ", bot_columns!(),
        " from platform_app_permissibles p join agent_bots b on b.id = p.permissible_id
          where p.platform_app_id = $1 and p.permissible_type = 'AgentBot' order by b.id"));
}
