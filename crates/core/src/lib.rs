//! The product: one folder a feature, each with its types, rules, operations and statements.
//!
//! An operation takes a transaction and a [`scope::Scope`], changes rows, and emits
//! [`events`]; it never speaks to the network. Jobs may, through [`outside`]. This crate knows neither HTTP nor
//! sockets, and it spawns nothing.

mod enumeration;

pub mod accounts;
pub mod agent_bots;
pub mod agents;
pub mod assignment;
pub mod bulk_actions;
pub mod canned_responses;
pub mod contacts;
pub mod conversations;
pub mod custom_attributes;
pub mod custom_filters;
pub mod dashboard_apps;
pub mod desk;
pub mod error;
pub mod events;
pub mod filters;
pub mod ids;
pub mod inboxes;
pub mod installation;
pub mod jobs;
pub mod labels;
mod letters;
pub mod mail;
pub mod markdown;
pub mod messages;
pub mod meters;
pub mod notes;
pub mod notification_settings;
pub mod notification_subscriptions;
pub mod notifications;
pub mod outside;
pub mod passwords;
mod pattern;
pub mod platform;
pub mod rooms;
pub mod scope;
pub mod sealed;
pub mod search;
pub mod second_factor;
pub mod sessions;
pub mod setup;
pub mod storage;
pub mod store;
pub mod teams;
pub mod tokens;
pub mod users;
pub mod values;
pub mod visitors;
pub mod widget;

pub use error::{Error, Result};
pub use scope::Scope;
pub use store::Store;

/// Every statement of the product, for the checks that walk them all.
pub fn statements() -> Vec<&'static chatwarden_db::AnyStatement> {
    [
        accounts::purge::STATEMENTS,
        accounts::sql::STATEMENTS,
        accounts::walls::STATEMENTS,
        agent_bots::sql::STATEMENTS,
        agents::sql::STATEMENTS,
        assignment::sql::STATEMENTS,
        canned_responses::sql::STATEMENTS,
        contacts::lists::STATEMENTS,
        contacts::removal::STATEMENTS,
        contacts::sql::STATEMENTS,
        conversations::counts::STATEMENTS,
        conversations::destroy::STATEMENTS,
        conversations::drafts::STATEMENTS,
        conversations::lists::STATEMENTS,
        conversations::live::STATEMENTS,
        conversations::participants::STATEMENTS,
        conversations::release::STATEMENTS,
        conversations::seen::STATEMENTS,
        conversations::snooze::STATEMENTS,
        conversations::sql::STATEMENTS,
        custom_attributes::sql::STATEMENTS,
        custom_filters::sql::STATEMENTS,
        dashboard_apps::sql::STATEMENTS,
        inboxes::purge::STATEMENTS,
        inboxes::sql::STATEMENTS,
        installation::census::STATEMENTS,
        installation::sql::STATEMENTS,
        labels::sql::STATEMENTS,
        messages::mentions::STATEMENTS,
        messages::sql::STATEMENTS,
        notes::sql::STATEMENTS,
        notification_settings::sql::STATEMENTS,
        notification_subscriptions::sql::STATEMENTS,
        notifications::sql::STATEMENTS,
        platform::sql::STATEMENTS,
        search::sql::STATEMENTS,
        second_factor::sql::STATEMENTS,
        sessions::sql::STATEMENTS,
        storage::sql::STATEMENTS,
        rooms::sql::STATEMENTS,
        setup::sql::STATEMENTS,
        teams::sql::STATEMENTS,
        tokens::sql::STATEMENTS,
        users::sql::STATEMENTS,
        visitors::sql::STATEMENTS,
        widget::sql::STATEMENTS,
    ]
    .concat()
}
