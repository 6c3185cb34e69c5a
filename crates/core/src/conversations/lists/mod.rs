//! Pages of conversations.
//!
//! A page is found in two statements: the ids, each part of which is read along an index in the order that was
//! asked for, and the rows. What a page costs does not depend on what the account holds, but for two things. Labels,
//! texts and the conditions of a filter are asked of one conversation after the other, until a page is full. And
//! where they, or what the member has to do with conversations, narrow a list, the counts beside it are counted.

mod narrowed;
mod order;
mod unread;

pub use order::Sort;
pub use unread::{Unread, unread};

use std::collections::HashMap;

use chatwarden_db::{Composed, Timestamp, Tx, args, statements};
use serde_json::Value;

use super::{Conversation, Status, counts, sql};
use crate::error::{Error, Result};
use crate::ids::{ConversationId, InboxId, TeamId};
use crate::inboxes;
use crate::messages::{self, Sent};
use crate::pattern;
use crate::scope::{Agent, Scope};
use crate::teams;
use narrowed::Narrowed;

/// As many messages are shown beside what a search finds.
const MATCHES: i64 = 500;
/// As many of each conversation where no text was looked for.
const NEWEST: i64 = 20;

/// What a list is narrowed to (`behaviours.md §6`).
#[derive(Debug, Clone)]
pub struct Filter {
    /// Those of these statuses.
    pub statuses: Vec<Status>,
    /// Inboxes, one of which they are in.
    pub inboxes: Option<Vec<InboxId>>,
    /// One team.
    pub team: Option<TeamId>,
    /// Titles, one of which they bear.
    pub labels: Option<Vec<String>>,
    /// What the member has to do with them.
    pub kind: Kind,
    /// What is said in them.
    pub text: Option<String>,
    /// What a channel calls their contact.
    pub source_id: Option<String>,
    /// Those that changed since; the list is not paged then, and the counts beside it count the others too.
    pub changed_since: Option<Timestamp>,
    /// Whose.
    pub assignee: Assigned,
    /// In what order.
    pub sort: Sort,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            statuses: Status::ALL.to_vec(),
            inboxes: None,
            team: None,
            labels: None,
            kind: Kind::Any,
            text: None,
            source_id: None,
            changed_since: None,
            assignee: Assigned::All,
            sort: Sort::LastActivityDesc,
        }
    }
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

/// What the caller has to do with the conversations of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    /// Nothing in particular.
    #[default]
    Any,
    /// A note in them named the caller.
    Mention,
    /// The caller follows them.
    Participating,
    /// Their contact waits.
    Unattended,
}

/// Counts beside a list: after all filters but the assignee's, and the time of the last change.
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
    /// The ids of a page, in order; the text is put together.
    PAGE: (ConversationId,) = "conversations.page",
        "select c.id from conversations c where c.account_id = $1 order by c.last_activity_at desc, c.id desc limit 25";
    /// The counts beside a list; the text is put together.
    COUNTS: (i64, i64, i64) = "conversations.counts",
        "select count(*), count(*), count(*) from conversations c where c.account_id = $1";
    /// How many are unread, by a key; the text is put together.
    UNREAD: (i64, i64) = "conversations.unread_of_lists",
        "select c.id, count(*) from conversations c where c.account_id = $1 group by c.id";
    /// $1 account, $2 conversations, $3 pattern, $4 limit: what was said in them
    MATCHES_OF: (i64,) = "conversations.matches",
        "select m.id from messages m where m.account_id = $1 and m.conversation_id @in($2) and m.message_type in (0, 1)
         and fold(m.content) like $3 escape '!' order by m.id limit $4";
    /// $1 account, $2 conversations, $3 how many of each but one, $4 limit: what was said in them last
    NEWEST_OF: (i64,) = "conversations.newest_messages",
        "select m.id from conversations c cross join messages m
         where c.account_id = $1 and c.id @in($2) and m.account_id = $1 and m.conversation_id = c.id
         and m.id >= coalesce((select l.id from messages l where l.account_id = $1 and l.conversation_id = c.id
            order by l.id desc limit 1 offset $3), 0)
         order by m.id limit $4";
}

/// The inboxes that a member sees; none where that is all of them.
pub(super) async fn sight(tx: &mut Tx<'_>, scope: &Scope<Agent>) -> Result<Option<Vec<i64>>> {
    if scope.is_admin() {
        return Ok(None);
    }
    let inboxes = inboxes::sql::ids_of_user(tx, scope, scope.user_id()).await?;
    Ok(Some(inboxes.into_iter().map(|inbox| inbox.0).collect()))
}

async fn rows(
    tx: &mut Tx<'_>,
    scope: &Scope<Agent>,
    ids: &[ConversationId],
) -> Result<Vec<Conversation>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let wanted: Vec<i64> = ids.iter().map(|id| id.0).collect();
    let mut found: HashMap<ConversationId, Conversation> =
        sql::by_ids(tx, scope, &wanted).await?.into_iter().map(|c| (c.row.id, c)).collect();
    Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
}

async fn found(
    tx: &mut Tx<'_>,
    scope: &Scope<Agent>,
    narrowed: &Narrowed<'_>,
    page: i64,
) -> Result<Vec<Conversation>> {
    let (size, offset) = narrowed.limits(tx, page);
    let Some(query) = narrowed.page(size, offset)? else { return Ok(Vec::new()) };
    let ids: Vec<ConversationId> =
        tx.all_composed(&PAGE, &query).await?.into_iter().map(|(id,)| id).collect();
    rows(tx, scope, &ids).await
}

async fn counted(tx: &mut Tx<'_>, narrowed: &Narrowed<'_>) -> Result<Counts> {
    let Some(query) = narrowed.counts()? else { return Ok(Counts::default()) };
    let found = tx.all_composed(&COUNTS, &query).await?;
    let (mine, unassigned, all) = found.into_iter().next().unwrap_or_default();
    Ok(Counts { mine, unassigned, all })
}

/// A team that a list is narrowed to must be there.
async fn check_team(tx: &mut Tx<'_>, scope: &Scope<Agent>, filter: &Filter) -> Result<()> {
    match filter.team {
        Some(team) if teams::get(tx, scope, team).await?.is_none() => Err(Error::NotFound),
        _ => Ok(()),
    }
}

/// A page of the conversations that the member may see, and the counts beside it.
///
/// # Errors
/// [`Error::NotFound`] for a team that there isn't.
pub async fn page(
    tx: &mut Tx<'_>,
    scope: &Scope<Agent>,
    filter: &Filter,
    page: i64,
) -> Result<(Vec<Page>, Counts)> {
    check_team(tx, scope, filter).await?;
    let narrowed = Narrowed::new(tx, scope, filter, &[]).await?;
    let counts = counts_beside(tx, &narrowed).await?;
    let conversations = found(tx, scope, &narrowed, page).await?;
    Ok((with_last_messages(tx, scope, conversations).await?, counts))
}

/// The counts beside the list: kept ones, unless what it is narrowed to has none.
///
/// # Errors
/// [`Error::NotFound`] for a team that there isn't.
pub async fn counts_of(tx: &mut Tx<'_>, scope: &Scope<Agent>, filter: &Filter) -> Result<Counts> {
    check_team(tx, scope, filter).await?;
    let narrowed = Narrowed::new(tx, scope, filter, &[]).await?;
    counts_beside(tx, &narrowed).await
}

async fn counts_beside(tx: &mut Tx<'_>, narrowed: &Narrowed<'_>) -> Result<Counts> {
    let filter = narrowed.filter;
    let plain = filter.labels.is_none()
        && filter.kind == Kind::Any
        && filter.text.is_none()
        && filter.source_id.is_none();
    if plain {
        return counts::of_list(tx, narrowed.scope, filter, narrowed.inboxes()).await;
    }
    counted(tx, narrowed).await
}

/// The conversations that conditions find (`behaviours.md §7`), a page at a time, and how many there are.
///
/// # Errors
/// [`Error::Unprocessable`] for conditions that make no sense.
pub async fn filter(
    tx: &mut Tx<'_>,
    scope: &Scope<Agent>,
    conditions: &[Value],
    page: i64,
) -> Result<(Vec<Page>, Counts)> {
    let filter = Filter::default();
    let narrowed = Narrowed::new(tx, scope, &filter, conditions).await?;
    let counts = counted(tx, &narrowed).await?;
    let conversations = found(tx, scope, &narrowed, page).await?;
    Ok((with_last_messages(tx, scope, conversations).await?, counts))
}

/// A conversation that a search found, and what was found in it.
#[derive(Debug, Clone)]
pub struct Hit {
    /// The conversation.
    pub conversation: Conversation,
    /// The messages that hold the text, or its newest where none was looked for; oldest first.
    pub messages: Vec<Sent>,
}

/// The conversations in which a text was said, or all of them where there is none, a page at a time, and how many
/// there are.
///
/// # Errors
/// What the database says.
pub async fn search(
    tx: &mut Tx<'_>,
    scope: &Scope<Agent>,
    filter: &Filter,
    page: i64,
) -> Result<(Vec<Hit>, Counts)> {
    check_team(tx, scope, filter).await?;
    let narrowed = Narrowed::new(tx, scope, filter, &[]).await?;
    let counts = counts_beside(tx, &narrowed).await?;
    let conversations = found(tx, scope, &narrowed, page).await?;
    let ids: Vec<i64> = conversations.iter().map(|c| c.row.id.0).collect();
    let account = scope.account_id();
    let said = match &filter.text {
        _ if ids.is_empty() => Vec::new(),
        Some(text) => {
            tx.all(&MATCHES_OF, args![account, ids, pattern::holding(text), MATCHES]).await?
        }
        None => tx.all(&NEWEST_OF, args![account, ids, NEWEST - 1, MATCHES]).await?,
    };
    let matches: Vec<i64> = said.into_iter().map(|(id,)| id).collect();
    let mut sent =
        if matches.is_empty() { Vec::new() } else { messages::by_ids(tx, scope, &matches).await? };
    sent.sort_by_key(|one| one.message.id);
    let mut of_each: HashMap<ConversationId, Vec<Sent>> = HashMap::new();
    for one in sent {
        of_each.entry(one.message.conversation_id).or_default().push(one);
    }
    let hits = conversations
        .into_iter()
        .map(|conversation| Hit {
            messages: of_each.remove(&conversation.row.id).unwrap_or_default(),
            conversation,
        })
        .collect();
    Ok((hits, counts))
}

/// The text of a page's ids, for those who look at how it is found.
///
/// # Errors
/// What the database says.
pub async fn page_text(
    tx: &mut Tx<'_>,
    scope: &Scope<Agent>,
    filter: &Filter,
    page: i64,
) -> Result<Option<Composed>> {
    let narrowed = Narrowed::new(tx, scope, filter, &[]).await?;
    let (size, offset) = narrowed.limits(tx, page);
    narrowed.page(size, offset)
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
