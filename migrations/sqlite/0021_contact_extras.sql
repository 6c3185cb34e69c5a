-- Notes on contacts, definitions of custom attributes, saved filters.

create table notes (
    account_id integer not null,
    id integer primary key autoincrement,
    contact_id integer not null,
    -- Who wrote it last; null once that person is gone.
    user_id integer,
    content text not null,
    created_at integer not null,
    updated_at integer not null,
    unique (account_id, id)
) strict;
create index notes_account_id_contact_id_idx on notes (account_id, contact_id, id);

create table custom_attribute_definitions (
    account_id integer not null,
    id integer primary key autoincrement,
    attribute_display_name text not null,
    -- 0 text, 1 number, 2 currency, 3 percent, 4 link, 5 date, 6 list, 7 checkbox
    attribute_display_type integer not null,
    attribute_description text,
    key text not null,
    -- 0 conversations, 1 contacts, 2 companies
    model integer not null,
    attribute_values text not null,
    regex_pattern text,
    regex_cue text,
    default_value integer,
    created_at integer not null,
    updated_at integer not null,
    unique (account_id, id),
    unique (account_id, model, key)
) strict;

create table custom_filters (
    account_id integer not null,
    id integer primary key autoincrement,
    user_id integer not null references users (id) on delete cascade,
    -- 0 conversations, 1 contacts, 2 reports
    filter_type integer not null,
    name text not null,
    query text not null,
    created_at integer not null,
    updated_at integer not null,
    unique (account_id, id)
) strict;
create index custom_filters_account_id_user_id_filter_type_idx on custom_filters (account_id, user_id, filter_type);
create index custom_filters_user_id_idx on custom_filters (user_id);
