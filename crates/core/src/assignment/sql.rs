//! Statements on assignment policies, and on whose turn it is.

use chatwarden_db::{Timestamp, statements};

use super::{Policy, Ruled};
use crate::inboxes::InboxWithChannel;
use crate::users::MemberRow;

/// The columns of [`Policy`], for `assignment_policies p`.
macro_rules! policy_columns {
    () => {
        "p.id, p.name, p.description, p.conversation_priority, p.fair_distribution_limit, p.fair_distribution_window, \
         p.exclude_older_than_hours, p.enabled, p.created_at, p.updated_at, (select count(*) from \
         inbox_assignment_policies ip where ip.account_id = p.account_id and ip.assignment_policy_id = p.id)"
    };
}

/// $1 account, $2 inbox, $3 active since, $4 who can take some. A contact that was removed has nothing to be answered.
/// The moment of the last activity bears a sign where it is not the order: SQLite would look for it and sort. Nobody,
/// which all of them have, is named in the order: PostgreSQL knows the index by that.
macro_rules! waiting {
    ($active:literal) => {
        concat!("select c.id, c.team_id from conversations c
         where c.account_id = $1 and c.inbox_id = $2 and c.status = 0 and c.assignee_id is null
            and c.assignee_agent_bot_id is null and ", $active, " >= $3
            and exists (select 1 from contacts ct where ct.account_id = c.account_id and ct.id = c.contact_id)
            and (c.team_id is null or exists (select 1 from teams t join team_members tm
                    on tm.account_id = t.account_id and tm.team_id = t.id
                where t.account_id = c.account_id and t.id = c.team_id and t.allow_auto_assign and tm.user_id @in($4)))")
    };
}

statements! {
    /// $1 account
    LIST: Policy = "assignment.list", (concat!("select ", policy_columns!(),
        " from assignment_policies p where p.account_id = $1 order by p.id"));
    /// $1 account, $2 policy
    GET: Policy = "assignment.get", (concat!("select ", policy_columns!(),
        " from assignment_policies p where p.account_id = $1 and p.id = $2"));
    /// $1 account, $2 policy; for changing
    LOCK: Policy = "assignment.lock", (concat!("select ", policy_columns!(),
        " from assignment_policies p where p.account_id = $1 and p.id = $2 @lock(p)"));
    /// $1 account, $2 name, $3 description, $4 priority, $5 limit, $6 window, $7 hours, $8 enabled, $9 now
    INSERT: (i64,) = "assignment.insert",
        "insert into assignment_policies (account_id, name, description, conversation_priority, fair_distribution_limit,
            fair_distribution_window, exclude_older_than_hours, enabled, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9) returning id";
    /// $1 account, $2 policy, $3 name, $4 description, $5 priority, $6 limit, $7 window, $8 hours, $9 enabled, $10 now
    UPDATE: () = "assignment.update",
        "update assignment_policies set name = $3, description = $4, conversation_priority = $5,
            fair_distribution_limit = $6, fair_distribution_window = $7, exclude_older_than_hours = $8, enabled = $9,
            updated_at = $10
         where account_id = $1 and id = $2";
    /// $1 account, $2 policy
    DELETE: () = "assignment.delete", "delete from assignment_policies where account_id = $1 and id = $2";
    /// $1 account, $2 policy
    UNTIE_ALL: () = "assignment.untie_all",
        "delete from inbox_assignment_policies where account_id = $1 and assignment_policy_id = $2";
    /// $1 account, $2 inbox
    OF_INBOX: Policy = "assignment.of_inbox", (concat!("select ", policy_columns!(),
        " from inbox_assignment_policies ip join assignment_policies p
            on p.account_id = ip.account_id and p.id = ip.assignment_policy_id
          where ip.account_id = $1 and ip.inbox_id = $2"));
    /// $1 account, $2 inbox, $3 policy, $4 now
    TIE: () = "assignment.tie",
        "insert into inbox_assignment_policies (account_id, inbox_id, assignment_policy_id, created_at)
         values ($1, $2, $3, $4)
         on conflict (account_id, inbox_id) do update set assignment_policy_id = excluded.assignment_policy_id";
    /// $1 account, $2 inbox
    UNTIE: () = "assignment.untie", "delete from inbox_assignment_policies where account_id = $1 and inbox_id = $2";
    /// $1 account, $2 policy
    INBOXES: InboxWithChannel = "assignment.inboxes", (concat!("select ", crate::inboxes::sql::inbox_columns!(),
        "join inbox_assignment_policies ip on ip.account_id = i.account_id and ip.inbox_id = i.id
         where i.account_id = $1 and ip.assignment_policy_id = $2 order by i.id"));
    /// $1 account, $2 inbox: how it hands out. Locked: two nodes that hand out conversations of an inbox do so one
    /// after the other.
    RULED: Ruled = "assignment.ruled",
        "select i.enable_auto_assignment, p.name, p.conversation_priority, p.fair_distribution_limit,
            p.fair_distribution_window, p.exclude_older_than_hours, p.enabled
         from inboxes i
         left join inbox_assignment_policies ip on ip.account_id = i.account_id and ip.inbox_id = i.id
         left join assignment_policies p on p.account_id = ip.account_id and p.id = ip.assignment_policy_id
         where i.account_id = $1 and i.id = $2 @lock(i)";
    /// $1 account, $2 inbox
    SEATED: MemberRow = "assignment.seated", (concat!("select ", crate::member_columns!(),
        " from inbox_members im
          join account_users au on au.account_id = im.account_id and au.user_id = im.user_id
          join users u on u.id = au.user_id where im.account_id = $1 and im.inbox_id = $2 order by u.id"));
    /// $1 account, $2 inbox, $3 since: who had how many turns since then, and which was the last
    TURNS: (i64, i64, i64) = "assignment.turns",
        "select user_id, cast(sum(case when created_at > $3 then 1 else 0 end) as bigint), max(id)
         from assignment_turns where account_id = $1 and inbox_id = $2 group by user_id";
    /// $1 account, $2 inbox, $3 user, $4 now
    TAKE_TURN: () = "assignment.take_turn",
        "insert into assignment_turns (account_id, inbox_id, user_id, created_at) values ($1, $2, $3, $4)";
    /// $1 account, $2 inbox, $3 before: turns that count no more, but the last of each
    FORGET: () = "assignment.forget",
        "delete from assignment_turns where account_id = $1 and inbox_id = $2 and created_at < $3
            and exists (select 1 from assignment_turns later where later.account_id = $1 and later.inbox_id = $2
                and later.user_id = assignment_turns.user_id and later.id > assignment_turns.id)";
    /// $1 account, $2 inbox, $3 active since, $4 who can take some, $5 how many: the conversations that nobody has and
    /// one of these may have, with their team; the oldest first
    WAITING: (i64, Option<i64>) = "assignment.waiting",
        (concat!(waiting!("+c.last_activity_at"), " order by c.assignee_id, c.created_at, c.id limit $5"));
    /// The same, who waits the longest first
    WAITING_LONGEST: (i64, Option<i64>) = "assignment.waiting_longest",
        (concat!(waiting!("c.last_activity_at"), " order by c.assignee_id, c.last_activity_at, c.id limit $5"));
    /// $1 account, $2 teams
    TEAM_MEMBERS: (i64, i64) = "assignment.team_members",
        "select team_id, user_id from team_members where account_id = $1 and team_id @in($2)";
    /// $1 account, $2 row id: locked, where nobody took it meanwhile
    STILL_WAITING: (i64,) = "assignment.still_waiting",
        "select c.id from conversations c where c.account_id = $1 and c.id = $2 and c.status = 0
            and c.assignee_id is null and c.assignee_agent_bot_id is null @lock(c)";
    /// Every inbox in which somebody waits, whatever its account
    WAITED_AT: (i64, i64) = "assignment.waited_at",
        "select i.account_id, i.id from inboxes i where i.enable_auto_assignment and exists (
            select 1 from conversations c where c.account_id = i.account_id and c.inbox_id = i.id and c.status = 0
                and c.assignee_id is null)";
}

/// When something that was never is taken to have been.
pub(super) const EVER: Timestamp = Timestamp::from_unix(0);
