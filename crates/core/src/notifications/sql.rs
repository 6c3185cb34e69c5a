//! Statements on notifications.

use chatwarden_db::{DbError, Timestamp, Tx, WriteTx, args, statements};

use super::dispatch::Recipient;
use super::{Kind, Notification};
use crate::conversations::Conversation;
use crate::conversations::sql::{conversation_columns, conversation_from, sees};
use crate::ids::{AccountId, ConversationId, InboxId, MessageId, NotificationId, UserId};
use crate::scope::Scope;

chatwarden_db::row! {
    /// A notification's number.
    pub struct Numbered {
        pub id: NotificationId,
    }
}

chatwarden_db::joined! {
    /// What a notification shows.
    pub struct Shown {
        pub of: Numbered,
        pub conversation: Conversation,
    }
}

/// Whether the member of notification `n` may see its conversation: who may not any more is not shown it.
macro_rules! seen {
    () => {
        concat!(
            "exists (select 1 from conversations s \
             join account_users au on au.account_id = s.account_id and au.user_id = n.user_id \
             where s.account_id = n.account_id and s.id = n.primary_actor_id and ",
            sees!("s.inbox_id", "s.team_id"),
            ")"
        )
    };
}

macro_rules! notification_columns {
    () => {
        "id, account_id, user_id, notification_type, primary_actor_id, secondary_actor_type, secondary_actor_id, \
         read_at, snoozed_until, last_snoozed_at, last_activity_at, created_at, updated_at"
    };
}

/// The members of an account with their settings.
macro_rules! recipients {
    () => {
        concat!(
            "select ",
            $crate::member_columns!(),
            ", coalesce(ns.email_flags, 0), coalesce(ns.push_flags, 0) \
             from account_users au join users u on u.id = au.user_id \
             left join notification_settings ns on ns.account_id = au.account_id and ns.user_id = au.user_id \
             where au.account_id = $1 and "
        )
    };
}

statements! {
    /// $1 account, $2 inbox, $3 users, $4 team: those of them who may see a conversation
    RECIPIENTS: Recipient = "notifications.recipients", (concat!(recipients!(), "au.user_id @in($3) and ",
        sees!("$2", "$4")));
    /// $1 account, $2 inbox, $3 conversation, $4 team, $5 those who are told otherwise: who follows a conversation
    /// and may see it
    FOLLOWING: Recipient = "notifications.following", (concat!(recipients!(),
        "au.user_id in (select p.user_id from conversation_participants p
            where p.account_id = $1 and p.conversation_id = $3)
         and au.user_id @not_in($5) and ", sees!("$2", "$4")));
    /// $1 account, $2 inbox, $3 the kind's bit: members of the inbox who want to be told of the kind
    WANTING: Recipient = "notifications.wanting", (concat!(recipients!(),
        "((ns.email_flags & $3) <> 0 or (ns.push_flags & $3) <> 0) and exists (select 1 from inbox_members im
            where im.account_id = au.account_id and im.inbox_id = $2 and im.user_id = au.user_id)"));
    /// $1 account, $2 kind, $3 conversation, $4 secondary type, $5 secondary, $6 now, $7 users
    INSERT: Notification = "notifications.insert", (concat!(
        "insert into notifications (account_id, user_id, notification_type, primary_actor_id, secondary_actor_type,
            secondary_actor_id, last_activity_at, created_at, updated_at)
         select $1, au.user_id, $2, $3, $4, $5, $6, $6, $6 from account_users au
         where au.account_id = $1 and au.user_id @in($7) returning ", notification_columns!()));
    /// $1 account, $2 conversation, $3 users: the newest takes the place of the others
    DELETE_OLDER: (NotificationId, UserId) = "notifications.delete_older",
        "delete from notifications where account_id = $1 and primary_actor_id = $2 and user_id @in($3)
         returning id, user_id";
    /// $1 account, $2 users
    UNREAD: (UserId, i64) = "notifications.unread",
        (concat!("select n.user_id, count(*) from notifications n where n.account_id = $1 and n.user_id @in($2)
            and n.read_at is null and n.snoozed_until is null and ", seen!(), " group by n.user_id"));
    /// $1 account, $2 user, $3 with those that were read, $4 with those that are snoozed, $5 limit, $6 offset
    NEWEST: Notification = "notifications.newest", (concat!("select ", notification_columns!(),
        " from notifications n where n.account_id = $1 and n.user_id = $2 and ($3 or n.read_at is null)
            and ($4 or n.snoozed_until is null) and ", seen!(), " order by n.last_activity_at desc, n.id desc limit $5 offset $6"));
    /// $1 account, $2 user, $3 with those that were read, $4 with those that are snoozed, $5 limit, $6 offset
    OLDEST: Notification = "notifications.oldest", (concat!("select ", notification_columns!(),
        " from notifications n where n.account_id = $1 and n.user_id = $2 and ($3 or n.read_at is null)
            and ($4 or n.snoozed_until is null) and ", seen!(), " order by n.last_activity_at, n.id limit $5 offset $6"));
    /// $1 account, $2 user, $3 with those that were read, $4 with those that are snoozed: all, unread
    COUNTS: (i64, i64) = "notifications.counts",
        (concat!("select count(*), count(*) filter (where n.read_at is null) from notifications n
         where n.account_id = $1 and n.user_id = $2 and ($3 or n.read_at is null) and ($4 or n.snoozed_until is null)
            and ", seen!()));
    /// $1 account, $2 user, $3 notification
    LOCK: Notification = "notifications.lock", (concat!("select ", notification_columns!(),
        " from notifications n where n.account_id = $1 and n.user_id = $2 and n.id = $3 and ", seen!(), " @lock(n)"));
    /// $1 account, $2 notification, $3 read at, $4 snoozed until, $5 last snoozed at, $6 now
    UPDATE: () = "notifications.update",
        "update notifications set read_at = $3, snoozed_until = $4, last_snoozed_at = $5, updated_at = $6
         where account_id = $1 and id = $2";
    /// $1 account, $2 user, $3 notification
    DELETE: () = "notifications.delete", "delete from notifications where account_id = $1 and user_id = $2 and id = $3";
    /// $1 account, $2 user, $3 conversation, $4 notification: whether it, or what took its place, is unread
    NEWS: (bool,) = "notifications.news",
        "select count(*) > 0 from notifications
         where account_id = $1 and user_id = $2 and primary_actor_id = $3 and id >= $4 and read_at is null";
    /// $1 account, $2 user, $3 now
    READ_ALL: () = "notifications.read_all",
        "update notifications set read_at = $3 where account_id = $1 and user_id = $2 and read_at is null";
    /// $1 account, $2 user, $3 conversation, $4 now
    READ_OF: Notification = "notifications.read_of", (concat!(
        "update notifications set read_at = $4, updated_at = $4
         where account_id = $1 and user_id = $2 and primary_actor_id = $3 and read_at is null returning ",
        notification_columns!()));
    /// $1 account, $2 conversation
    HAS_CONVERSATION: (i64,) = "notifications.has_conversation",
        "select count(*) from conversations where account_id = $1 and id = $2";
    /// $1 account, $2 user, $3 those only that were read, $4 the newest that is meant: some of them
    DELETE_SOME: (NotificationId,) = "notifications.delete_some",
        "delete from notifications where account_id = $1 and id in (
            select id from notifications where account_id = $1 and user_id = $2 and (not $3 or read_at is not null)
                and id <= $4 order by id limit 200) returning id";
    /// $1 account, $2 user
    LAST: (Option<NotificationId>,) = "notifications.last",
        "select max(id) from notifications where account_id = $1 and user_id = $2";
    /// $1 now: whose snoozed notifications are to come back. The sign keeps SQLite from walking all of them in the
    /// order of accounts.
    DUE: (AccountId,) = "notifications.due",
        "select distinct +account_id from notifications where snoozed_until <= $1 order by 1";
    /// $1 account, $2 now
    WAKE: Notification = "notifications.wake", (concat!(
        "update notifications set last_snoozed_at = snoozed_until, snoozed_until = null, read_at = null,
            last_activity_at = $2, updated_at = $2
         where account_id = $1 and id in (select id from notifications
            where account_id = $1 and snoozed_until <= $2 order by snoozed_until, id limit 100) returning ",
        notification_columns!()));
    /// $1 a month ago, $2 how many a member keeps: whose notifications are too old or too many
    EXCESSIVE: (AccountId,) = "notifications.excessive",
        "select +account_id from notifications where created_at < $1
         union select account_id from notifications group by account_id, user_id having count(*) > $2
         order by 1";
    /// $1 account, $2 a month ago, $3 how many a member keeps: some of them
    PRUNE: () = "notifications.prune",
        "delete from notifications where account_id = $1 and id in (
            select id from (
                select id, created_at, row_number() over (partition by user_id order by id desc) as place
                from notifications where account_id = $1) placed
            where place > $3 or created_at < $2 order by id limit 500)";
    /// $1 account, $2 notifications: the conversations of those that are seen
    CONVERSATIONS: Shown = "notifications.conversations", (concat!("select n.id, ", conversation_columns!(), " ",
        conversation_from!(), "join notifications n on n.account_id = c.account_id and n.primary_actor_id = c.id
         where n.account_id = $1 and n.id @in($2) and ", seen!()));
    /// $1 account, $2 conversations: the first message, the newest incoming and the newest outgoing of each
    QUOTES: (ConversationId, Option<MessageId>, Option<MessageId>, Option<MessageId>) = "notifications.quotes",
        "select c.id,
            (select m.id from messages m where m.account_id = $1 and m.conversation_id = c.id order by m.id limit 1),
            (select m.id from messages m where m.account_id = $1 and m.conversation_id = c.id and m.message_type = 0
                order by m.created_at desc, m.id desc limit 1),
            (select m.id from messages m where m.account_id = $1 and m.conversation_id = c.id
                and m.message_type in (1, 3) and m.message_type = 1 order by m.created_at desc, m.id desc limit 1)
         from conversations c where c.account_id = $1 and c.id @in($2)";
}

/// Those of the users who may see a conversation.
pub async fn recipients(
    tx: &mut Tx<'_>,
    scope: &Scope,
    c: &Conversation,
    users: &[i64],
) -> Result<Vec<Recipient>, DbError> {
    if users.is_empty() {
        return Ok(Vec::new());
    }
    tx.all(&RECIPIENTS, args![scope.account_id(), c.row.inbox_id, users, c.row.team_id]).await
}

/// Those who follow a conversation and may see it, but for `told`.
pub async fn following(
    tx: &mut Tx<'_>,
    scope: &Scope,
    c: &Conversation,
    told: &[i64],
) -> Result<Vec<Recipient>, DbError> {
    let (inbox, team) = (c.row.inbox_id, c.row.team_id);
    tx.all(&FOLLOWING, args![scope.account_id(), inbox, c.row.id, team, told]).await
}

/// The conversations of notifications, in no order; of those only whose conversation their member may see.
pub async fn conversations(
    tx: &mut Tx<'_>,
    scope: &Scope,
    notifications: &[Notification],
) -> Result<Vec<Shown>, DbError> {
    let ids: Vec<i64> = notifications.iter().map(|n| n.id.0).collect();
    tx.all(&CONVERSATIONS, args![scope.account_id(), ids]).await
}

/// Members of an inbox who want to be told of a kind.
pub async fn wanting(
    tx: &mut Tx<'_>,
    scope: &Scope,
    inbox: InboxId,
    kind: Kind,
) -> Result<Vec<Recipient>, DbError> {
    tx.all(&WANTING, args![scope.account_id(), inbox, kind.flag()]).await
}

/// Tells users of a conversation.
pub async fn insert(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    users: &[i64],
    kind: Kind,
    conversation: ConversationId,
    message: Option<MessageId>,
) -> Result<Vec<Notification>, DbError> {
    let now = tx.now();
    let secondary = message.map(|_| "Message");
    let args = args![scope.account_id(), kind, conversation, secondary, message, now, users];
    tx.all(&INSERT, args).await
}

/// What each user has not read, and is not to be reminded of later.
pub async fn unread(
    tx: &mut Tx<'_>,
    scope: &Scope,
    users: &[i64],
) -> Result<Vec<(UserId, i64)>, DbError> {
    tx.all(&UNREAD, args![scope.account_id(), users]).await
}

/// Writes what may change of a notification.
pub async fn update(tx: &mut WriteTx<'_>, scope: &Scope, n: &Notification) -> Result<u64, DbError> {
    let args = args![
        scope.account_id(),
        n.id,
        n.read_at,
        n.snoozed_until,
        n.last_snoozed_at,
        n.updated_at
    ];
    tx.run(&UPDATE, args).await
}

/// A notification of a user, locked.
pub async fn lock(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    user: UserId,
    id: NotificationId,
) -> Result<Option<Notification>, DbError> {
    tx.opt(&LOCK, args![scope.account_id(), user, id]).await
}

/// Has the unread ones of a conversation be read by a user; those.
pub async fn read_of(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    user: UserId,
    conversation: ConversationId,
    now: Timestamp,
) -> Result<Vec<Notification>, DbError> {
    tx.all(&READ_OF, args![scope.account_id(), user, conversation, now]).await
}
