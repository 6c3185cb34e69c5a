//! The route table: every route with who may call it, said once, by the handler's signature.

use std::borrow::Cow;

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodFilter, on};
use http::Method;

use crate::actors::Actor;
use crate::app::App;

/// One route, as the generated references and the metrics know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The template, with `{name}` for parameters.
    pub path: String,
    /// The handler: `conversations::index`.
    pub handler: &'static str,
    /// Who may call it: the name of the handler's actor.
    pub actor: &'static str,
}

/// Routes with a common prefix.
#[derive(Debug)]
pub struct Routes {
    prefix: Cow<'static, str>,
    router: Router<App>,
    table: Vec<Route>,
}

/// The actor of a handler: its first argument.
pub trait Signature {
    /// The actor's name.
    const ACTOR: &'static str;
}

macro_rules! signatures {
    ($($($rest:ident)*;)*) => {$(
        impl<M, A: Actor $(, $rest)*> Signature for (M, A $(, $rest)*) {
            const ACTOR: &'static str = A::NAME;
        }
    )*};
}
signatures! {
    ;
    B;
    B C;
    B C D;
    B C D E;
    B C D E F;
}

impl Routes {
    /// No routes yet, under `prefix`.
    pub fn new(prefix: impl Into<Cow<'static, str>>) -> Self {
        Self { prefix: prefix.into(), router: Router::new(), table: Vec::new() }
    }

    fn add<H, T>(mut self, method: Method, path: &str, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: Signature + 'static,
    {
        let path = format!("{}{path}", self.prefix);
        let filter = MethodFilter::try_from(method.clone()).unwrap_or(MethodFilter::GET);
        self.router = self.router.route(&path, on(filter, handler));
        self.table.push(Route { method, path, handler: name_of::<H>(), actor: T::ACTOR });
        self
    }

    /// A reading route.
    #[must_use]
    pub fn get<H: Handler<T, App>, T: Signature + 'static>(self, path: &str, handler: H) -> Self {
        self.add(Method::GET, path, handler)
    }

    /// A creating or acting route.
    #[must_use]
    pub fn post<H: Handler<T, App>, T: Signature + 'static>(self, path: &str, handler: H) -> Self {
        self.add(Method::POST, path, handler)
    }

    /// An updating route: PATCH and PUT are the same (`behaviours.md §1`).
    #[must_use]
    pub fn patch<H: Handler<T, App>, T: Signature + 'static>(self, path: &str, handler: H) -> Self {
        self.add(Method::PATCH, path, handler.clone()).add(Method::PUT, path, handler)
    }

    /// A route that puts something in its place.
    #[must_use]
    pub fn put<H: Handler<T, App>, T: Signature + 'static>(self, path: &str, handler: H) -> Self {
        self.add(Method::PUT, path, handler)
    }

    /// A deleting route.
    #[must_use]
    pub fn delete<H: Handler<T, App>, T: Signature + 'static>(
        self,
        path: &str,
        handler: H,
    ) -> Self {
        self.add(Method::DELETE, path, handler)
    }

    /// These and `others`.
    #[must_use]
    pub fn merge(mut self, others: Self) -> Self {
        self.router = self.router.merge(others.router);
        self.table.extend(others.table);
        self
    }

    /// The router, as it is to be wrapped, and the table.
    pub fn into_parts(self) -> (Router<App>, Vec<Route>) {
        (self.router, self.table)
    }
}

/// `conversations::index` of `chatwarden_api::conversations::index`.
fn name_of<H>() -> &'static str {
    let name = std::any::type_name::<H>();
    name.split_once("::").map_or(name, |(_, rest)| rest)
}
