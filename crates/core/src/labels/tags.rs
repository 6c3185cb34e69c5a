//! Marking conversations and contacts with labels.

use std::collections::BTreeMap;

use chatwarden_db::{Json, Tx, WriteTx, args};
use chatwarden_jobs::{Job, JobError, NewJob, enqueue};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::sql;
use crate::Store;
use crate::contacts::{self, Contact};
use crate::conversations::{self, Conversation, push};
use crate::error::{Error, Result};
use crate::events::Performer;
use crate::ids::{AccountId, ContactId};
use crate::messages;
use crate::scope::Scope;

/// The kind of the job that follows a label's new title, or its removal.
pub const JOB: &str = "labels.retag";
/// The rows that are marked anew in one transaction.
const BATCH: i64 = 100;
/// The longest title that something may bear.
const TITLE: usize = 255;

/// The most titles that something may bear.
const MOST: usize = 100;
/// The most that are looked at, blank ones and repetitions included.
const SENT: usize = 1000;

/// Titles as they are kept: trimmed, none blank, each once. A comma separates titles within a text too.
///
/// # Errors
/// [`Error::Invalid`] for one that is too long, and for too many.
pub fn tidy(titles: &[String]) -> Result<Vec<String>> {
    let mut out: Vec<String> = Vec::new();
    let sent = titles.iter().flat_map(|text| text.split(',')).map(str::trim);
    for (place, title) in sent.enumerate() {
        if place == SENT {
            return Err(too_many());
        }
        if title.chars().count() > TITLE {
            let fault = format!("is too long (maximum is {TITLE} characters)");
            return Err(Error::invalid("labels", fault));
        }
        if !title.is_empty() && !out.iter().any(|known| known == title) {
            if out.len() == MOST {
                return Err(too_many());
            }
            out.push(title.to_owned());
        }
    }
    Ok(out)
}

fn too_many() -> Error {
    Error::invalid("labels", format!("are too many (maximum is {MOST})"))
}

/// Refuses more than may be borne; fewer than before are fine in any case.
fn check_count(before: &[String], after: &[String]) -> Result<()> {
    if after.len() > MOST.max(before.len()) { Err(too_many()) } else { Ok(()) }
}

/// Marks a conversation, held locked, with these labels and no others, and says so among its messages.
///
/// # Errors
/// [`Error::Invalid`] for too many.
pub async fn tag_conversation(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &mut Conversation,
    labels: Vec<String>,
    by: &Performer,
) -> Result<()> {
    check_count(&c.row.labels.0, &labels)?;
    let before = c.row.clone();
    let new = |of: &[String], than: &[String]| -> Vec<String> {
        of.iter().filter(|title| !than.contains(title)).cloned().collect()
    };
    let (added, removed) = (new(&labels, &before.labels.0), new(&before.labels.0, &labels));
    c.row.labels = Json(labels);
    if before.labels == c.row.labels {
        return Ok(());
    }
    if let Some(name) = by.name() {
        for (did, titles) in [("added", added), ("removed", removed)] {
            if !titles.is_empty() {
                let text = format!("{name} {did} {}", titles.join(", "));
                messages::activity(tx, scope, c, &text, json!({})).await?;
            }
        }
    }
    conversations::save(tx, scope, c, &before, by).await
}

/// The labels of a contact.
///
/// # Errors
/// [`Error::NotFound`] where there is no such contact.
pub async fn of_contact(tx: &mut Tx<'_>, scope: &Scope, contact: ContactId) -> Result<Vec<String>> {
    let found = tx.opt(&sql::OF_CONTACT, args![scope.account_id(), contact]).await?;
    Ok(found.ok_or(Error::NotFound)?.0.0)
}

/// Marks a contact with these labels and no others; the account is told also where it bears them already.
///
/// # Errors
/// [`Error::NotFound`] where there is no such contact, [`Error::Invalid`] for too many.
pub async fn tag_contact(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    contact: ContactId,
    labels: Vec<String>,
) -> Result<Contact> {
    let mut found = contacts::lock(tx, scope, contact).await?;
    if found.labels.0 != labels {
        check_count(&found.labels.0, &labels)?;
        let now = tx.now();
        let args = args![scope.account_id(), vec![contact.0], Json(&labels), now];
        tx.run(&sql::SET_ON_CONTACTS, args).await?;
        found.labels = Json(labels);
        found.updated_at = now;
    }
    contacts::announce(tx, scope, "contact.updated", &found);
    Ok(found)
}

/// What a retagging job needs.
#[derive(Debug, Serialize, Deserialize)]
struct Retagging {
    from: String,
    /// None where the label was removed.
    to: Option<String>,
}

/// Has everything that bears a title bear another, or none, once the transaction is committed.
pub(super) async fn enqueue_retagging(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    from: &str,
    to: Option<&str>,
) -> Result<()> {
    let job = NewJob::new(scope.account_id().0, JOB, json!({"from": from, "to": to}));
    enqueue(tx, &job).await?;
    Ok(())
}

/// The labels after a title was replaced, or taken away.
fn replaced(labels: &[String], retagging: &Retagging) -> Vec<String> {
    let mut out: Vec<String> = labels.iter().filter(|l| **l != retagging.from).cloned().collect();
    if let Some(to) = retagging.to.as_ref().filter(|to| !out.contains(to)) {
        out.push(to.clone());
    }
    out
}

/// Does a retagging job, some rows a transaction. Stopped anywhere, it goes on with what still bears the old title.
///
/// # Errors
/// To be tried again where the database failed.
pub async fn retag(store: Store, job: Job) -> Result<(), JobError> {
    let scope = Scope::of_job(AccountId(job.account_id));
    let retagging: Retagging =
        serde_json::from_value(job.payload).map_err(|error| JobError::Fail(error.to_string()))?;
    let retagging = std::sync::Arc::new(retagging);
    let again = |error: Error| JobError::Retry(error.to_string());
    let mut after = Some(0);
    while let Some(id) = after {
        let (scope, retagging) = (scope.clone(), retagging.clone());
        after = store
            .write(async move |tx| conversations_after(tx, &scope, &retagging, id).await)
            .await
            .map_err(again)?;
    }
    let mut after = Some(0);
    while let Some(id) = after {
        let (scope, retagging) = (scope.clone(), retagging.clone());
        after = store
            .write(async move |tx| contacts_after(tx, &scope, &retagging, id).await)
            .await
            .map_err(again)?;
    }
    Ok(())
}

/// Rows by what they are to bear: one statement for each list of labels, as many rows as have it.
fn by_labels<'a>(
    rows: impl Iterator<Item = (i64, &'a Vec<String>)>,
) -> BTreeMap<&'a Vec<String>, Vec<i64>> {
    let mut out: BTreeMap<&Vec<String>, Vec<i64>> = BTreeMap::new();
    for (id, labels) in rows {
        out.entry(labels).or_default().push(id);
    }
    out
}

/// The next conversations after one; the last of them, while there may be more.
async fn conversations_after(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    retagging: &Retagging,
    after: i64,
) -> Result<Option<i64>> {
    let (account, now) = (scope.account_id(), tx.now());
    let args = args![account, vec![retagging.from.clone()], after, BATCH];
    let mut found = tx.all(&sql::CONVERSATIONS_WITH, args).await?;
    for c in &mut found {
        c.row.labels = Json(replaced(&c.row.labels.0, retagging));
        c.row.updated_at = now;
    }
    for (labels, ids) in by_labels(found.iter().map(|c| (c.row.id.0, &c.row.labels.0))) {
        let args = args![account, ids, Json(labels), now];
        tx.run(&sql::SET_ON_CONVERSATIONS, args).await?;
    }
    // A label that was removed goes without a word (`behaviours.md §24`).
    if retagging.to.is_some() {
        let ids: Vec<i64> =
            found.iter().filter_map(|c| c.row.last_public_message_id).map(|id| id.0).collect();
        let sent = messages::by_ids(tx, scope, &ids).await?;
        for c in &found {
            let last = sent.iter().find(|s| Some(s.message.id) == c.row.last_public_message_id);
            let by = Performer::System;
            push::announce_with(tx, scope, c, &["conversation.updated"], &by, last).await?;
        }
    }
    let more = i64::try_from(found.len()).is_ok_and(|count| count == BATCH);
    Ok(found.last().filter(|_| more).map(|c| c.row.id.0))
}

/// The next contacts after one; the last of them, while there may be more.
async fn contacts_after(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    retagging: &Retagging,
    after: i64,
) -> Result<Option<i64>, Error> {
    let (account, now) = (scope.account_id(), tx.now());
    let args = args![account, vec![retagging.from.clone()], after, BATCH];
    let mut found = tx.all(&sql::CONTACTS_WITH, args).await?;
    for contact in &mut found {
        contact.labels = Json(replaced(&contact.labels.0, retagging));
        contact.updated_at = now;
    }
    for (labels, ids) in by_labels(found.iter().map(|c| (c.id.0, &c.labels.0))) {
        let args = args![account, ids, Json(labels), now];
        tx.run(&sql::SET_ON_CONTACTS, args).await?;
    }
    if retagging.to.is_some() {
        for contact in &found {
            contacts::announce(tx, scope, "contact.updated", contact);
        }
    }
    let more = i64::try_from(found.len()).is_ok_and(|count| count == BATCH);
    Ok(found.last().filter(|_| more).map(|contact| contact.id.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(of: &[&str]) -> Vec<String> {
        of.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn keeps_titles_tidy() {
        let sent = texts(&[" vip", "vip", "", "a, b"]);
        assert_eq!(tidy(&sent).unwrap(), texts(&["vip", "a", "b"]));
        assert!(tidy(&["x".repeat(256)]).is_err());
    }

    #[test]
    fn replaces_titles_once() {
        let check = |to: Option<&str>, expected: &[&str]| {
            let retagging = Retagging { from: "a".to_owned(), to: to.map(str::to_owned) };
            assert_eq!(replaced(&texts(&["a", "b"]), &retagging), texts(expected));
        };
        check(Some("c"), &["b", "c"]);
        check(Some("b"), &["b"]);
        check(None, &["b"]);
    }
}
