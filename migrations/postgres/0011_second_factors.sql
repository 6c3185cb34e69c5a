-- What people show besides their password.
create table second_factors (
    user_id bigint not null references users (id) on delete cascade,
    -- Of the authenticator, sealed.
    secret text collate "C" not null,
    enabled boolean not null,
    -- Hashes of those that were not used.
    backup_codes jsonb not null,
    -- The step of the code that was used last: it is good once.
    last_step bigint not null,
    created_at bigint not null,
    updated_at bigint not null,
    primary key (user_id)
);
