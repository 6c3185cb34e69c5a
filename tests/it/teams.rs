//! Teams: who keeps them, who is in them, and what they do to a conversation.

use chatwarden_testkit::{Actor, App};
use serde_json::{Value, json};

/// An API inbox with these members: its id.
async fn inbox(admin: &Actor, members: &[&Actor]) -> Value {
    let inbox =
        admin.post("/inboxes", json!({"name": "Desk", "channel": {"type": "api"}})).await.ok();
    let ids: Vec<_> = members.iter().map(|member| member.id).collect();
    let members = json!({"inbox_id": inbox["id"], "user_ids": ids});
    admin.post("/inbox_members", members).await.ok();
    inbox["id"].clone()
}

/// A conversation in an inbox: its path.
async fn conversation(admin: &Actor, inbox: &Value) -> String {
    let contact = admin.post("/contacts", json!({"name": "Vera"})).await.ok();
    let place = json!({"inbox_id": inbox, "contact_id": contact["payload"]["contact"]["id"]});
    format!("/conversations/{}", admin.post("/conversations", place).await.ok()["id"])
}

/// A team with these members: its path.
async fn team(admin: &Actor, draft: Value, members: &[&Actor]) -> String {
    let path = format!("/teams/{}", admin.post("/teams", draft).await.ok()["id"]);
    let ids: Vec<_> = members.iter().map(|member| member.id).collect();
    admin.post(&format!("{path}/team_members"), json!({"user_ids": ids})).await.ok();
    path
}

fn id_of(path: &str) -> i64 {
    path.rsplit('/').next().unwrap().parse().unwrap()
}

async fn last_activity(admin: &Actor, path: &str) -> Value {
    let found = admin.get(&format!("{path}/messages")).await.ok();
    found["payload"].as_array().unwrap().last().unwrap()["content"].clone()
}

#[tokio::test]
async fn administrators_keep_teams_and_members_see_them() {
    let (app, admin) = App::start().await;
    let agent = app.member(admin.account.unwrap(), "Grace", "agent").await;
    let made = admin.post("/teams", json!({"name": " Sales\u{7} FORCE "})).await.ok();
    assert_eq!(made["name"], json!("sales force"));
    assert_eq!(made["allow_auto_assign"], json!(true));
    let path = format!("/teams/{}", made["id"]);
    assert_eq!(agent.get(&path).await.ok()["is_member"], json!(false));
    agent.post("/teams", json!({"name": "mine"})).await.status(401);
    agent.patch(&path, json!({"name": "mine"})).await.status(401);
    agent.delete(&path).await.status(401);
    let elsewhere = app.member(app.account("Elsewhere").await, "Eve", "administrator").await;
    elsewhere.get(&path).await.status(404);
    elsewhere.patch(&path, json!({"name": "mine"})).await.status(404);
    elsewhere.delete(&path).await.status(404);
    elsewhere.get(&format!("{path}/team_members")).await.status(404);
    let taken = admin.post("/teams", json!({"name": "Sales Force"})).await.status(422);
    assert_eq!(taken["message"], json!("Name has already been taken"));
    let blank = admin.post("/teams", json!({"name": "\u{7}"})).await.status(422);
    assert_eq!(blank["attributes"], json!(["name"]));
    let both = json!({"name": "Sales Force", "description": "a".repeat(20_001)});
    let both = admin.post("/teams", both).await.status(422);
    let all = "Description is too long (maximum is 20000 characters), Name has already been taken";
    assert_eq!(both["message"], json!(all));
    let nameless = admin.post("/teams", json!({"account_id": 1})).await.status(422);
    assert_eq!(nameless["message"], json!("Name must not be blank"));
    let kept = admin.patch(&path, json!({"name": {"a": 1}, "icon": ["x"]})).await.ok();
    assert_eq!((&kept["name"], &kept["icon"]), (&json!("sales force"), &json!("")));
    admin.patch("/teams/999999", json!({})).await.status(404);
    admin.patch(&path, json!({})).await.status(422);
}

#[tokio::test]
async fn members_come_and_go() {
    let (app, admin) = App::start().await;
    let account = admin.account.unwrap();
    let grace = app.member(account, "Grace", "agent").await;
    let alan = app.member(account, "Alan", "agent").await;
    let eve = app.member(app.account("Elsewhere").await, "Eve", "administrator").await;
    let path = team(&admin, json!({"name": "care"}), &[&grace]).await;
    let members = format!("{path}/team_members");
    let names = |list: Value| -> Vec<Value> {
        list.as_array().unwrap().iter().map(|member| member["name"].clone()).collect()
    };
    let added = admin.post(&members, json!({"user_ids": [grace.id, alan.id]})).await.ok();
    assert_eq!(names(added), ["Alan"]);
    assert_eq!(grace.get(&path).await.ok()["is_member"], json!(true));
    for user_ids in [json!([eve.id]), json!([alan.id, 999]), json!(["abc"]), json!([alan.id, true])]
    {
        let refused = admin.patch(&members, json!({"user_ids": user_ids})).await.status(401);
        assert_eq!(refused["error"], json!("Invalid User IDs"));
    }
    for nobody in [json!({}), json!({"user_ids": alan.id}), json!({"user_ids": [{"id": 1}]})] {
        let refused = admin.post(&members, nobody).await.status(422);
        assert!(refused["error"].as_str().unwrap().contains("user_ids"), "{refused}");
    }
    admin.post("/teams/999999/team_members", json!({})).await.status(404);
    grace.post(&members, json!({"user_ids": [grace.id]})).await.status(401);
    let set = admin.patch(&members, json!({"user_ids": [alan.id, admin.id]})).await.ok();
    assert_eq!(names(set), ["Ada", "Alan"]);
    let out = format!("{members}?user_ids[]={}", admin.id.unwrap());
    admin.delete(&out).await.ok();
    assert_eq!(names(grace.get(&members).await.ok()), ["Alan"]);
    admin.delete(&format!("/agents/{}", alan.id.unwrap())).await.ok();
    assert_eq!(grace.get(&members).await.ok(), json!([]));
}

#[tokio::test]
async fn a_member_sees_what_the_team_was_given_and_nobody_else_does() {
    let (app, admin) = App::start().await;
    let account = admin.account.unwrap();
    let grace = app.member(account, "Grace", "agent").await;
    let path = conversation(&admin, &inbox(&admin, &[]).await).await;
    let care = team(&admin, json!({"name": "care", "allow_auto_assign": false}), &[&grace]).await;
    grace.get(&path).await.status(401);
    let assign = format!("{path}/assignments");
    let given = admin.post(&assign, json!({"team_id": id_of(&care)})).await.ok();
    assert_eq!(given["name"], json!("care"));
    assert_eq!(last_activity(&admin, &path).await, json!("Assigned to care by Ada"));
    assert_eq!(grace.get(&path).await.ok()["meta"]["team"]["is_member"], json!(true));
    assert_eq!(admin.get(&path).await.ok()["meta"]["team"]["is_member"], json!(false));
    assert_eq!(admin.post(&assign, json!({"team_id": 999})).await.ok(), Value::Null);
    assert_eq!(last_activity(&admin, &path).await, json!("Unassigned from care by Ada"));
    grace.get(&path).await.status(401);
}

#[tokio::test]
async fn a_team_drops_an_assignee_of_others_and_gives_to_its_own_in_turn() {
    let (app, admin) = App::start().await;
    let account = admin.account.unwrap();
    let mut agents = Vec::new();
    for name in ["Grace", "Alan", "Edsger", "Barbara"] {
        agents.push(app.member(account, name, "agent").await);
    }
    let [grace, alan, edsger, barbara] = agents.try_into().unwrap_or_else(|_| unreachable!());
    // Edsger is not in the inbox, Barbara not at work.
    for (of, auto_offline) in [(&grace, false), (&alan, false), (&edsger, false), (&barbara, true)]
    {
        let path = format!("/agents/{}", of.id.unwrap());
        admin.patch(&path, json!({"auto_offline": auto_offline})).await.ok();
    }
    let inbox = inbox(&admin, &[&grace, &alan, &barbara]).await;
    let care = team(&admin, json!({"name": "care"}), &[&grace, &alan, &edsger, &barbara]).await;
    let mut turns = Vec::new();
    for _ in 0..3 {
        let path = conversation(&admin, &inbox).await;
        admin.post(&format!("{path}/assignments"), json!({"assignee_id": admin.id})).await.ok();
        let body = json!({"team_id": id_of(&care)});
        admin.post(&format!("{path}/assignments"), body).await.ok();
        turns.push(last_activity(&admin, &path).await);
    }
    let of = |name: &str| json!(format!("Assigned to {name} via care by Ada"));
    assert_eq!(turns, [of("Grace"), of("Alan"), of("Grace")]);
    let path = conversation(&admin, &inbox).await;
    admin.post(&format!("{path}/assignments"), json!({"assignee_id": admin.id})).await.ok();
    let quiet = team(&admin, json!({"name": "quiet", "allow_auto_assign": false}), &[&grace]).await;
    admin.post(&format!("{path}/assignments"), json!({"team_id": id_of(&quiet)})).await.ok();
    assert_eq!(admin.get(&path).await.ok()["meta"]["assignee"], Value::Null);
}

#[tokio::test]
async fn a_removed_team_leaves_its_conversations() {
    let (app, admin) = App::start().await;
    let path = conversation(&admin, &inbox(&admin, &[]).await).await;
    let care = team(&admin, json!({"name": "care"}), &[&admin]).await;
    admin.post(&format!("{path}/assignments"), json!({"team_id": id_of(&care)})).await.ok();
    admin.delete(&care).await.ok();
    admin.get(&care).await.status(404);
    assert_eq!(admin.get(&path).await.ok()["meta"]["team"], Value::Null);
    app.settle().await;
    let without = json!({"payload": [{"attribute_key": "team_id", "filter_operator": "is_not_present", "values": []}]});
    let found = admin.post("/conversations/filter", without).await.ok();
    assert_eq!(found["meta"]["all_count"], json!(1));
}
