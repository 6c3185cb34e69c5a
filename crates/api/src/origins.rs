//! Which sites may call the widget's API: those that its website's inbox names (operations.md §4.4).

use std::sync::Arc;
use std::time::Duration;

use chatwarden_core::Error;
use chatwarden_core::inboxes::{WEB_WIDGET, door};
use chatwarden_core::meters::CacheMeters;
use chatwarden_guard::cors::{OriginLookup, OriginPattern};
use chatwarden_guard::headers::parse_ancestor;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use moka::future::Cache;
use serde_json::Value;

use crate::app::App;

/// How long a list is believed.
const BELIEVED: Duration = Duration::from_secs(60);
/// Websites whose lists are kept. Tokens that nobody has count, too.
const KEPT: u64 = 10_000;
const METERS: CacheMeters = CacheMeters("origins");

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
        let known = Cache::builder()
            .max_capacity(KEPT)
            .time_to_live(BELIEVED)
            .eviction_listener(|_, _, cause| METERS.left(cause))
            .build();
        Self { app, known }
    }
}

/// The origins that a list of domains means; what is none lets nobody in.
fn patterns(list: &str, https_only: bool) -> Arc<[OriginPattern]> {
    list.split([',', '\n'])
        .filter_map(|entry| parse_ancestor(entry.trim(), https_only).ok())
        .flatten()
        .filter_map(|source| source.parse().ok())
        .collect()
}

/// The list of a website; none where it can't be asked for.
async fn listed(app: App, token: String) -> Option<Arc<[OriginPattern]>> {
    let https_only = app.desk().is_secure();
    let found: Result<_, Error> = app
        .read(async move |tx| match door(tx, WEB_WIDGET, &token).await {
            Ok(door) => {
                let list = door.channel.settings.0.get("allowed_domains").and_then(Value::as_str);
                Ok(patterns(list.unwrap_or_default(), https_only))
            }
            Err(Error::NotFound) => Ok(Arc::default()),
            Err(error) => Err(error),
        })
        .await;
    match found {
        Ok(list) => {
            METERS.entered();
            Some(list)
        }
        Err(error) => {
            tracing::warn!(%error, "the sites of a website's widget can't be looked up");
            None
        }
    }
}

fn names(list: &[OriginPattern], origin: &str) -> bool {
    list.iter().any(|listed| listed.matches(origin))
}

impl OriginLookup for ListedOrigins {
    fn known(&self, website: &str, origin: &str) -> Option<bool> {
        // What is there is given at once.
        let list = self.known.get(website).now_or_never().flatten();
        METERS.looked(list.is_some());
        Some(names(&list?, origin))
    }

    fn allows(&self, website: String, origin: String) -> BoxFuture<'static, bool> {
        let this = self.clone();
        async move {
            let asked = listed(this.app, website.clone());
            let list = this.known.optionally_get_with(website, asked).await;
            list.is_some_and(|list| names(&list, &origin))
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_domains_names_origins() {
        let text = "shop.example:5055, https://*.example.org\n*, a;b";
        let list = patterns(text, false);
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
            assert_eq!(names(&list, origin), listed, "{origin}");
        }
        let list = patterns(text, true);
        assert!(names(&list, "https://shop.example:5055"));
        assert!(!names(&list, "http://shop.example:5055"));
    }
}
