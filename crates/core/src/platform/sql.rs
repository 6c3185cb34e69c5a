//! Statements of the platform API. They belong to apps, not to accounts.

use chatwarden_db::statements;

statements! {
    /// $1 name, $2 now
    INSERT_APP: (i64,) = "platform.insert_app",
        "insert into platform_apps (name, created_at, updated_at) values ($1, $2, $2) returning id";
    /// $1 app, $2 type, $3 id, $4 now
    PERMIT: () = "platform.permit",
        "insert into platform_app_permissibles (platform_app_id, permissible_type, permissible_id, created_at)
         values ($1, $2, $3, $4) on conflict (platform_app_id, permissible_type, permissible_id) do nothing";
    /// $1 app, $2 type, $3 id
    PERMITTED: (i64,) = "platform.permitted",
        "select id from platform_app_permissibles
         where platform_app_id = $1 and permissible_type = $2 and permissible_id = $3";
    /// $1 type, $2 id
    FORGET: () = "platform.forget",
        "delete from platform_app_permissibles where permissible_type = $1 and permissible_id = $2";
    /// $1 hash, $2 user, $3 expires at
    INSERT_TICKET: () = "platform.insert_ticket",
        "insert into login_tickets (ticket_hash, user_id, expires_at) values ($1, $2, $3)";
    /// $1 hash, $2 user, $3 now
    TAKE_TICKET: () = "platform.take_ticket",
        "delete from login_tickets where ticket_hash = $1 and user_id = $2 and expires_at > $3";
    /// $1 users
    DROP_TICKETS_OF: () = "platform.drop_tickets_of", "delete from login_tickets where user_id @in($1)";
    /// $1 now
    DROP_TICKETS: () = "platform.drop_tickets", "delete from login_tickets where expires_at <= $1";
}
