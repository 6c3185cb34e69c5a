//! Statements on notification subscriptions.

use chatwarden_db::statements;

use super::Subscription;

statements! {
    /// $1 user, $2 kind, $3 attributes, $4 identifier, $5 push token, $6 now
    SUBSCRIBE: Subscription = "notification_subscriptions.subscribe",
        "insert into notification_subscriptions (user_id, subscription_type, subscription_attributes, identifier,
            push_token, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $6)
         on conflict (identifier) do update set user_id = excluded.user_id,
            subscription_type = excluded.subscription_type,
            subscription_attributes = excluded.subscription_attributes, push_token = excluded.push_token,
            updated_at = excluded.updated_at
         returning id, user_id, subscription_type, subscription_attributes, identifier, created_at, updated_at";
    /// $1 user, $2 push token
    UNSUBSCRIBE: () = "notification_subscriptions.unsubscribe",
        "delete from notification_subscriptions where user_id = $1 and push_token = $2";
    /// $1 users
    UNSUBSCRIBE_ALL: () = "notification_subscriptions.unsubscribe_all",
        "delete from notification_subscriptions where user_id @in($1)";
}
