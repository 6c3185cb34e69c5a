-- Labels, teams and their members, canned responses.

create table labels (
    account_id integer not null,
    id integer primary key autoincrement,
    -- Lower-cased.
    title text not null,
    description text,
    color text not null,
    show_on_sidebar integer,
    created_at integer not null,
    updated_at integer not null,
    unique (account_id, id),
    unique (account_id, title)
) strict;

create table teams (
    account_id integer not null,
    id integer primary key autoincrement,
    -- Lower-cased.
    name text not null,
    description text,
    allow_auto_assign integer not null,
    icon text not null,
    icon_color text not null,
    created_at integer not null,
    updated_at integer not null,
    unique (account_id, id),
    unique (account_id, name)
) strict;

create table team_members (
    account_id integer not null,
    team_id integer not null,
    user_id integer not null references users (id) on delete cascade,
    created_at integer not null,
    primary key (account_id, team_id, user_id)
) strict;
create index team_members_account_id_user_id_idx on team_members (account_id, user_id);
create index team_members_user_id_idx on team_members (user_id);

create table canned_responses (
    account_id integer not null,
    id integer primary key autoincrement,
    short_code text not null,
    content text not null,
    created_at integer not null,
    updated_at integer not null,
    unique (account_id, id),
    unique (account_id, short_code)
) strict;

create index conversations_account_id_team_id_idx on conversations (account_id, team_id)
    where team_id is not null;
