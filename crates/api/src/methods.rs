//! Which methods each path has, for browsers that ask before they call.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use chatwarden_guard::cors::RouteMethods;
use http::Method;
use matchit::Router;

use crate::paths::plain;
use crate::router;

/// The methods of the route table, by path.
pub struct Methods(Router<String>);

impl std::fmt::Debug for Methods {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Methods").finish_non_exhaustive()
    }
}

impl Methods {
    /// Those of this server: the table is the same for its whole life.
    #[must_use]
    pub fn of_all_routes() -> Arc<Self> {
        static ALL: LazyLock<Arc<Methods>> = LazyLock::new(|| Arc::new(Methods::read()));
        ALL.clone()
    }

    fn read() -> Self {
        let mut by_path: BTreeMap<String, Vec<Method>> = BTreeMap::new();
        for route in router::table() {
            let methods = by_path.entry(route.path).or_default();
            if route.method == Method::GET {
                methods.push(Method::HEAD);
            }
            methods.push(route.method);
        }
        let mut router = Router::new();
        for (path, mut methods) in by_path {
            methods.sort_by(|one, other| one.as_str().cmp(other.as_str()));
            let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
            // None is refused: the server's own router took them by the same rules.
            let _ = router.insert(path, names.join(", "));
        }
        Self(router)
    }
}

impl RouteMethods for Methods {
    fn at(&self, path: &str) -> Option<&str> {
        let tolerated = plain(path);
        let path = tolerated.as_deref().unwrap_or(path);
        self.0.at(path).ok().map(|found| found.value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_has_its_methods() {
        let methods = Methods::of_all_routes();
        for route in router::table() {
            let found = methods.at(&route.path).unwrap_or_default();
            let has = found.split(", ").any(|method| method == route.method.as_str());
            assert!(has, "{} {}: {found:?}", route.method, route.path);
        }
        assert_eq!(methods.at("/api/v1/profile/"), methods.at("/api/v1/profile"));
        assert_eq!(methods.at("/api/v1/no/such/route"), None);
    }
}
