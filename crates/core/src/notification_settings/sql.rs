//! Statements on notification settings.

use chatwarden_db::statements;

use super::NotificationSettings;

statements! {
    /// $1 account, $2 users, $3 flags of both kinds, $4 now
    BEGIN: () = "notification_settings.begin",
        "insert into notification_settings (account_id, user_id, email_flags, push_flags, created_at, updated_at)
         select $1, u.id, $3, $3, $4, $4 from users u where u.id @in($2)
         on conflict (account_id, user_id) do nothing";
    /// $1 account, $2 user
    GET: NotificationSettings = "notification_settings.get",
        "select id, account_id, user_id, email_flags, push_flags from notification_settings
         where account_id = $1 and user_id = $2";
    /// $1 account, $2 user, $3 email flags, $4 push flags, $5 now
    SET: () = "notification_settings.set",
        "insert into notification_settings (account_id, user_id, email_flags, push_flags, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $5)
         on conflict (account_id, user_id) do update set email_flags = excluded.email_flags,
            push_flags = excluded.push_flags, updated_at = excluded.updated_at";
    /// $1 account, $2 user
    REMOVE: () = "notification_settings.remove",
        "delete from notification_settings where account_id = $1 and user_id = $2";
}
