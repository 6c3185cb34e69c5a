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
        pub xid: i64,
        pub created_at: Timestamp,
    }
}

impl From<Row> for Stored {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            at: row.created_at,
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
        "id, account_id, event, streams, except_stream, message, context, xid, created_at"
    };
}

statements! {
    /// $1 accounts, $2 events, $3 streams, $4 exceptions, $5 messages, $6 contexts, $7 now.
    /// A fork: a list of rows is handed over as arrays, which SQLite reads as documents.
    INSERT: (i64,) = "outbox.insert",
        sqlite: "insert into outbox (account_id, event, streams, except_stream, message, context, xid, created_at)
            select a.value, e.value, s.value, nullif(x.value, ''), m.value, c.value, 0, ?7
            from json_each(?1) a join json_each(?2) e on e.key = a.key join json_each(?3) s on s.key = a.key
            join json_each(?4) x on x.key = a.key join json_each(?5) m on m.key = a.key
            join json_each(?6) c on c.key = a.key order by a.key returning id",
        postgres: "insert into outbox (account_id, event, streams, except_stream, message, context, xid, created_at)
            select t.account_id, t.event, t.streams::jsonb, nullif(t.except_stream, ''), t.message, t.context::jsonb,
                pg_current_xact_id()::text::bigint, $7
            from unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) with ordinality
                as t(account_id, event, streams, except_stream, message, context, n)
            order by t.n returning id";
    /// $1 now, $2 limit: takes entries nobody has taken, oldest first
    TAKE: Row = "outbox.take", (concat!(
        "update outbox set dispatched_at = $1 where id in (
            select id from outbox where dispatched_at is null order by id limit $2 @skip_locked) returning ", columns!()));
    /// $1 after transaction, $2 after id, $3 limit: the log, behind the oldest running transaction.
    /// A fork: on SQLite commits happen in the order of ids.
    LOG: Row = "outbox.log",
        sqlite: (concat!("select ", columns!(), " from outbox where (xid, id) > (?1, ?2) order by xid, id limit ?3")),
        postgres: (concat!("select ", columns!(), " from outbox where (xid, id) > ($1, $2)
            and xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint order by xid, id limit $3"));
    /// Where the log ends now.
    LOG_END: (i64, i64) = "outbox.log_end",
        sqlite: "select 0, coalesce(max(id), 0) from outbox",
        postgres: "select pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1, 9223372036854775807";
    /// $1 id
    WRITTEN_AT: (Timestamp,) = "outbox.written_at", "select created_at from outbox where id = $1";
    /// $1 account, $2 since, $3 limit
    SINCE: Row = "outbox.since", (concat!("select ", columns!(),
        " from outbox where account_id = $1 and created_at >= $2 order by id limit $3"));
    /// $1 before, $2 limit
    PRUNE: () = "outbox.prune",
        "delete from outbox where id in (select id from outbox where created_at < $1 and dispatched_at is not null
            order by created_at limit $2)";
    /// How many entries wait, and since when the oldest does.
    WAITING: (i64, Option<Timestamp>) = "outbox.waiting",
        "select count(*), min(created_at) from outbox where dispatched_at is null";
}
