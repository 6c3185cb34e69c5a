-- How many microseconds after a contact's message agents may answer; null where there is no end to it.

alter table inboxes add column reply_window integer;

update inboxes set reply_window = (
    select cast(cast(ch.settings -> 'additional_attributes' ->> 'agent_reply_time_window' as real) * 3600000000 as integer)
    from channels ch where ch.account_id = inboxes.account_id and ch.inbox_id = inboxes.id)
where channel_type = 'Channel::Api' and exists (
    select 1 from channels ch where ch.account_id = inboxes.account_id and ch.inbox_id = inboxes.id
        and cast(ch.settings -> 'additional_attributes' ->> 'agent_reply_time_window' as real) > 0);
