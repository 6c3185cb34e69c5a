//! Some weeks of a small support desk, through the product's own operations, on a clock that is
//! moved.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use anyhow::Context as _;
use chatwarden_core::accounts;
use chatwarden_core::agents::{self, Terms};
use chatwarden_core::contacts::{self, NewContact};
use chatwarden_core::conversations::{self, NewConversation, Status};
use chatwarden_core::events::{self, Performer};
use chatwarden_core::inboxes::{self, API, Draft, WEB_WIDGET};
use chatwarden_core::messages::{self, MessageType, NewMessage, Sender};
use chatwarden_core::scope::{Admin, Scope};
use chatwarden_core::store::{Publisher, Store};
use chatwarden_core::users::{self, Member, NewUser, Role, UserPush};
use chatwarden_core::{Error, Result, passwords, setup};
use chatwarden_db::{Ambient, Clock, Db, Timestamp, WriteTx};
use chatwarden_jobs::outbox::Stored;
use indicatif::{ProgressBar, ProgressStyle};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;

use super::words::{AGENTS, FAMILY, GIVEN, NOTES, TALKS};
use super::{Desk, EMAIL, PASSWORD};
use crate::config::Config;
use crate::options;
use crate::secrets::Secrets;

/// How many conversations the desk has had.
const CONVERSATIONS: u64 = 300;
/// Over how many days.
const DAYS: i64 = 42;

/// A clock that stands where it is put.
#[derive(Debug)]
struct Moved(AtomicI64);

impl Clock for Moved {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// Nobody listens to what happened weeks ago.
struct Unheard;

impl Publisher for Unheard {
    fn publish(&self, _: Vec<Stored>) {}
}

/// Makes the desk.
///
/// # Errors
/// A database that can't be opened, or that has people in it.
pub(super) async fn desk(config: &Config, secrets: &Secrets) -> anyhow::Result<Desk> {
    let now = Ambient::default().now();
    let clock = Arc::new(Moved(AtomicI64::new(now.plus_seconds(-DAYS * 86_400).micros())));
    let ambient = Ambient {
        clock: clock.clone(),
        lent: Arc::new(options::desk(config, &secrets.key_base)),
        ..Ambient::default()
    };
    let db = Db::open(options::database(config), ambient)?;
    chatwarden_db::migrate(&db).await?;
    let store = Store::new(db.clone(), Arc::new(Unheard));
    anyhow::ensure!(
        store.read(async |tx| setup::is_needed(tx).await).await?,
        "there are people in this database already: the demo wants an empty one"
    );
    let mut chance = StdRng::seed_from_u64(42);
    let (desk, scope, people) = people(&store).await?;
    let site = new_inbox(&store, &scope, "acme.example", WEB_WIDGET).await?;
    let app = new_inbox(&store, &scope, "Mobile app", API).await?;
    for inbox in [&site, &app] {
        let (scope, id) = (scope.clone(), inbox.inbox.id);
        let ids: Vec<_> = people.iter().map(|member| member.id).collect();
        store.write(async move |tx| inboxes::members::add(tx, &scope, id, &ids).await).await?;
    }

    let style = ProgressStyle::with_template("{msg:24} {bar:40} {pos}/{len} conversations")?;
    let bar =
        ProgressBar::new(CONVERSATIONS).with_style(style).with_message("Making a support desk");
    // The moments, in order; the newest ones are still open.
    let mut moments: Vec<i64> =
        (0..CONVERSATIONS).map(|_| chance.random_range(3600..DAYS * 86_400)).collect();
    moments.sort_unstable_by(|a, b| b.cmp(a));
    for (number, ago) in moments.into_iter().enumerate() {
        let talk = Talk {
            began: now.plus_seconds(-ago),
            number,
            inbox: if chance.random_bool(0.6) { site.inbox.clone() } else { app.inbox.clone() },
            agent: people.choose(&mut chance).cloned().context("an agent")?,
            name: format!(
                "{} {}",
                GIVEN.choose(&mut chance).copied().unwrap_or_default(),
                FAMILY.choose(&mut chance).copied().unwrap_or_default()
            ),
            words: TALKS.choose(&mut chance).copied().context("a talk")?,
            note: if chance.random_bool(0.15) { NOTES.choose(&mut chance).copied() } else { None },
            // Of old conversations nearly all are done, of new ones half.
            goes: match (ago > 3 * 86_400, chance.random_range(0..10)) {
                (true, 0) => Goes::Answered,
                (true, _) | (false, 0..4) => Goes::Resolved,
                (false, 4..8) => Goes::Answered,
                (false, _) => Goes::Unanswered,
            },
        };
        talk.play(&store, &clock, &scope, &mut chance).await?;
        bar.inc(1);
    }
    bar.finish_with_message("Made a support desk");
    let identifier = app.channel.token.clone();
    db.close().await;
    Ok(Desk { inbox_identifier: identifier, ..desk })
}

/// The account, its administrator and its agents.
async fn people(store: &Store) -> anyhow::Result<(Desk, Scope<Admin>, Vec<Member>)> {
    let hash =
        || passwords::hash(PASSWORD, &store.db().ambient().bytes()).context("hashing the password");
    let (own, theirs) = (hash()?, hash()?);
    let found = store
        .write(async move |tx| {
            let made = setup::found(tx, "Acme", "Ada Lovelace", EMAIL, own).await?;
            let scope = Scope::of_command_line(made.account.id);
            for (name, local) in AGENTS {
                let new = NewUser {
                    email: format!("{local}@acme.example"),
                    name: name.to_owned(),
                    display_name: None,
                    password: theirs.clone(),
                    custom_attributes: json!({}),
                    confirmed: true,
                };
                let user = users::create(tx, new).await?;
                let terms = Terms { role: Some(Role::Agent), ..Terms::default() };
                agents::join(tx, &scope, user.id, terms, Some(made.user.id)).await?;
            }
            Ok::<_, Error>(made)
        })
        .await?;
    let (account, user) = (found.account.id, found.user.id);
    let (_, entered) = store.read(async move |tx| accounts::enter(tx, account, user).await).await?;
    let scope = entered.admin().context("the founder administers the account")?;
    let tenant = scope.clone();
    let members = store.read(async move |tx| agents::list(tx, &tenant).await).await?;
    let desk = Desk {
        account: account.0,
        user: user.0,
        token: found.token,
        pubsub_token: scope.member().pubsub_token.clone(),
        inbox_identifier: String::new(),
    };
    Ok((desk, scope, members))
}

async fn new_inbox(
    store: &Store,
    scope: &Scope<Admin>,
    name: &str,
    channel_type: &'static str,
) -> Result<inboxes::InboxWithChannel> {
    let channel = json!({"website_url": "https://acme.example", "welcome_title": "Hello!"});
    let draft = Draft {
        name: Some(Some(name.to_owned())),
        enable_auto_assignment: Some(false),
        channel: channel.as_object().cloned(),
        ..Draft::default()
    };
    let scope = scope.clone();
    store.write(async move |tx| inboxes::create(tx, &scope, channel_type, draft).await).await
}

/// How far a conversation went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goes {
    Unanswered,
    Answered,
    Resolved,
}

/// A conversation to be played.
struct Talk {
    began: Timestamp,
    number: usize,
    inbox: inboxes::Inbox,
    agent: Member,
    name: String,
    words: (&'static str, &'static str, &'static str),
    note: Option<&'static str>,
    goes: Goes,
}

impl Talk {
    async fn play(
        self,
        store: &Store,
        clock: &Moved,
        scope: &Scope<Admin>,
        chance: &mut StdRng,
    ) -> anyhow::Result<()> {
        let mut at = self.began;
        let mut later = |seconds: std::ops::Range<i64>| {
            at = at.plus_seconds(chance.random_range(seconds));
            clock.0.store(at.micros(), Ordering::SeqCst);
        };
        later(0..1);
        let email =
            format!("{}.{}@example.com", self.name.to_lowercase().replace(' ', "."), self.number);
        let (tenant, inbox, name) = (scope.clone(), self.inbox.clone(), self.name.clone());
        let (asks, answers, thanks) = self.words;
        let id = store
            .write(async move |tx| {
                let new =
                    NewContact { name: name.clone(), email: Some(email), ..NewContact::default() };
                let contact = contacts::create(tx, &tenant, new).await?;
                let of = contacts::contact_inbox(tx, &tenant, contact.id, inbox.id, None).await?;
                let (mut c, _) = conversations::create(
                    tx,
                    &tenant,
                    &inbox,
                    &of,
                    false,
                    NewConversation::default(),
                )
                .await?;
                let by = Performer::Contact(name);
                let opened = events::position(tx);
                conversations::announce_created(tx, &tenant, &c, &by, opened).await?;
                let text = NewMessage::text(
                    MessageType::Incoming,
                    Some(asks.to_owned()),
                    Sender::Contact(Box::new(contact)),
                );
                messages::create(tx, &tenant, &mut c, text, &by).await?;
                Ok::<_, Error>(c.row.display_id)
            })
            .await?;
        if self.goes == Goes::Unanswered {
            return Ok(());
        }
        later(60..5400);
        self.step(store, scope, id, async |tx, scope, c, agent, by| {
            conversations::assign(tx, scope, c, Some(agent), by).await?;
            let sender = Sender::User(Box::new(agent.clone()));
            messages::create(
                tx,
                scope,
                c,
                NewMessage::text(MessageType::Outgoing, Some(answers.to_owned()), sender),
                by,
            )
            .await?;
            conversations::mark_seen(tx, scope, c, agent).await
        })
        .await?;
        if let Some(note) = self.note {
            later(30..300);
            self.step(store, scope, id, async move |tx, scope, c, agent, by| {
                let sender = Sender::User(Box::new(agent.clone()));
                let mut new =
                    NewMessage::text(MessageType::Outgoing, Some(note.to_owned()), sender);
                new.private = true;
                messages::create(tx, scope, c, new, by).await.map(drop)
            })
            .await?;
        }
        if self.goes == Goes::Answered {
            return Ok(());
        }
        later(120..7200);
        self.step(store, scope, id, async move |tx, scope, c, _, _| {
            let contact = c.contact.clone();
            let by = Performer::Contact(contact.name.clone());
            let sender = Sender::Contact(Box::new(contact));
            messages::create(
                tx,
                scope,
                c,
                NewMessage::text(MessageType::Incoming, Some(thanks.to_owned()), sender),
                &by,
            )
            .await
            .map(drop)
        })
        .await?;
        later(30..600);
        self.step(store, scope, id, async |tx, scope, c, agent, by| {
            conversations::mark_seen(tx, scope, c, agent).await?;
            conversations::set_status(tx, scope, c, Status::Resolved, None, by).await
        })
        .await
    }

    /// Something the agent, or the contact, does with the conversation.
    async fn step<F>(
        &self,
        store: &Store,
        scope: &Scope<Admin>,
        id: chatwarden_core::ids::DisplayId,
        what: F,
    ) -> anyhow::Result<()>
    where
        F: AsyncFnOnce(
                &mut WriteTx<'_>,
                &Scope<Admin>,
                &mut conversations::Conversation,
                &Member,
                &Performer,
            ) -> Result<()>
            + Send
            + 'static,
    {
        let (scope, agent) = (scope.clone(), self.agent.clone());
        store
            .write(async move |tx| {
                let mut c = conversations::lock(tx, &scope, id).await?;
                let by = Performer::User(UserPush::of(tx, &agent));
                what(tx, &scope, &mut c, &agent, &by).await
            })
            .await?;
        Ok(())
    }
}
