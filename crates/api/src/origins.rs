//! Which sites may call the widget's API: those that its website's inbox names (operations.md §4.4).

use std::sync::Arc;
use std::time::Duration;

use chatwarden_core::Error;
use chatwarden_core::inboxes::{WEB_WIDGET, door};
use chatwarden_guard::cors::{OriginLookup, OriginPattern, OriginScope};
use chatwarden_guard::headers::parse_ancestor;
use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use moka::future::Cache;
use serde_json::Value;

use crate::app::App;

/// How long a list is believed.
const BELIEVED: Duration = Duration::from_secs(60);
/// Websites whose lists are kept. Tokens that nobody has count, too.
const KEPT: u64 = 10_000;

/// The sites that inboxes name.
#[derive(Clone)]
pub struct ListedOrigins {
    app: App,
    known: Cache<String, Arc<[OriginPattern]>>,
}

impl std::fmt::Debug for ListedOrigins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ListedOrigins").finish_non_exhaustive()
    }
}

impl ListedOrigins {
    /// Those in the database of `app`.
    pub fn new(app: App) -> Self {
        Self { app, known: Cache::builder().max_capacity(KEPT).time_to_live(BELIEVED).build() }
    }
}

/// The origins that a list of domains means; what is none lets nobody in.
fn patterns(list: &str) -> Arc<[OriginPattern]> {
    list.split([',', '\n'])
        .filter_map(|entry| parse_ancestor(entry.trim(), false).ok())
        .flatten()
        .filter_map(|source| source.parse().ok())
        .collect()
}

/// The list of a website; none where it can't be asked for.
async fn listed(app: App, token: String) -> Option<Arc<[OriginPattern]>> {
    let found: Result<_, Error> = app
        .read(async move |tx| match door(tx, WEB_WIDGET, &token).await {
            Ok(door) => {
                let list = door.channel.settings.0.get("allowed_domains").and_then(Value::as_str);
                Ok(patterns(list.unwrap_or_default()))
            }
            Err(Error::NotFound) => Ok(patterns("")),
            Err(error) => Err(error),
        })
        .await;
    match found {
        Ok(list) => Some(list),
        Err(error) => {
            tracing::warn!(%error, "the sites of a website's widget can't be looked up");
            None
        }
    }
}

impl OriginLookup for ListedOrigins {
    fn allows(&self, scope: OriginScope, origin: String) -> BoxFuture<'static, bool> {
        // An account has no list of its own.
        let OriginScope::Inbox(token) = scope else { return ready(false).boxed() };
        let this = self.clone();
        async move {
            let asked = listed(this.app, token.clone());
            let list = this.known.optionally_get_with(token, asked).await;
            list.is_some_and(|list| list.iter().any(|listed| listed.matches(&origin)))
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_domains_names_origins() {
        let list = patterns("shop.example:5055, https://*.example.org\n*, a;b");
        for (origin, listed) in [
            ("https://shop.example:5055", true),
            ("http://shop.example:5055", true),
            ("https://shop.example", false),
            ("https://a.example.org", true),
            ("http://a.example.org", false),
            ("https://example.org", false),
            ("https://b", false),
            ("null", false),
        ] {
            assert_eq!(list.iter().any(|it| it.matches(origin)), listed, "{origin}");
        }
    }
}
