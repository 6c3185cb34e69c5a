//! The one way out: an HTTP client that keeps out of private networks.
//!
//! Addresses come from people: webhooks, pictures, files to be fetched. Names are resolved here, and only
//! addresses that belong to the public internet are connected to: what was checked is what is used, so that a
//! name which answers differently the second time gains nothing. Every redirect is checked like the first
//! address.
//!
//! | what fails | what the caller gets |
//! |---|---|
//! | the address is none, or no `http(s)` | [`Failure::Address`] |
//! | it leads into a private network | [`Failure::Private`] |
//! | nobody listens, the name is unknown, TLS fails | [`Failure::Unreachable`] |
//! | it takes too long, body included | [`Failure::Slow`] |
//! | it redirects on and on | [`Failure::Redirects`] |
//! | the body is larger than asked for | [`Failure::TooLarge`], also in the middle of the body |

mod address;
mod client;

pub use address::is_public;
pub use client::{Body, Client, Failure, Reply, Request, Settings};
