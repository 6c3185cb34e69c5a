//! What the placeholders of a text stand for (`behaviours.md §9.2`, content).

use chatwarden_db::{Json, WriteTx, args};
use serde_json::{Value, json};

use super::{Sender, sql};
use crate::conversations::Conversation;
use crate::error::Result;
use crate::scope::Scope;
use crate::storage::{Avatar, avatar_url};

chatwarden_db::row! {
    /// Where a message is sent, in words.
    pub struct Place {
        pub account: String,
        pub inbox: String,
        pub business_name: Option<String>,
        pub avatar: Option<Avatar>,
        pub settings: Json<Value>,
    }
}

/// The variables of a message of `sender`: an object.
pub(super) async fn of(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &Conversation,
    sender: &Sender,
) -> Result<Value> {
    let place = tx.one(&sql::PLACE, args![scope.account_id(), c.row.inbox_id]).await?;
    let contact = &c.contact;
    let agent = match sender {
        Sender::User(member) => person(&member.name, member.available_name(), &member.email),
        Sender::Bot(bot) => person(&bot.name, &bot.name, ""),
        Sender::Contact(_) | Sender::Nobody => match c.assignee() {
            Some(member) => person(&member.name, member.available_name(), &member.email),
            None => json!({}),
        },
    };
    let names = Names::of(&contact.name);
    Ok(json!({
        "contact": {
            "id": contact.id, "name": names.full, "first_name": names.first, "last_name": names.last,
            "email": contact.email, "phone_number": contact.phone_number, "identifier": contact.identifier,
            "custom_attribute": contact.custom_attributes.0,
        },
        "agent": agent,
        "conversation": {
            "id": c.row.display_id, "display_id": c.row.display_id, "contact_name": names.full,
            "custom_attribute": c.row.custom_attributes.0,
        },
        "inbox": {
            "id": c.row.inbox_id, "name": place.inbox,
            "business_name": place.business_name.as_deref().unwrap_or(&place.inbox),
            "avatar_url": avatar_url(tx, place.avatar.as_ref()),
            "email": place.settings.0.get("email"),
        },
        "account": {"id": scope.account_id(), "name": place.account},
    }))
}

fn person(name: &str, available_name: &str, email: &str) -> Value {
    let names = Names::of(name);
    json!({
        "name": names.full, "available_name": available_name, "first_name": names.first,
        "last_name": names.last, "email": email,
    })
}

/// A name in its parts, each with a capital letter.
struct Names {
    full: String,
    first: Option<String>,
    last: Option<String>,
}

impl Names {
    fn of(name: &str) -> Self {
        let words: Vec<String> = name.split_whitespace().map(capitalised).collect();
        Self {
            full: words.join(" "),
            first: words.first().cloned(),
            last: words.last().filter(|_| words.len() > 1).cloned(),
        }
    }
}

/// A text with its first letter a capital, and no other.
pub(crate) fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters.flat_map(char::to_lowercase)).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_parts() {
        let names = Names::of("ada  king LOVELACE");
        assert_eq!(names.full, "Ada King Lovelace");
        assert_eq!(
            (names.first.as_deref(), names.last.as_deref()),
            (Some("Ada"), Some("Lovelace"))
        );
        assert_eq!(Names::of("vera").last, None);
        assert_eq!(Names::of(" ").first, None);
    }
}
