//! No statement walks a large table: how both engines plan every one of them.

use std::collections::BTreeSet;

use chatwarden_core::accounts;
use chatwarden_core::contacts::lists::{Query, page_text as contact_page_text};
use chatwarden_core::conversations::lists::page_text;
use chatwarden_core::conversations::{Assigned, Filter, Kind, Sort, Status};
use chatwarden_core::ids::{AccountId, TeamId, UserId};
use chatwarden_db::{
    Ambient, AnyStatement, Db, Engine, Options, PostgresOptions, Sql, SqliteOptions, Statement,
    explain, migrate, plan, schema,
};
use chatwarden_testkit::App;
use chatwarden_testkit::services::Postgres;

use crate::statements::{all, places};

/// Tables that grow with use although no account owns their rows.
const LARGE: [&str; 5] = ["access_tokens", "account_users", "accounts", "user_sessions", "users"];

/// Indexes of few rows, whatever the table holds: what waits, runs or died. To walk them is their purpose.
const SMALL: [&str; 3] = ["jobs_dead_idx", "jobs_running_idx", "outbox_waiting_idx"];

/// Statements that walk a whole table and may.
const WALKERS: &[(&str, &str)] = &[
    ("accounts.samples", "it stops at the twentieth row"),
    ("assignment.waited_at", "a schedule asks for all accounts at once"),
    ("conversations.deltas_to_fold", "it stops at the thousandth row"),
    (
        "jobs.depth",
        "each node counts the queues every ten seconds, for its health and the leader for the gauges",
    ),
    ("installation.accounts", "one node counts all accounts, with pauses a hundred times as long"),
    ("installation.contacts", "it stops at the millionth row"),
    ("installation.conversations", "it adds up counts that are kept"),
    ("installation.largest_accounts", "it adds up counts that are kept, once an hour"),
    ("installation.files", "it stops at the millionth row"),
    ("installation.messages", "it stops at the millionth row"),
    ("installation.people", "one node counts all people, with pauses a hundred times as long"),
    ("installation.sessions", "one node counts all sign-ins, with pauses a hundred times as long"),
    ("notifications.excessive", "a schedule counts what all accounts keep"),
    ("setup.anybody", "it stops at the first row"),
    (
        "users.insert",
        "what refers to people is only looked at where a reference is broken just now",
    ),
];

/// Statements that would walk all of a conversation, or all there is, without the index made for them.
const BY_INDEX: [(&str, &str); 11] = [
    ("assignment.waiting", "conversations_waiting_by_created_at_idx"),
    ("assignment.waiting_longest", "conversations_waiting_by_activity_idx"),
    ("conversations.last_incoming", "messages_incoming_idx"),
    ("conversations.unread_since", "messages_incoming_idx"),
    ("messages.answered", "messages_answers_idx"),
    ("messages.reference_by_source", "messages_source_id_idx"),
    ("messages.surveyed", "messages_answers_idx"),
    ("notifications.excessive", "notifications_created_at_idx"),
    ("notifications.quotes", "messages_incoming_idx"),
    ("notifications.quotes", "messages_answers_idx"),
    ("teams.candidates", "conversations_given_idx"),
];

/// Statements that read a few rows in the order of an index, whatever stands behind them.
const IN_ORDER: [&str; 2] = ["assignment.waiting", "assignment.waiting_longest"];

/// Whether a step of a plan puts rows in order.
fn sorts(step: &str) -> bool {
    step.contains("Sort Key") || (step.contains("TEMP B-TREE") && step.contains("ORDER BY"))
}

/// The table that a step of a plan walks from end to end.
fn walked(engine: Engine, step: &str, statement: &AnyStatement) -> Option<String> {
    match engine {
        Engine::Sqlite => {
            let name = step.strip_prefix("SCAN ")?.split(' ').next()?;
            if SMALL.iter().any(|index| step.ends_with(index)) {
                return None;
            }
            let text = statement.text(engine);
            let of = places(text).into_iter().find(|place| place.name == name);
            Some(of.map_or_else(|| name.to_owned(), |place| place.table))
        }
        Engine::Postgres => {
            let (_, table) = step.split_once("Seq Scan on ")?;
            table.split(' ').next().map(str::to_owned)
        }
    }
}

#[tokio::test]
async fn no_statement_walks_a_large_table() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("explain.sqlite3");
    let sqlite = Db::open(Options::Sqlite(SqliteOptions::new(path)), Ambient::default());
    let database = Postgres::shared().expect("a server").database().expect("a database");
    let options = PostgresOptions::new(database.url());
    let postgres = Db::open(Options::Postgres(options), Ambient::default());
    let mut faults = Vec::new();
    for db in [sqlite.expect("a database"), postgres.expect("a database")] {
        migrate(&db).await.expect("migrations apply");
        let columns = schema(&db).await.expect("a schema");
        let large: BTreeSet<&str> = columns
            .iter()
            .filter(|c| c.column == "account_id")
            .map(|c| c.table.as_str())
            .chain(LARGE)
            .collect();
        for statement in all() {
            let name = statement.name();
            let made: Vec<&str> =
                BY_INDEX.iter().filter(|(of, _)| *of == name).map(|(_, index)| *index).collect();
            if !made.is_empty() {
                let steps = plan(&db, statement).await.expect("a plan").0.join("\n");
                for index in made.iter().filter(|index| !steps.contains(**index)) {
                    faults.push(format!("{name} on {:?} without {index}: {steps}", db.engine()));
                }
            }
            if WALKERS.iter().any(|(walker, _)| *walker == name) {
                continue;
            }
            let steps =
                plan(&db, statement).await.unwrap_or_else(|error| panic!("{name}: {error}"));
            if IN_ORDER.contains(&name) && steps.0.iter().any(|step| sorts(step)) {
                faults.push(format!("{name} on {:?} sorts: {}", db.engine(), steps.0.join("\n")));
            }
            for step in steps.0 {
                let table = walked(db.engine(), step.trim(), statement);
                if table.is_some_and(|table| large.contains(table.as_str())) {
                    faults.push(format!("{name} on {:?}: {}", db.engine(), step.trim()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test]
async fn a_stretch_of_messages_is_cut_before_its_senders_are_joined() {
    let database = Postgres::shared().expect("a server").database().expect("a database");
    let options = PostgresOptions::new(database.url());
    let db = Db::open(Options::Postgres(options), Ambient::default()).expect("a database");
    migrate(&db).await.expect("migrations apply");
    for name in ["messages.before", "messages.between"] {
        let statement = all().into_iter().find(|statement| statement.name() == name);
        let steps = plan(&db, statement.expect("a statement")).await.expect("a plan").0;
        let limit = steps.iter().position(|step| step.contains("Limit")).expect("a limit");
        let below = steps.iter().skip(limit);
        let joins = below.filter(|step| step.contains("Join") || step.contains("Nested Loop"));
        assert_eq!(joins.count(), 0, "{name}:\n{}", steps.join("\n"));
    }
}

/// Lists of one status, in every order, and what narrows them.
fn filters() -> Vec<Filter> {
    let orders = [
        Sort::LastActivityAsc,
        Sort::LastActivityDesc,
        Sort::CreatedAsc,
        Sort::CreatedDesc,
        Sort::PriorityAsc,
        Sort::PriorityDesc,
        Sort::PriorityDescCreatedAsc,
        Sort::WaitingAsc,
        Sort::WaitingDesc,
        Sort::Unread,
    ];
    let open = Filter { statuses: vec![Status::Open], ..Filter::default() };
    let mut out: Vec<Filter> =
        orders.map(|sort| Filter { sort, ..open.clone() }).into_iter().collect();
    for assignee in [Assigned::Me, Assigned::Unassigned, Assigned::Assigned] {
        out.push(Filter { assignee, ..open.clone() });
    }
    for kind in [Kind::Mention, Kind::Participating, Kind::Unattended] {
        out.push(Filter { kind, ..open.clone() });
    }
    out.push(Filter { team: Some(TeamId(1)), ..open.clone() });
    out.push(Filter { labels: Some(vec!["vip".to_owned()]), ..open });
    out
}

#[tokio::test]
async fn a_page_of_contacts_is_read_in_the_order_of_an_index() {
    let (app, admin) = App::start().await;
    let (account, user) = (AccountId(admin.account.expect("an account")), admin.id);
    let user = UserId(user.expect("a person"));
    let db = app.db();
    for sort in ["", "last_activity_at", "-last_activity_at"] {
        let query = Query { sort: Some(sort.to_owned()), ..Query::default() };
        let composed = db
            .read(async move |tx| {
                let (_, scope) = accounts::enter(tx, account, user).await?;
                contact_page_text(&scope, &query)
            })
            .await
            .expect("a page");
        let text: &'static str = composed.text(db.engine()).leak();
        let statement = Statement::<()>::new("test.page", Sql::Both(text), file!());
        let steps = explain(db, statement.any(), composed.args()).await.expect("a plan").0;
        let walks = steps.iter().any(|step| {
            let table = walked(db.engine(), step.trim(), statement.any());
            table.is_some_and(|table| table == "contacts")
        });
        let sorted = steps.iter().filter(|step| sorts(step)).count();
        assert!(!walks && sorted <= 1, "{sort}:\n{text}\n{}", steps.join("\n"));
        if !sort.is_empty() {
            let along = steps.iter().filter(|step| step.contains("contacts_identified_idx"));
            assert_eq!(along.count(), 2, "{sort}:\n{text}\n{}", steps.join("\n"));
        }
    }
}

#[tokio::test]
async fn a_page_of_conversations_is_read_in_the_order_of_an_index() {
    let (app, admin) = App::start().await;
    let account = admin.account.expect("an account");
    let agent = app.member(account, "Grace", "agent").await;
    let inbox = serde_json::json!({"name": "Desk", "channel": {"type": "api"}});
    let inbox = admin.post("/inboxes", inbox).await.ok();
    let seats = serde_json::json!({"inbox_id": inbox["id"], "user_ids": [agent.id]});
    admin.post("/inbox_members", seats).await.ok();
    let db = app.db();
    for user in [admin.id, agent.id] {
        let user = UserId(user.expect("a user"));
        for filter in filters() {
            let wanted = filter.clone();
            let composed = db
                .read(async move |tx| {
                    let (_, scope) = accounts::enter(tx, AccountId(account), user).await?;
                    page_text(tx, &scope, &wanted, 1).await
                })
                .await
                .expect("a list")
                .expect("a page");
            let text: &'static str = composed.text(db.engine()).leak();
            let statement = Statement::<()>::new("test.page", Sql::Both(text), file!());
            let steps = explain(db, statement.any(), composed.args()).await.expect("a plan").0;
            let walks = steps.iter().any(|step| {
                let table = walked(db.engine(), step.trim(), statement.any());
                table.is_some_and(|table| table == "conversations")
            });
            // The stretches are put in order among each other, a page of each; none within itself, but for what is
            // drawn from the few that the member has to do with.
            let drawn = matches!(filter.kind, Kind::Mention | Kind::Participating);
            let sorted = steps.iter().filter(|step| sorts(step)).count();
            let plan = || format!("{filter:?} of {user:?}:\n{text}\n{}", steps.join("\n"));
            assert!(!walks && sorted <= if drawn { 2 } else { 1 }, "{}", plan());
            let few = |step: &String| step.starts_with("SEARCH k USING");
            assert!(
                !drawn || db.engine() == Engine::Postgres || steps.iter().any(few),
                "{}",
                plan()
            );
        }
    }
}
