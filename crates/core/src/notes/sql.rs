//! Statements on notes.

use chatwarden_db::statements;

use super::Note;

/// A note with its writer, while that is a member.
macro_rules! note_columns {
    () => {
        concat!(
            "n.id, n.contact_id, n.content, n.created_at, n.updated_at, ",
            $crate::member_columns!(),
            " from notes n left join account_users au on au.account_id = n.account_id and au.user_id = n.user_id \
             left join users u on u.id = au.user_id "
        )
    };
}

statements! {
    /// $1 account, $2 contact
    LIST: Note = "notes.list", (concat!("select ", note_columns!(),
        "where n.account_id = $1 and n.contact_id = $2 order by n.id desc"));
    /// $1 account, $2 contact, $3 note
    FIND: Note = "notes.find", (concat!("select ", note_columns!(),
        "where n.account_id = $1 and n.contact_id = $2 and n.id = $3"));
    /// $1 account, $2 contact, $3 user, $4 content, $5 now
    INSERT: (i64,) = "notes.insert",
        "insert into notes (account_id, contact_id, user_id, content, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $5) returning id";
    /// $1 account, $2 contact, $3 note, $4 user, $5 content, $6 now
    UPDATE: () = "notes.update",
        "update notes set user_id = $4, content = $5, updated_at = $6
         where account_id = $1 and contact_id = $2 and id = $3";
    /// $1 account, $2 contact, $3 note
    DELETE: () = "notes.delete", "delete from notes where account_id = $1 and contact_id = $2 and id = $3";
}
