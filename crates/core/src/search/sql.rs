//! Statements of the search.

use chatwarden_db::statements;

use crate::contacts::Contact;
use crate::conversations::Conversation;
use crate::conversations::sql::{conversation_columns, conversation_from};
use crate::ids::{ChannelId, ConversationId, DisplayId, InboxId, MessageId};

/// Those of inboxes that the member may see: $2 user, $3 is administrator.
macro_rules! visible {
    ($alias:literal) => {
        concat!(
            "($3 or exists (select 1 from inbox_members im where im.account_id = $1 and im.user_id = $2 \
             and im.inbox_id = ",
            $alias,
            ".inbox_id)) "
        )
    };
}

statements! {
    /// $1 account, $2 user, $3 is administrator, $4 pattern, $5 as many, $6 after as many
    CONVERSATIONS: Conversation = "search.conversations", (concat!("select ", conversation_columns!(), " ",
        conversation_from!(), "where c.account_id = $1 and ", visible!("c"),
        "and (ct.search_folded like $4 escape '!' or cast(c.display_id as text) like $4 escape '!')
         order by c.created_at desc, c.id desc limit $5 offset $6"));
    /// $1 account, $2 pattern, $3 as many, $4 after as many: identified ones
    CONTACTS: Contact = "search.contacts", (concat!("select ", crate::contact_columns!(),
        " from contacts ct where ct.account_id = $1 and ct.search_folded like $2 escape '!'
          and (ct.email is not null or ct.phone_number is not null or ct.identifier is not null)
          order by ct.last_activity_at desc nulls last, ct.id desc limit $3 offset $4"));
    /// $1 account, $2 user, $3 is administrator, $4 pattern, $5 not before, $6 as many, $7 after as many
    MESSAGES: (MessageId, ConversationId) = "search.messages", (concat!(
        "select m.id, m.conversation_id from messages m where m.account_id = $1 and ", visible!("m"),
        "and m.created_at >= $5 and fold(m.content) like $4 escape '!'
         order by m.id desc limit $6 offset $7"));
    /// $1 account, $2 conversations: each one's first message
    FIRST_MESSAGES: (ConversationId, MessageId) = "search.first_messages",
        "select c.id, m.id from conversations c join messages m on m.account_id = c.account_id and m.id =
            (select f.id from messages f where f.account_id = $1 and f.conversation_id = c.id order by f.id limit 1)
         where c.account_id = $1 and c.id @in($2)";
    /// $1 account, $2 conversations
    NUMBERS: (ConversationId, DisplayId) = "search.numbers",
        "select id, display_id from conversations where account_id = $1 and id @in($2)";
    /// $1 account, $2 inboxes
    CHANNELS: (InboxId, ChannelId) = "search.channels",
        "select inbox_id, id from channels where account_id = $1 and inbox_id @in($2)";
}
