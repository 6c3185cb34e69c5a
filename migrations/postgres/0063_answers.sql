-- What a conversation was answered with: asked of each message that comes in.
create index messages_answers_idx on messages (account_id, conversation_id, message_type, created_at)
    where message_type in (1, 3);
