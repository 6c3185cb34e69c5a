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
use crate::ids::{AccountId, ContactId};
use crate::pattern;
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
    /// What orders them, `-` before it for the other way round; of several, parted by commas, the first.
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

/// A stretch of an order: what belongs to it, the keys that put it among the others, and its own order.
struct Stretch {
    condition: &'static str,
    keys: &'static str,
    order: &'static str,
}

/// All contacts, by something that each has.
macro_rules! whole {
    ($key:literal) => {
        Stretch {
            condition: "",
            keys: concat!("0 as k0, ", $key, " as k1, ct.id as k2"),
            order: concat!($key, ", ct.id"),
        }
    };
    (desc $key:literal) => {
        Stretch {
            condition: "",
            keys: concat!("0 as k0, ", $key, " as k1, - ct.id as k2"),
            order: concat!($key, " desc, ct.id desc"),
        }
    };
}

/// All contacts, by what stands among their attributes, where it does; the others last.
macro_rules! by_attribute {
    ($key:literal $(, $desc:literal)?) => {
        Stretch {
            condition: "",
            keys: concat!("0 as k0, fold(cast(ct.additional_attributes ->> '", $key, "' as text)) as k1, ct.id as k2"),
            order: concat!("fold(cast(ct.additional_attributes ->> '", $key, "' as text)) ", $($desc,)? " nulls last, ct.id"),
        }
    };
}

/// Those who have something, by that.
macro_rules! known {
    ($rank:literal, $column:literal) => {
        Stretch {
            condition: concat!(" and ", $column, " is not null"),
            keys: concat!($rank, " as k0, ", $column, " as k1, ct.id as k2"),
            order: concat!($column, ", ct.id"),
        }
    };
    // Not "is not null": from the end, PostgreSQL's index begins with the nulls.
    (desc $rank:literal, $column:literal, $least:literal) => {
        Stretch {
            condition: concat!(" and ", $column, " >= ", $least),
            keys: concat!($rank, " as k0, ", $column, " as k1, - ct.id as k2"),
            order: concat!($column, " desc, ct.id desc"),
        }
    };
}

/// Those who have it not.
macro_rules! unknown {
    ($rank:literal, $column:literal) => {
        Stretch {
            condition: concat!(" and ", $column, " is null"),
            keys: concat!($rank, " as k0, ", $column, " as k1, ct.id as k2"),
            order: "ct.id",
        }
    };
}

/// Those in whom nothing happened yet, in the order of the index.
const QUIET: Stretch = Stretch {
    condition: " and ct.last_activity_at is null",
    keys: "1 as k0, ct.last_activity_at as k1, ct.id as k2",
    order: "ct.last_activity_at, ct.id",
};

const UP: &str = " order by page.k0, page.k1, page.k2";
const DOWN: &str = " order by page.k0, page.k1 desc, page.k2";
const UP_NULLS_LAST: &str = " order by page.k0, page.k1 nulls last, page.k2";
const DOWN_NULLS_LAST: &str = " order by page.k0, page.k1 desc nulls last, page.k2";

impl Query {
    /// The stretches of the order, and how they are put in order.
    fn order(&self) -> (&'static [Stretch], &'static str) {
        let sort = self.sort.as_deref().unwrap_or_default();
        match sort.split(',').next().unwrap_or_default() {
            "name" => (&[whole!("ct.search_folded")], UP),
            "-name" => (&[whole!(desc "ct.search_folded")], DOWN),
            "email" => (&[known!("0", "ct.email"), unknown!("1", "ct.email")], UP),
            "-email" => (&[unknown!("0", "ct.email"), known!(desc "1", "ct.email", "''")], DOWN),
            "phone_number" => {
                (&[known!("0", "ct.phone_number"), unknown!("1", "ct.phone_number")], UP)
            }
            "-phone_number" => (
                &[unknown!("0", "ct.phone_number"), known!(desc "1", "ct.phone_number", "''")],
                DOWN,
            ),
            "last_activity_at" => (&[known!("0", "ct.last_activity_at"), QUIET], UP),
            "-last_activity_at" => (&[known!(desc "0", "ct.last_activity_at", "0"), QUIET], DOWN),
            "created_at" => (&[whole!("ct.created_at")], UP),
            "-created_at" => (&[whole!(desc "ct.created_at")], DOWN),
            "company_name" => (&[by_attribute!("company_name")], UP_NULLS_LAST),
            "-company_name" => (&[by_attribute!("company_name", "desc")], DOWN_NULLS_LAST),
            "city" => (&[by_attribute!("city")], UP_NULLS_LAST),
            "-city" => (&[by_attribute!("city", "desc")], DOWN_NULLS_LAST),
            "country" => (&[by_attribute!("country")], UP_NULLS_LAST),
            "-country" => (&[by_attribute!("country", "desc")], DOWN_NULLS_LAST),
            _ => (
                &[Stretch { condition: "", keys: "0 as k0, 0 as k1, ct.id as k2", order: "ct.id" }],
                UP,
            ),
        }
    }

    fn offset(&self) -> i64 {
        self.page.max(1).saturating_sub(1).saturating_mul(PAGE)
    }

    /// The contacts that one can tell from others. The words are those of the index.
    fn identified(&self, query: &mut Composed) {
        query.push(if self.leads {
            " and ct.contact_type = 1 "
        } else {
            " and (ct.email is not null or ct.phone_number is not null or ct.identifier is not null) "
        });
        self.labelled(query);
    }

    fn labelled(&self, query: &mut Composed) {
        if !self.labels.is_empty() {
            query.push(" and ").holds_any("ct.labels", self.labels.clone());
        }
    }

    /// The text of a page of what `narrow` leaves: each stretch along its index, where there is one.
    fn found(
        &self,
        account: AccountId,
        most: i64,
        narrow: &impl Fn(&mut Composed) -> Result<()>,
    ) -> Result<Composed> {
        let (stretches, order) = self.order();
        let mut query = Composed::new(vec![account.to_value()]);
        query.push(concat!("select ", crate::contact_columns!(), " from ("));
        for (place, stretch) in stretches.iter().enumerate() {
            query.push(if place == 0 { "" } else { " union all " });
            query.push("select * from (select ct.id, ").push(stretch.keys);
            query.push(" from contacts ct where ct.account_id = $1").push(stretch.condition);
            narrow(&mut query)?;
            query.push(" order by ").push(stretch.order);
            query.push(" limit ").value(most.saturating_add(self.offset())).push(") as part");
        }
        query
            .push(") as page join contacts ct on ct.account_id = $1 and ct.id = page.id")
            .push(order);
        query.push(" limit ").value(most).push(" offset ").value(self.offset());
        Ok(query)
    }

    async fn page(
        &self,
        tx: &mut Tx<'_>,
        scope: &Scope,
        narrow: impl Fn(&mut Composed) -> Result<()>,
    ) -> Result<Page> {
        let mut counted = Composed::new(vec![scope.account_id().to_value()]);
        counted.push("select count(*) from contacts ct where ct.account_id = $1");
        narrow(&mut counted)?;
        let found = self.found(scope.account_id(), PAGE, &narrow)?;
        let counts = tx.all_composed(&COUNT_OF, &counted).await?;
        let count = counts.first().map_or(0, |(count,)| *count);
        Ok(Page { contacts: tx.all_composed(&PAGE_OF, &found).await?, count })
    }
}

/// The text of a page of the identified contacts, for those who look at how it is found.
///
/// # Errors
/// None; it is put together as every page.
pub fn page_text(scope: &Scope, query: &Query) -> Result<Composed> {
    query.found(scope.account_id(), PAGE, &|text| {
        query.identified(text);
        Ok(())
    })
}

/// The identified contacts.
///
/// # Errors
/// What the database says.
pub async fn list(tx: &mut Tx<'_>, scope: &Scope, query: &Query) -> Result<Page> {
    let narrow = |text: &mut Composed| {
        query.identified(text);
        Ok(())
    };
    query.page(tx, scope, narrow).await
}

/// The contacts whose name, address, number or identifier holds a text, `%` and `_` standing for others as clients
/// are used to; and whether there are more of them.
///
/// What search reads is all four in a row, for one look at each contact. A text in which something may stand for the
/// joint between two of them is looked for in each besides.
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
    let pattern = pattern::holding_loosely(text);
    let spans = text.trim().contains(['%', '_', '\n']);
    let found = query.found(scope.account_id(), PAGE + 1, &|text| {
        query.labelled(text);
        text.push(" and ct.search_folded like ").value(pattern.as_str()).push(" escape '!' ");
        if spans {
            let columns = ["ct.name", "ct.email", "ct.phone_number", "ct.identifier"];
            for (place, column) in columns.into_iter().enumerate() {
                text.push(if place == 0 { " and (fold(" } else { " or fold(" }).push(column);
                text.push(") like ").value(pattern.as_str()).push(" escape '!'");
            }
            text.push(") ");
        }
        Ok(())
    })?;
    let mut found = tx.all_composed(&PAGE_OF, &found).await?;
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
    let now: Timestamp = tx.now();
    let narrow = |text: &mut Composed| {
        query.identified(text);
        filters::compose(text, &filters::CONTACTS, &definitions, conditions, now)
    };
    query.page(tx, scope, narrow).await
}

/// The contacts who were seen lately.
///
/// # Errors
/// What the database says.
pub async fn active(tx: &mut Tx<'_>, scope: &Scope, query: &Query) -> Result<Page> {
    let seen = desk(tx).presence.contacts(scope.account_id(), tx.now());
    let ids: Vec<i64> = seen.into_iter().map(|id| id.0).collect();
    let narrow = |text: &mut Composed| {
        query.labelled(text);
        text.push(" and ct.id ").any_of(ids.clone());
        Ok(())
    };
    query.page(tx, scope, narrow).await
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
