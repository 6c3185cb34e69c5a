//! Two contacts that are one person (`behaviours.md §12`, merge).

use chatwarden_db::{WriteTx, args};
use serde_json::Value;

use super::{Contact, announce, lock, save, sql};
use crate::conversations::push;
use crate::error::{Error, Result, is_bounded};
use crate::events::{self, Performer};
use crate::ids::ContactId;
use crate::messages;
use crate::scope::Scope;

/// As many conversations are said to be somebody else's now: each is told as a whole.
const TOLD: usize = 100;

/// Locks contacts with what merges move: contact inboxes before all else, as those do who open a conversation, and
/// conversations before contacts, as those do who write a message. Who is about to merge some of them one after the
/// other, or holds a conversation of theirs meanwhile, does so first.
///
/// # Errors
/// What the database says.
pub(crate) async fn lock_whole(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    contacts: &[i64],
) -> Result<()> {
    let account = scope.account_id();
    tx.all(&sql::TOKENS_OF, args![account, contacts]).await?;
    tx.all(&sql::LOCK_CONVERSATIONS, args![account, contacts]).await?;
    tx.all(&sql::LOCK_ALL, args![account, contacts]).await?;
    Ok(())
}

/// Moves everything of `mergee` to `base`, whose own attributes win, and removes `mergee`. Sockets of
/// the moved contact inboxes stay; who they are is found out again.
///
/// Where both are the same nothing happens.
///
/// # Errors
/// [`Error::NotFound`] where one of them is gone.
pub async fn merge(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    base: ContactId,
    mergee: ContactId,
    by: &Performer,
) -> Result<Contact> {
    let account = scope.account_id();
    if base == mergee {
        return lock(tx, scope, base).await;
    }
    // In the order of `lock_whole`.
    let tokens = tx.all(&sql::TOKENS_OF, args![account, vec![mergee.0]]).await?;
    let moved: Vec<i64> = tx
        .all(&sql::LOCK_CONVERSATIONS, args![account, vec![mergee.0]])
        .await?
        .into_iter()
        .map(|(id,)| id)
        .collect();
    let ids = [base.0, mergee.0];
    let locked = tx.all(&sql::LOCK_ALL, args![account, ids.as_slice()]).await?;
    let find = |id: ContactId| locked.iter().find(|c| c.id == id).cloned().ok_or(Error::NotFound);
    let (mut survivor, gone) = (find(base)?, find(mergee)?);
    let before = survivor.clone();
    let now = tx.now();
    tx.run(&sql::MOVE_MESSAGES, args![account, mergee, base]).await?;
    tx.run(&sql::MOVE_CONVERSATIONS, args![account, mergee, base, now]).await?;
    tx.run(&sql::MOVE_CONTACT_INBOXES, args![account, mergee, base, now]).await?;
    tx.run(&sql::MOVE_NOTES, args![account, mergee, base]).await?;
    tx.run(&sql::DELETE, args![account, mergee]).await?;
    for (token,) in tokens {
        events::refresh(tx, token);
    }

    announce(tx, scope, "contact.merged", &survivor);
    announce_moved(tx, scope, &moved, by).await?;
    announce(tx, scope, "contact.deleted", &gone);

    let own = |mine: Option<String>, theirs: Option<String>| {
        mine.filter(|text| !text.trim().is_empty()).or(theirs)
    };
    if survivor.name.trim().is_empty() {
        survivor.name = gone.name;
    }
    survivor.identifier = own(survivor.identifier, gone.identifier);
    survivor.email = own(survivor.email, gone.email);
    survivor.phone_number = own(survivor.phone_number, gone.phone_number);
    for (mine, theirs) in [
        (&mut survivor.additional_attributes.0, gone.additional_attributes.0),
        (&mut survivor.custom_attributes.0, gone.custom_attributes.0),
    ] {
        let over = std::mem::replace(mine, theirs);
        if let Value::Object(over) = &over {
            save::deep_merge(mine, over);
        }
        // Where both together are too large, the base's own stay as they are.
        if !is_bounded(mine) {
            *mine = over;
        }
    }
    save::derive(&mut survivor);
    // It has more now, even where none of it is an attribute: the account is told in any case.
    save::write(tx, scope, &before, &mut survivor).await?;
    Ok(survivor)
}

/// Tells the agents whose conversations these are now, of the newest of them: three statements, however many there are.
async fn announce_moved(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    moved: &[i64],
    by: &Performer,
) -> Result<()> {
    if moved.is_empty() {
        return Ok(());
    }
    let told = moved.split_at(moved.len().saturating_sub(TOLD)).1;
    let found = crate::conversations::sql::by_ids(tx, scope, told).await?;
    let newest: Vec<i64> =
        found.iter().filter_map(|c| c.row.last_public_message_id).map(|id| id.0).collect();
    let sent =
        if newest.is_empty() { Vec::new() } else { messages::by_ids(tx, scope, &newest).await? };
    for c in &found {
        let last = sent.iter().find(|s| Some(s.message.id) == c.row.last_public_message_id);
        push::announce_with(tx, scope, c, &["conversation.contact_changed"], by, last).await?;
    }
    Ok(())
}
