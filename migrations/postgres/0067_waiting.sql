-- What waits at an inbox, in the order in which it is handed out; and what somebody was given last there.

create index conversations_waiting_by_created_at_idx
    on conversations (account_id, inbox_id, status, assignee_id, created_at, id, last_activity_at)
    where status = 0 and assignee_id is null and assignee_agent_bot_id is null;
create index conversations_waiting_by_activity_idx
    on conversations (account_id, inbox_id, status, assignee_id, last_activity_at, id)
    where status = 0 and assignee_id is null and assignee_agent_bot_id is null;
create index conversations_given_idx on conversations (account_id, assignee_id, inbox_id, id)
    where assignee_id is not null;
