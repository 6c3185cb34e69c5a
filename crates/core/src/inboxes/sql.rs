//! Statements on inboxes and channels.

use chatwarden_db::{DbError, Tx, args, statements};

use super::InboxWithChannel;
use crate::ids::InboxId;
use crate::scope::Scope;

/// The columns of [`InboxWithChannel`], for `inboxes i` and `channels ch`.
macro_rules! inbox_columns {
    () => {
        "i.id, i.account_id, i.name, i.channel_type, i.greeting_enabled, i.greeting_message, i.enable_email_collect, \
         i.csat_survey_enabled, i.csat_config, i.enable_auto_assignment, i.auto_assignment_config, \
         i.working_hours_enabled, i.working_hours, i.out_of_office_message, i.timezone, \
         i.allow_messages_after_resolved, i.lock_to_single_conversation, i.sender_name_type, i.business_name, \
         i.portal_id, i.created_at, i.updated_at, \
         ch.id, ch.inbox_id, ch.channel_type, ch.token, ch.hmac_token, ch.secret, ch.hmac_mandatory, ch.settings \
         from inboxes i join channels ch on ch.account_id = i.account_id and ch.inbox_id = i.id "
    };
}

statements! {
    /// $1 channel type, $2 token: the account is what is looked for
    BY_TOKEN: InboxWithChannel = "inboxes.by_token", (concat!("select ", inbox_columns!(),
        "where ch.token = $2 and ch.channel_type = $1"));
    /// $1 account, $2 inbox
    GET: InboxWithChannel = "inboxes.get", (concat!("select ", inbox_columns!(), "where i.account_id = $1 and i.id = $2"));
}

/// An inbox of the account.
pub async fn get(
    tx: &mut Tx<'_>,
    scope: &Scope,
    id: InboxId,
) -> Result<Option<InboxWithChannel>, DbError> {
    tx.opt(&GET, args![scope.account_id(), id]).await
}
