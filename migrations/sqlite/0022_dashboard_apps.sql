-- Pages of others that the dashboard shows beside a conversation.
create table dashboard_apps (
    account_id integer not null,
    id integer primary key autoincrement,
    -- Who added it.
    user_id integer not null,
    title text not null,
    content text not null,
    created_at integer not null,
    updated_at integer not null,
    unique (account_id, id)
) strict;
