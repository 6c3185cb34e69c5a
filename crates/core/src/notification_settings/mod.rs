//! What a member is told by mail and by push (`resources.md §14`).

pub mod sql;

use chatwarden_db::{Tx, WriteTx, args};

use crate::error::{Error, Result};
use crate::ids::{AccountId, UserId};
use crate::scope::{Agent, Scope};

/// The kinds of notifications, in the order of their bits.
pub const KINDS: [&str; 8] = [
    "conversation_creation",
    "conversation_assignment",
    "assigned_conversation_new_message",
    "conversation_mention",
    "participating_conversation_new_message",
    "sla_missed_first_response",
    "sla_missed_next_response",
    "sla_missed_resolution",
];

/// What a new member is told of: being assigned a conversation.
const AT_FIRST: i64 = 1 << 1;

chatwarden_db::row! {
    /// What a member is told.
    pub struct NotificationSettings {
        pub id: i64,
        pub account_id: AccountId,
        pub user_id: UserId,
        pub email_flags: i64,
        pub push_flags: i64,
    }
}

/// The names of `flags`: `email_conversation_mention`, ….
pub fn names(prefix: &str, flags: i64) -> Vec<String> {
    KINDS
        .iter()
        .enumerate()
        .filter(|(bit, _)| flags >> bit & 1 == 1)
        .map(|(_, kind)| format!("{prefix}_{kind}"))
        .collect()
}

/// The flags of names such as `email_conversation_mention`.
///
/// # Errors
/// [`Error::Unprocessable`] for a name that is none.
pub fn flags(prefix: &str, names: &[String]) -> Result<i64> {
    names.iter().filter(|name| !name.is_empty()).try_fold(0, |flags, name| {
        let kind = name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_'));
        let bit = KINDS.iter().position(|known| Some(*known) == kind);
        bit.map(|bit| flags | 1 << bit)
            .ok_or_else(|| Error::Unprocessable(format!("'{name}' is not a valid {prefix} flag")))
    })
}

/// Gives new members the settings to begin with.
///
/// # Errors
/// What the database says.
pub async fn begin(tx: &mut WriteTx<'_>, scope: &Scope, users: &[UserId]) -> Result<()> {
    let users: Vec<i64> = users.iter().map(|user| user.0).collect();
    let now = tx.now();
    tx.run(&sql::BEGIN, args![scope.account_id(), users, AT_FIRST, now]).await?;
    Ok(())
}

/// The member's settings.
///
/// # Errors
/// [`Error::NotFound`] where there are none.
pub async fn get(tx: &mut Tx<'_>, scope: &Scope<Agent>) -> Result<NotificationSettings> {
    tx.opt(&sql::GET, args![scope.account_id(), scope.user_id()]).await?.ok_or(Error::NotFound)
}

/// Replaces the member's settings.
///
/// # Errors
/// What the database says.
pub async fn set(
    tx: &mut WriteTx<'_>,
    scope: &Scope<Agent>,
    email: i64,
    push: i64,
) -> Result<NotificationSettings> {
    let now = tx.now();
    tx.run(&sql::SET, args![scope.account_id(), scope.user_id(), email, push, now]).await?;
    get(tx, scope).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_names_into_bits_and_back() {
        let check = |names_in: &[&str], expected: i64| {
            let owned: Vec<String> = names_in.iter().map(|n| (*n).to_owned()).collect();
            assert_eq!(flags("email", &owned).unwrap(), expected);
            assert_eq!(names("email", expected), owned);
        };
        check(&[], 0);
        check(&["email_conversation_assignment"], AT_FIRST);
        check(&["email_conversation_creation", "email_sla_missed_resolution"], 1 | 1 << 7);
        for wrong in
            ["email_full_moon", "push_conversation_creation", "conversation_creation", "email"]
        {
            assert!(flags("email", &[wrong.to_owned()]).is_err(), "{wrong}");
        }
        // Forms send an empty entry for an empty list.
        assert_eq!(flags("email", &[String::new()]).unwrap(), 0);
    }
}
