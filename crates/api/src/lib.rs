//! HTTP: what a request looks like on the wire, who sends it, and what it is answered.
//!
//! A handler takes an actor (who is calling; refused before the body is read), [`params::Params`]
//! (what was sent, however it was spelled), calls an operation of `chatwarden-core` in a
//! transaction, and renders what comes back. No SQL here, and no product rule.

mod accounts;
mod active_storage;
pub mod actors;
pub mod actuator;
mod agent_bots;
mod agents;
pub mod app;
mod assignment_policies;
mod attachments;
mod attempts;
mod auth;
mod avatars;
mod bulk_actions;
pub mod cable;
mod canned_responses;
mod contacts;
mod conversations;
mod credentials;
mod csp_reports;
mod custom_attributes;
mod custom_filters;
mod dashboard_apps;
pub mod error;
pub mod front_ends;
mod health;
mod inboxes;
mod labels;
mod live_reports;
mod messages;
mod methods;
mod notes;
mod notification_settings;
mod notification_subscriptions;
mod notifications;
mod onboarding;
mod openapi;
mod origins;
pub mod params;
mod passwords;
mod paths;
mod platform;
pub mod presence;
mod profile;
mod public;
mod request_line;
pub mod router;
pub mod routes;
mod search;
mod second_factor;
mod sessions;
mod setup;
mod sign_up;
mod teams;
mod uploads;
mod widget;

pub use app::{App, Around, Telemetry};
pub use health::CHATWOOT_VERSION;
pub use methods::Methods;
pub use origins::ListedOrigins;
pub use request_line::{Settings as RequestLineSettings, layer as request_line};
pub use router::{operators, router, table};
