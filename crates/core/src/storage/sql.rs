//! Statements on stored files and attachments.

use chatwarden_db::statements;

use super::Blob;
use super::purge::Given;

macro_rules! blob_columns {
    () => {
        "b.account_id, b.id, b.key, b.filename, b.content_type, b.byte_size, b.checksum, b.width, b.height, b.purpose, \
         b.created_at, b.stored_at"
    };
}

statements! {
    /// $1 account, $2 files, $3 now; their ids in the order of the files. A fork: a list of rows is a document, which
    /// each engine reads its own way.
    INSERT: (i64,) = "blobs.insert",
        sqlite: "insert into blobs (account_id, key, filename, content_type, byte_size, checksum, width, height, purpose,
                owner_id, created_at)
            select ?1, value ->> 'key', value ->> 'filename', value ->> 'content_type', value ->> 'byte_size',
                value ->> 'checksum', value ->> 'width', value ->> 'height', value ->> 'purpose', value ->> 'owner_id', ?3
            from json_each(?2) where true order by key returning id",
        postgres: "insert into blobs (account_id, key, filename, content_type, byte_size, checksum, width, height, purpose,
                owner_id, created_at)
            select $1, j ->> 'key', j ->> 'filename', j ->> 'content_type', (j ->> 'byte_size')::bigint,
                j ->> 'checksum', (j ->> 'width')::bigint, (j ->> 'height')::bigint, (j ->> 'purpose')::bigint,
                (j ->> 'owner_id')::bigint, $3
            from jsonb_array_elements($2::text::jsonb) with ordinality as t(j, n) order by n returning id";
    /// $1 account, $2 ids: those that are not given up
    FIND: Blob = "blobs.find", (concat!("select ", blob_columns!(),
        " from blobs b where b.account_id = $1 and b.id @in($2) and b.purged_at is null"));
    /// $1 account, $2 id, $3 type, $4 width, $5 height, $6 now: its content is there
    STORED: () = "blobs.stored",
        "update blobs set content_type = $3, width = $4, height = $5, stored_at = $6
         where account_id = $1 and id = $2 and purged_at is null";
    /// $1 account, $2 ids, $3 now: their content is there, and something refers to them
    REFER: () = "blobs.refer",
        "update blobs set stored_at = coalesce(stored_at, $3), attached_at = $3
         where account_id = $1 and id @in($2) and purged_at is null";
    /// $1 account, $2 ids, $3 now
    GIVE_UP: () = "blobs.give_up",
        "update blobs set purged_at = $3 where account_id = $1 and id @in($2) and purged_at is null";
    /// $1 account, $2 ids. Whoever is about to attach them has them locked.
    LOCK: (i64,) = "blobs.lock", "select b.id from blobs b where b.account_id = $1 and b.id @in($2) @lock(b)";
    /// $1 account, $2 ids, $3 now: those that only messages referred to, and none does any more
    GIVE_UP_DETACHED: () = "blobs.give_up_detached",
        "update blobs set purged_at = $3
         where account_id = $1 and id @in($2) and purpose = 0 and purged_at is null and not exists
            (select 1 from attachments a where a.account_id = $1 and a.blob_id = blobs.id)";
    /// $1 account, $2 now: some of an account's that was removed
    GIVE_UP_OF_ACCOUNT: () = "blobs.give_up_of_account",
        "update blobs set purged_at = $2 where account_id = $1 and id in
            (select b.id from blobs b where b.account_id = $1 and b.purged_at is null order by b.id limit 500)";
    /// $1 limit: files that were given up, whosever they are
    GIVEN_UP: Given = "blobs.given_up",
        "select b.account_id, b.id, b.key from blobs b where b.purged_at is not null order by b.purged_at, b.id limit $1";
    /// $1 account, $2 ids: their files are gone
    DELETE: () = "blobs.delete", "delete from blobs where account_id = $1 and id @in($2) and purged_at is not null";
    /// $1 after account, $2 after id, $3 older than, $4 limit: files that nothing refers to, whosever they are:
    /// never stored, never sent, or left by what was deleted.
    ORPHANS: Given = "blobs.orphans",
        "select b.account_id, b.id, b.key from blobs b
         where (b.account_id, b.id) > ($1, $2) and b.purged_at is null and b.created_at < $3
            and (b.stored_at is null
                or (b.purpose = 0 and not exists
                    (select 1 from attachments a where a.account_id = b.account_id and a.blob_id = b.id))
                or (b.purpose = 3 and not exists
                    (select 1 from contacts c where c.account_id = b.account_id and c.id = b.owner_id))
                or (b.purpose = 4 and not exists
                    (select 1 from inboxes i where i.account_id = b.account_id and i.id = b.owner_id))
                or (b.purpose = 5 and not exists (select 1 from agent_bots g where g.id = b.owner_id))
                or (b.purpose = 2 and not exists (select 1 from users u where u.id = b.owner_id)))
         order by b.account_id, b.id limit $4";
}
