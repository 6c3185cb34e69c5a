//! Definitions of custom attributes: administrators keep them, keys are a model's own.

use chatwarden_testkit::App;
use serde_json::{Value, json};

const PATH: &str = "/custom_attribute_definitions";

#[tokio::test]
async fn administrators_keep_them_and_members_see_them() {
    let (app, admin) = App::start().await;
    let agent = app.member(admin.account.unwrap(), "Grace", "agent").await;
    let made = json!({
        "attribute_display_name": "Plan", "attribute_display_type": "list", "attribute_key": " plan ",
        "attribute_model": "contact_attribute", "attribute_values": ["gold", "tin"],
    });
    let made = admin.post(PATH, made).await.ok();
    assert_eq!(made["attribute_key"], json!("plan"));
    let one = format!("{PATH}/{}", made["id"]);
    assert_eq!(agent.get(&one).await.ok()["attribute_values"], json!(["gold", "tin"]));
    let listed = agent.get(&format!("{PATH}?attribute_model=contact_attribute")).await.ok();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(agent.get(&format!("{PATH}?attribute_model=0")).await.ok(), json!([]));
    agent.get(&format!("{PATH}?attribute_model=shoe")).await.status(422);
    agent.post(PATH, json!({"attribute_key": "x"})).await.status(401);
    agent.patch(&one, json!({"attribute_key": "x"})).await.status(401);
    agent.delete(&one).await.status(401);
    let eve = app.member(app.account("Elsewhere").await, "Eve", "administrator").await;
    eve.get(&one).await.status(404);
    eve.delete(&one).await.status(404);
    let changed = admin.patch(&one, json!({"attribute_display_name": "Tariff"})).await.ok();
    assert_eq!(changed["attribute_values"], json!(["gold", "tin"]));
    admin.delete(&one).await.status(204);
    admin.get(&one).await.status(404);
}

#[tokio::test]
async fn faults_are_said_by_field() {
    let (_, admin) = App::start().await;
    let with = |fields: Value| {
        let mut body = json!({
            "attribute_display_name": "Odd", "attribute_display_type": "text", "attribute_key": "odd",
            "attribute_model": "contact_attribute",
        });
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        body
    };
    admin.post(PATH, with(json!({}))).await.ok();
    admin.post(PATH, with(json!({"attribute_model": 0}))).await.ok();
    for (fields, field) in [
        (json!({}), "attribute_key"),
        (json!({"attribute_key": "company_name"}), "attribute_key"),
        (json!({"attribute_key": "two words"}), "attribute_key"),
        (json!({"attribute_key": "a'b"}), "attribute_key"),
        (json!({"attribute_key": "a", "attribute_display_name": " "}), "attribute_display_name"),
        (json!({"attribute_key": "b", "attribute_display_type": null}), "attribute_display_type"),
        (json!({"attribute_key": "c", "regex_cue": "x".repeat(256)}), "regex_cue"),
    ] {
        let refused = admin.post(PATH, with(fields)).await.status(422);
        assert_eq!(refused["attributes"], json!([field]), "{refused}");
    }
    admin.post(PATH, with(json!({"attribute_display_type": "shoe"}))).await.status(422);
    admin.post(PATH, with(json!({"attribute_key": "schlüssel.größe-1_a"}))).await.ok();
}
