//! What was said in a conversation, sent to whoever asks for it (`mail.md §1.3`).

use chatwarden_db::{Tx, WriteTx, args};
use serde_json::{Value, json};

use super::compose::{Filled, bare};
use super::{Mail, Template, said_in, send};
use crate::accounts;
use crate::conversations::{self, Conversation};
use crate::error::{Error, Result};
use crate::ids::ConversationId;
use crate::inboxes::{self, Inbox, SenderName};
use crate::messages::{self, MessageType, Sent};
use crate::scope::Scope;

/// The most messages of a transcript, the newest.
const MOST: i64 = 1000;

/// Has what was said in a conversation sent to an address.
///
/// # Errors
/// [`Error::Unprocessable`] for what is no address.
pub async fn send_transcript(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &Conversation,
    to: &str,
) -> Result<()> {
    let to = to.trim().to_lowercase();
    if !crate::users::address::is_address(&to) {
        return Err(Error::Unprocessable("email is invalid".to_owned()));
    }
    let args = json!({"conversation_id": c.row.id});
    let locale = crate::desk::desk(tx).default_locale.clone();
    let mail = Mail { template: Template::Transcript, to, locale, args };
    send(tx, Some(scope.account_id()), &mail).await
}

/// What a transcript says; nothing where the conversation is gone.
pub(super) async fn fill(tx: &mut Tx<'_>, scope: &Scope, args: &Value) -> Result<Option<Filled>> {
    let id = args.get("conversation_id").and_then(Value::as_i64).map(ConversationId);
    let Some(id) = id else { return Ok(None) };
    let Some(c) = conversations::sql::get(tx, scope, id).await? else { return Ok(None) };
    let found = inboxes::sql::get(tx, scope, c.row.inbox_id).await?;
    let account = tx.opt(&accounts::sql::GET, args![scope.account_id()]).await?;
    let (Some(found), Some(account)) = (found, account) else { return Ok(None) };
    let mut newest = {
        let args = args![scope.account_id(), c.row.id, i64::MAX, MOST, true];
        tx.all(&messages::sql::BEFORE, args).await?
    };
    newest.reverse();
    let zone = found.inbox.timezone.parse().unwrap_or(chrono_tz::Tz::UTC);
    let support = account.support_address(tx);
    Ok(Some(Filled {
        template: "transcript.html",
        from: Some(format!("{} <{}>", quoted(&sender(&found.inbox, &c, &newest)), bare(&support))),
        reply_to: None,
        subject: format!("[#{}] Conversation Transcript", c.row.display_id),
        context: json!({"messages": said_in(tx, &c, &newest, None, Some(zone))}),
    }))
}

/// Who a mail to a contact is from (`mail.md §1.6`).
fn sender(inbox: &Inbox, c: &Conversation, messages: &[Sent]) -> String {
    let name = inbox.business_name.as_deref().filter(|name| !name.trim().is_empty());
    let business = plain_name(name.unwrap_or(&inbox.name));
    if inbox.sender_name_type == SenderName::Professional {
        return business;
    }
    let spoke = messages
        .iter()
        .rev()
        .filter(|sent| sent.message.message_type == MessageType::Outgoing)
        .find_map(|sent| sent.user.as_ref().map(|user| user.name.clone()));
    let agent = spoke.or_else(|| c.assignee().map(|member| member.name));
    format!("{} from {business}", agent.as_deref().map_or("Notifications".to_owned(), plain_name))
}

/// A name without what would break a header.
fn plain_name(name: &str) -> String {
    let kept: String = name
        .chars()
        .filter(|c| !c.is_control() && !"\\<>@\"!#$%&*+=?^`{|}~:;()".contains(*c))
        .collect();
    let folded = kept.split_whitespace().collect::<Vec<_>>().join(" ");
    folded.trim_matches(|c: char| c.is_ascii_punctuation() || c == ' ').to_owned()
}

/// A name as a header may have it, whatever commas are in it.
fn quoted(name: &str) -> String {
    if name.contains([',', '.']) { format!("\"{name}\"") } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_break_no_header() {
        let check = |name: &str, expected: &str| assert_eq!(plain_name(name), expected, "{name}");
        check("Mail (box) <1>!", "Mail box 1");
        check("ACME, \"Inc. x\"", "ACME, Inc. x");
        check("a\r\nBcc: b@c", "aBcc bc");
        check("-- Desk --", "Desk");
    }
}
