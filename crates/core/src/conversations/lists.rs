//! Pages of conversations and their counts.

use chatwarden_db::{Tx, args, statements};

use super::sql::{conversation_columns, conversation_from};
use super::{Conversation, Status};
use crate::error::Result;
use crate::ids::InboxId;
use crate::messages::{self, Sent};
use crate::scope::{Agent, Scope};
use crate::teams;

/// What a list is narrowed to (`behaviours.md §6`).
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// `None` for all.
    pub status: Option<Status>,
    /// One inbox.
    pub inbox: Option<InboxId>,
    /// Whose.
    pub assignee: Assigned,
}

/// Whose conversations a list holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Assigned {
    /// Everybody's.
    #[default]
    All,
    /// The caller's.
    Me,
    /// Nobody's.
    Unassigned,
    /// Somebody's.
    Assigned,
}

/// Counts beside a list: after all filters but the assignee's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Assigned to the caller.
    pub mine: i64,
    /// Assigned to nobody.
    pub unassigned: i64,
    /// All of them.
    pub all: i64,
}

/// A conversation as lists and its own page show it.
#[derive(Debug, Clone)]
pub struct Page {
    /// The conversation.
    pub conversation: Conversation,
    /// Its newest message.
    pub last: Option<Sent>,
    /// Its newest message that is no activity.
    pub last_non_activity: Option<Sent>,
    /// Whether the member who looks is in its team.
    pub in_team: bool,
}

statements! {
    /// $1 account, $2 user, $3 is administrator, $4 status (null: all), $5 inbox (null: all),
    /// $6 assigned (0 all, 1 mine, 2 nobody's, 3 somebody's), $7 limit, $8 offset
    PAGE: Conversation = "conversations.page", (concat!("select ", conversation_columns!(), " ", conversation_from!(),
        "where c.account_id = $1
         and ($3 or exists (select 1 from inbox_members im where im.account_id = $1 and im.user_id = $2 and im.inbox_id = c.inbox_id))
         and (cast($4 as bigint) is null or c.status = $4)
         and (cast($5 as bigint) is null or c.inbox_id = $5)
         and ($6 = 0 or ($6 = 1 and c.assignee_id = $2) or ($6 = 2 and c.assignee_id is null) or ($6 = 3 and c.assignee_id is not null))
         order by c.last_activity_at desc, c.id desc limit $7 offset $8"));
    /// $1 account, $2 user, $3 is administrator, $4 status (null: all), $5 inbox (null: all)
    COUNTS: (i64, i64, i64) = "conversations.counts",
        "select count(*) filter (where c.assignee_id = $2), count(*) filter (where c.assignee_id is null), count(*)
         from conversations c where c.account_id = $1
         and ($3 or exists (select 1 from inbox_members im where im.account_id = $1 and im.user_id = $2 and im.inbox_id = c.inbox_id))
         and (cast($4 as bigint) is null or c.status = $4)
         and (cast($5 as bigint) is null or c.inbox_id = $5)";
}

/// A page of the conversations that the member may see.
///
/// # Errors
/// What the database says.
pub async fn page(
    tx: &mut Tx<'_>,
    scope: &Scope<Agent>,
    filter: &Filter,
    page: i64,
) -> Result<Vec<Page>> {
    let size = crate::desk::desk(tx).conversations_per_page;
    let assigned: i64 = match filter.assignee {
        Assigned::All => 0,
        Assigned::Me => 1,
        Assigned::Unassigned => 2,
        Assigned::Assigned => 3,
    };
    let offset = page.max(1).saturating_sub(1).saturating_mul(size);
    let found = tx
        .all(
            &PAGE,
            args![
                scope.account_id(),
                scope.user_id(),
                scope.is_admin(),
                filter.status,
                filter.inbox,
                assigned,
                size,
                offset
            ],
        )
        .await?;
    with_last_messages(tx, scope, found).await
}

/// The counts beside the list.
///
/// # Errors
/// What the database says.
pub async fn counts(tx: &mut Tx<'_>, scope: &Scope<Agent>, filter: &Filter) -> Result<Counts> {
    let (mine, unassigned, all) = tx
        .one(
            &COUNTS,
            args![
                scope.account_id(),
                scope.user_id(),
                scope.is_admin(),
                filter.status,
                filter.inbox
            ],
        )
        .await?;
    Ok(Counts { mine, unassigned, all })
}

/// One conversation with its newest messages.
///
/// # Errors
/// What the database says.
pub async fn show(tx: &mut Tx<'_>, scope: &Scope, conversation: Conversation) -> Result<Page> {
    let mut pages = with_last_messages(tx, scope, vec![conversation]).await?;
    pages.pop().ok_or(crate::error::Error::NotFound)
}

/// The newest messages of all of them in one statement.
pub(crate) async fn with_last_messages(
    tx: &mut Tx<'_>,
    scope: &Scope,
    found: Vec<Conversation>,
) -> Result<Vec<Page>> {
    let mut ids: Vec<i64> = found
        .iter()
        .flat_map(|c| [c.row.last_message_id, c.row.last_non_activity_message_id])
        .flatten()
        .map(|id| id.0)
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let sent = if ids.is_empty() { Vec::new() } else { messages::by_ids(tx, scope, &ids).await? };
    let teamed = found.iter().any(|c| c.team.is_some());
    let teams = if teamed { teams::of_viewer(tx, scope).await? } else { Vec::new() };
    let pick =
        |id: Option<crate::ids::MessageId>| sent.iter().find(|s| Some(s.message.id) == id).cloned();
    Ok(found
        .into_iter()
        .map(|conversation| Page {
            last: pick(conversation.row.last_message_id),
            last_non_activity: pick(conversation.row.last_non_activity_message_id),
            in_team: conversation.row.team_id.is_some_and(|team| teams.contains(&team)),
            conversation,
        })
        .collect())
}
