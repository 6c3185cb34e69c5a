-- Stored files and what messages carry.

-- The content lies on disk under `key`. A row is there before the content and goes after it, so that
-- nothing on disk is unknown.
create table blobs (
    -- 0 for the pictures of people, who belong to no account.
    account_id integer not null,
    id integer primary key autoincrement,
    key text not null,
    filename text not null,
    content_type text not null,
    byte_size integer not null,
    -- MD5, base64.
    checksum text not null,
    -- Of pictures.
    width integer,
    height integer,
    -- What it is for: 0 an attachment, 1 a text that links to it, 2 a user's picture, 3 a contact's,
    -- 4 an inbox's, 5 a bot's.
    purpose integer not null,
    -- Whose picture.
    owner_id integer,
    created_at integer not null,
    -- When its content was there.
    stored_at integer,
    -- When something began to refer to it last.
    attached_at integer,
    -- When it was given up: nothing may refer to it any more.
    purged_at integer,
    unique (account_id, id),
    unique (key)
) strict;
create index blobs_purged_at_idx on blobs (purged_at) where purged_at is not null;

create table attachments (
    account_id integer not null,
    id integer primary key autoincrement,
    message_id integer not null,
    conversation_id integer not null,
    file_type integer not null,
    blob_id integer,
    external_url text,
    fallback_title text,
    coordinates_lat real,
    coordinates_long real,
    meta text not null,
    created_at integer not null,
    updated_at integer not null,
    unique (account_id, id),
    foreign key (account_id, message_id) references messages (account_id, id) on delete cascade
) strict;
create index attachments_account_id_message_id_idx on attachments (account_id, message_id);
create index attachments_account_id_conversation_id_id_idx on attachments (account_id, conversation_id, id);
create index attachments_account_id_blob_id_idx on attachments (account_id, blob_id);
