//! Counts of conversations are kept, not counted: they must be what counting would say.

use std::time::Duration;

use chatwarden_core::conversations::counts;
use chatwarden_db::{Sql, Statement, args};
use chatwarden_testkit::{Actor, App};
use http::Method;
use proptest::collection::vec;
use proptest::prelude::any;
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

static WRONG: Statement<()> =
    Statement::new("test.wrong", Sql::Both("update conversation_counts set n = n + 3"), file!());
static LEFT: Statement<(i64,)> =
    Statement::new("test.left", Sql::Both("select count(*) from conversation_deltas"), file!());

/// An administrator's account with two inboxes, one of them the agent's, and a team.
struct House {
    app: App,
    admin: Actor,
    agent: Actor,
    account: i64,
    /// Inbox, contact and source.
    places: Vec<(Value, Value, Value)>,
    team: Value,
}

async fn house() -> House {
    let (app, admin) = App::start().await;
    let account = admin.account.unwrap();
    let agent = app.member(account, "Grace", "agent").await;
    let mut places = Vec::new();
    for name in ["Desk", "Shop"] {
        let inbox = json!({"name": name, "channel": {"type": "api"}});
        let inbox = admin.post("/inboxes", inbox).await.ok()["id"].clone();
        let vera = json!({"name": "Vera", "inbox_id": inbox});
        let made = admin.post("/contacts", vera).await.ok()["payload"].clone();
        let source = made["contact_inbox"]["source_id"].clone();
        places.push((inbox, made["contact"]["id"].clone(), source));
    }
    let members = json!({"inbox_id": places[0].0, "user_ids": [agent.id]});
    admin.post("/inbox_members", members).await.ok();
    let team = json!({"name": "care", "allow_auto_assign": false});
    let team = admin.post("/teams", team).await.ok()["id"].clone();
    House { app, admin, agent, account, places, team }
}

impl House {
    async fn open(&self, place: usize) {
        let (inbox, contact, source) = &self.places[place % 2];
        let place = json!({"inbox_id": inbox, "contact_id": contact, "source_id": source});
        self.admin.post("/conversations", place).await.ok();
    }

    /// One of the things that happen to conversations.
    async fn happen(&self, what: usize, number: usize) {
        let (admin, path) = (&self.admin, format!("/conversations/{number}"));
        let post = async |action: &str, body: Value| {
            admin.post(&format!("{path}/{action}"), body).await;
        };
        match what % 12 {
            0 => self.open(number).await,
            1 => post("toggle_status", json!({"status": "resolved"})).await,
            2 => post("toggle_status", json!({"status": "open"})).await,
            3 => post("toggle_status", json!({"status": "snoozed"})).await,
            4 => post("assignments", json!({"assignee_id": self.agent.id})).await,
            5 => post("assignments", json!({"assignee_id": null})).await,
            6 => post("assignments", json!({"team_id": self.team})).await,
            7 => post("messages", json!({"content": "?", "message_type": "incoming"})).await,
            8 => post("update_last_seen", json!({})).await,
            9 => post("unread", json!({})).await,
            10 => {
                admin.send(Method::DELETE, &path, json!({})).await;
            }
            _ => {
                self.app.advance(Duration::from_secs(16));
                self.app.settle().await;
            }
        }
    }

    /// By how much which counts differ from the rows; it makes them good too.
    async fn differences(&self) -> Vec<(i64,)> {
        let account = self.account;
        let repair =
            self.app.db().write(async move |tx| tx.all(&counts::REPAIR, args![account]).await);
        repair.await.expect("compared")
    }

    async fn all(&self, actor: &Actor) -> (Value, usize) {
        let list = actor.get("/conversations?status=all").await.ok()["data"].clone();
        let listed = list["payload"].as_array().map_or(0, Vec::len);
        (list["meta"]["all_count"].clone(), listed)
    }
}

#[tokio::test]
async fn counts_are_what_counting_would_say_whatever_happened() {
    let mut runner = TestRunner::deterministic();
    let histories = vec((any::<usize>(), 1..12_usize), 60);
    for _ in 0..3 {
        let history = histories.new_tree(&mut runner).expect("a history").current();
        let house = house().await;
        for place in 0..10 {
            house.open(place).await;
        }
        for (step, (what, number)) in history.iter().enumerate() {
            house.happen(*what, *number).await;
            if step % 10 == 0 {
                assert_eq!(house.differences().await, [], "after {:?}", &history[..=step]);
            }
        }
        assert_eq!(house.differences().await, [], "{history:?}");
        for actor in [&house.admin, &house.agent] {
            let (count, listed) = house.all(actor).await;
            assert_eq!(count, json!(listed));
        }
    }
}

#[tokio::test]
async fn what_is_wrong_is_made_good() {
    let house = house().await;
    house.open(0).await;
    // The first look sets the schedules, the next finds them due.
    house.app.settle().await;
    house.app.advance(Duration::from_secs(16));
    house.app.settle().await;
    let left = house.app.db().read(async |tx| tx.one(&LEFT, args![]).await).await;
    assert_eq!(left.expect("a count"), (0,), "what happened is added up");
    house.app.db().write(async |tx| tx.run(&WRONG, args![]).await).await.expect("spoiled");
    assert_eq!(house.all(&house.admin).await, (json!(4), 1));
    house.app.advance(Duration::from_secs(86_400));
    house.app.settle().await;
    assert_eq!(house.all(&house.admin).await, (json!(1), 1));
    assert_eq!(house.differences().await, []);
}
