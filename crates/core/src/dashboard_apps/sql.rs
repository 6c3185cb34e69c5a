//! Statements on dashboard apps.

use chatwarden_db::statements;

use super::DashboardApp;

statements! {
    /// $1 account
    LIST: DashboardApp = "dashboard_apps.list",
        "select id, title, content, created_at from dashboard_apps where account_id = $1 order by id";
    /// $1 account, $2 app
    FIND: DashboardApp = "dashboard_apps.find",
        "select id, title, content, created_at from dashboard_apps where account_id = $1 and id = $2";
    /// $1 account, $2 app
    LOCK: DashboardApp = "dashboard_apps.lock",
        "select d.id, d.title, d.content, d.created_at from dashboard_apps d
         where d.account_id = $1 and d.id = $2 @lock(d)";
    /// $1 account, $2 user, $3 title, $4 content, $5 now
    INSERT: (i64,) = "dashboard_apps.insert",
        "insert into dashboard_apps (account_id, user_id, title, content, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $5) returning id";
    /// $1 account, $2 app, $3 title, $4 content, $5 now
    UPDATE: () = "dashboard_apps.update",
        "update dashboard_apps set title = $3, content = $4, updated_at = $5 where account_id = $1 and id = $2";
    /// $1 account, $2 app
    DELETE: () = "dashboard_apps.delete", "delete from dashboard_apps where account_id = $1 and id = $2";
}
