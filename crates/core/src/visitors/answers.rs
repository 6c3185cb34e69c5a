//! Answers to messages that ask for something: a choice, a form, an address, a rating (`widget.md §7.5`).

use chatwarden_db::{Timestamp, WriteTx};
use serde_json::{Value, json};

use super::identify::lock_known;
use super::{Identity, Manner, Visitor, identify, sql};
use crate::contacts::{Contact, is_contact_email};
use crate::conversations::Conversation;
use crate::error::{Error, Invalid, Result};
use crate::ids::MessageId;
use crate::inboxes::WEB_WIDGET;
use crate::messages::{self, ContentType, MessageType, Sent};
use crate::values::scalars;

/// The days within which a rating may be given through the public API, and changed (`behaviours.md §20`).
const RATED: i64 = 14;

/// What a visitor answers.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// Whether the message is spoken of at all; who answers with their address alone need not.
    pub said: bool,
    /// What was chosen or filled in, as [`submitted`] leaves it.
    pub values: Option<Value>,
    /// The visitor's address, where that was asked for.
    pub email: Option<String>,
    /// And their name.
    pub name: Option<String>,
}

/// A message with its answer.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The conversation.
    pub conversation: Conversation,
    /// The message.
    pub sent: Sent,
    /// Who answered, as they were known: a contact that absorbed them is not shown to them.
    pub contact: Contact,
    /// What is wrong with an answer that was noted all the same.
    pub fault: Option<Invalid>,
}

/// What counts of the values that were sent: choices, fields, a rating.
pub fn submitted(sent: &Value) -> Option<Value> {
    match sent {
        Value::Array(list) => {
            let list = list.iter().filter_map(Value::as_object);
            Some(list.map(|object| Value::Object(scalars(object, &FIELDS))).collect())
        }
        Value::Object(object) => {
            let mut out = scalars(object, &FIELDS);
            if let Some(Value::Object(rating)) = object.get("csat_survey_response") {
                let rating = scalars(rating, &["rating", "feedback_message"]);
                out.insert("csat_survey_response".to_owned(), Value::Object(rating));
            }
            Some(Value::Object(out))
        }
        _ => None,
    }
}

const FIELDS: [&str; 3] = ["name", "title", "value"];

/// Notes the answer to a message of one of the visitor's conversations. On a website, a question for the address is
/// answered by that: it also says who the visitor is, who may turn out to be a contact that is known. What is no
/// address says nothing of them; it is noted, and told as a fault.
///
/// # Errors
/// [`Error::NotFound`] where the visitor sees no such message, [`Error::Invalid`] for what is no answer or can't be
/// kept, [`Error::Unprocessable`] for a rating that comes too late.
pub async fn answer(
    tx: &mut WriteTx<'_>,
    visitor: &mut Visitor,
    id: MessageId,
    answer: Answer,
) -> Result<Answered> {
    let scope = visitor.door.scope.clone();
    let found = messages::get(tx, &scope, id).await?.ok_or(Error::NotFound)?;
    if found.message.private || found.message.message_type == MessageType::Activity {
        return Err(Error::NotFound);
    }
    let website = visitor.door.inbox.channel_type == WEB_WIDGET;
    let days = |at: Timestamp| at.unix().div_euclid(86_400);
    if !website
        && found.message.content_type == ContentType::InputCsat
        && days(tx.now()) - days(found.message.created_at) > RATED
    {
        let fault = format!("You cannot update the CSAT survey after {RATED} days");
        return Err(Error::Unprocessable(fault));
    }
    let asks_who = website && found.message.content_type == ContentType::InputEmail;
    let email = answer.email.map(|email| email.trim().to_lowercase());
    let email = email.filter(|email| !email.is_empty());
    let bad = asks_who && email.as_deref().is_some_and(|email| !is_contact_email(email));
    let mut contact = visitor.contact.clone();
    if asks_who && !bad {
        let given = Identity {
            name: name_for(&visitor.contact, answer.name, email.as_deref()),
            email: email.clone(),
            ..Identity::default()
        };
        // The message's conversation among them, which is locked before its contact.
        lock_known(tx, visitor, &given).await?;
        let manner = Manner { keep_name: true, drop_invalid: false };
        identify(tx, visitor, given, manner).await?;
        if visitor.contact.id == contact.id {
            contact = visitor.contact.clone();
        }
    }
    let c = sql::lock_of_message(tx, visitor, id).await?.ok_or(Error::NotFound)?;
    if !asks_who && !answer.said {
        return Err(Error::invalid("message", "can't be blank"));
    }
    let mut sent = messages::get(tx, &scope, id).await?.ok_or(Error::NotFound)?;
    let before = sent.message.clone();
    let mut note = |key: &str, value: Value| {
        if let Some(attributes) = sent.message.content_attributes.0.as_object_mut() {
            attributes.insert(key.to_owned(), value);
        }
    };
    if asks_who {
        note("submitted_email", json!(email));
    } else if let Some(values) = answer.values {
        note("submitted_values", values);
    }
    messages::save(tx, &scope, &c, &before, &mut sent, &visitor.performer()).await?;
    let fault = bad.then(|| Invalid::default().and("email", "Invalid email"));
    Ok(Answered { conversation: c, sent, contact, fault })
}

/// The name that a visitor gives themselves, or the part of their address before the `@`, in lower case; it counts
/// while nothing else is known of them (`widget.md §7.3`). A name that was left empty is none, and stands for none.
pub(crate) fn name_for(
    contact: &Contact,
    name: Option<String>,
    email: Option<&str>,
) -> Option<String> {
    if contact.email.is_some() || contact.phone_number.is_some() || contact.identifier.is_some() {
        return None;
    }
    let local = || email.and_then(|email| email.split('@').next()).map(str::to_lowercase);
    name.or_else(local)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_forms_ask_for_counts() {
        let check = |sent: Value, expected: Option<Value>| {
            assert_eq!(submitted(&sent), expected, "{sent}");
        };
        check(
            json!([{"title": "Red", "value": "red", "admin": true}, "nonsense"]),
            Some(json!([{"title": "Red", "value": "red"}])),
        );
        check(
            json!({"csat_survey_response": {"rating": 5, "feedback_message": "", "x": 1}, "y": 2}),
            Some(json!({"csat_survey_response": {"rating": 5, "feedback_message": ""}})),
        );
        check(json!([{"name": "size", "value": {"deep": 1}}]), Some(json!([{"name": "size"}])));
        check(json!("red"), None);
        check(Value::Null, None);
    }
}
