//! Which methods each path has, for browsers that ask before they call.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use chatwarden_guard::cors::RouteMethods;
use http::Method;
use matchit::Router;

use crate::paths::plain;
use crate::routes::Route;

/// Of the routes that are served: they are the same for the life of the process.
static SERVED: OnceLock<Router<String>> = OnceLock::new();

/// Notes which routes are served.
pub(crate) fn note(table: Vec<Route>) {
    SERVED.get_or_init(|| by_path(table));
}

/// The methods of the routes that are served, by path; none before a router was made.
#[derive(Debug, Clone, Copy)]
pub struct Methods;

fn by_path(table: Vec<Route>) -> Router<String> {
    let mut by_path: BTreeMap<String, Vec<Method>> = BTreeMap::new();
    for route in table {
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
    router
}

impl RouteMethods for Methods {
    fn at(&self, path: &str) -> Option<&str> {
        let tolerated = plain(path);
        let path = tolerated.as_deref().unwrap_or(path);
        SERVED.get()?.at(path).ok().map(|found| found.value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router;

    #[test]
    fn every_route_has_its_methods() {
        note(router::table());
        for route in router::table() {
            let found = Methods.at(&route.path).unwrap_or_default();
            let has = found.split(", ").any(|method| method == route.method.as_str());
            assert!(has, "{} {}: {found:?}", route.method, route.path);
        }
        assert_eq!(Methods.at("/api/v1/profile/"), Methods.at("/api/v1/profile"));
        assert_eq!(Methods.at("/api/v1/no/such/route"), None);
    }
}
