//! Pages of contacts: all that are identified, those that a search or a filter finds, those who are present
//! (`behaviours.md §5`, §12).

use chatwarden_db::{Composed, Timestamp, ToValue as _, Tx, args, statements};
use serde_json::Value;

use super::{Contact, InboxOfContact};
use crate::conversations::Conversation;
use crate::conversations::sql::{conversation_columns, conversation_from};
use crate::custom_attributes::{self, Model};
use crate::desk::desk;
use crate::error::{Error, Result};
use crate::filters;
use crate::ids::ContactId;
use crate::scope::{Agent, Scope};

/// Contacts on a page.
const PAGE: i64 = 15;
/// The longest text that is searched for.
const LONG: usize = 1000;
/// Conversations of a contact that are shown.
const CONVERSATIONS: i64 = 20;

statements! {
    /// A page; the text is put together.
    PAGE_OF: Contact = "contacts.page_of", (concat!("select ", crate::contact_columns!(),
        " from contacts ct where ct.account_id = $1 order by ct.id limit 15"));
    /// How many there are; the text is put together.
    COUNT_OF: (i64,) = "contacts.count_of", "select count(*) from contacts ct where ct.account_id = $1";
    /// $1 account, $2 contact, $3 user, $4 is administrator, $5 as many: those that the member may see
    CONVERSATIONS_OF: Conversation = "contacts.conversations_of", (concat!("select ", conversation_columns!(), " ",
        conversation_from!(), "where c.account_id = $1 and c.contact_id = $2 and ($4 or exists (
            select 1 from inbox_members im where im.account_id = $1 and im.user_id = $3 and im.inbox_id = c.inbox_id))
         order by c.last_activity_at desc, c.id desc limit $5"));
    /// $1 account, $2 contact: its inboxes, and whether a conversation was begun from there
    REACHED: (crate::ids::InboxId, String, bool) = "contacts.reached",
        "select ci.inbox_id, ci.source_id, exists (select 1 from conversations c
            where c.account_id = ci.account_id and c.contact_inbox_id = ci.id)
         from contact_inboxes ci where ci.account_id = $1 and ci.contact_id = $2 order by ci.id";
}

/// Which contacts, in what order, and which page of them.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Titles, one of which they bear; none where all do.
    pub labels: Vec<String>,
    /// What orders them, `-` before it for the other way round.
    pub sort: Option<String>,
    /// From 1.
    pub page: i64,
    /// Whether leads alone count as identified (flag `crm_v2`).
    pub leads: bool,
}

/// A page of contacts, and how many there are on all pages.
#[derive(Debug, Clone)]
pub struct Page {
    /// The contacts.
    pub contacts: Vec<Contact>,
    /// How many there are.
    pub count: i64,
}

impl Query {
    fn order(&self) -> &'static str {
        match self.sort.as_deref().unwrap_or_default() {
            "name" => " order by ct.search_folded, ct.id",
            "-name" => " order by ct.search_folded desc, ct.id",
            "email" => " order by ct.email nulls last, ct.id",
            "-email" => " order by ct.email desc nulls first, ct.id",
            "phone_number" => " order by ct.phone_number nulls last, ct.id",
            "-phone_number" => " order by ct.phone_number desc nulls first, ct.id",
            "last_activity_at" => " order by ct.last_activity_at nulls last, ct.id",
            "-last_activity_at" => " order by ct.last_activity_at desc nulls last, ct.id",
            "created_at" => " order by ct.created_at, ct.id",
            "-created_at" => " order by ct.created_at desc, ct.id desc",
            "company_name" => {
                " order by lower(cast(ct.additional_attributes ->> 'company_name' as text)) nulls last, ct.id"
            }
            "-company_name" => {
                " order by lower(cast(ct.additional_attributes ->> 'company_name' as text)) desc nulls last, ct.id"
            }
            "city" => {
                " order by lower(cast(ct.additional_attributes ->> 'city' as text)) nulls last, ct.id"
            }
            "-city" => {
                " order by lower(cast(ct.additional_attributes ->> 'city' as text)) desc nulls last, ct.id"
            }
            "country" => {
                " order by lower(cast(ct.additional_attributes ->> 'country' as text)) nulls last, ct.id"
            }
            "-country" => {
                " order by lower(cast(ct.additional_attributes ->> 'country' as text)) desc nulls last, ct.id"
            }
            _ => " order by ct.id",
        }
    }

    fn offset(&self) -> i64 {
        self.page.max(1).saturating_sub(1).saturating_mul(PAGE)
    }

    /// The contacts that one can tell from others.
    fn identified(&self, scope: &Scope) -> Composed {
        let mut from = self.everybody(scope);
        from.push(if self.leads {
            " and ct.contact_type = 1 "
        } else {
            " and (ct.email is not null or ct.phone_number is not null or ct.identifier is not null) "
        });
        from
    }

    fn everybody(&self, scope: &Scope) -> Composed {
        let mut from = Composed::new(vec![scope.account_id().to_value()]);
        from.push(" from contacts ct where ct.account_id = $1 ");
        if !self.labels.is_empty() {
            from.push(" and ").holds_any("ct.labels", self.labels.clone());
        }
        from
    }

    async fn find(&self, tx: &mut Tx<'_>, from: Composed, most: i64) -> Result<Vec<Contact>> {
        let mut page = from.after(concat!("select ", crate::contact_columns!()));
        page.push(self.order()).push(" limit ").value(most).push(" offset ").value(self.offset());
        Ok(tx.all_composed(&PAGE_OF, &page).await?)
    }

    async fn page(&self, tx: &mut Tx<'_>, from: Composed) -> Result<Page> {
        let counted = from.clone().after("select count(*)");
        let counts = tx.all_composed(&COUNT_OF, &counted).await?;
        let count = counts.first().map_or(0, |(count,)| *count);
        Ok(Page { contacts: self.find(tx, from, PAGE).await?, count })
    }
}

/// The identified contacts.
///
/// # Errors
/// What the database says.
pub async fn list(tx: &mut Tx<'_>, scope: &Scope, query: &Query) -> Result<Page> {
    query.page(tx, query.identified(scope)).await
}

/// The contacts whose name, address, number or identifier holds a text, `%` and `_` standing for others as clients
/// are used to; and whether there are more of them.
///
/// # Errors
/// [`Error::Unprocessable`] for a text that is too long.
pub async fn search(
    tx: &mut Tx<'_>,
    scope: &Scope,
    query: &Query,
    text: &str,
) -> Result<(Vec<Contact>, bool)> {
    if text.chars().nth(LONG).is_some() {
        return Err(Error::Unprocessable(format!("q: at most {LONG} characters")));
    }
    let mut from = query.everybody(scope);
    let pattern = format!("%{}%", text.trim().to_lowercase().replace('!', "!!"));
    from.push(" and ct.search_folded like ").value(pattern).push(" escape '!' ");
    let mut found = query.find(tx, from, PAGE + 1).await?;
    let more = i64::try_from(found.len()).is_ok_and(|count| count > PAGE);
    if more {
        found.pop();
    }
    Ok((found, more))
}

/// The identified contacts that conditions find.
///
/// # Errors
/// [`Error::Unprocessable`] for conditions that make no sense.
pub async fn filter(
    tx: &mut Tx<'_>,
    scope: &Scope,
    query: &Query,
    conditions: &[Value],
) -> Result<Page> {
    let definitions = custom_attributes::list(tx, scope, Some(Model::Contact)).await?;
    let mut from = query.identified(scope);
    let now: Timestamp = tx.now();
    filters::compose(&mut from, &filters::CONTACTS, &definitions, conditions, now)?;
    query.page(tx, from).await
}

/// The contacts who were seen lately.
///
/// # Errors
/// What the database says.
pub async fn active(tx: &mut Tx<'_>, scope: &Scope, query: &Query) -> Result<Page> {
    let seen = desk(tx).presence.contacts(scope.account_id(), tx.now());
    let ids: Vec<i64> = seen.into_iter().map(|id| id.0).collect();
    let mut from = query.everybody(scope);
    from.push(" and ct.id ").any_of(ids);
    query.page(tx, from).await
}

/// The newest conversations of a contact that the member may see.
///
/// # Errors
/// What the database says.
pub async fn conversations(
    tx: &mut Tx<'_>,
    scope: &Scope<Agent>,
    contact: ContactId,
) -> Result<Vec<crate::conversations::Page>> {
    let args = args![scope.account_id(), contact, scope.user_id(), scope.is_admin(), CONVERSATIONS];
    let found = tx.all(&CONVERSATIONS_OF, args).await?;
    crate::conversations::lists::with_last_messages(tx, scope, found).await
}

/// The member's inboxes through which a contact can be written to, with what each would call it.
///
/// # Errors
/// What the database says.
pub async fn contactable_inboxes(
    tx: &mut Tx<'_>,
    scope: &Scope<Agent>,
    contact: &Contact,
) -> Result<Vec<InboxOfContact>> {
    let reached = tx.all(&REACHED, args![scope.account_id(), contact.id]).await?;
    let mut inboxes = crate::inboxes::sql::list(tx, scope).await?;
    inboxes.sort_by_key(|of| of.inbox.id);
    let mut out = Vec::new();
    for of in inboxes {
        let latest = reached.iter().rfind(|(inbox, _, _)| *inbox == of.inbox.id);
        let source_id = match of.inbox.channel_type.as_str() {
            "Channel::Api" => {
                latest.map(|(_, id, _)| id.clone()).or_else(|| Some(tx.ambient().uuid()))
            }
            // A website's visitor must have been there, and not be in conversation yet.
            "Channel::WebWidget" => {
                latest.filter(|(_, _, conversing)| !conversing).map(|(_, id, _)| id.clone())
            }
            channel => super::default_source_id(channel, contact).ok(),
        };
        if let Some(source_id) = source_id {
            out.push(InboxOfContact {
                contact_id: contact.id,
                source_id,
                inbox_id: of.inbox.id,
                channel_id: of.channel.id,
                name: of.inbox.name,
                channel_type: of.inbox.channel_type,
                avatar: of.inbox.avatar,
            });
        }
    }
    Ok(out)
}
