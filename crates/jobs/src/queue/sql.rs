//! Statements on jobs.

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
        pub trace_id: Option<String>,
    }
}

statements! {
    /// $1 jobs, $2 now. A fork: a list of rows is a document, which each engine reads its own way.
    ENQUEUE: () = "jobs.enqueue",
        sqlite: "insert into jobs (account_id, queue, kind, payload, priority, state, run_at, attempts, max_attempts,
                unique_key, trace_id, created_at, updated_at)
            select value ->> 'account_id', value ->> 'queue', value ->> 'kind', value -> 'payload', value ->> 'priority', 0,
                value ->> 'run_at', 0, value ->> 'max_attempts', value ->> 'unique_key', value ->> 'trace_id', ?2, ?2
            from json_each(?1) where true order by key on conflict do nothing",
        postgres: "insert into jobs (account_id, queue, kind, payload, priority, state, run_at, attempts, max_attempts,
                unique_key, trace_id, created_at, updated_at)
            select (j ->> 'account_id')::bigint, j ->> 'queue', j ->> 'kind', j -> 'payload', (j ->> 'priority')::bigint, 0,
                (j ->> 'run_at')::bigint, 0, (j ->> 'max_attempts')::bigint, j ->> 'unique_key', j ->> 'trace_id', $2, $2
            from jsonb_array_elements($1) with ordinality as t(j, n) order by n on conflict do nothing";
    /// $1 queue, $2 now, $3 holder, $4 lease until, $5 limit.
    ///
    /// At most one job a tenant, the longest waiting first: whatever one tenant has queued, the others'
    /// turn comes with the next round. The tenants are found by skipping through the index, so the
    /// work does not grow with what is queued.
    CLAIM: Claimed = "jobs.claim",
        "with recursive tenants (account_id) as (
            select (select min(j.account_id) from jobs j where j.state = 0 and j.queue = $1)
            union all
            select (select min(j.account_id) from jobs j where j.state = 0 and j.queue = $1 and j.account_id > t.account_id)
            from tenants t where t.account_id is not null
         ), heads (id) as (
            select (select j.id from jobs j where j.state = 0 and j.queue = $1 and j.account_id = t.account_id
                and j.run_at <= $2 order by j.priority, j.run_at, j.id limit 1)
            from tenants t where t.account_id is not null
         )
         update jobs set state = 1, locked_by = $3, locked_until = $4, attempts = attempts + 1, updated_at = $2
         where id in (select c.id from jobs c where c.state = 0 and c.id in (select h.id from heads h)
            order by c.run_at, c.id limit $5 @skip_locked)
         returning id, account_id, queue, kind, payload, run_at, attempts, max_attempts, trace_id";
    /// $1 job, $2 holder, $3 attempt
    FINISH: () = "jobs.finish", "delete from jobs where id = $1 and locked_by = $2 and attempts = $3 and state = 1";
    /// $1 job, $2 holder, $3 attempt, $4 run at, $5 error, $6 now
    RETRY: () = "jobs.retry",
        "update jobs set state = 0, locked_by = null, locked_until = null, run_at = $4, last_error = $5, updated_at = $6
         where id = $1 and locked_by = $2 and attempts = $3 and state = 1";
    /// $1 job, $2 holder, $3 attempt, $4 error, $5 now
    BURY: () = "jobs.bury",
        "update jobs set state = 2, locked_by = null, locked_until = null, last_error = $4, updated_at = $5
         where id = $1 and locked_by = $2 and attempts = $3 and state = 1";
    /// $1 holder, $2 jobs, $3 until
    EXTEND: (JobId,) = "jobs.extend",
        "update jobs set locked_until = $3 where locked_by = $1 and state = 1 and id @in($2) returning id";
    /// $1 holder, $2 now: gives back what a worker holds, as if it had not tried
    RELEASE: () = "jobs.release",
        "update jobs set state = 0, locked_by = null, locked_until = null, attempts = attempts - 1, run_at = $2, updated_at = $2
         where locked_by = $1 and state = 1";
    /// $1 now: leases that ran out
    REAP: (JobId, String, i64) = "jobs.reap",
        "update jobs set state = case when attempts >= max_attempts then 2 else 0 end, locked_by = null,
            locked_until = null, run_at = $1, last_error = 'its worker went away', updated_at = $1
         where state = 1 and locked_until < $1 returning id, kind, state";
    /// $1 queue: when the next job is due
    NEXT: (Option<Timestamp>,) = "jobs.next", "select min(run_at) from jobs where state = 0 and queue = $1";
    /// $1 limit
    DEAD: Dead = "jobs.dead",
        "select id, account_id, queue, kind, payload, attempts, last_error, updated_at from jobs where state = 2
         order by updated_at desc limit $1";
    /// $1 job, $2 now
    RETRY_DEAD: () = "jobs.retry_dead",
        "update jobs set state = 0, attempts = 0, run_at = $2, updated_at = $2 where id = $1 and state = 2";
    /// $1 job
    DISCARD: () = "jobs.discard", "delete from jobs where id = $1 and state = 2";
    /// What stands in the queues: queue, state, how many, since when the oldest is due.
    DEPTH: (String, i64, i64, Option<Timestamp>) = "jobs.depth",
        "select queue, state, count(*), min(run_at) from jobs group by queue, state";
}
