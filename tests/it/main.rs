//! Behaviour of the whole, and the rules of the workspace: one binary, run by
//! `cargo test -p chatwarden-testkit --test it`.

#[cfg(test)]
mod actuator;
#[cfg(test)]
mod assignment;
#[cfg(test)]
mod auth;
#[cfg(test)]
mod authz;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod beside;
#[cfg(test)]
mod bulk_actions;
#[cfg(test)]
mod canned_responses;
#[cfg(test)]
mod contact_merge;
#[cfg(test)]
mod contacts;
#[cfg(test)]
mod conversations;
#[cfg(test)]
mod cors;
#[cfg(test)]
mod counters;
#[cfg(test)]
mod custom_attributes;
#[cfg(test)]
mod custom_filters;
#[cfg(test)]
mod dashboard_apps;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod excess;
mod explain;
#[cfg(test)]
mod front_ends;
#[cfg(test)]
mod headers;
#[cfg(test)]
mod identity;
#[cfg(test)]
mod inboxes;
#[cfg(test)]
mod jobs;
#[cfg(test)]
mod labels;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod mail;
#[cfg(test)]
mod main_job;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod notes;
#[cfg(test)]
mod notifications;
#[cfg(test)]
mod openapi;
#[cfg(test)]
mod page_costs;
#[cfg(test)]
mod public_api;
#[cfg(test)]
mod realtime;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod seam;
#[cfg(test)]
mod search;
#[cfg(test)]
mod setup;
#[cfg(test)]
mod statements;
#[cfg(test)]
mod sweep;
#[cfg(test)]
mod teams;
#[cfg(test)]
mod tenant;
#[cfg(test)]
mod uploads;
#[cfg(test)]
mod widget;
#[cfg(test)]
mod workspace;
#[cfg(test)]
mod write_costs;
