-- Who is named in a note, and what wants to be pushed to.

-- A person whom a private note names, once a conversation.
create table mentions (
    account_id integer not null,
    id integer primary key autoincrement,
    conversation_id integer not null,
    user_id integer not null references users (id) on delete cascade,
    -- When last.
    mentioned_at integer not null,
    created_at integer not null,
    unique (account_id, id),
    unique (account_id, conversation_id, user_id)
) strict;
create index mentions_account_id_user_id_conversation_id_idx on mentions (account_id, user_id, conversation_id);

-- A browser or a telephone. It is a person's, whatever the account.
create table notification_subscriptions (
    id integer primary key autoincrement,
    user_id integer not null references users (id) on delete cascade,
    -- 1 browser_push, 2 fcm
    subscription_type integer not null,
    subscription_attributes text not null,
    -- The browser's endpoint, the telephone's id.
    identifier text not null,
    -- What a telephone is pushed to by, and removed by.
    push_token text,
    created_at integer not null,
    updated_at integer not null,
    unique (identifier)
) strict;
create index notification_subscriptions_user_id_idx on notification_subscriptions (user_id);
create index notification_subscriptions_push_token_idx on notification_subscriptions (push_token)
    where push_token is not null;

-- All that `meta` ever held: until when it had been snoozed, when it came back.
alter table notifications drop column meta;
alter table notifications add column last_snoozed_at integer;
create index notifications_snoozed_until_idx on notifications (snoozed_until) where snoozed_until is not null;
