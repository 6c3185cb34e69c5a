//! Whether tenants are apart, looked at while the server runs and not only in tests.

use chatwarden_db::{Tx, args, statements};

use crate::contacts;
use crate::error::Result;
use crate::ids::{AccountId, ContactId};
use crate::scope::Scope;

statements! {
    /// $1 limit: of every account, the newest with a contact each, for the check of the walls between them
    SAMPLES: (AccountId, Option<i64>) = "accounts.samples",
        "select a.id, (select max(c.id) from contacts c where c.account_id = a.id)
         from accounts a order by a.id desc limit $1";
}

/// Accounts that are looked at for one with a contact.
const LOOKED_AT: i64 = 20;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Walls {
    /// Whether there were two to compare.
    pub compared: bool,
    /// Whether one could see what is the other's.
    pub breached: bool,
}

/// Looks for a contact of one account as another one, the way requests do.
///
/// # Errors
/// What the database says.
pub async fn look(tx: &mut Tx<'_>) -> Result<Walls> {
    let samples = tx.all(&SAMPLES, args![LOOKED_AT]).await?;
    let mut samples =
        samples.into_iter().filter_map(|(account, id)| Some((account, ContactId(id?))));
    let (Some(one), Some(other)) = (samples.next(), samples.next()) else {
        return Ok(Walls { compared: false, breached: false });
    };
    let mut breached = false;
    for ((account, _), (_, contact)) in [(one, other), (other, one)] {
        let scope = Scope::of_account(account);
        breached |= contacts::sql::get(tx, &scope, contact).await?.is_some();
    }
    Ok(Walls { compared: true, breached })
}
