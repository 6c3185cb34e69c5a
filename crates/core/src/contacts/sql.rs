//! Statements on contacts.

use chatwarden_db::{DbError, Tx, WriteTx, args, statements};

use crate::ids::ContactId;
use crate::scope::Scope;

/// The columns of [`Contact`](super::Contact), for `contacts ct`.
#[macro_export]
#[doc(hidden)]
macro_rules! contact_columns {
    () => {
        "ct.id, ct.account_id, ct.name, ct.middle_name, ct.last_name, ct.email, ct.phone_number, ct.identifier, \
         ct.location, ct.country_code, ct.contact_type, ct.blocked, ct.additional_attributes, \
         ct.custom_attributes, ct.labels, ct.last_activity_at, ct.created_at, ct.updated_at"
    };
}

statements! {
    /// $1 account, $2 contact, $3 now
    TOUCH: () = "contacts.touch",
        "update contacts set last_activity_at = $3, updated_at = $3 where account_id = $1 and id = $2";
    /// $1 account, $2 contact
    VERIFIED_TOKENS: (String,) = "contacts.verified_tokens",
        "select pubsub_token from contact_inboxes where account_id = $1 and contact_id = $2 and hmac_verified order by id";
}

/// Notes activity.
pub async fn touch(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    contact: ContactId,
) -> Result<u64, DbError> {
    let now = tx.now();
    tx.run(&TOUCH, args![scope.account_id(), contact, now]).await
}

/// The socket tokens of a contact's proved identities.
pub async fn verified_tokens(
    tx: &mut Tx<'_>,
    scope: &Scope,
    contact: ContactId,
) -> Result<Vec<String>, DbError> {
    Ok(tx
        .all(&VERIFIED_TOKENS, args![scope.account_id(), contact])
        .await?
        .into_iter()
        .map(|(token,)| token)
        .collect())
}
