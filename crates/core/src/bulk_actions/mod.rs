//! Many conversations or contacts at once (`behaviours.md §8`, bulk_actions). The caller is answered at once; the
//! work is a job, one conversation or contact a transaction.

use chatwarden_db::WriteTx;
use chatwarden_jobs::{Job, JobError, NewJob, enqueue};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::conversations::{self, Status};
use crate::error::{Error, Result};
use crate::events::Performer;
use crate::ids::{AccountId, ContactId, DisplayId, TeamId, UserId};
use crate::scope::{Agent, Scope};
use crate::users::{self, UserPush};
use crate::{Store, accounts, contacts, labels, teams};

use chatwarden_db::Timestamp;

/// The kind of the job that does them.
pub const JOB: &str = "bulk_actions.run";

/// What is to be done.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BulkAction {
    /// To conversations.
    Conversations(Conversations),
    /// To contacts.
    Contacts(Contacts),
}

/// What is to be done to conversations.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Conversations {
    /// Which, by their numbers.
    pub ids: Vec<i64>,
    /// The name of the status they move to.
    pub status: Option<String>,
    /// Until when they are snoozed, unix seconds.
    pub snoozed_until: Option<i64>,
    /// Whose they become; 0 for nobody's.
    pub assignee: Option<i64>,
    /// Which team's they become; 0 for none's.
    pub team: Option<i64>,
    /// What they are marked with besides.
    pub add: Vec<String>,
    /// What they are not marked with any more.
    pub remove: Vec<String>,
}

/// What is to be done to contacts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Contacts {
    /// Which.
    pub ids: Vec<i64>,
    /// Whether they are removed.
    pub delete: bool,
    /// What they are marked with besides.
    pub add: Vec<String>,
    /// What they are not marked with any more.
    pub remove: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Payload {
    user_id: UserId,
    action: BulkAction,
}

/// Has it done once the transaction is committed, as the member.
///
/// # Errors
/// [`Error::Unauthorized`] where contacts are to be removed and the member is no administrator.
pub async fn start(tx: &mut WriteTx<'_>, scope: &Scope<Agent>, action: BulkAction) -> Result<()> {
    if matches!(&action, BulkAction::Contacts(contacts) if contacts.delete) && !scope.is_admin() {
        return Err(Error::not_authorized());
    }
    let payload = Payload { user_id: scope.user_id(), action };
    let job = NewJob::new(scope.account_id().0, JOB, json!(payload));
    enqueue(tx, &job).await?;
    Ok(())
}

/// Does the job's actions. Done again, it changes nothing that is as it should be.
///
/// # Errors
/// To be tried again where the database failed.
pub async fn run(store: Store, job: Job) -> Result<(), JobError> {
    let Payload { user_id, action } =
        serde_json::from_value(job.payload).map_err(|error| JobError::Fail(error.to_string()))?;
    let account = AccountId(job.account_id);
    let entered = store.read(async move |tx| accounts::enter(tx, account, user_id).await).await;
    let scope = match entered {
        Ok((_, scope)) => scope,
        // Who is no member any more has nothing done.
        Err(Error::NotFound | Error::Unauthorized(_)) => return Ok(()),
        Err(error) => return Err(JobError::Retry(error.to_string())),
    };
    let ids = match &action {
        BulkAction::Conversations(of) => of.ids.clone(),
        BulkAction::Contacts(of) => of.ids.clone(),
    };
    let action = std::sync::Arc::new(action);
    for id in ids {
        let (scope, action) = (scope.clone(), action.clone());
        let done = store
            .write(async move |tx| match &*action {
                BulkAction::Conversations(of) => conversation(tx, &scope, DisplayId(id), of).await,
                BulkAction::Contacts(of) => contact(tx, &scope, ContactId(id), of).await,
            })
            .await;
        // What is not there, not theirs, or not to be changed is left out.
        if let Err(Error::Db(error)) = done {
            return Err(JobError::Retry(error.to_string()));
        }
    }
    Ok(())
}

/// Labels after some came and some went.
fn marked(before: &[String], add: &[String], remove: &[String]) -> Vec<String> {
    let mut out: Vec<String> = before.iter().filter(|l| !remove.contains(l)).cloned().collect();
    out.extend(add.iter().filter(|l| !before.contains(l)).cloned());
    out
}

async fn conversation(
    tx: &mut WriteTx<'_>,
    scope: &Scope<Agent>,
    id: DisplayId,
    of: &Conversations,
) -> Result<()> {
    let mut c = conversations::lock(tx, scope, id).await?;
    let by = Performer::User(UserPush::of(tx, scope.member()));
    if !of.add.is_empty() || !of.remove.is_empty() {
        let after = marked(&c.row.labels.0, &of.add, &of.remove);
        labels::tag_conversation(tx, scope, &mut c, after, &by).await?;
    }
    if let Some(team) = of.team {
        let team = match team {
            0 => None,
            team => Some(teams::get(tx, scope, TeamId(team)).await?.ok_or(Error::NotFound)?),
        };
        conversations::assign_team(tx, scope, &mut c, team, &by).await?;
    }
    if let Some(assignee) = of.assignee {
        let member = match assignee {
            0 => None,
            user => {
                Some(users::sql::member(tx, scope, UserId(user)).await?.ok_or(Error::NotFound)?)
            }
        };
        if c.row.assignee_id != member.as_ref().map(|member| member.id) {
            conversations::assign(tx, scope, &mut c, member.as_ref(), &by).await?;
        }
    }
    if let Some(status) = of.status.as_deref().and_then(Status::named) {
        let until = of.snoozed_until.map(Timestamp::from_unix);
        if status != c.row.status || status == Status::Snoozed {
            conversations::set_status(tx, scope, &mut c, status, until, &by).await?;
        }
    }
    Ok(())
}

async fn contact(
    tx: &mut WriteTx<'_>,
    scope: &Scope<Agent>,
    id: ContactId,
    of: &Contacts,
) -> Result<()> {
    if of.delete {
        return contacts::delete(tx, scope, id, true).await;
    }
    if of.add.is_empty() && of.remove.is_empty() {
        return Ok(());
    }
    let before = contacts::lock(tx, scope, id).await?.labels.0;
    // What is to come counts for more than what is to go.
    let remove: &[String] = if of.add.is_empty() { &of.remove } else { &[] };
    labels::tag_contact(tx, scope, id, marked(&before, &of.add, remove)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_come_and_go() {
        let texts = |of: &[&str]| of.iter().map(|t| (*t).to_owned()).collect::<Vec<String>>();
        let after = marked(&texts(&["vip", "late"]), &texts(&["vip", "fresh"]), &texts(&["late"]));
        assert_eq!(after, texts(&["vip", "fresh"]));
    }
}
