-- Counts of conversations, kept instead of counted. Whatever changes a conversation adds rows to
-- conversation_deltas in its own transaction: nobody waits for anybody. A job adds them up into
-- conversation_counts; what is read is the sum of both. 0 stands for no team and nobody.

create table conversation_counts (
    account_id integer not null,
    inbox_id integer not null,
    team_id integer not null,
    assignee_id integer not null,
    status integer not null,
    -- Whether its contact wrote since an agent looked: 0 or 1.
    unread integer not null,
    n integer not null,
    primary key (account_id, inbox_id, team_id, assignee_id, status, unread)
) strict;

create table conversation_deltas (
    account_id integer not null,
    id integer primary key autoincrement,
    inbox_id integer not null,
    team_id integer not null,
    assignee_id integer not null,
    status integer not null,
    unread integer not null,
    n integer not null,
    unique (account_id, id)
) strict;

insert into conversation_counts (account_id, inbox_id, team_id, assignee_id, status, unread, n)
    select account_id, inbox_id, coalesce(team_id, 0), coalesce(assignee_id, 0), status, unread_count > 0, count(*)
    from conversations
    group by account_id, inbox_id, coalesce(team_id, 0), coalesce(assignee_id, 0), status, unread_count > 0;

create trigger conversations_counted_insert after insert on conversations begin
    insert into conversation_deltas (account_id, inbox_id, team_id, assignee_id, status, unread, n) values
        (new.account_id, new.inbox_id, coalesce(new.team_id, 0), coalesce(new.assignee_id, 0), new.status, new.unread_count > 0, 1);
end;

create trigger conversations_counted_update
after update of inbox_id, team_id, assignee_id, status, unread_count on conversations
when old.inbox_id <> new.inbox_id or old.team_id is not new.team_id or old.assignee_id is not new.assignee_id
    or old.status <> new.status or (old.unread_count > 0) <> (new.unread_count > 0)
begin
    insert into conversation_deltas (account_id, inbox_id, team_id, assignee_id, status, unread, n) values
        (old.account_id, old.inbox_id, coalesce(old.team_id, 0), coalesce(old.assignee_id, 0), old.status, old.unread_count > 0, -1),
        (new.account_id, new.inbox_id, coalesce(new.team_id, 0), coalesce(new.assignee_id, 0), new.status, new.unread_count > 0, 1);
end;

create trigger conversations_counted_delete after delete on conversations begin
    insert into conversation_deltas (account_id, inbox_id, team_id, assignee_id, status, unread, n) values
        (old.account_id, old.inbox_id, coalesce(old.team_id, 0), coalesce(old.assignee_id, 0), old.status, old.unread_count > 0, -1);
end;
