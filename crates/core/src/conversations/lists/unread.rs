//! How much is unread of what the member has to do with, and of their saved filters (`resources.md §6.2`).

use std::collections::BTreeMap;

use chatwarden_db::{Composed, ToValue as _, Tx};
use serde_json::Value;

use super::{Filter, Kind, Narrowed, UNREAD};
use crate::custom_attributes::{self, Model};
use crate::custom_filters::{self, FilterType};
use crate::error::Result;
use crate::scope::{Agent, Scope};

/// As many of the member's saved filters are counted, from the oldest.
const FOLDERS: usize = 50;
/// As many conditions may they have together; a filter that would go beyond is not counted.
const CONDITIONS: usize = 500;

/// Open conversations whose contact wrote since an agent looked, by lists of the member's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unread {
    /// Where a note named the member.
    pub mentions: i64,
    /// What the member follows.
    pub participating: i64,
    /// Whose contact waits.
    pub unattended: i64,
    /// By saved filter.
    pub folders: BTreeMap<i64, i64>,
}

/// The conditions of a saved filter; none where it has no list of them.
fn conditions(query: &mut Value) -> Option<Vec<Value>> {
    match query.get_mut("payload").map(Value::take) {
        Some(Value::Array(list)) => Some(list),
        _ => None,
    }
}

/// What is unread of the member's own lists: one statement counts them all. A saved filter that makes no sense
/// counts nothing.
///
/// # Errors
/// What the database says.
pub async fn unread(tx: &mut Tx<'_>, scope: &Scope<Agent>) -> Result<Unread> {
    let any = Filter::default();
    let kinds = [Kind::Mention, Kind::Participating, Kind::Unattended]
        .map(|kind| Filter { kind, ..Filter::default() });
    let mut folders = Vec::new();
    let mut together = 0;
    for mut saved in custom_filters::list(tx, scope, FilterType::Conversation).await? {
        let Some(conditions) = conditions(&mut saved.query.0) else { continue };
        if folders.len() < FOLDERS && together + conditions.len() <= CONDITIONS {
            together += conditions.len();
            folders.push((saved.id.0, conditions));
        }
    }
    let mut list = Narrowed::new(tx, scope, &any, &[]).await?;
    if list.sight.as_ref().is_some_and(Vec::is_empty) {
        return Ok(Unread::default());
    }
    if together > 0 {
        let model = Some(Model::Conversation);
        list.definitions = custom_attributes::list(tx, scope, model).await?;
    }
    let mut query = Composed::new(vec![scope.account_id().to_value()]);
    // No record has a number below 1.
    for (key, filter) in (-2..).zip(&kinds) {
        list.filter = filter;
        if key > -2 {
            query.push(" union all ");
        }
        list.unread(&mut query, key)?;
    }
    list.filter = &any;
    for (id, conditions) in &folders {
        list.conditions = conditions;
        let mut with = query.clone();
        with.push(" union all ");
        if list.unread(&mut with, *id).is_ok() {
            query = with;
        }
    }
    let mut out = Unread::default();
    for (key, n) in tx.all_composed(&UNREAD, &query).await? {
        match key {
            -2 => out.mentions = n,
            -1 => out.participating = n,
            0 => out.unattended = n,
            id => {
                out.folders.insert(id, n);
            }
        }
    }
    Ok(out)
}
