-- Links to sign in by, made by the platform API: good once, for minutes.
create table login_tickets (
    ticket_hash text primary key,
    user_id integer not null references users (id) on delete cascade,
    expires_at integer not null
) strict;
create index login_tickets_user_id_idx on login_tickets (user_id);

-- Which bot serves an inbox.
create table agent_bot_inboxes (
    account_id integer not null,
    id integer primary key autoincrement,
    inbox_id integer not null,
    agent_bot_id integer not null references agent_bots (id) on delete cascade,
    -- 0 active, 1 inactive
    status integer not null,
    created_at integer not null,
    updated_at integer not null,
    unique (account_id, id),
    unique (account_id, inbox_id)
) strict;
create index agent_bot_inboxes_agent_bot_id_idx on agent_bot_inboxes (agent_bot_id);

create index conversations_assignee_agent_bot_id_idx on conversations (assignee_agent_bot_id)
    where assignee_agent_bot_id is not null;
