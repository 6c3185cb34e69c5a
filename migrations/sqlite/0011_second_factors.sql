-- What people show besides their password.
create table second_factors (
    user_id integer primary key references users (id) on delete cascade,
    -- Of the authenticator, sealed.
    secret text not null,
    enabled integer not null,
    -- Hashes of those that were not used.
    backup_codes text not null,
    -- The step of the code that was used last: it is good once.
    last_step integer not null,
    created_at integer not null,
    updated_at integer not null
) strict;
