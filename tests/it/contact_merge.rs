//! Two contacts that are one person.

use chatwarden_testkit::{Actor, App};
use serde_json::{Value, json};

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
