//! What a list is narrowed to, as the texts that find its page and its counts.

use chatwarden_db::{Composed, Timestamp, ToValue as _, Tx};
use serde_json::Value;

use super::{Assigned, Filter, Kind, Sort, sight};
use crate::conversations::Status;
use crate::custom_attributes::{self, Model};
use crate::desk::desk;
use crate::error::Result;
use crate::filters;
use crate::ids::InboxId;
use crate::pattern;
use crate::scope::{Agent, Scope};

/// As many conversations are given where a list is not paged.
const UNPAGED: i64 = 5_000;
/// A list that is narrowed to so many inboxes is read inbox by inbox.
const INBOXES: usize = 8;

/// Conversations of these statuses; nothing is said where those are all.
fn of_statuses(query: &mut Composed, statuses: &[Status]) {
    match statuses {
        [one] => {
            query.push(" and c.status = ").value(*one);
        }
        some if some.len() < Status::ALL.len() => {
            query
                .push(" and c.status")
                .any_of(some.iter().map(|status| status.integer()).collect::<Vec<i64>>());
        }
        _ => {}
    }
}

/// What a member sees of the conversations that conditions find.
pub(super) struct Narrowed<'a> {
    pub(super) scope: &'a Scope<Agent>,
    pub(super) filter: &'a Filter,
    pub(super) sight: Option<Vec<i64>>,
    /// The filter language, and what it needs to be composed anew for each part.
    pub(super) conditions: &'a [Value],
    pub(super) definitions: Vec<custom_attributes::Definition>,
    now: Timestamp,
}

impl<'a> Narrowed<'a> {
    pub(super) async fn new(
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

    /// The inboxes that are read; all of them where none is said.
    pub(super) fn inboxes(&self) -> Option<Vec<i64>> {
        match (&self.filter.inboxes, &self.sight) {
            (Some(wanted), None) => {
                let mut all: Vec<i64> = wanted.iter().map(|inbox| inbox.0).collect();
                all.sort_unstable();
                all.dedup();
                Some(all)
            }
            (Some(wanted), Some(seen)) => {
                Some(seen.iter().copied().filter(|id| wanted.contains(&InboxId(*id))).collect())
            }
            (None, seen) => seen.clone(),
        }
    }

    /// Whether a list is drawn from a few conversations that are known by what the member has to do with them, or by
    /// their contact's source id: then these are read and put in order, and not the order's index until enough of
    /// them turn up.
    fn drawn(&self) -> bool {
        matches!(self.filter.kind, Kind::Mention | Kind::Participating)
            || self.filter.source_id.is_some()
    }

    /// Where conversations are read from. A cross join is read in this order by SQLite; PostgreSQL decides by what it
    /// knows of the tables.
    fn from(&self, query: &mut Composed) {
        let me = self.scope.user_id();
        match (self.filter.kind, &self.filter.source_id) {
            (Kind::Mention, _) => {
                query.push(" from mentions k cross join conversations c where k.account_id = $1 and c.account_id = $1 and c.id = k.conversation_id and k.user_id = ").value(me);
            }
            (Kind::Participating, _) => {
                query.push(" from conversation_participants k cross join conversations c where k.account_id = $1 and c.account_id = $1 and c.id = k.conversation_id and k.user_id = ").value(me);
            }
            (_, Some(source)) => {
                query.push(" from contact_inboxes k cross join conversations c where k.account_id = $1 and c.account_id = $1 and c.contact_inbox_id = k.id and k.source_id = ").value(source.as_str());
            }
            _ => {
                query.push(" from conversations c where c.account_id = $1");
            }
        }
    }

    /// Everything but the status, the inbox and the assignee.
    fn narrow(&self, query: &mut Composed) -> Result<()> {
        let filter = self.filter;
        if let Some(team) = filter.team {
            query.push(" and c.team_id = ").value(team);
        }
        if let Some(labels) = &filter.labels {
            // Tags are kept in lower case, where they are labels of the account.
            let folded = labels.iter().map(|title| title.to_lowercase());
            let titles: Vec<String> = labels.iter().cloned().chain(folded).collect();
            query.push(" and ").holds_any("c.labels", titles);
        }
        if filter.kind == Kind::Unattended {
            query.push(" and (c.first_reply_created_at is null or c.waiting_since is not null)");
        }
        if let Some(text) = &filter.text {
            query
                .push(" and exists (select 1 from messages m where m.account_id = $1 and m.conversation_id = c.id and m.message_type in (0, 1) and fold(m.content) like ")
                .value(pattern::holding(text))
                .push(" escape '!')");
        }
        if let Some(source) = &filter.source_id
            && matches!(filter.kind, Kind::Mention | Kind::Participating)
        {
            query
                .push(" and c.contact_inbox_id in (select ci.id from contact_inboxes ci where ci.account_id = $1 and ci.source_id = ")
                .value(source.as_str())
                .push(")");
        }
        filters::compose(
            query,
            &filters::CONVERSATIONS,
            &self.definitions,
            self.conditions,
            self.now,
        )
    }

    fn changed(&self, query: &mut Composed) {
        if let Some(since) = self.filter.changed_since {
            query.push(" and c.updated_at > ").value(since);
        }
    }

    /// Whether no conversation is among them, whatever there is.
    fn is_empty(&self, inboxes: Option<&[i64]>) -> bool {
        inboxes.is_some_and(<[i64]>::is_empty)
            || self.filter.statuses.is_empty()
            || self.filter.labels.as_ref().is_some_and(Vec::is_empty)
    }

    pub(super) fn limits(&self, tx: &Tx<'_>, page: i64) -> (i64, i64) {
        if self.filter.changed_since.is_some() {
            return (UNPAGED, 0);
        }
        let size = desk(tx).conversations_per_page;
        (size, page.max(1).saturating_sub(1).saturating_mul(size))
    }

    /// The text of a page's ids; none where the page is empty anyway.
    pub(super) fn page(&self, size: i64, offset: i64) -> Result<Option<Composed>> {
        let sort = self.filter.sort;
        let (inboxes, drawn) = (self.inboxes(), self.drawn());
        // Each inbox along its own index, or all of them along the order's.
        let places: Vec<Option<i64>> = match &inboxes {
            Some(few) if few.len() <= INBOXES && sort.by_activity() && !drawn => {
                few.iter().copied().map(Some).collect()
            }
            _ => vec![None],
        };
        if self.is_empty(inboxes.as_deref()) {
            return Ok(None);
        }
        let mut query = Composed::new(vec![self.scope.account_id().to_value()]);
        query.push("select page.id from (");
        let mut first = true;
        let statuses = &self.filter.statuses;
        let stretches =
            if drawn { vec![statuses.as_slice()] } else { statuses.chunks(1).collect() };
        for statuses in stretches {
            for place in &places {
                for part in sort.parts() {
                    if !std::mem::take(&mut first) {
                        query.push(" union all ");
                    }
                    query.push("select * from (select c.id, ").push(part.keys);
                    self.from(&mut query);
                    of_statuses(&mut query, statuses);
                    query.push(part.condition);
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
                    self.changed(&mut query);
                    let by_assignee = match self.filter.assignee {
                        Assigned::All => false,
                        Assigned::Me => {
                            query.push(" and c.assignee_id = ").value(self.scope.user_id());
                            false
                        }
                        Assigned::Unassigned => {
                            query.push(" and c.assignee_id is null");
                            sort.by_activity() && inboxes.is_none() && !drawn
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
                    // By the keys, which no index has: PostgreSQL would walk the order's index in the hope of them.
                    query.push(if drawn { "k0, k1, k2" } else { part.order });
                    query.push(" limit ").value(size.saturating_add(offset)).push(") as part");
                }
            }
        }
        query.push(") as page order by page.k0, page.k1, page.k2 limit ").value(size);
        query.push(" offset ").value(offset);
        Ok(Some(query))
    }

    /// Goes on with a text that counts those of them that are open and unread, beside a key.
    pub(super) fn unread(&self, query: &mut Composed, key: i64) -> Result<()> {
        query.push("select cast(").value(key).push(" as bigint), count(*)");
        self.from(query);
        query.push(" and c.status = 0 and c.unread_count > 0");
        if let Some(inboxes) = self.inboxes() {
            query.push(" and c.inbox_id").any_of(inboxes);
        }
        self.narrow(query)
    }

    /// The text of the counts beside the page.
    pub(super) fn counts(&self) -> Result<Option<Composed>> {
        let inboxes = self.inboxes();
        if self.is_empty(inboxes.as_deref()) {
            return Ok(None);
        }
        let mut query = Composed::new(vec![self.scope.account_id().to_value()]);
        query.push("select count(*) filter (where c.assignee_id = ").value(self.scope.user_id());
        query.push("), count(*) filter (where c.assignee_id is null), count(*)");
        self.from(&mut query);
        of_statuses(&mut query, &self.filter.statuses);
        if let Some(inboxes) = inboxes {
            query.push(" and c.inbox_id").any_of(inboxes);
        }
        self.narrow(&mut query)?;
        // What a text finds is counted as it is listed.
        if self.filter.text.is_some() {
            self.changed(&mut query);
        }
        Ok(Some(query))
    }
}
