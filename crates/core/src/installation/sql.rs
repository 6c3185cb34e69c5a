//! Statements on the installation's own values.

use chatwarden_db::statements;

statements! {
    /// $1 key
    GET: (String,) = "installation.get", "select value from installation where key = $1";
    /// $1 key, $2 value: the first one stays
    KEEP: () = "installation.keep",
        "insert into installation (key, value) values ($1, $2) on conflict (key) do nothing";
}
