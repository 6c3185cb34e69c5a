//! Assignment policies (`resources.md §20`), and the engine that hands conversations out by them
//! (`behaviours.md §11`).

mod engine;
pub mod sql;

pub use engine::{HOURLY, JOB, SWEEP, jobs_for, run, sweep};

use chatwarden_db::{OnConflict as _, Timestamp, Tx, WriteTx, args};

use crate::error::{Error, Invalid, Result, TAKEN};
use crate::ids::{AssignmentPolicyId, InboxId};
use crate::inboxes::{self, InboxWithChannel};
use crate::scope::{Admin, Scope};

/// The longest name.
const NAME: usize = 255;
/// The longest description.
const DESCRIPTION: usize = 20_000;

/// Which conversation comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// The oldest.
    EarliestCreated,
    /// The one in which nothing happened the longest.
    LongestWaiting,
}

crate::integer_enum! { Priority { EarliestCreated = 0 "earliest_created", LongestWaiting = 1 "longest_waiting" } }

chatwarden_db::row! {
    /// By which rules inboxes hand conversations out.
    pub struct Policy {
        pub id: AssignmentPolicyId,
        pub name: String,
        pub description: Option<String>,
        pub conversation_priority: Priority,
        pub fair_distribution_limit: i64,
        pub fair_distribution_window: i64,
        pub exclude_older_than_hours: Option<i64>,
        pub enabled: bool,
        pub created_at: Timestamp,
        pub updated_at: Timestamp,
        pub inboxes: i64,
    }
}

chatwarden_db::row! {
    /// How an inbox hands out: the columns of its policy are empty where it has none.
    pub struct Ruled {
        pub hands_out: bool,
        pub name: Option<String>,
        pub conversation_priority: Option<Priority>,
        pub fair_distribution_limit: Option<i64>,
        pub fair_distribution_window: Option<i64>,
        pub exclude_older_than_hours: Option<i64>,
        pub enabled: Option<bool>,
    }
}

/// What is said of a policy; what is not said stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// The name.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<Option<String>>,
    /// Which conversation comes first.
    pub conversation_priority: Option<Priority>,
    /// How many an agent is given within the window.
    pub fair_distribution_limit: Option<i64>,
    /// The window in seconds.
    pub fair_distribution_window: Option<i64>,
    /// Conversations in which nothing happened for so many hours stay where they are; none is no limit.
    pub exclude_older_than_hours: Option<Option<i64>>,
    /// Whether it counts.
    pub enabled: Option<bool>,
}

impl Draft {
    fn apply(self, policy: &mut Policy) -> Result<()> {
        fn set<T>(slot: &mut T, sent: Option<T>) {
            if let Some(sent) = sent {
                *slot = sent;
            }
        }
        set(&mut policy.name, self.name);
        set(&mut policy.description, self.description);
        set(&mut policy.conversation_priority, self.conversation_priority);
        set(&mut policy.fair_distribution_limit, self.fair_distribution_limit);
        set(&mut policy.fair_distribution_window, self.fair_distribution_window);
        set(&mut policy.exclude_older_than_hours, self.exclude_older_than_hours);
        set(&mut policy.enabled, self.enabled);
        let mut faults = Invalid::default();
        if policy.name.trim().is_empty() {
            faults.add("name", "can't be blank");
        }
        let mut limit = |field: &'static str, text: Option<&str>, most: usize| {
            if text.is_some_and(|text| text.chars().count() > most) {
                faults.add(field, format!("is too long (maximum is {most} characters)"));
            }
        };
        limit("name", Some(&policy.name), NAME);
        limit("description", policy.description.as_deref(), DESCRIPTION);
        let mut positive = |field: &'static str, number: Option<i64>| {
            if number.is_some_and(|number| number <= 0) {
                faults.add(field, "must be greater than 0");
            } else if number.is_some_and(|number| number > i64::from(i32::MAX)) {
                faults.add(field, format!("must be less than {}", i64::from(i32::MAX) + 1));
            }
        };
        positive("fair_distribution_limit", Some(policy.fair_distribution_limit));
        positive("fair_distribution_window", Some(policy.fair_distribution_window));
        positive("exclude_older_than_hours", policy.exclude_older_than_hours);
        faults.check()
    }
}

fn taken() -> Error {
    Error::invalid("name", TAKEN)
}

/// The policies of the account, oldest first.
///
/// # Errors
/// What the database says.
pub async fn list(tx: &mut Tx<'_>, admin: &Scope<Admin>) -> Result<Vec<Policy>> {
    Ok(tx.all(&sql::LIST, args![admin.account_id()]).await?)
}

/// A policy of the account.
///
/// # Errors
/// [`Error::NotFound`] where there is none.
pub async fn find(tx: &mut Tx<'_>, admin: &Scope<Admin>, id: AssignmentPolicyId) -> Result<Policy> {
    tx.opt(&sql::GET, args![admin.account_id(), id]).await?.ok_or(Error::NotFound)
}

/// Makes a policy.
///
/// # Errors
/// [`Error::Invalid`] where a rule is broken.
pub async fn create(tx: &mut WriteTx<'_>, admin: &Scope<Admin>, draft: Draft) -> Result<Policy> {
    let now = tx.now();
    let mut policy = Policy {
        id: AssignmentPolicyId(0),
        name: String::new(),
        description: None,
        conversation_priority: Priority::EarliestCreated,
        fair_distribution_limit: 100,
        fair_distribution_window: 3600,
        exclude_older_than_hours: Some(168),
        enabled: true,
        created_at: now,
        updated_at: now,
        inboxes: 0,
    };
    draft.apply(&mut policy)?;
    let (id,) = tx
        .one(
            &sql::INSERT,
            args![
                admin.account_id(),
                policy.name,
                policy.description,
                policy.conversation_priority,
                policy.fair_distribution_limit,
                policy.fair_distribution_window,
                policy.exclude_older_than_hours,
                policy.enabled,
                now
            ],
        )
        .await
        .on_conflict("assignment_policies_account_id_name_key", taken)?;
    policy.id = AssignmentPolicyId(id);
    Ok(policy)
}

/// Changes a policy.
///
/// # Errors
/// [`Error::NotFound`] where there is none, [`Error::Invalid`] where a rule is broken.
pub async fn update(
    tx: &mut WriteTx<'_>,
    admin: &Scope<Admin>,
    id: AssignmentPolicyId,
    draft: Draft,
) -> Result<Policy> {
    let account = admin.account_id();
    let mut policy = tx.opt(&sql::LOCK, args![account, id]).await?.ok_or(Error::NotFound)?;
    draft.apply(&mut policy)?;
    policy.updated_at = tx.now();
    tx.run(
        &sql::UPDATE,
        args![
            account,
            id,
            policy.name,
            policy.description,
            policy.conversation_priority,
            policy.fair_distribution_limit,
            policy.fair_distribution_window,
            policy.exclude_older_than_hours,
            policy.enabled,
            policy.updated_at
        ],
    )
    .await
    .on_conflict("assignment_policies_account_id_name_key", taken)?;
    Ok(policy)
}

/// Removes a policy: its inboxes are without one.
///
/// # Errors
/// [`Error::NotFound`] where there is none.
pub async fn delete(
    tx: &mut WriteTx<'_>,
    admin: &Scope<Admin>,
    id: AssignmentPolicyId,
) -> Result<()> {
    let account = admin.account_id();
    if tx.run(&sql::DELETE, args![account, id]).await? == 0 {
        return Err(Error::NotFound);
    }
    tx.run(&sql::UNTIE_ALL, args![account, id]).await?;
    Ok(())
}

/// The inboxes that go by a policy.
///
/// # Errors
/// [`Error::NotFound`] where there is no such policy.
pub async fn inboxes_of(
    tx: &mut Tx<'_>,
    admin: &Scope<Admin>,
    id: AssignmentPolicyId,
) -> Result<Vec<InboxWithChannel>> {
    find(tx, admin, id).await?;
    Ok(tx.all(&sql::INBOXES, args![admin.account_id(), id]).await?)
}

/// The policy of an inbox.
///
/// # Errors
/// [`Error::NotFound`] for an inbox that the account lacks.
pub async fn of_inbox(
    tx: &mut Tx<'_>,
    admin: &Scope<Admin>,
    inbox: InboxId,
) -> Result<Option<Policy>> {
    inboxes::sql::get(tx, admin, inbox).await?.ok_or(Error::NotFound)?;
    Ok(tx.opt(&sql::OF_INBOX, args![admin.account_id(), inbox]).await?)
}

/// Has an inbox go by a policy, in place of another.
///
/// # Errors
/// [`Error::NotFound`] for an inbox or a policy that the account lacks.
pub async fn tie(
    tx: &mut WriteTx<'_>,
    admin: &Scope<Admin>,
    inbox: InboxId,
    id: AssignmentPolicyId,
) -> Result<Policy> {
    inboxes::sql::get(tx, admin, inbox).await?.ok_or(Error::NotFound)?;
    find(tx, admin, id).await?;
    let (account, now) = (admin.account_id(), tx.now());
    tx.run(&sql::TIE, args![account, inbox, id, now]).await?;
    find(tx, admin, id).await
}

/// Has an inbox go by no policy; whether there was one.
///
/// # Errors
/// [`Error::NotFound`] for an inbox that the account lacks.
pub async fn untie(tx: &mut WriteTx<'_>, admin: &Scope<Admin>, inbox: InboxId) -> Result<bool> {
    inboxes::sql::get(tx, admin, inbox).await?.ok_or(Error::NotFound)?;
    Ok(tx.run(&sql::UNTIE, args![admin.account_id(), inbox]).await? > 0)
}
