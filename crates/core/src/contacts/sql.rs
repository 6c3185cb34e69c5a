//! Statements on contacts.

use chatwarden_db::{DbError, Json, Tx, WriteTx, args, statements};

use super::{Contact, ContactInbox, InboxOfContact, NewContact};
use crate::ids::{ContactId, ContactInboxId, InboxId};
use crate::scope::Scope;

/// The columns of [`Contact`](super::Contact), for `contacts ct`.
#[macro_export]
#[doc(hidden)]
macro_rules! contact_columns {
    () => {
        "ct.id, ct.account_id, ct.name, ct.middle_name, ct.last_name, ct.email, ct.phone_number, ct.identifier, \
         ct.location, ct.country_code, ct.contact_type, ct.blocked, ct.additional_attributes, \
         ct.custom_attributes, ct.labels, ct.avatar, ct.last_activity_at, ct.created_at, ct.updated_at"
    };
    // In SQLite `returning` takes no alias of the table.
    (returned) => {
        "id, account_id, name, middle_name, last_name, email, phone_number, identifier, location, country_code, \
         contact_type, blocked, additional_attributes, custom_attributes, labels, avatar, last_activity_at, \
         created_at, updated_at"
    };
}

/// The columns of [`ContactInbox`], for `contact_inboxes ci`.
macro_rules! contact_inbox_columns {
    () => {
        "ci.id, ci.contact_id, ci.inbox_id, ci.source_id, ci.hmac_verified, ci.absorbed, ci.pubsub_token, \
         ci.created_at, ci.updated_at"
    };
}

statements! {
    /// $1 account, $2 contact
    GET: Contact = "contacts.get", (concat!("select ", contact_columns!(), " from contacts ct where ct.account_id = $1 and ct.id = $2"));
    /// $1 account, $2 address
    BY_EMAIL: Contact = "contacts.by_email", (concat!("select ", contact_columns!(), " from contacts ct where ct.account_id = $1 and ct.email = $2"));
    /// $1 account, $2 phone number
    BY_PHONE: Contact = "contacts.by_phone", (concat!("select ", contact_columns!(), " from contacts ct where ct.account_id = $1 and ct.phone_number = $2"));
    /// $1 account, $2 identifier
    BY_IDENTIFIER: Contact = "contacts.by_identifier", (concat!("select ", contact_columns!(), " from contacts ct where ct.account_id = $1 and ct.identifier = $2"));
    /// $1 account, $2 contact, or 0, $3 address, $4 identifier, $5 phone number: which of them are another's
    OTHERS: (bool, bool, bool) = "contacts.others",
        "select exists (select 1 from contacts ct where ct.account_id = $1 and ct.email = $3 and ct.id <> $2),
            exists (select 1 from contacts ct where ct.account_id = $1 and ct.identifier = $4 and ct.id <> $2),
            exists (select 1 from contacts ct where ct.account_id = $1 and ct.phone_number = $5 and ct.id <> $2)";
    /// $1 account, $2 contact
    LOCK: Contact = "contacts.lock", (concat!("select ", contact_columns!(),
        " from contacts ct where ct.account_id = $1 and ct.id = $2 @lock(ct)"));
    /// $1 account, $2 name, $3 email, $4 phone, $5 identifier, $6 type, $7 blocked, $8 additional, $9 custom, $10 search, $11 now,
    /// $12 location, $13 country
    INSERT: (i64,) = "contacts.insert",
        "insert into contacts (account_id, name, middle_name, last_name, email, phone_number, identifier, contact_type,
            blocked, additional_attributes, custom_attributes, labels, search_folded, created_at, updated_at, location,
            country_code)
         values ($1, $2, '', '', $3, $4, $5, $6, $7, $8, $9, '[]', $10, $11, $11, $12, $13) returning id";
    /// Everything that may change: $1 account, $2 contact, $3 name, $4 email, $5 phone, $6 identifier, $7 location,
    /// $8 country, $9 type, $10 blocked, $11 additional, $12 custom, $13 search, $14 now
    UPDATE: () = "contacts.update",
        "update contacts set name = $3, email = $4, phone_number = $5, identifier = $6, location = $7,
            country_code = $8, contact_type = $9, blocked = $10, additional_attributes = $11,
            custom_attributes = $12, search_folded = $13, updated_at = $14
         where account_id = $1 and id = $2";
    /// $1 account, $2 contacts, in the order of their locks
    LOCK_ALL: Contact = "contacts.lock_all", (concat!("select ", contact_columns!(),
        " from contacts ct where ct.account_id = $1 and ct.id @in($2) order by ct.id @lock(ct)"));
    /// $1 account, $2 contacts
    LOCK_CONVERSATIONS: (i64,) = "contacts.lock_conversations",
        "select c.id from conversations c where c.account_id = $1 and c.contact_id @in($2) order by c.id @lock(c)";
    /// $1 account, $2 contact, $3 the contact that takes over
    MOVE_MESSAGES: () = "contacts.move_messages",
        "update messages set sender_id = $3 where account_id = $1 and sender_type = 'Contact' and sender_id = $2
            and conversation_id in (select id from conversations where account_id = $1 and contact_id = $2)";
    /// $1 account, $2 contact, $3 the contact that takes over, $4 now
    MOVE_CONVERSATIONS: () = "contacts.move_conversations",
        "update conversations set contact_id = $3, updated_at = $4 where account_id = $1 and contact_id = $2";
    /// $1 account, $2 contact, $3 the contact that takes over, $4 now
    MOVE_CONTACT_INBOXES: () = "contacts.move_contact_inboxes",
        "update contact_inboxes set contact_id = $3, updated_at = $4 where account_id = $1 and contact_id = $2";
    /// $1 account, $2 contact, $3 the contact that takes over
    MOVE_NOTES: () = "contacts.move_notes",
        "update notes set contact_id = $3 where account_id = $1 and contact_id = $2";
    /// $1 account, $2 contacts: their contact inboxes, locked; the sockets' tokens
    TOKENS_OF: (String,) = "contacts.tokens_of",
        "select ci.pubsub_token from contact_inboxes ci where ci.account_id = $1 and ci.contact_id @in($2)
         order by ci.id @lock(ci)";
    /// $1 account, $2 contact
    DELETE: () = "contacts.delete", "delete from contacts where account_id = $1 and id = $2";
    /// $1 account, $2 contact inbox, $3 now
    VERIFY: () = "contacts.verify",
        "update contact_inboxes set hmac_verified = true, updated_at = $3
         where account_id = $1 and id = $2 and not hmac_verified";
    /// $1 account, $2 contact, $3 now, $4 one of its contact inboxes, or null for all
    ABSORB: () = "contacts.absorb",
        "update contact_inboxes set absorbed = true, updated_at = $3
         where account_id = $1 and contact_id = $2 and (id = $4 or $4 is null)";
    /// $1 account, $2 inbox, $3 source id
    CONTACT_INBOX_BY_SOURCE: ContactInbox = "contacts.contact_inbox_by_source", (concat!("select ", contact_inbox_columns!(),
        " from contact_inboxes ci where ci.account_id = $1 and ci.inbox_id = $2 and ci.source_id = $3"));
    /// $1 account, $2 contact, $3 inbox, $4 source id, $5 token, $6 now. The contact is locked: whoever removes it, or
    /// merges it into another, does so before or after.
    INSERT_CONTACT_INBOX: (i64,) = "contacts.insert_contact_inbox",
        "insert into contact_inboxes (account_id, contact_id, inbox_id, source_id, hmac_verified, pubsub_token, created_at, updated_at)
         select ct.account_id, ct.id, $3, $4, false, $5, $6, $6 from contacts ct
         where ct.account_id = $1 and ct.id = $2 @lock(ct) returning id";
    /// $1 account, $2 contact inbox
    CONTACT_INBOX: ContactInbox = "contacts.contact_inbox", (concat!("select ", contact_inbox_columns!(),
        " from contact_inboxes ci where ci.account_id = $1 and ci.id = $2"));
    /// $1 account, $2 source id
    CONTACT_INBOX_ANYWHERE: ContactInbox = "contacts.contact_inbox_anywhere", (concat!("select ", contact_inbox_columns!(),
        " from contact_inboxes ci where ci.account_id = $1 and ci.source_id = $2 order by ci.id limit 1"));
    /// $1 account, $2 contacts: their inboxes, with what a slim inbox shows
    INBOXES_OF: InboxOfContact = "contacts.inboxes_of",
        "select ci.contact_id, ci.source_id, i.id, ch.id, i.name, i.channel_type, i.avatar from contact_inboxes ci
         join inboxes i on i.account_id = ci.account_id and i.id = ci.inbox_id
         join channels ch on ch.account_id = i.account_id and ch.inbox_id = i.id
         where ci.account_id = $1 and ci.contact_id @in($2) order by ci.id";
    /// $1 pubsub token: the account is what is looked for
    BY_PUBSUB_TOKEN: (i64, i64) = "contacts.by_pubsub_token", "select account_id, contact_id from contact_inboxes where pubsub_token = $1";
    /// $1 account, $2 contact, $3 now
    TOUCH: Contact = "contacts.touch", (concat!(
        "update contacts set last_activity_at = $3, updated_at = $3 where account_id = $1 and id = $2 returning ",
        contact_columns!(returned)));
    /// $1 account, $2 contact
    VERIFIED_TOKENS: (String,) = "contacts.verified_tokens",
        "select pubsub_token from contact_inboxes where account_id = $1 and contact_id = $2 and hmac_verified order by id";
}

/// Notes activity; the contact as it is then.
pub async fn touch(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    contact: ContactId,
) -> Result<Option<Contact>, DbError> {
    let now = tx.now();
    tx.opt(&TOUCH, args![scope.account_id(), contact, now]).await
}

/// Notes that whoever writes from a contact inbox has proved who they are.
pub async fn verify(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    contact_inbox: ContactInboxId,
) -> Result<u64, DbError> {
    let now = tx.now();
    tx.run(&VERIFY, args![scope.account_id(), contact_inbox, now]).await
}

/// Notes that whoever writes from a contact's inboxes, or from that one, is a contact by what they typed alone.
pub async fn absorb(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    contact: ContactId,
    place: Option<ContactInboxId>,
) -> Result<u64, DbError> {
    let now = tx.now();
    tx.run(&ABSORB, args![scope.account_id(), contact, now, place]).await
}

/// The socket tokens of a contact's proved identities.
pub async fn verified_tokens(
    tx: &mut Tx<'_>,
    scope: &Scope,
    contact: ContactId,
) -> Result<Vec<String>, DbError> {
    Ok(tx
        .all(&VERIFIED_TOKENS, args![scope.account_id(), contact])
        .await?
        .into_iter()
        .map(|(token,)| token)
        .collect())
}

/// A contact of the account.
pub async fn get(
    tx: &mut Tx<'_>,
    scope: &Scope,
    id: ContactId,
) -> Result<Option<Contact>, DbError> {
    tx.opt(&GET, args![scope.account_id(), id]).await
}

/// The contact that has one of these, looked for in this order (`behaviours.md §12`).
pub async fn by_identity(
    tx: &mut Tx<'_>,
    scope: &Scope,
    identifier: Option<&str>,
    email: Option<&str>,
    phone_number: Option<&str>,
) -> Result<Option<Contact>, DbError> {
    for (statement, value) in
        [(&BY_IDENTIFIER, identifier), (&BY_EMAIL, email), (&BY_PHONE, phone_number)]
    {
        if let Some(value) = value
            && let Some(found) = tx.opt(statement, args![scope.account_id(), value]).await?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Adds a contact; its id.
pub async fn insert(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    new: &NewContact,
) -> Result<ContactId, DbError> {
    let now = tx.now();
    tx.one(
        &INSERT,
        args![
            scope.account_id(),
            new.name,
            new.email,
            new.phone_number,
            new.identifier,
            new.contact_type(),
            new.blocked,
            Json(&new.additional_attributes),
            Json(&new.custom_attributes),
            new.search_folded(),
            now,
            new.attribute("city"),
            new.attribute("country")
        ],
    )
    .await
    .map(|(id,)| ContactId(id))
}

/// A contact inbox by what the channel calls the contact.
pub async fn contact_inbox_by_source(
    tx: &mut Tx<'_>,
    scope: &Scope,
    inbox: InboxId,
    source_id: &str,
) -> Result<Option<ContactInbox>, DbError> {
    tx.opt(&CONTACT_INBOX_BY_SOURCE, args![scope.account_id(), inbox, source_id]).await
}

/// Adds a contact inbox, unless the contact is gone.
pub async fn insert_contact_inbox(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    contact: ContactId,
    inbox: InboxId,
    source_id: &str,
) -> Result<Option<ContactInbox>, DbError> {
    let (now, token) = (tx.now(), tx.ambient().token(24));
    let args = args![scope.account_id(), contact, inbox, source_id, token, now];
    match tx.opt(&INSERT_CONTACT_INBOX, args).await? {
        Some((id,)) => tx.opt(&CONTACT_INBOX, args![scope.account_id(), id]).await,
        None => Ok(None),
    }
}

/// The inboxes of contacts, in one statement.
pub async fn inboxes_of(
    tx: &mut Tx<'_>,
    scope: &Scope,
    contacts: &[i64],
) -> Result<Vec<InboxOfContact>, DbError> {
    tx.all(&INBOXES_OF, args![scope.account_id(), contacts]).await
}

/// Whom an inbox, the first that does, calls by a source id.
pub async fn contact_inbox_anywhere(
    tx: &mut Tx<'_>,
    scope: &Scope,
    source_id: &str,
) -> Result<Option<ContactInbox>, DbError> {
    tx.opt(&CONTACT_INBOX_ANYWHERE, args![scope.account_id(), source_id]).await
}
