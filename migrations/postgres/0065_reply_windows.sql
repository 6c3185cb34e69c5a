-- How many microseconds after a contact's message agents may answer; null where there is no end to it.

alter table inboxes add column reply_window bigint;

update inboxes set reply_window = (ch.settings -> 'additional_attributes' ->> 'agent_reply_time_window')::numeric * 3600000000
from channels ch
where ch.account_id = inboxes.account_id and ch.inbox_id = inboxes.id and inboxes.channel_type = 'Channel::Api'
    and ch.settings -> 'additional_attributes' ->> 'agent_reply_time_window' ~ '^ *[0-9]{1,6}([.][0-9]{1,6})? *$';
