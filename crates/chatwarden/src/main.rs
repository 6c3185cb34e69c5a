//! The Chatwarden server.

fn main() {}
