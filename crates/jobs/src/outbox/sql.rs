//! Statements on the outbox.

use chatwarden_db::{Json, Timestamp, row, statements};
use serde_json::Value;

use super::{Entry, Stored};

row! {
    /// An entry as it is stored.
    pub struct Row {
        pub id: i64,
        pub account_id: i64,
        pub event: String,
        pub streams: Json<Vec<String>>,
        pub except_stream: Option<String>,
        pub message: String,
        pub context: Json<Value>,
        pub trace_id: Option<String>,
        pub xid: i64,
        pub created_at: Timestamp,
    }
}

impl From<Row> for Stored {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            at: row.created_at,
            trace_id: row.trace_id,
            entry: Entry {
                account_id: row.account_id,
                event: row.event,
                streams: row.streams.0,
                except: row.except_stream,
                message: row.message,
                context: row.context.0,
            },
        }
    }
}

macro_rules! columns {
    () => {
        "id, account_id, event, streams, except_stream, message, context, trace_id, xid, created_at"
    };
}

#[cfg(test)]
pub const COLUMNS: &str = columns!();

statements! {
    /// $1 entries, $2 now. A fork: a list of rows is a document, which each engine reads its own way.
    INSERT: (i64,) = "outbox.insert",
        sqlite: "insert into outbox (account_id, event, streams, except_stream, message, context, trace_id, xid, created_at)
            select value ->> 'account_id', value ->> 'event', value -> 'streams', value ->> 'except', value ->> 'message',
                value -> 'context', value ->> 'trace_id', 0, ?2
            from json_each(?1) where true order by key returning id",
        postgres: "insert into outbox (account_id, event, streams, except_stream, message, context, trace_id, xid, created_at)
            select (j ->> 'account_id')::bigint, j ->> 'event', j -> 'streams', j ->> 'except', j ->> 'message',
                j -> 'context', j ->> 'trace_id', pg_current_xact_id()::text::bigint, $2
            from jsonb_array_elements($1::text::jsonb) with ordinality as t(j, n) order by n returning id";
    /// $1 now, $2 limit: takes entries nobody has taken, oldest first. What is picked stands in an expression of
    /// its own: PostgreSQL may run a subquery with a limit several times, and then takes more than the limit.
    TAKE: Row = "outbox.take", (concat!(
        "with picked (id) as (select w.id from outbox w where w.dispatched_at is null order by w.id limit $2 @skip_locked)
         update outbox set dispatched_at = $1 where id in (select p.id from picked p) returning ", columns!()));
    /// $1 id, $2 now: an entry whose jobs can't be made
    SET_ASIDE: () = "outbox.set_aside",
        "update outbox set dispatched_at = $2 where id = $1 and dispatched_at is null";
    /// $1 after transaction, $2 after id, $3 limit, $4 up to transaction
    LOG: Row = "outbox.log", (concat!("select ", columns!(),
        " from outbox where (xid, id) > ($1, $2) and xid <= $4 order by xid, id limit $3"));
    /// Where the log ends that has no holes any more: all transactions up to this one are over, and what they
    /// wrote is seen by the next statement. A fork: on SQLite commits happen in the order of ids.
    ///
    /// On PostgreSQL that is before the oldest running transaction. `pg_snapshot_xmin` counts those of all
    /// databases of the server, and one import next door would hold up our sockets: so our own sessions are
    /// looked at, after the snapshot was taken. One that ended in between is over when the log is read; one that
    /// began is no older than the snapshot's end. Where they can't be told (sessions of other roles, a
    /// standby), `pg_snapshot_xmin` it is. `backend_xid` has 32 bits: it is reckoned back from the snapshot's end.
    LOG_END: (i64, i64) = "outbox.log_end",
        sqlite: "select 0, coalesce(max(id), 0) from outbox",
        postgres: "select case when pg_is_in_recovery()
                    or coalesce(bool_or(a.usesysid is not null and a.query = '<insufficient privilege>'), false)
                then s.xmin
                else least(s.xmax, min(case when a.age < 2147483648 then s.xmax - a.age end)) end - 1,
                9223372036854775807
            from (select pg_snapshot_xmin(n.now)::text::bigint as xmin, pg_snapshot_xmax(n.now)::text::bigint as xmax
                from (select pg_current_snapshot() as now) n) s
            left join lateral (select b.usesysid, b.query,
                    mod(mod(s.xmax, 4294967296) - b.backend_xid::text::bigint + 4294967296, 4294967296) as age
                from pg_stat_activity b where b.datname = current_database()) a on true
            group by s.xmin, s.xmax";
    /// $1 id
    WRITTEN_AT: (Timestamp,) = "outbox.written_at", "select created_at from outbox where id = $1";
    /// $1 account, $2 since, $3 streams, $4 limit: how many entries that is, up to the limit; how many of them one
    /// of the streams was told, and how long these are. No message is read for it.
    SIZE: (i64, i64, i64) = "outbox.size",
        "select count(*), coalesce(sum(passed.told), 0), coalesce(sum(passed.told * passed.bytes), 0)
         from (select case when @any_in(o.streams, $3) then 1 else 0 end as told, octet_length(o.message) as bytes
            from outbox o where o.account_id = $1 and o.created_at >= $2 order by o.created_at, o.id limit $4) passed";
    /// $1 account, $2 since, $3 streams, $4 limit. In the index's order: by id, PostgreSQL might walk the whole
    /// table.
    SINCE: Row = "outbox.since", (concat!("select ", columns!(),
        " from outbox where account_id = $1 and created_at >= $2 and @any_in(streams, $3)
         order by created_at, id limit $4"));
    /// $1 before, $2 limit
    PRUNE: () = "outbox.prune",
        "delete from outbox where id in (select id from outbox where created_at < $1 and dispatched_at is not null
            order by created_at limit $2)";
    /// How many entries wait, and since when the oldest does.
    WAITING: (i64, Option<Timestamp>) = "outbox.waiting",
        "select count(*), min(created_at) from outbox where dispatched_at is null";
}
