//! Statements on what a website shows.

use chatwarden_db::statements;

use crate::users::MemberRow;

statements! {
    /// $1 account, $2 inbox
    PEOPLE: MemberRow = "widget.people", (concat!("select ", crate::member_columns!(),
        " from inbox_members im
          join account_users au on au.account_id = im.account_id and au.user_id = im.user_id
          join users u on u.id = im.user_id
          where im.account_id = $1 and im.inbox_id = $2 order by im.created_at, im.user_id"));
}
