-- What refers to people is found by the person: whoever is deleted takes it along.

create index mentions_user_id_idx on mentions (user_id);
create index notifications_user_id_idx on notifications (user_id);
create index notification_settings_user_id_idx on notification_settings (user_id);
create index inbox_members_user_id_idx on inbox_members (user_id);
