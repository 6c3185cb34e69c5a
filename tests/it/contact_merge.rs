//! Two contacts that are one person.

use chatwarden_core::contacts;
use chatwarden_core::events::Performer;
use chatwarden_core::ids::ContactId;
use chatwarden_testkit::{Actor, App};
use serde_json::{Value, json};

use crate::beside::beside;

async fn contact(admin: &Actor, body: Value) -> Value {
    admin.post("/contacts", body).await.ok()["payload"]["contact"]["id"].clone()
}

#[tokio::test]
async fn what_the_kept_one_lacks_comes_from_the_other() {
    let (_, admin) = App::start().await;
    let base = contact(
        &admin,
        json!({"name": "Vera", "email": "vera@example.com", "custom_attributes": {"plan": "gold", "size": {"hat": 57}}}),
    )
    .await;
    let mergee = contact(
        &admin,
        json!({
            "name": "V.", "email": "v@example.com", "phone_number": "+15550001", "identifier": "crm-1",
            "custom_attributes": {"plan": "tin", "size": {"hat": 1, "shoe": 38}}, "additional_attributes": {"city": "Vienna"},
        }),
    )
    .await;
    admin.post(&format!("/contacts/{mergee}/notes"), json!({"content": "Seen"})).await.ok();
    let both = json!({"base_contact_id": base, "mergee_contact_id": mergee});
    let kept = admin.post("/actions/contact_merge", both.clone()).await.ok();
    assert_eq!(kept["name"], json!("Vera"));
    assert_eq!(kept["email"], json!("vera@example.com"));
    assert_eq!(kept["phone_number"], json!("+15550001"));
    assert_eq!(kept["identifier"], json!("crm-1"));
    let attributes = json!({"plan": "gold", "size": {"hat": 57, "shoe": 38}});
    assert_eq!(kept["custom_attributes"], attributes);
    assert_eq!(kept["additional_attributes"], json!({"city": "Vienna"}));
    admin.get(&format!("/contacts/{mergee}")).await.status(404);
    let notes = admin.get(&format!("/contacts/{base}/notes")).await.ok();
    assert_eq!(notes[0]["content"], json!("Seen"));
    admin.post("/actions/contact_merge", both).await.status(404);
}

#[tokio::test]
async fn conversations_and_what_was_said_in_them_move() {
    let (_, admin) = App::start().await;
    let inbox =
        admin.post("/inboxes", json!({"name": "Desk", "channel": {"type": "api"}})).await.ok();
    let base = contact(&admin, json!({"name": "Vera"})).await;
    let mergee = contact(&admin, json!({"name": "V."})).await;
    let place = json!({"inbox_id": inbox["id"], "contact_id": mergee, "source_id": "till-1"});
    let number = admin.post("/conversations", place).await.ok()["id"].clone();
    let said = json!({"content": "Hello", "message_type": "incoming"});
    admin.post(&format!("/conversations/{number}/messages"), said).await.ok();
    let both = json!({"base_contact_id": base, "mergee_contact_id": mergee});
    admin.post("/actions/contact_merge", both).await.ok();
    let moved = admin.get(&format!("/contacts/{base}/conversations")).await.ok();
    assert_eq!(moved["payload"][0]["id"], number);
    assert_eq!(moved["payload"][0]["meta"]["sender"]["id"], base);
    assert_eq!(moved["payload"][0]["messages"][0]["sender"]["id"], base);
    let of = json!({"inbox_id": inbox["id"], "source_id": "till-1"});
    assert_eq!(admin.post("/contact_inboxes/filter", of).await.ok()["id"], base);
}

#[tokio::test]
async fn only_contacts_of_the_account_are_merged() {
    let (app, admin) = App::start().await;
    let eve = app.member(app.account("Elsewhere").await, "Eve", "administrator").await;
    let (mine, theirs) = (
        contact(&admin, json!({"name": "Vera"})).await,
        contact(&eve, json!({"name": "Sam"})).await,
    );
    for (base, mergee) in [(&mine, &theirs), (&theirs, &mine)] {
        let both = json!({"base_contact_id": base, "mergee_contact_id": mergee});
        admin.post("/actions/contact_merge", both).await.status(404);
    }
    admin.post("/actions/contact_merge", json!({"base_contact_id": mine})).await.status(404);
    let itself = json!({"base_contact_id": mine, "mergee_contact_id": mine});
    assert_eq!(admin.post("/actions/contact_merge", itself).await.ok()["id"], mine);
    admin.get(&format!("/contacts/{mine}")).await.ok();
    eve.get(&format!("/contacts/{theirs}")).await.ok();
}

#[tokio::test]
async fn a_conversation_opened_during_a_merge_is_the_kept_ones() {
    let (_, admin) = App::start().await;
    let inbox =
        admin.post("/inboxes", json!({"name": "Desk", "channel": {"type": "api"}})).await.ok();
    let base = contact(&admin, json!({"name": "Vera"})).await;
    for nth in 0..20 {
        let mergee = contact(&admin, json!({"name": "V."})).await;
        let place = json!({"inbox_id": inbox["id"], "contact_id": mergee, "source_id": format!("till-{nth}")});
        admin.post("/conversations", place.clone()).await.ok();
        let both = json!({"base_contact_id": base, "mergee_contact_id": mergee});
        let (opened, merged) = tokio::join!(
            admin.post("/conversations", place),
            admin.post("/actions/contact_merge", both)
        );
        merged.ok();
        if opened.status != 404 {
            let opened = opened.ok();
            let path = format!("/conversations/{}", opened["id"]);
            assert_eq!(admin.get(&path).await.ok()["meta"]["sender"]["id"], base);
        }
    }
}

#[tokio::test]
async fn attributes_that_are_too_large_together_keep_nobody_apart() {
    let (_, admin) = App::start().await;
    let person = async |name: &str| {
        let attributes = json!({name: "x".repeat(40_000)});
        contact(&admin, json!({"name": name, "custom_attributes": attributes})).await
    };
    let (base, mergee) = (person("Vera").await, person("Sam").await);
    let both = json!({"base_contact_id": base, "mergee_contact_id": mergee});
    let kept = admin.post("/actions/contact_merge", both).await.ok();
    let keys: Vec<&String> = kept["custom_attributes"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["Vera"]);
}

/// A contact's id.
fn id(contact: &Value) -> ContactId {
    ContactId(contact.as_i64().unwrap())
}

#[tokio::test]
async fn what_a_visitor_says_beside_a_merge_is_said_by_the_kept_one() {
    let (app, admin) = App::start().await;
    let api = json!({"name": "Desk", "channel": {"type": "api"}});
    let api = admin.post("/inboxes", api).await.ok();
    let site = json!({"name": "Site", "channel": {"type": "web_widget", "website_url": "https://shop.example.com"}});
    let site = admin.post("/inboxes", site).await.ok();
    let base = contact(&admin, json!({"name": "Vera"})).await;

    let people =
        format!("/public/api/v1/inboxes/{}/contacts", api["inbox_identifier"].as_str().unwrap());
    let made = app.anyone().post(&people, json!({})).await.ok();
    let place = format!("{people}/{}/conversations", made["source_id"].as_str().unwrap());
    let number = app.anyone().post(&place, json!({})).await.ok()["id"].clone();
    let by_api = (app.anyone(), format!("{place}/{number}/messages"), made["id"].clone());

    let widget = |path: &str| {
        format!("/api/v1/widget/{path}?website_token={}", site["website_token"].as_str().unwrap())
    };
    let config = app.anyone().post(&widget("config"), json!({})).await.ok();
    let token = config["website_channel_config"]["auth_token"].as_str().unwrap();
    let browser = app.anyone().with_header("x-auth-token", token);
    let hello = json!({"content": "Hello", "message": {"content": "Hello"}});
    browser.post(&widget("messages"), hello.clone()).await.ok();
    let known = browser.get(&widget("contact")).await.ok();
    let by_widget = (browser, widget("messages"), known["id"].clone());

    for (caller, path, mergee) in [by_api, by_widget] {
        let (base, mergee) = (id(&base), id(&mergee));
        let said = beside(
            &app,
            &admin,
            async move |tx, scope, meanwhile| {
                contacts::merge(tx, scope, base, mergee, &Performer::System).await?;
                meanwhile.waits(tx).await
            },
            caller.post(&path, hello.clone()),
        );
        assert_eq!(said.await.ok()["content"], json!("Hello"));
    }
    let own = admin.get(&format!("/contacts/{base}/conversations")).await.ok();
    assert_eq!(own["payload"].as_array().unwrap().len(), 2, "{own}");
    for number in [1, 2] {
        let said = admin.get(&format!("/conversations/{number}/messages")).await.ok();
        let said = said["payload"].as_array().unwrap().clone();
        assert!(said.iter().any(|message| message["message_type"] == json!(0)));
        for message in said.iter().filter(|message| message["message_type"] == json!(0)) {
            assert_eq!(message["sender"]["id"], base, "{message}");
        }
    }
}

#[tokio::test]
async fn what_a_merge_brings_goes_with_a_contact_that_is_removed_beside_it() {
    let (app, admin) = App::start().await;
    let inbox =
        admin.post("/inboxes", json!({"name": "Desk", "channel": {"type": "api"}})).await.ok();
    let base = contact(&admin, json!({"name": "Vera"})).await;
    let mergee = contact(&admin, json!({"name": "V."})).await;
    let place = json!({"inbox_id": inbox["id"], "contact_id": mergee, "source_id": "till-1"});
    admin.post("/conversations", place).await.ok();
    let (kept, gone) = (id(&base), id(&mergee));
    let path = format!("/contacts/{base}");
    let removed = beside(
        &app,
        &admin,
        async move |tx, scope, meanwhile| {
            contacts::merge(tx, scope, kept, gone, &Performer::System).await?;
            meanwhile.waits(tx).await
        },
        admin.delete(&path),
    );
    removed.await.ok();
    app.settle().await;
    chatwarden_db::statements! {
        LEFT: (i64, i64, i64) = "tests.left",
            "select (select count(*) from contacts), (select count(*) from conversations), (select count(*) from contact_inboxes)";
    }
    let left = app.db().read(async |tx| tx.one(&LEFT, chatwarden_db::args![]).await).await.unwrap();
    assert_eq!(left, (0, 0, 0));
    let next = contact(&admin, json!({"name": "Vera"})).await;
    let place = json!({"inbox_id": inbox["id"], "contact_id": next, "source_id": "till-1"});
    admin.post("/conversations", place).await.ok();
}
