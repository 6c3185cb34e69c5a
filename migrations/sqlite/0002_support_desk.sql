-- Accounts, people, inboxes, contacts, conversations, messages.
--
-- Every tenant table has account_id first in its key, so that a tenant's rows lie together and a
-- PostgreSQL that shards by it can take over. Times are microseconds since the epoch, enumerations
-- are Chatwoot's integers.

create table installation (
    key text primary key,
    value text not null
) strict;

create table accounts (
    id integer primary key autoincrement,
    name text not null,
    locale text not null,
    domain text,
    support_email text,
    status integer not null,
    settings text not null,
    custom_attributes text not null,
    limits text not null,
    -- Bits in the order of behaviours.md §19.
    feature_flags integer not null,
    feature_flags_ext_1 integer not null,
    -- Unix seconds of the last change of labels, inboxes and teams (behaviours.md §15).
    cache_keys text not null,
    created_at integer not null,
    updated_at integer not null
) strict;

-- Numbers that an account hands out: conversations' display ids.
create table account_sequences (
    account_id integer not null,
    conversations integer not null,
    primary key (account_id)
) strict;

create table users (
    id integer primary key autoincrement,
    email text not null,
    uid text not null,
    provider text not null,
    name text not null,
    display_name text,
    encrypted_password text not null,
    pubsub_token text not null,
    -- `SuperAdmin` or null.
    type text,
    confirmation_token text,
    confirmation_sent_at integer,
    confirmed_at integer,
    unconfirmed_email text,
    reset_password_token text,
    reset_password_sent_at integer,
    message_signature text,
    ui_settings text not null,
    custom_attributes text not null,
    -- Where the picture is: `account.blob/name`.
    avatar text,
    created_at integer not null,
    updated_at integer not null,
    unique (email),
    unique (pubsub_token)
) strict;
create unique index users_confirmation_token_key on users (confirmation_token);
create unique index users_reset_password_token_key on users (reset_password_token);

create table account_users (
    account_id integer not null,
    id integer primary key autoincrement,
    user_id integer not null references users (id) on delete cascade,
    role integer not null,
    inviter_id integer,
    availability integer not null,
    auto_offline integer not null,
    active_at integer,
    created_at integer not null,
    updated_at integer not null,
    unique (account_id, id),
    unique (account_id, user_id)
) strict;
create index account_users_user_id_idx on account_users (user_id);

-- One token an owner: a user, an agent bot or a platform app.
create table access_tokens (
    id integer primary key autoincrement,
    owner_type text not null,
    owner_id integer not null,
    token text not null,
    created_at integer not null,
    updated_at integer not null,
    unique (owner_type, owner_id),
    unique (token)
) strict;

-- One row a sign-in; only the hash of the token is kept.
create table user_sessions (
    id integer primary key autoincrement,
    user_id integer not null references users (id) on delete cascade,
    client_id text not null,
    token_hash text not null,
    expires_at integer not null,
    user_agent text,
    ip_address text,
    browser_name text,
    browser_version text,
    device_name text,
    platform_name text,
    platform_version text,
    city text,
    country text,
    country_code text,
    last_activity_at integer,
    created_at integer not null,
    unique (user_id, client_id)
) strict;

create table platform_apps (
    id integer primary key autoincrement,
    name text not null,
    created_at integer not null,
    updated_at integer not null
) strict;

-- What a platform app made or was given.
create table platform_app_permissibles (
    id integer primary key autoincrement,
    platform_app_id integer not null references platform_apps (id) on delete cascade,
    permissible_type text not null,
    permissible_id integer not null,
    created_at integer not null,
    unique (platform_app_id, permissible_type, permissible_id)
) strict;

create table agent_bots (
    id integer primary key autoincrement,
    -- Null for a bot of the installation.
    account_id integer,
    name text not null,
    description text,
    outgoing_url text,
    bot_type integer not null,
    bot_config text not null,
    secret text not null,
    -- Where the picture is: `account.blob/name`.
    avatar text,
    created_at integer not null,
    updated_at integer not null
) strict;
create index agent_bots_account_id_idx on agent_bots (account_id);

create table inboxes (
    account_id integer not null,
    id integer primary key autoincrement,
    name text not null,
    -- `Channel::Api`, `Channel::WebWidget`, …
    channel_type text not null,
    greeting_enabled integer not null,
    greeting_message text,
    enable_email_collect integer not null,
    csat_survey_enabled integer not null,
    csat_config text not null,
    enable_auto_assignment integer not null,
    auto_assignment_config text not null,
    working_hours_enabled integer not null,
    -- Seven days, Sunday first.
    working_hours text not null,
    out_of_office_message text,
    timezone text not null,
    allow_messages_after_resolved integer not null,
    lock_to_single_conversation integer not null,
    sender_name_type integer not null,
    business_name text,
    portal_id integer,
    -- Where the picture is: `account.blob/name`.
    avatar text,
    created_at integer not null,
    updated_at integer not null,
    unique (account_id, id)
) strict;

-- What an inbox's channel needs. `token` is how the outside names it: the API channel's identifier,
-- the website's token.
create table channels (
    account_id integer not null,
    id integer primary key autoincrement,
    inbox_id integer not null,
    channel_type text not null,
    token text not null,
    hmac_token text not null,
    secret text not null,
    hmac_mandatory integer not null,
    settings text not null,
    created_at integer not null,
    updated_at integer not null,
    unique (account_id, id),
    unique (account_id, inbox_id),
    unique (token)
) strict;

create table inbox_members (
    account_id integer not null,
    inbox_id integer not null,
    user_id integer not null references users (id) on delete cascade,
    created_at integer not null,
    primary key (account_id, inbox_id, user_id)
) strict;
create index inbox_members_account_id_user_id_idx on inbox_members (account_id, user_id);

create table contacts (
    account_id integer not null,
    id integer primary key autoincrement,
    name text not null,
    middle_name text not null,
    last_name text not null,
    email text,
    phone_number text,
    identifier text,
    location text,
    country_code text,
    -- 0 visitor, 1 lead, 2 customer
    contact_type integer not null,
    blocked integer not null,
    additional_attributes text not null,
    custom_attributes text not null,
    labels text not null,
    -- Name, email, phone number and identifier, case folded: what search reads.
    search_folded text not null,
    last_activity_at integer,
    -- Where the picture is: `account.blob/name`.
    avatar text,
    created_at integer not null,
    updated_at integer not null,
    unique (account_id, id),
    unique (account_id, email),
    unique (account_id, phone_number),
    unique (account_id, identifier)
) strict;
create index contacts_account_id_last_activity_at_idx on contacts (account_id, last_activity_at);

create table contact_inboxes (
    account_id integer not null,
    id integer primary key autoincrement,
    contact_id integer not null,
    inbox_id integer not null,
    source_id text not null,
    hmac_verified integer not null,
    pubsub_token text not null,
    created_at integer not null,
    updated_at integer not null,
    unique (account_id, id),
    unique (account_id, inbox_id, source_id),
    unique (pubsub_token)
) strict;
create index contact_inboxes_account_id_contact_id_idx on contact_inboxes (account_id, contact_id);

create table conversations (
    account_id integer not null,
    id integer primary key autoincrement,
    display_id integer not null,
    uuid text not null,
    inbox_id integer not null,
    contact_id integer not null,
    contact_inbox_id integer not null,
    -- 0 open, 1 resolved, 2 pending, 3 snoozed
    status integer not null,
    -- 0 low, 1 medium, 2 high, 3 urgent
    priority integer,
    assignee_id integer,
    assignee_agent_bot_id integer,
    team_id integer,
    campaign_id integer,
    additional_attributes text not null,
    custom_attributes text not null,
    labels text not null,
    snoozed_until integer,
    waiting_since integer,
    first_reply_created_at integer,
    agent_last_seen_at integer,
    assignee_last_seen_at integer,
    contact_last_seen_at integer,
    last_activity_at integer not null,
    -- Incoming messages since agent_last_seen_at.
    unread_count integer not null,
    -- Messages since the minute of the flood guard began.
    burst_began_at integer not null,
    burst_count integer not null,
    -- The newest message, the newest that is no activity, and the newest of those that is public.
    last_message_id integer,
    last_non_activity_message_id integer,
    last_public_message_id integer,
    created_at integer not null,
    updated_at integer not null,
    unique (account_id, id),
    unique (account_id, display_id),
    unique (uuid)
) strict;
create index conversations_account_id_status_last_activity_at_idx
    on conversations (account_id, status, last_activity_at, id);
create index conversations_account_id_contact_id_idx on conversations (account_id, contact_id);
create index conversations_account_id_contact_inbox_id_idx on conversations (account_id, contact_inbox_id);
create index conversations_account_id_assignee_id_status_idx on conversations (account_id, assignee_id, status);
create index conversations_account_id_inbox_id_status_idx on conversations (account_id, inbox_id, status);

create table messages (
    account_id integer not null,
    id integer primary key autoincrement,
    conversation_id integer not null,
    inbox_id integer not null,
    -- 0 incoming, 1 outgoing, 2 activity, 3 template
    message_type integer not null,
    content_type integer not null,
    content text,
    processed_content text,
    private integer not null,
    -- 0 sent, 1 delivered, 2 read, 3 failed
    status integer not null,
    -- `User`, `Contact`, `AgentBot` or null.
    sender_type text,
    sender_id integer,
    source_id text,
    content_attributes text not null,
    additional_attributes text not null,
    -- A copy of what the forms show of the rows of attachments.
    attachments text not null,
    created_at integer not null,
    updated_at integer not null,
    unique (account_id, id)
) strict;
create index messages_account_id_conversation_id_id_idx on messages (account_id, conversation_id, id);

create table notification_settings (
    account_id integer not null,
    user_id integer not null references users (id) on delete cascade,
    id integer primary key autoincrement,
    -- Bits: notification type n is bit n - 1.
    email_flags integer not null,
    push_flags integer not null,
    created_at integer not null,
    updated_at integer not null,
    unique (account_id, id),
    unique (account_id, user_id)
) strict;

create table notifications (
    account_id integer not null,
    id integer primary key autoincrement,
    user_id integer not null references users (id) on delete cascade,
    notification_type integer not null,
    -- The conversation.
    primary_actor_id integer not null,
    -- `Message`, `User` or null.
    secondary_actor_type text,
    secondary_actor_id integer,
    meta text not null,
    read_at integer,
    snoozed_until integer,
    last_activity_at integer not null,
    created_at integer not null,
    updated_at integer not null,
    unique (account_id, id)
) strict;
create index notifications_account_id_user_id_last_activity_at_idx
    on notifications (account_id, user_id, last_activity_at);
create index notifications_account_id_primary_actor_id_user_id_idx
    on notifications (account_id, primary_actor_id, user_id);
