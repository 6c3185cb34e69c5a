//! Behaviour of the whole, and the rules of the workspace: one binary, run by
//! `cargo test -p chatwarden-testkit --test it`.

#[cfg(test)]
mod documents;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod statements;
#[cfg(test)]
mod workspace;
