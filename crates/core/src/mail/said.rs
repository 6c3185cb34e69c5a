//! What was said in a conversation, as mails show it.

use chatwarden_db::{Timestamp, Tx};
use serde_json::{Value, json};

use crate::conversations::Conversation;
use crate::ids::UserId;
use crate::markdown;
use crate::messages::{MessageType, Sent};

/// When a message was sent, in a zone: `Jan 05, 09:00 AM UTC`.
fn moment(at: Timestamp, zone: chrono_tz::Tz) -> Option<String> {
    use chrono::TimeZone as _;
    let at = zone.timestamp_opt(at.unix(), 0).single()?;
    Some(at.format("%b %d, %I:%M %p %Z").to_string())
}

/// The messages that were meant for both sides: who, what, which files, and where a zone is given when.
pub fn said_in(
    tx: &Tx<'_>,
    c: &Conversation,
    messages: &[Sent],
    reader: Option<UserId>,
    zone: Option<chrono_tz::Tz>,
) -> Value {
    let spoken = messages.iter().filter(|sent| {
        let m = &sent.message;
        !m.private && matches!(m.message_type, MessageType::Incoming | MessageType::Outgoing)
    });
    spoken.map(|sent| form(tx, c, sent, reader, zone)).collect()
}

fn form(
    tx: &Tx<'_>,
    c: &Conversation,
    sent: &Sent,
    reader: Option<UserId>,
    zone: Option<chrono_tz::Tz>,
) -> Value {
    let m = &sent.message;
    let who = match (&sent.user, &sent.bot) {
        (Some(user), _) if Some(user.id) == reader => "You",
        (Some(user), _) => {
            user.display_name.as_deref().filter(|name| !name.is_empty()).unwrap_or(&user.name)
        }
        (_, Some(bot)) => &bot.name,
        _ if m.message_type == MessageType::Incoming => &c.contact.name,
        _ => "Bot",
    };
    let files: Vec<Value> = m
        .attachments
        .0
        .iter()
        .map(|attachment| {
            let push = attachment.push(tx, m.account_id, m.id);
            let name = attachment.file.as_ref().map_or("Attachment", |file| file.filename.as_str());
            json!({"url": push.get("data_url"), "name": name})
        })
        .collect();
    json!({
        "who": who,
        "html": markdown::to_html(m.content.as_deref().unwrap_or_default()),
        "files": files,
        "when": zone.and_then(|zone| moment(m.created_at, zone)),
    })
}
