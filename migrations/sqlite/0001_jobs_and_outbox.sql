-- Durable jobs and the outbox of events. Neither belongs to a tenant: workers and relays serve all
-- of them. `account_id` is 0 where no tenant is concerned.

create table jobs (
    id integer primary key autoincrement,
    account_id integer not null,
    queue text not null,
    kind text not null,
    payload text not null,
    -- Lower comes first.
    priority integer not null,
    -- 0 ready, 1 running, 2 dead, 3 to come: ready from `run_at` on
    state integer not null,
    run_at integer not null,
    attempts integer not null,
    max_attempts integer not null,
    locked_by text,
    locked_until integer,
    -- Of jobs that are not dead, one has it.
    unique_key text,
    last_error text,
    trace_id text,
    created_at integer not null,
    updated_at integer not null
) strict;
create index jobs_ready_idx on jobs (queue, account_id, priority, run_at, id) where state = 0;
create index jobs_running_idx on jobs (locked_until) where state = 1;
create index jobs_dead_idx on jobs (updated_at) where state = 2;
create index jobs_to_come_idx on jobs (run_at) where state = 3;
create unique index jobs_unique_key_key on jobs (unique_key) where state <> 2;

create table job_schedules (
    name text not null,
    -- When it fires, as it was when `next_at` was reckoned.
    rule text not null,
    next_at integer not null,
    last_at integer,
    primary key (name)
) strict;

create table leases (
    name text not null,
    holder text not null,
    -- Grows with each new holder: what an old one still writes can be told by it.
    token integer not null,
    until integer not null,
    primary key (name)
) strict;

create table outbox (
    id integer primary key autoincrement,
    account_id integer not null,
    event text not null,
    -- Streams of the cable that hear of it; the subscription that does not.
    streams text not null,
    except_stream text,
    -- The cable message, serialised once.
    message text not null,
    -- Ids for the jobs it causes.
    context text not null,
    -- The trace of the request that caused it.
    trace_id text,
    -- The transaction's number where commits happen out of order, else 0.
    xid integer not null,
    created_at integer not null,
    dispatched_at integer
) strict;
create index outbox_waiting_idx on outbox (id) where dispatched_at is null;
create index outbox_log_idx on outbox (xid, id);
create index outbox_account_id_created_at_idx on outbox (account_id, created_at);
create index outbox_created_at_idx on outbox (created_at);
