-- Those who take part in conversations, drafts, and what the snooze looks for.

create table conversation_participants (
    account_id bigint not null,
    conversation_id bigint not null,
    user_id bigint not null references users (id) on delete cascade,
    created_at bigint not null,
    primary key (account_id, conversation_id, user_id),
    foreign key (account_id, conversation_id) references conversations (account_id, id) on delete cascade
);
create index conversation_participants_account_id_user_id_idx
    on conversation_participants (account_id, user_id, conversation_id);
create index conversation_participants_user_id_idx on conversation_participants (user_id);

-- One a conversation, shared by its agents.
create table conversation_drafts (
    account_id bigint not null,
    conversation_id bigint not null,
    content text collate "C" not null,
    updated_at bigint not null,
    primary key (account_id, conversation_id),
    foreign key (account_id, conversation_id) references conversations (account_id, id) on delete cascade
);

create index conversations_snoozed_until_idx on conversations (snoozed_until) where status = 3;
