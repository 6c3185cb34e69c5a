//! Statements on sign-ins. They belong to people, not to accounts.

use chatwarden_db::statements;

use super::Session;

/// The columns of [`Session`], for `user_sessions s`.
macro_rules! session_columns {
    () => {
        "s.id, s.user_id, s.client_id, s.token_hash, s.expires_at, s.ip_address, s.browser_name, s.browser_version, \
         s.device_name, s.platform_name, s.platform_version, s.city, s.country, s.country_code, s.last_activity_at, \
         s.created_at"
    };
}

statements! {
    /// $1 email, $2 client, $3 now
    FIND: Session = "sessions.find", (concat!("select ", session_columns!(),
        " from users u join user_sessions s on s.user_id = u.id
          where u.email = $1 and s.client_id = $2 and s.expires_at > $3"));
    /// $1 user, $2 now
    LIST: Session = "sessions.list", (concat!("select ", session_columns!(),
        " from user_sessions s where s.user_id = $1 and s.expires_at > $2
          order by s.last_activity_at desc, s.id desc"));
    /// $1 user, $2 client, $3 token hash, $4 expires at, $5 user agent, $6 address, $7 browser, $8 its version,
    /// $9 device, $10 platform, $11 its version, $12 now
    INSERT: (i64,) = "sessions.insert",
        "insert into user_sessions (user_id, client_id, token_hash, expires_at, user_agent, ip_address, browser_name,
            browser_version, device_name, platform_name, platform_version, last_activity_at, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12) returning id";
    /// $1 user, $2 session, $3 now
    TOUCH: () = "sessions.touch", "update user_sessions set last_activity_at = $3 where user_id = $1 and id = $2";
    /// $1 user, $2 session
    END: () = "sessions.end", "delete from user_sessions where user_id = $1 and id = $2";
    /// $1 user, $2 sessions
    END_SOME: () = "sessions.end_some", "delete from user_sessions where user_id = $1 and id @in($2)";
    /// $1 user, $2 the one to keep or null
    END_OTHERS: () = "sessions.end_others",
        "delete from user_sessions where user_id = $1 and (cast($2 as bigint) is null or id <> $2)";
    /// $1 users
    END_OF: () = "sessions.end_of", "delete from user_sessions where user_id @in($1)";
    /// $1 user, $2 now
    DROP_EXPIRED: () = "sessions.drop_expired", "delete from user_sessions where user_id = $1 and expires_at <= $2";
}
