//! Saved filters: a member's own folders of conversations and segments of contacts (`resources.md §11`).

pub mod sql;

use chatwarden_db::{Json, Timestamp, Tx, WriteTx, args};
use serde_json::{Value, json};

use crate::error::{Error, Invalid, Result};
use crate::ids::CustomFilterId;
use crate::scope::{Agent, Scope};

/// As many may a member save in an account.
const MOST: i64 = 1000;
/// The longest name.
const SHORT: usize = 255;

/// What a filter is asked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilterType {
    /// Conversations.
    Conversation,
    /// Contacts.
    Contact,
    /// Reports.
    Report,
}

crate::integer_enum! { FilterType { Conversation = 0 "conversation", Contact = 1 "contact", Report = 2 "report" } }

chatwarden_db::row! {
    /// A saved filter.
    pub struct CustomFilter {
        pub id: CustomFilterId,
        pub name: String,
        pub filter_type: FilterType,
        pub query: Json<Value>,
        pub created_at: Timestamp,
        pub updated_at: Timestamp,
    }
}

/// What is said of a filter; what is not said stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// The name, which may be empty; none within where nothing was said.
    pub name: Option<Option<String>>,
    /// What it is asked with; none within where nothing was said.
    pub filter_type: Option<Option<FilterType>>,
    /// The conditions, as they were sent.
    pub query: Option<Value>,
}

impl Draft {
    fn apply(self, filter: &mut CustomFilter) -> Result<()> {
        let mut faults = Invalid::default();
        match self.name {
            Some(Some(name)) => filter.name = name,
            Some(None) => faults.add("name", "can't be blank"),
            None => {}
        }
        match self.filter_type {
            Some(Some(filter_type)) => filter.filter_type = filter_type,
            Some(None) => faults.add("filter_type", "can't be blank"),
            None => {}
        }
        if let Some(query) = self.query {
            filter.query = Json(query);
        }
        faults.limit("name", &filter.name, SHORT);
        faults.check()
    }
}

/// The member's own filters of a kind.
///
/// # Errors
/// What the database says.
pub async fn list(
    tx: &mut Tx<'_>,
    scope: &Scope<Agent>,
    of: FilterType,
) -> Result<Vec<CustomFilter>> {
    Ok(tx.all(&sql::LIST, args![scope.account_id(), scope.user_id(), of]).await?)
}

/// One of the member's own filters.
///
/// # Errors
/// [`Error::NotFound`] where there is none.
pub async fn find(
    tx: &mut Tx<'_>,
    scope: &Scope<Agent>,
    id: CustomFilterId,
) -> Result<CustomFilter> {
    let args = args![scope.account_id(), scope.user_id(), id];
    tx.opt(&sql::FIND, args).await?.ok_or(Error::NotFound)
}

/// Saves a filter.
///
/// # Errors
/// [`Error::Invalid`] where a rule is broken, or the member has as many as one may.
pub async fn create(
    tx: &mut WriteTx<'_>,
    scope: &Scope<Agent>,
    draft: Draft,
) -> Result<CustomFilter> {
    let (account, user, now) = (scope.account_id(), scope.user_id(), tx.now());
    let mut filter = CustomFilter {
        id: CustomFilterId(0),
        name: String::new(),
        filter_type: FilterType::Conversation,
        // What Chatwoot keeps where nothing was said: a text.
        query: Json(json!("{}")),
        created_at: now,
        updated_at: now,
    };
    // A name must be given, though it may be empty.
    Draft { name: Some(draft.name.flatten()), ..draft }.apply(&mut filter)?;
    let (count,) = tx.one(&sql::COUNT, args![account, user]).await?;
    if count >= MOST {
        let fault = format!(
            "Limit reached. The maximum number of allowed custom filters for a user per account is {MOST}."
        );
        return Err(Error::invalid("account_id", fault));
    }
    let args = args![account, user, filter.filter_type, filter.name, filter.query, now];
    let (id,) = tx.one(&sql::INSERT, args).await?;
    filter.id = CustomFilterId(id);
    Ok(filter)
}

/// Changes one of the member's own filters.
///
/// # Errors
/// [`Error::NotFound`] where there is none, [`Error::Invalid`] where a rule is broken.
pub async fn update(
    tx: &mut WriteTx<'_>,
    scope: &Scope<Agent>,
    id: CustomFilterId,
    draft: Draft,
) -> Result<CustomFilter> {
    let (account, user) = (scope.account_id(), scope.user_id());
    let mut filter = tx.opt(&sql::LOCK, args![account, user, id]).await?.ok_or(Error::NotFound)?;
    draft.apply(&mut filter)?;
    filter.updated_at = tx.now();
    let args =
        args![account, user, id, filter.filter_type, filter.name, filter.query, filter.updated_at];
    tx.run(&sql::UPDATE, args).await?;
    Ok(filter)
}

/// Removes one of the member's own filters.
///
/// # Errors
/// [`Error::NotFound`] where there is none.
pub async fn delete(tx: &mut WriteTx<'_>, scope: &Scope<Agent>, id: CustomFilterId) -> Result<()> {
    match tx.run(&sql::DELETE, args![scope.account_id(), scope.user_id(), id]).await? {
        0 => Err(Error::NotFound),
        _ => Ok(()),
    }
}
