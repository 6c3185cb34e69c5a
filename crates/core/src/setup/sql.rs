//! Statements of the set-up.

use chatwarden_db::statements;

statements! {
    /// Whether anybody is there.
    ANYBODY: (i64,) = "setup.anybody", "select id from users limit 1";
    /// $1 key, $2 value: the last one stays
    PUT: () = "setup.put",
        "insert into installation (key, value) values ($1, $2) on conflict (key) do update set value = excluded.value";
    /// $1 key, $2 value
    TAKE: () = "setup.take", "delete from installation where key = $1 and value = $2";
}
