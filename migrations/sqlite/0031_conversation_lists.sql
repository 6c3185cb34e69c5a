-- An index an order of the list of conversations, so that a page costs the same whatever an account holds.

drop index conversations_account_id_inbox_id_status_idx;
drop index conversations_account_id_assignee_id_status_idx;
drop index conversations_account_id_team_id_idx;
create index conversations_by_inbox_idx on conversations (account_id, inbox_id, status, last_activity_at, id);
create index conversations_by_assignee_idx on conversations (account_id, assignee_id, status, last_activity_at, id);
create index conversations_by_team_idx on conversations (account_id, team_id, status, last_activity_at, id)
    where team_id is not null;
create index conversations_by_created_at_idx on conversations (account_id, status, created_at, id);
create index conversations_by_priority_idx on conversations (account_id, status, priority, last_activity_at, id);
create index conversations_by_priority_and_created_at_idx on conversations (account_id, status, priority, created_at, id);
create index conversations_by_waiting_since_idx on conversations (account_id, status, waiting_since, created_at, id);
create index conversations_by_unread_count_idx on conversations (account_id, status, unread_count, last_activity_at, id);
create index conversations_unread_idx on conversations (account_id, inbox_id) where status = 0 and unread_count > 0;
