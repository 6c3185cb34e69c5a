//! Statements on API tokens.

use chatwarden_db::statements;

use super::Record;

statements! {
    /// $1 token
    FIND: (i64, String, i64) = "tokens.find", "select id, owner_type, owner_id from access_tokens where token = $1";
    /// $1 owner type, $2 owner
    OF: (String,) = "tokens.of", "select token from access_tokens where owner_type = $1 and owner_id = $2";
    /// $1 owner type, $2 owner
    RECORD: Record = "tokens.record",
        "select id, owner_type, owner_id, token, created_at, updated_at from access_tokens
         where owner_type = $1 and owner_id = $2";
    /// $1 owners with their tokens, $2 now. A fork: a list of rows is a document, which each engine reads its own way.
    RENEW: () = "tokens.renew",
        sqlite: "insert into access_tokens (owner_type, owner_id, token, created_at, updated_at)
            select value ->> 'owner_type', value ->> 'owner_id', value ->> 'token', ?2, ?2
            from json_each(?1) where true order by key
            on conflict (owner_type, owner_id) do update set token = excluded.token, updated_at = excluded.updated_at",
        postgres: "insert into access_tokens (owner_type, owner_id, token, created_at, updated_at)
            select j ->> 'owner_type', (j ->> 'owner_id')::bigint, j ->> 'token', $2, $2
            from jsonb_array_elements($1::text::jsonb) with ordinality as t(j, n) order by n
            on conflict (owner_type, owner_id) do update set token = excluded.token, updated_at = excluded.updated_at";
    /// $1 owner type, $2 owner
    REMOVE: () = "tokens.remove", "delete from access_tokens where owner_type = $1 and owner_id = $2";
    /// $1 bots
    OF_BOTS: (i64, String) = "tokens.of_bots",
        "select owner_id, token from access_tokens where owner_type = 'AgentBot' and owner_id @in($1)";
}
