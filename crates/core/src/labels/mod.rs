//! Labels: words that conversations and contacts are marked with (`resources.md §8`).
//!
//! What is marked holds the titles themselves, in the order they were given. A title needs no label; one that has
//! a label has a colour and shows in lists of labels.

pub mod sql;
mod tags;

pub use tags::{JOB, of_contact, retag, tag_contact, tag_conversation, tidy};

use chatwarden_db::{OnConflict as _, Tx, WriteTx, args};

use crate::accounts::touch_cache;
use crate::error::{Error, Invalid, Result, TAKEN};
use crate::ids::LabelId;
use crate::letters::is_letter_or_digit;
use crate::scope::{Admin, Scope};

/// The colour of a label that was given none.
const COLOUR: &str = "#1f93ff";
/// The longest title and colour.
const SHORT: usize = 255;
/// The longest description.
const LONG: usize = 20_000;

chatwarden_db::row! {
    /// A label.
    pub struct Label {
        pub id: LabelId,
        pub title: String,
        pub description: Option<String>,
        pub color: String,
        pub show_on_sidebar: Option<bool>,
    }
}

/// What is said of a label; what is not said stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// The title.
    pub title: Option<String>,
    /// What it is for.
    pub description: Option<Option<String>>,
    /// The colour, which may be empty; none within where nothing was said.
    pub color: Option<Option<String>>,
    /// Whether the sidebar lists it.
    pub show_on_sidebar: Option<Option<bool>>,
}

impl Draft {
    async fn apply(self, tx: &mut Tx<'_>, scope: &Scope, label: &mut Label) -> Result<()> {
        if let Some(title) = self.title {
            label.title = title.to_lowercase();
        }
        if let Some(description) = self.description {
            label.description = description;
        }
        if let Some(shown) = self.show_on_sidebar {
            label.show_on_sidebar = shown;
        }
        let mut faults = Invalid::default();
        match self.color {
            Some(Some(color)) => label.color = color,
            Some(None) => faults.add("color", "can't be blank"),
            None => {}
        }
        faults.limit("title", &label.title, SHORT);
        faults.limit("description", label.description.as_deref().unwrap_or_default(), LONG);
        faults.limit("color", &label.color, SHORT);
        if label.title.trim().is_empty() {
            faults.add("title", "must not be blank");
        }
        if !is_title(&label.title) {
            faults.add("title", "is invalid");
        }
        let held = args![scope.account_id(), label.title, label.id];
        if tx.opt(&sql::HOLDER, held).await?.is_some() {
            faults.add("title", TAKEN);
        }
        faults.check()
    }
}

/// Whether a text may be a title: at least two letters, digits, `_` and `-`, the first a letter or a digit. One line
/// break may end it.
fn is_title(text: &str) -> bool {
    let mut characters = text.strip_suffix('\n').unwrap_or(text).chars();
    characters.next().is_some_and(is_letter_or_digit)
        && characters.clone().next().is_some()
        && characters.all(|c| is_letter_or_digit(c) || c == '_' || c == '-')
}

fn taken() -> Error {
    Error::invalid("title", TAKEN)
}

/// The account's labels, by title.
///
/// # Errors
/// What the database says.
pub async fn list(tx: &mut Tx<'_>, scope: &Scope) -> Result<Vec<Label>> {
    Ok(tx.all(&sql::LIST, args![scope.account_id()]).await?)
}

/// A label of the account.
///
/// # Errors
/// [`Error::NotFound`] where there is none.
pub async fn find(tx: &mut Tx<'_>, scope: &Scope, id: LabelId) -> Result<Label> {
    tx.opt(&sql::GET, args![scope.account_id(), id]).await?.ok_or(Error::NotFound)
}

/// Adds a label.
///
/// # Errors
/// [`Error::Invalid`] where a rule is broken.
pub async fn create(tx: &mut WriteTx<'_>, scope: &Scope<Admin>, draft: Draft) -> Result<Label> {
    let mut label = Label {
        id: LabelId(0),
        title: String::new(),
        description: None,
        color: COLOUR.to_owned(),
        show_on_sidebar: None,
    };
    draft.apply(tx, scope, &mut label).await?;
    let now = tx.now();
    let args = args![
        scope.account_id(),
        label.title,
        label.description,
        label.color,
        label.show_on_sidebar,
        now
    ];
    let (id,) = tx
        .one(&sql::INSERT, args)
        .await
        .on_conflict::<Error>("labels_account_id_title_key", taken)?;
    label.id = LabelId(id);
    touch_cache(tx, scope, "label").await?;
    Ok(label)
}

/// Changes a label. Under a new title, what bears the old one follows in the background.
///
/// # Errors
/// [`Error::NotFound`] where there is none, [`Error::Invalid`] where a rule is broken.
pub async fn update(
    tx: &mut WriteTx<'_>,
    scope: &Scope<Admin>,
    id: LabelId,
    draft: Draft,
) -> Result<Label> {
    let account = scope.account_id();
    let mut label = tx.opt(&sql::LOCK, args![account, id]).await?.ok_or(Error::NotFound)?;
    let before = label.title.clone();
    draft.apply(tx, scope, &mut label).await?;
    let now = tx.now();
    let args =
        args![account, id, label.title, label.description, label.color, label.show_on_sidebar, now];
    tx.run(&sql::UPDATE, args).await.on_conflict::<Error>("labels_account_id_title_key", taken)?;
    if label.title != before {
        tags::enqueue_retagging(tx, scope, &before, Some(&label.title)).await?;
    }
    touch_cache(tx, scope, "label").await?;
    Ok(label)
}

/// Removes a label; what bears it loses it in the background.
///
/// # Errors
/// [`Error::NotFound`] where there is none.
pub async fn delete(tx: &mut WriteTx<'_>, scope: &Scope<Admin>, id: LabelId) -> Result<()> {
    let account = scope.account_id();
    let label = tx.opt(&sql::LOCK, args![account, id]).await?.ok_or(Error::NotFound)?;
    tx.run(&sql::DELETE, args![account, id]).await?;
    tags::enqueue_retagging(tx, scope, &label.title, None).await?;
    touch_cache(tx, scope, "label").await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_titles() {
        for good in ["ab", "a1", "1a", "über-fällig_2", "日本", "vip\n"] {
            assert!(is_title(good), "{good}");
        }
        for bad in ["", "a", "a\n", "_a", "-a", "two words", "a!", "a\nb", "ab\n\n", "สวัสดี", "हिंदी"]
        {
            assert!(!is_title(bad), "{bad}");
        }
    }
}
