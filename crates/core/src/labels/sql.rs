//! Statements on labels, and on what bears them.

use chatwarden_db::{Json, statements};

use super::Label;
use crate::contacts::Contact;
use crate::conversations::Conversation;
use crate::conversations::sql::{conversation_columns, conversation_from};
use crate::ids::LabelId;

statements! {
    /// $1 account
    LIST: Label = "labels.list",
        "select id, title, description, color, show_on_sidebar from labels where account_id = $1 order by title";
    /// $1 account, $2 label
    GET: Label = "labels.get",
        "select id, title, description, color, show_on_sidebar from labels where account_id = $1 and id = $2";
    /// $1 account, $2 label
    LOCK: Label = "labels.lock",
        "select l.id, l.title, l.description, l.color, l.show_on_sidebar from labels l
         where l.account_id = $1 and l.id = $2 @lock(l)";
    /// $1 account, $2 title, $3 but this one: the label that has the title
    HOLDER: (LabelId,) = "labels.holder",
        "select id from labels where account_id = $1 and title = $2 and id <> $3";
    /// $1 account, $2 title, $3 description, $4 colour, $5 on the sidebar, $6 now
    INSERT: (i64,) = "labels.insert",
        "insert into labels (account_id, title, description, color, show_on_sidebar, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $6) returning id";
    /// $1 account, $2 label, $3 title, $4 description, $5 colour, $6 on the sidebar, $7 now
    UPDATE: () = "labels.update",
        "update labels set title = $3, description = $4, color = $5, show_on_sidebar = $6, updated_at = $7
         where account_id = $1 and id = $2";
    /// $1 account, $2 label
    DELETE: () = "labels.delete", "delete from labels where account_id = $1 and id = $2";
    /// $1 account, $2 titles, $3 after this conversation, $4 as many
    CONVERSATIONS_WITH: Conversation = "labels.conversations_with", (concat!("select ", conversation_columns!(), " ",
        conversation_from!(), "where c.account_id = $1 and @any_in(c.labels, $2) and c.id > $3
         order by c.id limit $4 @lock(c)"));
    /// $1 account, $2 titles, $3 after this contact, $4 as many
    CONTACTS_WITH: Contact = "labels.contacts_with", (concat!("select ", crate::contact_columns!(),
        " from contacts ct where ct.account_id = $1 and @any_in(ct.labels, $2) and ct.id > $3
          order by ct.id limit $4 @lock(ct)"));
    /// $1 account, $2 conversations, $3 labels, $4 now
    SET_ON_CONVERSATIONS: () = "labels.set_on_conversations",
        "update conversations set labels = $3, updated_at = $4 where account_id = $1 and id @in($2)";
    /// $1 account, $2 contacts, $3 labels, $4 now
    SET_ON_CONTACTS: () = "labels.set_on_contacts",
        "update contacts set labels = $3, updated_at = $4 where account_id = $1 and id @in($2)";
    /// $1 account, $2 contact
    OF_CONTACT: (Json<Vec<String>>,) = "labels.of_contact",
        "select labels from contacts where account_id = $1 and id = $2";
}
