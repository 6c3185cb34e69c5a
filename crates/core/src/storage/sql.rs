//! Statements on stored files and attachments.

use chatwarden_db::statements;

use super::purge::Given;
use super::{Avatar, Blob};

macro_rules! blob_columns {
    () => {
        "b.account_id, b.id, b.key, b.filename, b.content_type, b.byte_size, b.checksum, b.width, b.height, b.purpose, \
         b.created_at, b.stored_at"
    };
}

/// The attachments of contact $2's conversations that user $3 may see.
macro_rules! of_contact {
    () => {
        "from conversations c join attachments a on a.account_id = c.account_id and a.conversation_id = c.id
         where c.account_id = $1 and c.contact_id = $2 and ($4 or exists (select 1 from inbox_members im
            where im.account_id = c.account_id and im.inbox_id = c.inbox_id and im.user_id = $3))"
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
    /// $1 account, $2 id, $3 owner, $4 now: its content is there, and it is somebody's picture
    OWN: () = "blobs.own",
        "update blobs set stored_at = coalesce(stored_at, $4), attached_at = $4, owner_id = $3
         where account_id = $1 and id = $2 and purged_at is null";
    /// $1 account, $2 ids, $3 now
    GIVE_UP: () = "blobs.give_up",
        "update blobs set purged_at = $3 where account_id = $1 and id @in($2) and purged_at is null";
    /// $1 account, $2 ids, $3 now, $4 before: those that nothing began to refer to since
    GIVE_UP_UNUSED: () = "blobs.give_up_unused",
        "update blobs set purged_at = $3 where account_id = $1 and id @in($2) and purged_at is null
            and (attached_at is null or attached_at < $4)";
    /// $1 account, $2 ids. Whoever is about to attach them has them locked.
    LOCK: (i64,) = "blobs.lock",
        "select b.id from blobs b where b.account_id = $1 and b.id @in($2) order by b.id @lock(b)";
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
    /// $1 account, $2 message, $3 conversation, $4 attachments, $5 now; their ids in the order of the attachments. A
    /// fork: a list of rows is a document, which each engine reads its own way.
    ATTACH: (i64,) = "attachments.insert",
        sqlite: "insert into attachments (account_id, message_id, conversation_id, file_type, blob_id, external_url,
                fallback_title, coordinates_lat, coordinates_long, meta, created_at, updated_at)
            select ?1, ?2, ?3, value ->> 'file_type', value ->> 'blob_id', value ->> 'external_url',
                value ->> 'fallback_title', value ->> 'lat', value ->> 'long', value -> 'meta', ?5, ?5
            from json_each(?4) where true order by key returning id",
        postgres: "insert into attachments (account_id, message_id, conversation_id, file_type, blob_id, external_url,
                fallback_title, coordinates_lat, coordinates_long, meta, created_at, updated_at)
            select $1, $2, $3, (j ->> 'file_type')::bigint, (j ->> 'blob_id')::bigint, j ->> 'external_url',
                j ->> 'fallback_title', (j ->> 'lat')::double precision, (j ->> 'long')::double precision, j -> 'meta', $5, $5
            from jsonb_array_elements($4::text::jsonb) with ordinality as t(j, n) order by n returning id";
    /// $1 account, $2 message, $3 its attachments, copied into its row
    COPY: () = "attachments.copy", "update messages set attachments = $3 where account_id = $1 and id = $2";
    /// $1 account, $2 message; the files they had
    DETACH: (Option<i64>,) = "attachments.delete",
        "delete from attachments where account_id = $1 and message_id = $2 returning blob_id";
    /// $1 account, $2 conversation
    COUNT_OF_CONVERSATION: (i64,) = "attachments.count_of_conversation",
        "select count(*) from attachments a where a.account_id = $1 and a.conversation_id = $2";
    /// $1 account, $2 conversation, $3 limit, $4 skipped; of the oldest message first, and of each its last first:
    /// attachment, message, the conversation's number
    OF_CONVERSATION: (i64, i64, i64) = "attachments.of_conversation",
        "select a.id, a.message_id, c.display_id from attachments a
         join conversations c on c.account_id = a.account_id and c.id = a.conversation_id
         where a.account_id = $1 and a.conversation_id = $2 order by a.message_id, a.id desc limit $3 offset $4";
    /// $1 account, $2 contact, $3 user, $4 whether the user sees all inboxes
    COUNT_OF_CONTACT: (i64,) = "attachments.count_of_contact", (concat!("select count(*) ", of_contact!()));
    /// $1 account, $2 contact, $3 user, $4 whether the user sees all inboxes, $5 limit, $6 skipped; newest first
    OF_CONTACT: (i64, i64, i64) = "attachments.of_contact", (concat!("select a.id, a.message_id, c.display_id ", of_contact!(),
        " order by a.id desc limit $5 offset $6"));
    /// $1 user
    AVATAR_OF_USER: (Option<Avatar>,) = "avatars.of_user", "select u.avatar from users u where u.id = $1 @lock(u)";
    /// $1 account, $2 contact
    AVATAR_OF_CONTACT: (Option<Avatar>,) = "avatars.of_contact",
        "select c.avatar from contacts c where c.account_id = $1 and c.id = $2 @lock(c)";
    /// $1 account, $2 inbox
    AVATAR_OF_INBOX: (Option<Avatar>,) = "avatars.of_inbox",
        "select i.avatar from inboxes i where i.account_id = $1 and i.id = $2 @lock(i)";
    /// $1 bot: of an account or of the installation
    AVATAR_OF_BOT: (Option<Avatar>,) = "avatars.of_bot", "select b.avatar from agent_bots b where b.id = $1 @lock(b)";
    /// $1 user, $2 picture, $3 now
    SET_AVATAR_OF_USER: () = "avatars.set_of_user", "update users set avatar = $2, updated_at = $3 where id = $1";
    /// $1 account, $2 contact, $3 picture, $4 now
    SET_AVATAR_OF_CONTACT: () = "avatars.set_of_contact",
        "update contacts set avatar = $3, updated_at = $4 where account_id = $1 and id = $2";
    /// $1 account, $2 inbox, $3 picture, $4 now
    SET_AVATAR_OF_INBOX: () = "avatars.set_of_inbox",
        "update inboxes set avatar = $3, updated_at = $4 where account_id = $1 and id = $2";
    /// $1 bot, $2 picture, $3 now
    SET_AVATAR_OF_BOT: () = "avatars.set_of_bot", "update agent_bots set avatar = $2, updated_at = $3 where id = $1";
}
