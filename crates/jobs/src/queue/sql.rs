//! Statements on jobs.
//!
//! A job that may run is in state 0 and no other: what is to come has a state of its own, so that
//! claiming never walks over it.

use chatwarden_db::{Json, Timestamp, row, statements};
use serde_json::Value;

use super::{Dead, JobId};

row! {
    /// A job as its worker takes it.
    pub struct Claimed {
        pub id: JobId,
        pub account_id: i64,
        pub queue: String,
        pub kind: String,
        pub payload: Json<Value>,
        pub run_at: Timestamp,
        pub attempts: i64,
        pub max_attempts: i64,
        pub unique_key: Option<String>,
        pub trace_id: Option<String>,
    }
}

row! {
    /// A job whose worker was not heard of any more.
    pub struct Reaped {
        pub id: JobId,
        pub queue: String,
        pub kind: String,
        pub attempts: i64,
        pub state: i64,
    }
}

/// `jobs.state` of a job that is not tried any more.
pub const DEAD_STATE: i64 = 2;

/// The tenants with ready jobs in queue $1 whose id is above $2, 64 of them at most, found by skipping through
/// the index: the work does not grow with what is queued.
macro_rules! tenants {
    () => {
        "with recursive tenants (account_id, n) as (
            select (select min(j.account_id) from jobs j
                where j.state = 0 and j.queue = $1 and j.account_id > $2), 1
            union all
            select (select min(j.account_id) from jobs j
                where j.state = 0 and j.queue = $1 and j.account_id > t.account_id), t.n + 1
            from tenants t where t.account_id is not null and t.n < 64
         )"
    };
}

statements! {
    /// $1 jobs, $2 now. A fork: a list of rows is a document, which each engine reads its own way.
    ENQUEUE: () = "jobs.enqueue",
        sqlite: "insert into jobs (account_id, queue, kind, payload, priority, state, run_at, attempts, max_attempts,
                unique_key, trace_id, created_at, updated_at)
            select value ->> 'account_id', value ->> 'queue', value ->> 'kind', value -> 'payload', value ->> 'priority',
                case when value ->> 'run_at' > ?2 then 3 else 0 end, value ->> 'run_at', 0, value ->> 'max_attempts',
                value ->> 'unique_key', value ->> 'trace_id', ?2, ?2
            from json_each(?1) where true order by key on conflict do nothing",
        postgres: "insert into jobs (account_id, queue, kind, payload, priority, state, run_at, attempts, max_attempts,
                unique_key, trace_id, created_at, updated_at)
            select (j ->> 'account_id')::bigint, j ->> 'queue', j ->> 'kind', j -> 'payload', (j ->> 'priority')::bigint,
                case when (j ->> 'run_at')::bigint > $2 then 3 else 0 end, (j ->> 'run_at')::bigint, 0,
                (j ->> 'max_attempts')::bigint, j ->> 'unique_key', j ->> 'trace_id', $2, $2
            from jsonb_array_elements($1::text::jsonb) with ordinality as t(j, n) order by n on conflict do nothing";
    /// $1 queue, $2 tenants above, $3 tenants passed over, $4 now, $5 holder, $6 lease until, $7 limit.
    ///
    /// One job a tenant at most, the longest waiting first. What is picked stands in an expression of its
    /// own: PostgreSQL may run a subquery with a limit several times, and then takes more than the limit.
    CLAIM: Claimed = "jobs.claim", (concat!(tenants!(), ", heads (id) as materialized (
            select (select j.id from jobs j where j.state = 0 and j.queue = $1 and j.account_id = t.account_id
                order by j.priority, j.run_at, j.id limit 1)
            from tenants t where t.account_id is not null and t.account_id @not_in($3)
         ), picked (id) as (
            select c.id from jobs c where c.state = 0 and c.id in (select h.id from heads h)
            order by c.run_at, c.id limit $7 @skip_locked
         )
         update jobs set state = 1, locked_by = $5, locked_until = $6, attempts = attempts + 1, updated_at = $4
         where id in (select p.id from picked p)
         returning id, account_id, queue, kind, payload, run_at, attempts, max_attempts, unique_key, trace_id"));
    /// $1 queue, $2 tenants above: the last tenant that a claim saw, where there may be more behind it
    CLAIM_END: (Option<i64>,) = "jobs.claim_end",
        (concat!(tenants!(), " select max(t.account_id) from tenants t where t.n = 64"));
    /// $1 queue, $2 tenants above, $3 tenants passed over: how many have something ready
    CLAIM_LEFT: (i64,) = "jobs.claim_left", (concat!(tenants!(),
        " select count(*) from tenants t where t.account_id is not null and t.account_id @not_in($3)"));
    /// $1 job, $2 holder, $3 attempt
    FINISH: () = "jobs.finish", "delete from jobs where id = $1 and locked_by = $2 and attempts = $3 and state = 1";
    /// $1 job, $2 holder, $3 attempt, $4 run at, $5 error, $6 now
    RETRY: () = "jobs.retry",
        "update jobs set state = 3, locked_by = null, locked_until = null, run_at = $4, last_error = $5, updated_at = $6
         where id = $1 and locked_by = $2 and attempts = $3 and state = 1";
    /// $1 job, $2 holder, $3 attempt, $4 error, $5 now
    BURY: () = "jobs.bury",
        "update jobs set state = 2, locked_by = null, locked_until = null, last_error = $4, updated_at = $5
         where id = $1 and locked_by = $2 and attempts = $3 and state = 1";
    /// $1 holder, $2 jobs, $3 until
    EXTEND: (JobId, i64) = "jobs.extend",
        "update jobs set locked_until = $3 where locked_by = $1 and state = 1 and id @in($2) returning id, attempts";
    /// $1 holder, $2 now, $3 jobs: gives back what a worker holds except for those, as if it had not tried
    RELEASE: () = "jobs.release",
        "update jobs set state = 0, locked_by = null, locked_until = null, attempts = attempts - 1, updated_at = $2
         where locked_by = $1 and state = 1 and id @not_in($3)";
    /// $1 now: leases that ran out. A job may have taken its process along: the first time it is tried again at
    /// once, then later each time (5 s, 20 s, 45 s, …), or it would take down one process after the other.
    REAP: Reaped = "jobs.reap",
        "update jobs set
            state = case when attempts >= max_attempts then 2 when attempts > 1 then 3 else 0 end,
            run_at = $1 + (attempts - 1) * (attempts - 1) * 5000000,
            locked_by = null, locked_until = null, last_error = 'its worker went away', updated_at = $1
         where state = 1 and locked_until < $1 returning id, queue, kind, attempts, state";
    /// $1 now, $2 limit: what was to come and is due
    PROMOTE: () = "jobs.promote",
        "with due (id) as (select j.id from jobs j where j.state = 3 and j.run_at <= $1 order by j.run_at limit $2 @skip_locked)
         update jobs set state = 0 where id in (select d.id from due d)";
    /// $1 limit
    DEAD: Dead = "jobs.dead",
        "select id, account_id, queue, kind, payload, attempts, last_error, updated_at from jobs where state = 2
         order by updated_at desc limit $1";
    /// $1 job, $2 now
    RETRY_DEAD: () = "jobs.retry_dead",
        "update jobs set state = 0, attempts = 0, run_at = $2, updated_at = $2 where id = $1 and state = 2";
    /// $1 job
    DISCARD: () = "jobs.discard", "delete from jobs where id = $1 and state = 2";
    /// $1 before, $2 limit: what has been dead for long
    PRUNE: () = "jobs.prune",
        "delete from jobs where id in (
            select j.id from jobs j where j.state = 2 and j.updated_at < $1 order by j.updated_at limit $2)";
    /// What stands in the queues (operations.md §2.4): queue, state, how many, since when the oldest is due.
    DEPTH: (String, String, i64, Timestamp) = "jobs.depth",
        "select queue, case state when 0 then 'ready' when 1 then 'running' when 2 then 'dead'
            else case when attempts > 0 then 'retry' else 'scheduled' end end, count(*), min(run_at)
         from jobs group by 1, 2";
}
