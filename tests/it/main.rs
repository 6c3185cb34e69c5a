//! Behaviour of the whole, and the rules of the workspace: one binary, run by
//! `cargo test -p chatwarden-testkit --test it`.

#[cfg(test)]
mod actuator;
#[cfg(test)]
mod auth;
#[cfg(test)]
mod authz;
#[cfg(test)]
mod canned_responses;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod identity;
#[cfg(test)]
mod jobs;
#[cfg(test)]
mod labels;
#[cfg(test)]
mod mail;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod notifications;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod seam;
#[cfg(test)]
mod setup;
#[cfg(test)]
mod statements;
#[cfg(test)]
mod teams;
#[cfg(test)]
mod uploads;
#[cfg(test)]
mod workspace;
