//! Pages of conversations.
//!
//! A page is found in two statements: the ids, each part of which is read along an index in the order that was
//! asked for, and the rows. What a page costs does not depend on what the account holds.

use std::collections::HashMap;

use chatwarden_db::{Composed, Timestamp, ToValue as _, Tx, args, statements};
use serde_json::Value;

use super::{Conversation, Status, counts, sql};
use crate::custom_attributes::{self, Model};
use crate::desk::desk;
use crate::error::{Error, Result};
use crate::filters;
use crate::ids::{ConversationId, InboxId, TeamId};
use crate::inboxes;
use crate::messages::{self, Sent};
use crate::pattern;
use crate::scope::{Agent, Scope};
use crate::teams;

/// As many conversations are given where a list is not paged.
const UNPAGED: i64 = 5_000;
/// A list that is narrowed to so many inboxes is read inbox by inbox.
const INBOXES: usize = 8;
/// As many messages are shown beside what a search finds.
const MATCHES: i64 = 500;

/// What a list is narrowed to (`behaviours.md §6`).
#[derive(Debug, Clone)]
pub struct Filter {
    /// Those of these statuses.
    pub statuses: Vec<Status>,
    /// One inbox.
    pub inbox: Option<InboxId>,
    /// One team.
    pub team: Option<TeamId>,
    /// Titles, one of which they bear; none where all do.
    pub labels: Vec<String>,
    /// What the member has to do with them.
    pub kind: Kind,
    /// What is said in them.
    pub text: Option<String>,
    /// What a channel calls their contact.
    pub source_id: Option<String>,
    /// Those that changed since; the list is not paged then.
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
            inbox: None,
            team: None,
            labels: Vec::new(),
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

/// The order of a list (`behaviours.md §5`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sort {
    /// The one that lay still for longest first.
    LastActivityAsc,
    /// The one that moved last first.
    #[default]
    LastActivityDesc,
    /// The oldest first.
    CreatedAsc,
    /// The newest first.
    CreatedDesc,
    /// The least urgent first, those without a priority last.
    PriorityAsc,
    /// The most urgent first.
    PriorityDesc,
    /// The most urgent first, and of those the oldest.
    PriorityDescCreatedAsc,
    /// Whose contact waits for longest first, where nobody waits last.
    WaitingAsc,
    /// Whose contact began to wait last first.
    WaitingDesc,
    /// The one with most to read first.
    Unread,
}

impl Sort {
    /// The order of a name, old names included; the ordinary one for what is none.
    pub fn named(name: &str) -> Self {
        match name {
            "last_activity_at_asc" => Self::LastActivityAsc,
            "created_at_asc" | "sort_on_created_at" => Self::CreatedAsc,
            "created_at_desc" => Self::CreatedDesc,
            "priority_asc" => Self::PriorityAsc,
            "priority_desc" | "sort_on_priority" => Self::PriorityDesc,
            "priority_desc_created_at_asc" => Self::PriorityDescCreatedAsc,
            "waiting_since_asc" | "sort_on_waiting_since" => Self::WaitingAsc,
            "waiting_since_desc" => Self::WaitingDesc,
            "unread" => Self::Unread,
            _ => Self::LastActivityDesc,
        }
    }

    /// The parts that the order falls into, each along an index.
    fn parts(self) -> &'static [Part] {
        match self {
            Self::LastActivityAsc => ACTIVITY_ASC,
            Self::LastActivityDesc => ACTIVITY_DESC,
            Self::CreatedAsc => CREATED_ASC,
            Self::CreatedDesc => CREATED_DESC,
            Self::PriorityAsc => PRIORITY_ASC,
            Self::PriorityDesc => PRIORITY_DESC,
            Self::PriorityDescCreatedAsc => PRIORITY_DESC_CREATED_ASC,
            Self::WaitingAsc => WAITING_ASC,
            Self::WaitingDesc => WAITING_DESC,
            Self::Unread => UNREAD,
        }
    }

    /// Whether the indexes by inbox, assignee and team have this order too.
    fn by_activity(self) -> bool {
        matches!(self, Self::LastActivityAsc | Self::LastActivityDesc)
    }
}

/// A stretch of an order: what belongs to it, the keys that put it among the others (smallest first), and its own
/// order. A column that the condition holds still is named in the order too where it may be null: PostgreSQL
/// knows the index by that.
struct Part {
    condition: &'static str,
    keys: &'static str,
    order: &'static str,
}

const ACTIVITY_ASC: &[Part] = &[Part {
    condition: "",
    keys: "0 as k0, c.last_activity_at as k1, c.id as k2",
    order: "c.last_activity_at, c.id",
}];
const ACTIVITY_DESC: &[Part] = &[Part {
    condition: "",
    keys: "0 as k0, - c.last_activity_at as k1, - c.id as k2",
    order: "c.last_activity_at desc, c.id desc",
}];
const CREATED_ASC: &[Part] = &[Part {
    condition: "",
    keys: "0 as k0, c.created_at as k1, c.id as k2",
    order: "c.created_at, c.id",
}];
const CREATED_DESC: &[Part] = &[Part {
    condition: "",
    keys: "0 as k0, - c.created_at as k1, - c.id as k2",
    order: "c.created_at desc, c.id desc",
}];
const UNREAD: &[Part] = &[Part {
    condition: "",
    keys: "- c.unread_count as k0, - c.last_activity_at as k1, - c.id as k2",
    order: "c.unread_count desc, c.last_activity_at desc, c.id desc",
}];

macro_rules! of_priority {
    ($rank:literal, $condition:literal) => {
        Part {
            condition: concat!(" and c.priority ", $condition),
            keys: concat!($rank, " as k0, - c.last_activity_at as k1, - c.id as k2"),
            order: "c.priority desc, c.last_activity_at desc, c.id desc",
        }
    };
}
const PRIORITY_ASC: &[Part] = &[
    of_priority!("0", "= 0"),
    of_priority!("1", "= 1"),
    of_priority!("2", "= 2"),
    of_priority!("3", "= 3"),
    of_priority!("4", "is null"),
];
const PRIORITY_DESC: &[Part] = &[
    of_priority!("0", "= 3"),
    of_priority!("1", "= 2"),
    of_priority!("2", "= 1"),
    of_priority!("3", "= 0"),
    of_priority!("4", "is null"),
];

macro_rules! oldest_of_priority {
    ($rank:literal, $condition:literal) => {
        Part {
            condition: concat!(" and c.priority ", $condition),
            keys: concat!($rank, " as k0, c.created_at as k1, c.id as k2"),
            order: "c.priority, c.created_at, c.id",
        }
    };
}
const PRIORITY_DESC_CREATED_ASC: &[Part] = &[
    oldest_of_priority!("0", "= 3"),
    oldest_of_priority!("1", "= 2"),
    oldest_of_priority!("2", "= 1"),
    oldest_of_priority!("3", "= 0"),
    oldest_of_priority!("4", "is null"),
];

const NOBODY_WAITS: Part = Part {
    condition: " and c.waiting_since is null",
    keys: "1 as k0, c.created_at as k1, c.id as k2",
    order: "c.waiting_since, c.created_at, c.id",
};
const WAITING_ASC: &[Part] = &[
    Part {
        condition: " and c.waiting_since is not null",
        keys: "0 as k0, c.waiting_since as k1, c.created_at as k2",
        order: "c.waiting_since, c.created_at, c.id",
    },
    NOBODY_WAITS,
];
const WAITING_DESC: &[Part] = &[
    Part {
        // Not "is not null": from the end, PostgreSQL's index begins with the nulls.
        condition: " and c.waiting_since > 0",
        keys: "0 as k0, - c.waiting_since as k1, - c.created_at as k2",
        order: "c.waiting_since desc, c.created_at desc, c.id desc",
    },
    NOBODY_WAITS,
];

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
    /// The ids of a page, in order; the text is put together.
    PAGE: (ConversationId,) = "conversations.page",
        "select c.id from conversations c where c.account_id = $1 order by c.last_activity_at desc, c.id desc limit 25";
    /// The counts beside a list; the text is put together.
    COUNTS: (i64, i64, i64) = "conversations.counts",
        "select count(*), count(*), count(*) from conversations c where c.account_id = $1";
    /// $1 account, $2 conversations, $3 pattern, $4 limit: what was said in them
    MATCHES_OF: (i64,) = "conversations.matches",
        "select m.id from messages m where m.account_id = $1 and m.conversation_id @in($2) and m.message_type in (0, 1)
         and fold(m.content) like $3 escape '!' order by m.id limit $4";
}

/// The inboxes that a member sees; none where that is all of them.
pub(super) async fn sight(tx: &mut Tx<'_>, scope: &Scope<Agent>) -> Result<Option<Vec<i64>>> {
    if scope.is_admin() {
        return Ok(None);
    }
    let inboxes = inboxes::sql::ids_of_user(tx, scope, scope.user_id()).await?;
    Ok(Some(inboxes.into_iter().map(|inbox| inbox.0).collect()))
}

/// What a member sees of the conversations that conditions find.
struct Narrowed<'a> {
    scope: &'a Scope<Agent>,
    filter: &'a Filter,
    sight: Option<Vec<i64>>,
    /// The filter language, and what it needs to be composed anew for each part.
    conditions: &'a [Value],
    definitions: Vec<custom_attributes::Definition>,
    now: Timestamp,
}

impl<'a> Narrowed<'a> {
    async fn new(
        tx: &mut Tx<'_>,
        scope: &'a Scope<Agent>,
        filter: &'a Filter,
        conditions: &'a [Value],
    ) -> Result<Self> {
        let sight = sight(tx, scope).await?;
        let definitions = if conditions.is_empty() {
            Vec::new()
        } else {
            custom_attributes::list(tx, scope, Some(Model::Conversation)).await?
        };
        Ok(Self { scope, filter, sight, conditions, definitions, now: tx.now() })
    }

    /// The inboxes to read one by one, where there are few.
    fn inboxes(&self) -> Option<Vec<i64>> {
        let all = match (self.filter.inbox, &self.sight) {
            (Some(InboxId(inbox)), None) => vec![inbox],
            (Some(InboxId(inbox)), Some(seen)) => {
                seen.iter().copied().filter(|id| *id == inbox).collect()
            }
            (None, Some(seen)) => seen.clone(),
            (None, None) => return None,
        };
        Some(all)
    }

    /// Everything but the status, the inbox and the assignee.
    fn narrow(&self, query: &mut Composed) -> Result<()> {
        let filter = self.filter;
        if let Some(team) = filter.team {
            query.push(" and c.team_id = ").value(team);
        }
        if !filter.labels.is_empty() {
            query.push(" and ").holds_any("c.labels", filter.labels.clone());
        }
        let me = self.scope.user_id();
        match filter.kind {
            Kind::Any => {}
            Kind::Mention => {
                query
                    .push(" and exists (select 1 from mentions mn where mn.account_id = $1 and mn.conversation_id = c.id and mn.user_id = ")
                    .value(me)
                    .push(")");
            }
            Kind::Participating => {
                query
                    .push(" and exists (select 1 from conversation_participants p where p.account_id = $1 and p.conversation_id = c.id and p.user_id = ")
                    .value(me)
                    .push(")");
            }
            Kind::Unattended => {
                query
                    .push(" and (c.first_reply_created_at is null or c.waiting_since is not null)");
            }
        }
        if let Some(text) = &filter.text {
            query
                .push(" and exists (select 1 from messages m where m.account_id = $1 and m.conversation_id = c.id and m.message_type in (0, 1) and fold(m.content) like ")
                .value(pattern::holding(text))
                .push(" escape '!')");
        }
        if let Some(source) = &filter.source_id {
            query
                .push(" and c.contact_inbox_id in (select ci.id from contact_inboxes ci where ci.account_id = $1 and ci.source_id = ")
                .value(source.as_str())
                .push(")");
        }
        if let Some(since) = filter.changed_since {
            query.push(" and c.updated_at > ").value(since);
        }
        filters::compose(
            query,
            &filters::CONVERSATIONS,
            &self.definitions,
            self.conditions,
            self.now,
        )
    }

    fn limits(&self, tx: &Tx<'_>, page: i64) -> (i64, i64) {
        if self.filter.changed_since.is_some() {
            return (UNPAGED, 0);
        }
        let size = desk(tx).conversations_per_page;
        (size, page.max(1).saturating_sub(1).saturating_mul(size))
    }

    /// The text of a page's ids; none where the page is empty anyway.
    fn page(&self, size: i64, offset: i64) -> Result<Option<Composed>> {
        let sort = self.filter.sort;
        let inboxes = self.inboxes();
        // Each inbox along its own index, or all of them along the order's.
        let places: Vec<Option<i64>> = match &inboxes {
            Some(few) if few.len() <= INBOXES && sort.by_activity() => {
                few.iter().copied().map(Some).collect()
            }
            Some(none) if none.is_empty() => Vec::new(),
            _ => vec![None],
        };
        if places.is_empty() || self.filter.statuses.is_empty() {
            return Ok(None);
        }
        let mut query = Composed::new(vec![self.scope.account_id().to_value()]);
        query.push("select page.id from (");
        let mut first = true;
        for status in &self.filter.statuses {
            for place in &places {
                for part in sort.parts() {
                    if !std::mem::take(&mut first) {
                        query.push(" union all ");
                    }
                    query.push("select * from (select c.id, ").push(part.keys);
                    query.push(" from conversations c where c.account_id = $1 and c.status = ");
                    query.value(*status).push(part.condition);
                    match (place, &inboxes) {
                        (Some(inbox), _) => {
                            query.push(" and c.inbox_id = ").value(*inbox);
                        }
                        (None, Some(many)) => {
                            query.push(" and c.inbox_id").any_of(many.clone());
                        }
                        (None, None) => {}
                    }
                    self.narrow(&mut query)?;
                    let by_assignee = match self.filter.assignee {
                        Assigned::All => false,
                        Assigned::Me => {
                            query.push(" and c.assignee_id = ").value(self.scope.user_id());
                            false
                        }
                        Assigned::Unassigned => {
                            query.push(" and c.assignee_id is null");
                            sort.by_activity() && inboxes.is_none()
                        }
                        Assigned::Assigned => {
                            query.push(" and c.assignee_id is not null");
                            false
                        }
                    };
                    query.push(" order by ");
                    if by_assignee {
                        query.push(match sort {
                            Sort::LastActivityAsc => "c.assignee_id, ",
                            _ => "c.assignee_id desc, ",
                        });
                    }
                    query.push(part.order);
                    query.push(" limit ").value(size.saturating_add(offset)).push(") as part");
                }
            }
        }
        query.push(") as page order by page.k0, page.k1, page.k2 limit ").value(size);
        query.push(" offset ").value(offset);
        Ok(Some(query))
    }

    /// The text of the counts beside the page.
    fn counts(&self) -> Result<Option<Composed>> {
        let inboxes = self.inboxes();
        let nothing = inboxes.as_ref().is_some_and(Vec::is_empty);
        if nothing || self.filter.statuses.is_empty() {
            return Ok(None);
        }
        let mut query = Composed::new(vec![self.scope.account_id().to_value()]);
        query.push("select count(*) filter (where c.assignee_id = ").value(self.scope.user_id());
        query.push("), count(*) filter (where c.assignee_id is null), count(*) from conversations c where c.account_id = $1");
        if self.filter.statuses.len() < Status::ALL.len() {
            let statuses: Vec<i64> =
                self.filter.statuses.iter().map(|status| status.integer()).collect();
            query.push(" and c.status").any_of(statuses);
        }
        if let Some(inboxes) = inboxes {
            query.push(" and c.inbox_id").any_of(inboxes);
        }
        self.narrow(&mut query)?;
        Ok(Some(query))
    }
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
    let plain = filter.labels.is_empty()
        && filter.kind == Kind::Any
        && filter.text.is_none()
        && filter.source_id.is_none()
        && filter.changed_since.is_none();
    if plain {
        return counts::of_list(tx, narrowed.scope, filter, narrowed.sight.clone()).await;
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
    /// The messages that hold the text, oldest first.
    pub messages: Vec<Sent>,
}

/// The conversations in which a text was said, a page at a time, and how many there are.
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
    let counts = counted(tx, &narrowed).await?;
    let conversations = found(tx, scope, &narrowed, page).await?;
    let ids: Vec<i64> = conversations.iter().map(|c| c.row.id.0).collect();
    let matches: Vec<i64> = match &filter.text {
        Some(text) if !ids.is_empty() => {
            let args = args![scope.account_id(), ids, pattern::holding(text), MATCHES];
            tx.all(&MATCHES_OF, args).await?.into_iter().map(|(id,)| id).collect()
        }
        _ => Vec::new(),
    };
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
