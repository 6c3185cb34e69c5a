//! Definitions of custom attributes: administrators keep them, keys are a model's own.

use chatwarden_testkit::App;
use serde_json::{Value, json};

const PATH: &str = "/custom_attribute_definitions";

#[tokio::test]
async fn administrators_keep_them_and_members_see_them() {
    let (app, admin) = App::start().await;
    let agent = app.member(admin.account.unwrap(), "Grace", "agent").await;
    let made = json!({
        "attribute_display_name": " Plan\n", "attribute_display_type": "list", "attribute_key": " plan ",
        "attribute_model": "contact_attribute", "attribute_values": ["gold", "tin"],
    });
    let made = admin.post(PATH, made).await.ok();
    let shown = (&made["attribute_key"], &made["attribute_display_name"]);
    assert_eq!(shown, (&json!("plan"), &json!("Plan")));
    let one = format!("{PATH}/{}", made["id"]);
    assert_eq!(agent.get(&one).await.ok()["attribute_values"], json!(["gold", "tin"]));
    let listed = agent.get(&format!("{PATH}?attribute_model=contact_attribute")).await.ok();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(agent.get(&format!("{PATH}?attribute_model=0")).await.ok(), json!([]));
    assert_eq!(agent.get(&format!("{PATH}?attribute_model=shoe")).await.ok(), json!([]));
    agent.post(PATH, json!({"attribute_key": "x"})).await.status(401);
    agent.patch(&one, json!({"attribute_key": "x"})).await.status(401);
    agent.delete(&one).await.status(401);
    let eve = app.member(app.account("Elsewhere").await, "Eve", "administrator").await;
    eve.get(&one).await.status(404);
    eve.delete(&one).await.status(404);
    admin.patch(&format!("{PATH}/999999"), json!({})).await.status(404);
    let odd = json!({"attribute_display_name": {"a": 1}, "attribute_description": ["x"]});
    assert_eq!(admin.patch(&one, odd).await.ok()["attribute_display_name"], json!("Plan"));
    let nothing = json!({"attribute_display_name": "New", "attribute_model": null});
    assert_eq!(
        admin.patch(&one, nothing).await.status(422),
        json!({"message": "Attribute model can't be blank", "attributes": ["attribute_model"]})
    );
    let changed = admin.patch(&one, json!({"attribute_display_name": " Tariff"})).await.ok();
    assert_eq!(changed["attribute_display_name"], json!("Tariff"));
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
        (json!({"attribute_key": "สวัสดี"}), "attribute_key"),
        (json!({"attribute_key": "a", "attribute_display_name": " "}), "attribute_display_name"),
        (json!({"attribute_key": "b", "attribute_display_type": null}), "attribute_display_type"),
        (json!({"attribute_key": "c", "regex_cue": "x".repeat(256)}), "regex_cue"),
        (json!({"attribute_key": "d", "attribute_model": null}), "attribute_model"),
        (json!({"attribute_key": "d", "attribute_model": ""}), "attribute_model"),
    ] {
        let refused = admin.post(PATH, with(fields)).await.status(422);
        assert_eq!(refused["attributes"], json!([field]), "{refused}");
    }
    admin.post(PATH, with(json!({"attribute_display_type": "shoe"}))).await.status(422);
    admin.post(PATH, with(json!({"attribute_key": "schlüssel.größe-1_a"}))).await.ok();
    let several = with(json!({
        "attribute_display_name": "", "attribute_display_type": null, "regex_cue": "x".repeat(256),
    }));
    let several = admin.post(PATH, several).await.status(422);
    let said = "Regex cue is too long (maximum is 255 characters), Attribute display name can't be blank, \
                Attribute key has already been taken, Attribute display type can't be blank";
    assert_eq!(several["message"], json!(said));
}

#[tokio::test]
async fn keys_of_columns_are_no_new_ones_but_old_ones_may_become_them() {
    let (_, admin) = App::start().await;
    let make = async |key: &str, model: &str| {
        let body = json!({
            "attribute_display_name": "Odd", "attribute_display_type": "text", "attribute_key": key,
            "attribute_model": model,
        });
        admin.post(PATH, body).await
    };
    for free in ["contact_id", "conversation_language", "mail_subject"] {
        make(free, "conversation_attribute").await.ok();
    }
    make("labels", "contact_attribute").await.ok();
    make("labels", "conversation_attribute").await.status(422);
    make("email", "contact_attribute").await.status(422);
    let odd = make("odd", "contact_attribute").await.ok();
    let path = format!("{PATH}/{}", odd["id"]);
    let changed = admin.patch(&path, json!({"attribute_key": "email"})).await.ok();
    assert_eq!(changed["attribute_key"], json!("email"));
    admin.patch(&path, json!({"attribute_key": "labels"})).await.status(422);
}

#[tokio::test]
async fn forms_of_websites_ask_as_the_definition_says() {
    let (_, admin) = App::start().await;
    let define = async |key: &str, model: &str| {
        let body = json!({
            "attribute_display_name": "Plan", "attribute_display_type": "list", "attribute_key": key,
            "attribute_model": model, "attribute_values": ["gold"],
        });
        format!("{PATH}/{}", admin.post(PATH, body).await.ok()["id"])
    };
    let plan = define("plan", "contact_attribute").await;
    let firm = define("fullName", "company_attribute").await;
    let site = async |fields: Value| {
        let site = json!({"name": "Site", "channel": {
            "type": "web_widget", "website_url": "https://shop.example.com",
            "pre_chat_form_options": {"pre_chat_fields": fields},
        }});
        format!("/inboxes/{}", admin.post("/inboxes", site).await.ok()["id"])
    };
    let field = |name: &str, kind: &str| json!({"name": name, "field_type": kind, "label": "Old", "enabled": true});
    // By the name alone, whatever a field says of its model.
    let one = site(json!([
        field("plan", "contact_attribute"),
        field("plan", "conversation_attribute"),
        field("fullName", "standard"),
    ]));
    let (one, two) = (one.await, site(json!([field("other", "contact_attribute")])).await);
    let fields = async |site: &str| {
        admin.get(site).await.ok()["pre_chat_form_options"]["pre_chat_fields"].clone()
    };
    let untouched = fields(&two).await;
    let renamed = json!({"attribute_display_name": "Tariff", "attribute_values": ["gold", "tin"]});
    admin.patch(&plan, renamed).await.ok();
    admin.patch(&firm, json!({"attribute_display_name": "Firm"})).await.ok();
    let shown = fields(&one).await;
    for place in [0, 1] {
        let field = &shown[place];
        assert_eq!((&field["label"], &field["placeholder"]), (&json!("Tariff"), &json!("Tariff")));
        assert_eq!((&field["values"], &field["enabled"]), (&json!(["gold", "tin"]), &json!(true)));
    }
    assert_eq!(shown[2], field("fullName", "standard"), "companies are asked nothing");
    assert_eq!(fields(&two).await, untouched);
    admin.delete(&plan).await.status(204);
    admin.delete(&firm).await.status(204);
    assert_eq!(fields(&one).await, json!([field("fullName", "standard")]));
    assert_eq!(fields(&two).await, untouched);
}
