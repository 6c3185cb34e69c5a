-- Who is given conversations by themselves, and by which rules.

create table assignment_policies (
    account_id integer not null,
    id integer primary key autoincrement,
    name text not null,
    description text,
    -- 0 earliest created, 1 longest waiting
    conversation_priority integer not null,
    fair_distribution_limit integer not null,
    -- Seconds.
    fair_distribution_window integer not null,
    exclude_older_than_hours integer,
    enabled integer not null,
    created_at integer not null,
    updated_at integer not null,
    unique (account_id, id),
    unique (account_id, name)
) strict;

-- The policy of an inbox.
create table inbox_assignment_policies (
    account_id integer not null,
    inbox_id integer not null,
    assignment_policy_id integer not null,
    created_at integer not null,
    primary key (account_id, inbox_id)
) strict;
create index inbox_assignment_policies_account_id_policy_id_idx
    on inbox_assignment_policies (account_id, assignment_policy_id);

-- Who was given what, as long as it counts for whose turn it is.
create table assignment_turns (
    account_id integer not null,
    id integer primary key autoincrement,
    inbox_id integer not null,
    user_id integer not null references users (id) on delete cascade,
    created_at integer not null,
    unique (account_id, id)
) strict;
create index assignment_turns_account_id_inbox_id_user_id_created_at_idx
    on assignment_turns (account_id, inbox_id, user_id, created_at);
create index assignment_turns_user_id_idx on assignment_turns (user_id);
