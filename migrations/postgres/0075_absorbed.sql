-- Where visitors write from who became a known contact by what they typed: its record is not theirs to see.

alter table contact_inboxes add column absorbed boolean not null default false;
update contact_inboxes set absorbed = true
    where not hmac_verified and not exists (
        select 1 from contacts
        where contacts.account_id = contact_inboxes.account_id and contacts.id = contact_inboxes.contact_id
            and contacts.created_at = contact_inboxes.created_at);
