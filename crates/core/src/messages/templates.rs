//! What an inbox says by itself: that it is closed, a greeting, a question for the address, a survey
//! (`behaviours.md §13`).

use chatwarden_db::{Timestamp, WriteTx, args};
use serde_json::{Value, json};

use super::create::send_template;
use super::{ContentType, MessageType, NewMessage, Sender, activity, sql};
use crate::conversations::Conversation;
use crate::error::{Error, Result};
use crate::inboxes::{self, WEB_WIDGET};
use crate::scope::Scope;

/// Agents who answered this lately need no note that they are away.
const LATELY: i64 = 5 * 60;

chatwarden_db::row! {
    /// What was said to a contact before.
    pub struct Answered {
        pub ever: bool,
        pub by_itself_today: bool,
        pub by_an_agent_lately: bool,
        pub asked_for_the_address: bool,
    }
}

fn template(content_type: ContentType, text: &str) -> NewMessage {
    let mut new = NewMessage::text(MessageType::Template, Some(text.to_owned()), Sender::Nobody);
    new.content_type = content_type;
    new
}

fn said(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.trim().is_empty())
}

/// Answers a message of the contact, where the inbox is to. The caller writes the conversation's row
/// afterwards.
pub(super) async fn answer(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &mut Conversation,
) -> Result<()> {
    if !c.inbox.answers {
        return Ok(());
    }
    let found = inboxes::sql::get(tx, scope, c.row.inbox_id).await?.ok_or(Error::NotFound)?;
    let inbox = found.inbox;
    let now = tx.now();
    let closed = said(inbox.out_of_office_message.as_ref()).filter(|_| inbox.out_of_office(now));
    let greeting = said(inbox.greeting_message.as_ref()).filter(|_| inbox.greeting_enabled);
    let ask = inbox.enable_email_collect
        && inbox.channel_type == WEB_WIDGET
        && c.contact.email.as_deref().unwrap_or_default().is_empty();
    if closed.is_none() && greeting.is_none() && !ask {
        return Ok(());
    }
    let day = 24 * 60 * 60;
    let today = Timestamp::from_unix(now.unix().div_euclid(day) * day);
    let lately = now.plus_seconds(-LATELY);
    let before = tx.one(&sql::ANSWERED, args![scope.account_id(), c.row.id, today, lately]).await?;
    let mut ever = before.ever;
    if let Some(text) = closed
        && !before.by_itself_today
        && !before.by_an_agent_lately
    {
        send_template(tx, scope, c, template(ContentType::Text, text)).await?;
        ever = true;
    }
    if let Some(text) = greeting
        && !ever
    {
        send_template(tx, scope, c, template(ContentType::Text, text)).await?;
    }
    if ask && !before.asked_for_the_address {
        let (way, input) = ("Give the team a way to reach you.", "Get notified by email");
        send_template(tx, scope, c, template(ContentType::Text, way)).await?;
        send_template(tx, scope, c, template(ContentType::InputEmail, input)).await?;
    }
    Ok(())
}

/// Asks the contact of a conversation that was just resolved how it was. The caller writes the
/// conversation's row afterwards.
///
/// # Errors
/// What the database says.
pub async fn survey(tx: &mut WriteTx<'_>, scope: &Scope, c: &mut Conversation) -> Result<()> {
    if !c.inbox.surveys {
        return Ok(());
    }
    let found = inboxes::sql::get(tx, scope, c.row.inbox_id).await?.ok_or(Error::NotFound)?;
    let config = &found.inbox.csat_config.0;
    let (surveyed,) = tx.one(&sql::SURVEYED, args![scope.account_id(), c.row.id]).await?;
    if surveyed > 0 || !rules_allow(config, &c.row.labels.0) {
        return Ok(());
    }
    if !c.can_reply(tx.now()) {
        let text = "CSAT survey not sent due to outgoing message restrictions";
        return activity(tx, scope, c, text, json!({})).await;
    }
    let text = |key: &str| config.get(key).and_then(Value::as_str).filter(|t| !t.trim().is_empty());
    let mut new =
        template(ContentType::InputCsat, text("message").unwrap_or("Please rate the conversation"));
    new.content_attributes = json!({"display_type": text("display_type").unwrap_or("emoji")});
    send_template(tx, scope, c, new).await
}

/// Whether a conversation with these labels is to be surveyed.
fn rules_allow(config: &Value, labels: &[String]) -> bool {
    let Some(rules) = config.get("survey_rules") else { return true };
    let values = rules.get("values").and_then(Value::as_array).map(Vec::as_slice);
    let values = values.unwrap_or_default();
    if values.is_empty() {
        return true;
    }
    let has = |value: &Value| value.as_str().is_some_and(|v| labels.iter().any(|l| l == v));
    match rules.get("operator").and_then(Value::as_str) {
        Some("contains") => values.iter().any(has),
        Some("does_not_contain") => !values.iter().any(has),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_look_at_labels() {
        let labels = ["billing".to_owned()];
        let check = |rules: Value, expected: bool| {
            assert_eq!(rules_allow(&json!({"survey_rules": rules}), &labels), expected, "{rules}");
        };
        check(json!({"operator": "contains", "values": ["billing", "vip"]}), true);
        check(json!({"operator": "contains", "values": ["vip"]}), false);
        check(json!({"operator": "does_not_contain", "values": ["billing"]}), false);
        check(json!({"operator": "does_not_contain", "values": ["vip"]}), true);
        check(json!({"operator": "contains", "values": []}), true);
        assert!(rules_allow(&json!({}), &labels));
    }
}
