//! Browsers and telephones that want to be pushed to (`resources.md §14`). They are a person's,
//! whatever the account.

pub mod sql;

use chatwarden_db::{Json, Timestamp, WriteTx, args};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::ids::UserId;

/// The longest endpoint, id and token, in characters.
const LONGEST: usize = 2048;

/// What is pushed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A browser.
    BrowserPush,
    /// A telephone.
    Fcm,
}

crate::integer_enum! { Kind { BrowserPush = 1 "browser_push", Fcm = 2 "fcm" } }

impl Kind {
    /// The attribute that tells one from another.
    const fn identifier(self) -> &'static str {
        match self {
            Self::BrowserPush => "endpoint",
            Self::Fcm => "device_id",
        }
    }
}

chatwarden_db::row! {
    /// Something that is pushed to.
    pub struct Subscription {
        pub id: i64,
        pub user_id: UserId,
        pub subscription_type: Kind,
        pub subscription_attributes: Json<Value>,
        pub identifier: String,
        pub created_at: Timestamp,
        pub updated_at: Timestamp,
    }
}

/// Subscribes a person; what somebody else had subscribed is theirs now.
///
/// # Errors
/// [`Error::Invalid`] where nothing tells it from another, or that is too long.
pub async fn subscribe(
    tx: &mut WriteTx<'_>,
    user: UserId,
    kind: Kind,
    attributes: Map<String, Value>,
) -> Result<Subscription> {
    let text = |key: &str| attributes.get(key).and_then(Value::as_str).map(str::to_owned);
    let identifier = text(kind.identifier()).filter(|text| !text.trim().is_empty());
    let identifier = identifier.ok_or_else(|| Error::invalid("identifier", "can't be blank"))?;
    let push_token = text("push_token");
    for (field, text) in [("identifier", Some(&identifier)), ("push_token", push_token.as_ref())] {
        if text.is_some_and(|text| text.chars().count() > LONGEST) {
            return Err(Error::invalid(
                field,
                format!("is too long (maximum is {LONGEST} characters)"),
            ));
        }
    }
    let now = tx.now();
    let attributes = Json(Value::Object(attributes));
    let args = args![user, kind, attributes, identifier, push_token, now];
    Ok(tx.one(&sql::SUBSCRIBE, args).await?)
}

/// Removes what a person is pushed to by a token; nothing where there is none.
///
/// # Errors
/// What the database says.
pub async fn unsubscribe(tx: &mut WriteTx<'_>, user: UserId, push_token: &str) -> Result<()> {
    tx.run(&sql::UNSUBSCRIBE, args![user, push_token]).await?;
    Ok(())
}
