//! Visitors, who come without a credential of ours: by a website's widget or an API inbox's client. What they
//! may see and do is the same for both (`widget.md §7`, `behaviours.md §20`).

mod answers;
mod identify;
mod name;
mod proof;
pub mod sql;

pub(crate) use answers::name_for;
pub use answers::{Answer, Answered, answer, submitted};
pub use identify::{Identity, Manner, identify};
pub use name::some_name;
pub use proof::Proof;

use std::collections::HashMap;

use chatwarden_db::{Tx, WriteTx, args};
use serde_json::{Map, Value};

use crate::contacts::{self, Contact, ContactInbox};
use crate::conversations::{self, Conversation, NewConversation, Status};
use crate::error::{Error, Result};
use crate::events::Performer;
use crate::ids::{ConversationId, DisplayId};
use crate::inboxes::Door;
use crate::labels;
use crate::messages::{self, MessageType, NewMessage, Sender, Sent};
use crate::storage::NewAttachment;

/// A visitor of an inbox.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// The inbox, and with it the scope.
    pub door: Door,
    /// Where the visitor writes from.
    pub contact_inbox: ContactInbox,
    /// Who it is.
    pub contact: Contact,
}

/// Which of a contact's conversations a visitor sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sight {
    /// Those from where they write, and, proved, from where they proved it in this inbox too.
    Inbox,
    /// Those from where they write, and, proved, all of the contact's.
    Contact,
}

/// What a visitor writes.
#[derive(Debug, Clone, Default)]
pub struct Said {
    /// The text.
    pub content: Option<String>,
    /// What listeners know the message by until it is stored.
    pub echo_id: Option<Value>,
    /// What goes with it.
    pub content_attributes: Map<String, Value>,
    /// What it carries.
    pub attachments: Vec<NewAttachment>,
}

impl Visitor {
    /// The visitor of an inbox whom its channel knows by `source_id`.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is none.
    pub async fn find(tx: &mut Tx<'_>, door: Door, source_id: &str) -> Result<Self> {
        let scope = &door.scope;
        let contact_inbox =
            contacts::sql::contact_inbox_by_source(tx, scope, door.inbox.id, source_id)
                .await?
                .ok_or(Error::NotFound)?;
        let contact = contacts::sql::get(tx, scope, contact_inbox.contact_id).await?;
        let contact = contact.ok_or(Error::NotFound)?;
        Ok(Self { door, contact_inbox, contact })
    }

    /// Whether a contact's record is the visitor's own: the one they were before they turned out to be known, and the
    /// one they are, unless it absorbed them by what they typed.
    pub fn owns(&self, contact: &Contact) -> bool {
        contact.id != self.contact_inbox.contact_id || self.contact_inbox.owns_contact()
    }

    /// The visitor as the one who acts.
    pub fn performer(&self) -> Performer {
        Performer::Contact(self.contact.name.clone())
    }

    /// Checks a proof, and notes it where it is of who the visitor is known to be: who proves to be
    /// somebody else has not proved to be this contact.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] for a proof that is wrong or missing.
    pub async fn prove_to_be(&mut self, tx: &mut WriteTx<'_>, proof: &Proof) -> Result<()> {
        let proved = proof.check(&self.door.channel)?;
        if proved && proof.identifier.is_some() && proof.identifier == self.contact.identifier {
            self.prove(tx).await?;
        }
        Ok(())
    }

    /// Notes that the visitor has proved who they are.
    ///
    /// # Errors
    /// What the database says.
    pub async fn prove(&mut self, tx: &mut WriteTx<'_>) -> Result<()> {
        contacts::sql::verify(tx, &self.door.scope, self.contact_inbox.id).await?;
        self.contact_inbox.hmac_verified = true;
        Ok(())
    }

    /// The visitor's current conversation in the inbox: the newest.
    ///
    /// # Errors
    /// What the database says.
    pub async fn conversation(&self, tx: &mut Tx<'_>) -> Result<Option<Conversation>> {
        Ok(sql::newest(tx, self).await?)
    }

    /// The same, locked.
    ///
    /// # Errors
    /// What the database says.
    pub async fn lock_conversation(&self, tx: &mut WriteTx<'_>) -> Result<Option<Conversation>> {
        Ok(sql::lock_newest(tx, self).await?)
    }

    /// The same; where there is none, nobody else opens one from where they write until the
    /// transaction ends.
    ///
    /// # Errors
    /// [`Error::NotFound`] where the visitor was removed meanwhile.
    pub async fn lock_conversation_or_place(
        &mut self,
        tx: &mut WriteTx<'_>,
    ) -> Result<Option<Conversation>> {
        if let Some(c) = sql::lock_newest(tx, self).await? {
            return Ok(Some(c));
        }
        self.catch_up(tx).await?;
        Ok(sql::lock_newest(tx, self).await?)
    }

    /// Locks where the visitor writes from, and sees who they are by now: a merge that was under way when they were
    /// found moved their conversations to another contact.
    async fn catch_up(&mut self, tx: &mut WriteTx<'_>) -> Result<()> {
        let scope = &self.door.scope;
        let now = conversations::sql::lock_contact_inbox(tx, scope, self.contact_inbox.id).await?;
        let now = now.ok_or(Error::NotFound)?;
        if now == self.contact.id {
            return Ok(());
        }
        *self = Self::find(tx, self.door.clone(), &self.contact_inbox.source_id).await?;
        Ok(())
    }

    /// One of the visitor's conversations.
    ///
    /// # Errors
    /// [`Error::NotFound`] where the visitor sees none of that number.
    pub async fn conversation_of(&self, tx: &mut Tx<'_>, id: DisplayId) -> Result<Conversation> {
        sql::conversation(tx, self, id).await?.ok_or(Error::NotFound)
    }

    /// The same, locked.
    ///
    /// # Errors
    /// As [`Visitor::conversation_of`].
    pub async fn lock_conversation_of(
        &mut self,
        tx: &mut WriteTx<'_>,
        id: DisplayId,
    ) -> Result<Conversation> {
        if let Some(c) = sql::lock_conversation(tx, self, id).await? {
            return Ok(c);
        }
        self.catch_up(tx).await?;
        sql::lock_conversation(tx, self, id).await?.ok_or(Error::NotFound)
    }

    /// The visitor's conversations, oldest first, each with its public messages' newest stretch: two
    /// statements for all of them.
    ///
    /// # Errors
    /// What the database says.
    pub async fn conversations(&self, tx: &mut Tx<'_>) -> Result<Vec<(Conversation, Vec<Sent>)>> {
        let mut found = sql::conversations(tx, self).await?;
        found.reverse();
        with_messages(tx, self, found).await
    }

    /// Opens a conversation, a new one in any case; announced by [`conversations::announce_created`]
    /// once its first message stands, or at once.
    ///
    /// # Errors
    /// What the database says.
    pub async fn open(&self, tx: &mut WriteTx<'_>, new: NewConversation) -> Result<Conversation> {
        let mut inbox = self.door.inbox.clone();
        inbox.lock_to_single_conversation = false;
        let scope = &self.door.scope;
        let of = &self.contact_inbox;
        let (made, _) =
            conversations::create(tx, scope, &inbox, of, self.contact.blocked, new).await?;
        Ok(made)
    }

    /// Writes into a conversation that the transaction holds locked.
    ///
    /// # Errors
    /// As [`messages::create`].
    pub async fn write(
        &self,
        tx: &mut WriteTx<'_>,
        c: &mut Conversation,
        said: Said,
    ) -> Result<Sent> {
        let sender = Sender::Contact(Box::new(self.contact.clone()));
        let mut new = NewMessage::text(MessageType::Incoming, said.content, sender);
        new.content_attributes = Value::Object(said.content_attributes);
        new.echo_id = said.echo_id;
        new.attachments = said.attachments;
        messages::create(tx, &self.door.scope, c, new, &self.performer()).await
    }

    /// Notes that the visitor has looked at a conversation: what was sent to them is read.
    ///
    /// # Errors
    /// What the database says.
    pub async fn see(&self, tx: &mut WriteTx<'_>, c: &mut Conversation) -> Result<()> {
        let scope = &self.door.scope;
        let before = c.row.clone();
        c.row.contact_last_seen_at = Some(tx.now());
        conversations::save(tx, scope, c, &before, &self.performer()).await
    }

    /// Ends a conversation; one that is resolved stays so.
    ///
    /// # Errors
    /// What the database says.
    pub async fn resolve(&self, tx: &mut WriteTx<'_>, c: &mut Conversation) -> Result<()> {
        if c.row.status == Status::Resolved {
            return Ok(());
        }
        let scope = &self.door.scope;
        conversations::set_status(tx, scope, c, Status::Resolved, None, &self.performer()).await
    }

    /// Gives a conversation these attributes of the account's own, and no others.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] for values beyond the limits.
    pub async fn set_attributes(
        &self,
        tx: &mut WriteTx<'_>,
        c: &mut Conversation,
        attributes: Map<String, Value>,
    ) -> Result<()> {
        let (scope, by) = (&self.door.scope, self.performer());
        conversations::set_custom_attributes(tx, scope, c, attributes, &by).await
    }

    /// Takes attributes away from a conversation.
    ///
    /// # Errors
    /// What the database says.
    pub async fn forget_attributes(
        &self,
        tx: &mut WriteTx<'_>,
        c: &mut Conversation,
        keys: &[String],
    ) -> Result<()> {
        let before = c.row.clone();
        contacts::without(&mut c.row.custom_attributes.0, keys);
        conversations::save(tx, &self.door.scope, c, &before, &self.performer()).await
    }

    /// Those of the titles that the account has labels of.
    async fn known_labels(&self, tx: &mut Tx<'_>, titles: &[String]) -> Result<Vec<String>> {
        if titles.is_empty() {
            return Ok(Vec::new());
        }
        let account = self.door.scope.account_id();
        let found = tx.all(&sql::KNOWN_LABELS, args![account, titles]).await?;
        Ok(found.into_iter().map(|(title,)| title).collect())
    }

    /// Marks a conversation with more labels, those that the account has.
    ///
    /// # Errors
    /// [`Error::Invalid`] for too many.
    pub async fn add_labels(
        &self,
        tx: &mut WriteTx<'_>,
        c: &mut Conversation,
        titles: &[String],
    ) -> Result<()> {
        let mut wanted = c.row.labels.0.clone();
        let new: Vec<String> =
            titles.iter().filter(|title| !wanted.contains(title)).cloned().collect();
        wanted.extend(self.known_labels(tx, &new).await?);
        // Nobody of the account acted: the conversation says nothing of it (`behaviours.md §10`).
        labels::tag_conversation(tx, &self.door.scope, c, wanted, &Performer::System).await
    }

    /// Takes a label away from a conversation.
    ///
    /// # Errors
    /// What the database says.
    pub async fn remove_label(
        &self,
        tx: &mut WriteTx<'_>,
        c: &mut Conversation,
        title: &str,
    ) -> Result<()> {
        let mut wanted = c.row.labels.0.clone();
        wanted.retain(|label| label != title);
        labels::tag_conversation(tx, &self.door.scope, c, wanted, &Performer::System).await
    }
}

/// Conversations with what their visitor may read of them: one statement for all.
///
/// # Errors
/// What the database says.
pub async fn with_messages(
    tx: &mut Tx<'_>,
    visitor: &Visitor,
    found: Vec<Conversation>,
) -> Result<Vec<(Conversation, Vec<Sent>)>> {
    let ids: Vec<i64> = found.iter().map(|c| c.row.id.0).collect();
    let sent = if ids.is_empty() {
        Vec::new()
    } else {
        messages::public_of(tx, &visitor.door.scope, &ids).await?
    };
    let mut of_each: HashMap<ConversationId, Vec<Sent>> = HashMap::new();
    for one in sent.into_iter().rev() {
        of_each.entry(one.message.conversation_id).or_default().push(one);
    }
    Ok(found
        .into_iter()
        .map(|c| {
            let own = of_each.remove(&c.row.id).unwrap_or_default();
            (c, own)
        })
        .collect())
}
