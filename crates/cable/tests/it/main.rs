//! The crate from outside: what an application and a socket see.

#![cfg(test)]

mod delivery;
mod drain;
mod meters;
mod nodes;
mod redis;
mod replay;
mod stage;
mod subscriptions;
