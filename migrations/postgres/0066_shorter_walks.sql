-- What is asked of one conversation, or of old rows alone, without walking all there is.

-- The newest that a contact said, and what nobody has read of it.
create index messages_incoming_idx on messages (account_id, conversation_id, created_at) where message_type = 0;
-- A message by its channel's id of it; most have none.
create index messages_source_id_idx on messages (account_id, conversation_id, source_id, id)
    where source_id is not null;
-- Whose notifications are too old.
create index notifications_created_at_idx on notifications (created_at, account_id);
