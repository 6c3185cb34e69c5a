//! Dashboard apps: pages of others that the dashboard shows beside a conversation (`resources.md §11`).

pub mod sql;

use chatwarden_db::{Json, Timestamp, Tx, WriteTx, args};
use serde_json::{Value, json};

use crate::error::{Error, Invalid, Result};
use crate::ids::DashboardAppId;
use crate::scope::{Admin, Scope};

/// The longest title.
const SHORT: usize = 255;
/// The longest address.
const ADDRESS: usize = 2048;
/// As many pages may an app have.
const PAGES: usize = 100;

chatwarden_db::row! {
    /// An app.
    pub struct DashboardApp {
        pub id: DashboardAppId,
        pub title: String,
        pub content: Json<Value>,
        pub created_at: Timestamp,
    }
}

/// What is said of an app; what is not said stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// The title.
    pub title: Option<String>,
    /// The pages, as they were sent.
    pub content: Option<Value>,
}

/// The pages where all of them are frames of the web.
fn pages(content: &Value) -> Option<Value> {
    let pages = content.as_array().filter(|pages| (1..=PAGES).contains(&pages.len()))?;
    let page = |page: &Value| {
        let text = |key: &str| page.get(key).and_then(Value::as_str);
        let url = text("url").filter(|url| url.len() <= ADDRESS)?;
        let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
        let spoken =
            !host.is_empty() && !host.starts_with('/') && !url.contains(char::is_whitespace);
        (spoken && text("type") == Some("frame")).then(|| json!({"url": url, "type": "frame"}))
    };
    pages.iter().map(page).collect::<Option<Vec<Value>>>().map(Value::Array)
}

impl Draft {
    fn apply(self, app: &mut DashboardApp) -> Result<()> {
        let mut faults = Invalid::default();
        if let Some(title) = self.title {
            app.title = title;
        }
        if app.title.trim().is_empty() {
            faults.add("title", "can't be blank");
        } else if app.title.chars().count() > SHORT {
            faults.add("title", format!("is too long (maximum is {SHORT} characters)"));
        }
        match pages(&self.content.unwrap_or_else(|| app.content.0.clone())) {
            Some(pages) => app.content = Json(pages),
            None => faults.add("content", ": Invalid data"),
        }
        faults.check()
    }
}

/// The account's apps.
///
/// # Errors
/// What the database says.
pub async fn list(tx: &mut Tx<'_>, scope: &Scope) -> Result<Vec<DashboardApp>> {
    Ok(tx.all(&sql::LIST, args![scope.account_id()]).await?)
}

/// An app of the account.
///
/// # Errors
/// [`Error::NotFound`] where there is none.
pub async fn find(tx: &mut Tx<'_>, scope: &Scope, id: DashboardAppId) -> Result<DashboardApp> {
    tx.opt(&sql::FIND, args![scope.account_id(), id]).await?.ok_or(Error::NotFound)
}

/// Adds an app.
///
/// # Errors
/// [`Error::Invalid`] where a rule is broken.
pub async fn create(
    tx: &mut WriteTx<'_>,
    scope: &Scope<Admin>,
    draft: Draft,
) -> Result<DashboardApp> {
    let now = tx.now();
    let mut app = DashboardApp {
        id: DashboardAppId(0),
        title: String::new(),
        content: Json(json!([])),
        created_at: now,
    };
    draft.apply(&mut app)?;
    let args = args![scope.account_id(), scope.user_id(), app.title, app.content, now];
    let (id,) = tx.one(&sql::INSERT, args).await?;
    app.id = DashboardAppId(id);
    Ok(app)
}

/// Changes an app.
///
/// # Errors
/// [`Error::NotFound`] where there is none, [`Error::Invalid`] where a rule is broken.
pub async fn update(
    tx: &mut WriteTx<'_>,
    scope: &Scope<Admin>,
    id: DashboardAppId,
    draft: Draft,
) -> Result<DashboardApp> {
    let (account, now) = (scope.account_id(), tx.now());
    let mut app = tx.opt(&sql::LOCK, args![account, id]).await?.ok_or(Error::NotFound)?;
    draft.apply(&mut app)?;
    tx.run(&sql::UPDATE, args![account, id, app.title, app.content, now]).await?;
    Ok(app)
}

/// Removes an app.
///
/// # Errors
/// [`Error::NotFound`] where there is none.
pub async fn delete(tx: &mut WriteTx<'_>, scope: &Scope<Admin>, id: DashboardAppId) -> Result<()> {
    match tx.run(&sql::DELETE, args![scope.account_id(), id]).await? {
        0 => Err(Error::NotFound),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_frames_of_the_web() {
        let page = json!({"type": "frame", "url": "https://example.com/?a=1", "more": 1});
        let kept = json!([{"type": "frame", "url": "https://example.com/?a=1"}]);
        assert_eq!(pages(&json!([page])), Some(kept));
        for bad in [
            json!([]),
            json!("https://example.com"),
            json!([{"type": "window", "url": "https://example.com"}]),
            json!([{"type": "frame", "url": "javascript:alert(1)"}]),
            json!([{"type": "frame", "url": "https://"}]),
            json!([{"type": "frame", "url": "https:///x"}]),
            json!([{"type": "frame", "url": "https://a b"}]),
            json!([{"type": "frame"}]),
            json!([page, {"type": "frame", "url": "nowhere"}]),
        ] {
            assert_eq!(pages(&bad), None, "{bad}");
        }
    }
}
