-- The contacts of a page: those that one can tell from others, in the order of what happened last; and who is meant by
-- a source id, whatever the inbox.

drop index contacts_account_id_last_activity_at_idx;
create index contacts_identified_idx on contacts (account_id, last_activity_at, id)
    where email is not null or phone_number is not null or identifier is not null;
create index contact_inboxes_account_id_source_id_idx on contact_inboxes (account_id, source_id, id);
