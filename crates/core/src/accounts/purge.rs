//! The rows of an account that was removed: gone at once for everybody, they are deleted a few at
//! a time.

use chatwarden_db::{DbError, Statement, WriteTx, args, statements};
use chatwarden_jobs::{Job, JobError, NewJob, enqueue};

use crate::error::{Error, Result};
use crate::ids::AccountId;
use crate::scope::Scope;
use crate::{Store, storage};

/// The kind of the job that deletes them.
pub const JOB: &str = "accounts.purge";
/// The rows that go in one transaction.
const BATCH: u64 = 500;

/// Deletes some rows of a table with numbered rows.
macro_rules! some_of {
    ($table:literal) => {
        concat!(
            "delete from ",
            $table,
            " where account_id = $1 and id in (select id from ",
            $table,
            " where account_id = $1 order by id limit 500)"
        )
    };
}

statements! {
    /// $1 account
    NOTIFICATIONS: () = "accounts.purge_notifications", (some_of!("notifications"));
    /// $1 account
    MENTIONS: () = "accounts.purge_mentions", (some_of!("mentions"));
    /// $1 account
    ATTACHMENTS: () = "accounts.purge_attachments", (some_of!("attachments"));
    /// $1 account
    MESSAGES: () = "accounts.purge_messages", (some_of!("messages"));
    /// $1 account; who follows them, and drafts, go with them
    CONVERSATIONS: () = "accounts.purge_conversations", (some_of!("conversations"));
    /// $1 account
    NOTES: () = "accounts.purge_notes", (some_of!("notes"));
    /// $1 account
    CUSTOM_ATTRIBUTE_DEFINITIONS: () = "accounts.purge_custom_attribute_definitions",
        (some_of!("custom_attribute_definitions"));
    /// $1 account
    DASHBOARD_APPS: () = "accounts.purge_dashboard_apps", (some_of!("dashboard_apps"));
    /// $1 account
    CUSTOM_FILTERS: () = "accounts.purge_custom_filters", (some_of!("custom_filters"));
    /// $1 account
    CONVERSATION_DELTAS: () = "accounts.purge_conversation_deltas", (some_of!("conversation_deltas"));
    /// $1 account
    CONVERSATION_COUNTS: () = "accounts.purge_conversation_counts",
        "delete from conversation_counts where account_id = $1";
    /// $1 account
    CONTACT_INBOXES: () = "accounts.purge_contact_inboxes", (some_of!("contact_inboxes"));
    /// $1 account
    CONTACTS: () = "accounts.purge_contacts", (some_of!("contacts"));
    /// $1 account
    LABELS: () = "accounts.purge_labels", (some_of!("labels"));
    /// $1 account
    TEAM_MEMBERS: () = "accounts.purge_team_members", "delete from team_members where account_id = $1";
    /// $1 account
    TEAMS: () = "accounts.purge_teams", (some_of!("teams"));
    /// $1 account
    CANNED_RESPONSES: () = "accounts.purge_canned_responses", (some_of!("canned_responses"));
    /// $1 account
    ASSIGNMENT_TURNS: () = "accounts.purge_assignment_turns", (some_of!("assignment_turns"));
    /// $1 account
    INBOX_ASSIGNMENT_POLICIES: () = "accounts.purge_inbox_assignment_policies",
        "delete from inbox_assignment_policies where account_id = $1";
    /// $1 account
    ASSIGNMENT_POLICIES: () = "accounts.purge_assignment_policies", (some_of!("assignment_policies"));
    /// $1 account
    INBOX_MEMBERS: () = "accounts.purge_inbox_members", "delete from inbox_members where account_id = $1";
    /// $1 account
    AGENT_BOT_INBOXES: () = "accounts.purge_agent_bot_inboxes", (some_of!("agent_bot_inboxes"));
    /// $1 account
    CHANNELS: () = "accounts.purge_channels", (some_of!("channels"));
    /// $1 account
    INBOXES: () = "accounts.purge_inboxes", (some_of!("inboxes"));
    /// $1 account
    BOT_TOKENS: () = "accounts.purge_bot_tokens",
        "delete from access_tokens where owner_type = 'AgentBot'
            and owner_id in (select id from agent_bots where account_id = $1)";
    /// $1 account
    AGENT_BOTS: () = "accounts.purge_agent_bots", (some_of!("agent_bots"));
    /// $1 account
    NOTIFICATION_SETTINGS: () = "accounts.purge_notification_settings", (some_of!("notification_settings"));
    /// $1 account
    ACCOUNT_SEQUENCES: () = "accounts.purge_account_sequences", "delete from account_sequences where account_id = $1";
}

/// What goes, in this order: what refers to others before them.
pub static ORDER: &[&Statement<()>] = &[
    &NOTIFICATIONS,
    &MENTIONS,
    &ATTACHMENTS,
    &MESSAGES,
    &CONVERSATIONS,
    &CONVERSATION_DELTAS,
    &CONVERSATION_COUNTS,
    &NOTES,
    &CUSTOM_ATTRIBUTE_DEFINITIONS,
    &CUSTOM_FILTERS,
    &DASHBOARD_APPS,
    &CONTACT_INBOXES,
    &CONTACTS,
    &LABELS,
    &TEAM_MEMBERS,
    &TEAMS,
    &CANNED_RESPONSES,
    &ASSIGNMENT_TURNS,
    &INBOX_ASSIGNMENT_POLICIES,
    &ASSIGNMENT_POLICIES,
    &INBOX_MEMBERS,
    &AGENT_BOT_INBOXES,
    &CHANNELS,
    &INBOXES,
    &BOT_TOKENS,
    &AGENT_BOTS,
    &NOTIFICATION_SETTINGS,
    &ACCOUNT_SEQUENCES,
];

/// Has the rows of an account deleted once the transaction is committed.
pub(super) async fn enqueue_for(tx: &mut WriteTx<'_>, scope: &Scope) -> Result<()> {
    let job = NewJob::new(scope.account_id().0, JOB, serde_json::Value::Null);
    enqueue(tx, &job).await?;
    Ok(())
}

/// Deletes the rows of the job's account. Stopped anywhere, it goes on where it was.
///
/// # Errors
/// To be tried again where the database failed.
pub async fn run(store: Store, job: Job) -> Result<(), JobError> {
    let scope = Scope::of_job(AccountId(job.account_id));
    let failed = |error: Error| JobError::Retry(error.to_string());
    // The rows of files wait for their content to be gone.
    let account = scope.account_id();
    while store
        .write(async move |tx| storage::purge::give_up_of_account(tx, account).await)
        .await
        .map_err(failed)?
    {}
    for statement in ORDER {
        loop {
            let account = scope.account_id();
            let deleted = store
                .write(async move |tx| tx.run(statement, args![account]).await)
                .await
                .map_err(|error: DbError| JobError::Retry(error.to_string()))?;
            if deleted < BATCH {
                break;
            }
        }
    }
    Ok(())
}
