//! Contacts: what may be changed, who is found, and who may not be removed.

use chatwarden_core::contacts::Draft;
use chatwarden_core::events::Performer;
use chatwarden_core::ids::{ContactId, DisplayId, InboxId};
use chatwarden_core::messages::{MessageType, NewMessage, Sender};
use chatwarden_core::scope::Agent;
use chatwarden_core::{Scope, contacts, conversations, messages};
use chatwarden_db::{UsageScope, WriteTx, usage_scope};
use chatwarden_testkit::{Actor, App};
use serde_json::{Value, json};

use crate::beside::{Meanwhile, beside};

async fn contact(admin: &Actor, body: Value) -> Value {
    admin.post("/contacts", body).await.ok()["payload"]["contact"]["id"].clone()
}

fn names(list: &Value) -> Vec<&str> {
    list["payload"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect()
}

/// Three people: two with addresses, one by name alone.
async fn people(admin: &Actor) {
    contact(
        admin,
        json!({
            "name": "Ann Archer", "email": "ann@example.com", "phone_number": "+15550001",
            "additional_attributes": {"city": "Aachen", "company_name": "Arrows Inc"},
            "custom_attributes": {"seats": 5, "gift": true, "due": "2030-01-15", "plan": "Gold"},
        }),
    )
    .await;
    contact(
        admin,
        json!({
            "name": "bob Baker", "email": "bob_b@example.com", "blocked": true,
            "additional_attributes": {"city": "Berlin", "country_code": "DE"},
            "custom_attributes": {"seats": "10", "gift": false, "due": "2031-06-01T10:00:00Z"},
        }),
    )
    .await;
    contact(admin, json!({"name": "Nameonly"})).await;
}

async fn attributes(admin: &Actor) {
    for (key, kind) in
        [("seats", "number"), ("gift", "checkbox"), ("due", "date"), ("plan", "list")]
    {
        let body = json!({
            "attribute_display_name": key, "attribute_display_type": kind, "attribute_key": key,
            "attribute_model": "contact_attribute",
        });
        admin.post("/custom_attribute_definitions", body).await.ok();
    }
}

/// How often it was told that a contact changed.
async fn told(app: &App) -> i64 {
    chatwarden_db::statements! {
        CHANGES: (i64,) = "tests.changes", "select count(*) from outbox where event = 'contact.updated'";
    }
    app.db().read(async |tx| tx.one(&CHANGES, chatwarden_db::args![]).await).await.unwrap().0
}

#[tokio::test]
async fn a_contact_that_is_saved_as_it_was_is_told_of() {
    let (app, admin) = App::start().await;
    let id = contact(&admin, json!({"name": "Vera", "custom_attributes": {"plan": "gold"}})).await;
    let path = format!("/contacts/{id}");
    admin.post(&format!("{path}/labels"), json!({"labels": ["vip"]})).await.ok();
    chatwarden_db::statements! {
        SAVED: (i64,) = "tests.saved", "select max(updated_at) from contacts";
    }
    let saved = async || {
        app.db().read(async |tx| tx.one(&SAVED, chatwarden_db::args![]).await).await.unwrap()
    };
    let (before, mut count) = (saved().await, told(&app).await);
    app.advance(std::time::Duration::from_secs(1));
    for (path, body) in [
        (path.clone(), json!({})),
        (path.clone(), json!({"name": "Vera", "custom_attributes": {"plan": "gold"}})),
        (format!("{path}/labels"), json!({"labels": ["vip"]})),
        (format!("{path}/destroy_custom_attributes"), json!({"custom_attributes": ["unknown"]})),
    ] {
        let changes = path.ends_with(&format!("/{id}"));
        let method = if changes { http::Method::PATCH } else { http::Method::POST };
        admin.send(method, &path, body).await.ok();
        count += 1;
        assert_eq!(told(&app).await, count, "{path}");
    }
    let none = json!({"type": "Contact", "ids": [id], "labels": {}});
    admin.post("/bulk_actions", none).await.ok();
    app.settle().await;
    assert_eq!((saved().await, told(&app).await), (before, count));
}

#[tokio::test]
async fn activity_tells_of_a_contact_as_it_is_stored() {
    use chatwarden_core::contacts::{self, Draft};
    use chatwarden_core::ids::{AccountId, ContactId, UserId};
    let (app, admin) = App::start().await;
    let id = ContactId(contact(&admin, json!({"name": "Vera"})).await.as_i64().unwrap());
    let (account, user) = (AccountId(admin.account.unwrap()), UserId(admin.id.unwrap()));
    // Somebody changes the contact between the moment a message reads it and the one it notes the activity.
    let told = app.db().write(async move |tx| {
        let (_, scope) = chatwarden_core::accounts::enter(tx, account, user).await?;
        let mut read = contacts::lock(tx, &scope, id).await?;
        let draft = Draft { name: Some("Vera Vale".to_owned()), ..Draft::default() };
        contacts::update(tx, &scope, id, draft).await?;
        contacts::touch(tx, &scope, &mut read).await?;
        Ok::<_, chatwarden_core::Error>((read.name, read.last_activity_at))
    });
    assert_eq!(told.await.unwrap(), ("Vera Vale".to_owned(), Some(app.now())));
}

#[tokio::test]
async fn attributes_are_merged_and_taken_off() {
    let (_, admin) = App::start().await;
    let id = contact(
        &admin,
        json!({"name": "Vera", "custom_attributes": {"plan": "gold", "size": {"hat": 57}}}),
    )
    .await;
    let path = format!("/contacts/{id}");
    let body = json!({"custom_attributes": {"size": {"shoe": 38}, "vip": true}, "email": "VERA@example.com"});
    let changed = admin.patch(&path, body).await.ok();
    assert_eq!(
        changed["payload"]["custom_attributes"],
        json!({"plan": "gold", "size": {"shoe": 38}, "vip": true})
    );
    assert_eq!(changed["payload"]["email"], json!("vera@example.com"));
    assert_eq!(changed["payload"]["name"], json!("Vera"));
    let off = json!({"custom_attributes": ["plan", "size", "unknown"]});
    let changed = admin.post(&format!("{path}/destroy_custom_attributes"), off).await.ok();
    assert_eq!(changed["payload"]["custom_attributes"], json!({"vip": true}));
    let cleared = admin.patch(&path, json!({"email": ""})).await.ok();
    assert_eq!(cleared["payload"]["email"], Value::Null);
}

#[tokio::test]
async fn faults_of_a_change_are_said_by_field() {
    let (app, admin) = App::start().await;
    people(&admin).await;
    let id = contact(&admin, json!({"name": "Vera"})).await;
    let path = format!("/contacts/{id}");
    for (body, field) in [
        (json!({"email": "ANN@example.com"}), "email"),
        (json!({"email": "nowhere"}), "email"),
        (json!({"phone_number": "+15550001"}), "phone_number"),
        (json!({"phone_number": "0555"}), "phone_number"),
        (json!({"name": "x".repeat(256)}), "name"),
        (json!({"blocked": null}), "blocked"),
        (json!({"blocked": ""}), "blocked"),
    ] {
        let refused = admin.patch(&path, body).await.status(422);
        assert_eq!(refused["attributes"], json!([field]), "{refused}");
    }
    let refused = admin.post("/contacts", json!({"name": "Vera", "blocked": null})).await;
    assert_eq!(refused.status(422)["attributes"], json!(["blocked"]));
    // What is too long comes first.
    let long = json!({"email": "nowhere", "identifier": "x".repeat(256)});
    let refused = admin.patch(&path, long).await.status(422);
    assert_eq!(refused["attributes"], json!(["identifier", "email"]));
    let eve = app.member(app.account("Elsewhere").await, "Eve", "administrator").await;
    eve.patch(&path, json!({"name": "Mine"})).await.status(404);
    eve.delete(&path).await.status(404);
}

#[tokio::test]
async fn values_are_kept_as_they_were_sent() {
    let (_, admin) = App::start().await;
    let sent = json!({"name": "Vera", "email": "Vera@Desk", "phone_number": "+12", "identifier": " crm 7 "});
    let made = admin.post("/contacts", sent).await.ok()["payload"]["contact"].clone();
    assert_eq!(made["email"], json!("vera@desk"));
    assert_eq!(made["identifier"], json!(" crm 7 "));
    let path = format!("/contacts/{}", made["id"]);
    let changed = admin.patch(&path, json!({"email": "v,x@b.co", "identifier": " crm"})).await.ok();
    assert_eq!(changed["payload"]["email"], json!("v,x@b.co"));
    assert_eq!(changed["payload"]["identifier"], json!(" crm"));
    for (body, field) in [
        (json!({"email": " v@b.co"}), "email"),
        (json!({"email": "v@b.co "}), "email"),
        (json!({"email": "v@b@co"}), "email"),
        (json!({"phone_number": "+1"}), "phone_number"),
        (json!({"phone_number": "+1234 "}), "phone_number"),
    ] {
        for refused in [admin.post("/contacts", body.clone()).await, admin.patch(&path, body).await]
        {
            assert_eq!(refused.status(422)["attributes"], json!([field]));
        }
    }
    let blank = json!({"email": " ", "phone_number": " ", "identifier": ""});
    let blank = admin.patch(&path, blank).await.ok()["payload"].clone();
    for field in ["email", "phone_number", "identifier"] {
        assert_eq!(blank[field], Value::Null);
    }
    // What may stand as an address is not always written to.
    let inbox =
        admin.post("/inboxes", json!({"name": "Desk", "channel": {"type": "api"}})).await.ok();
    let place = json!({"inbox_id": inbox["id"], "contact_id": made["id"]});
    let number = admin.post("/conversations", place).await.ok()["id"].clone();
    let transcript = format!("/conversations/{number}/transcript");
    admin.post(&transcript, json!({"email": "v,x@b.co"})).await.status(422);
}

#[tokio::test]
async fn all_that_is_taken_is_said_at_once() {
    let (_, admin) = App::start().await;
    people(&admin).await;
    let ann = json!({"name": "Ann", "email": "Ann@example.com", "phone_number": "+15550001"});
    let crm = contact(&admin, json!({"name": "Crm", "identifier": "crm-1"})).await;
    let mut all = ann.clone();
    all["identifier"] = json!("crm-1");
    let vera = contact(&admin, json!({"name": "Vera", "email": "vera@example.com"})).await;
    let path = format!("/contacts/{vera}");
    for refused in
        [admin.post("/contacts", all.clone()).await, admin.patch(&path, all.clone()).await]
    {
        assert_eq!(
            refused.status(422),
            json!({
                "message": "Email has already been taken, Identifier has already been taken, \
                            Phone number has already been taken",
                "attributes": ["email", "identifier", "phone_number"],
            })
        );
    }
    let mixed = json!({"email": "ann@example.com", "phone_number": "12"});
    for refused in [admin.post("/contacts", mixed.clone()).await, admin.patch(&path, mixed).await] {
        let message = "Email has already been taken, Phone number should be in e164 format";
        assert_eq!(refused.status(422)["message"], json!(message));
    }
    // One's own are not taken.
    let own = json!({"name": "Crm 1", "identifier": "crm-1", "email": "crm@example.com"});
    admin.patch(&format!("/contacts/{crm}"), own).await.ok();
    // One look for all of them.
    let statements = async |body: Value| {
        let scope = UsageScope::default();
        usage_scope(scope.clone(), admin.patch(&path, body)).await.ok();
        scope.usage().statements
    };
    let one = statements(json!({"email": "vale@example.com"})).await;
    let three = json!({"email": "v@example.com", "identifier": "v", "phone_number": "+15550009"});
    assert_eq!(statements(three).await, one);
}

#[tokio::test]
async fn a_search_looks_into_one_value_at_a_time() {
    let (_, admin) = App::start().await;
    people(&admin).await;
    contact(&admin, json!({"name": "Ärger", "identifier": "Crm%7"})).await;
    for (text, expected) in [
        ("archer%25ann", vec![]),
        ("archer_ann", vec![]),
        ("archer%0Aann", vec![]),
        ("an%25er", vec!["Ann Archer"]),
        ("an%25com", vec!["Ann Archer"]),
        ("bob_b", vec!["bob Baker"]),
        ("%2B155%251", vec!["Ann Archer"]),
        ("m%257", vec!["Ärger"]),
        ("%C3%84r_er", vec!["Ärger"]),
    ] {
        let found = admin.get(&format!("/contacts/search?q={text}")).await.ok();
        assert_eq!(names(&found), expected, "{text}");
    }
}

#[tokio::test]
async fn lists_hold_who_is_identified_and_searches_everybody() {
    let (_, admin) = App::start().await;
    people(&admin).await;
    let list = admin.get("/contacts?sort=-name").await.ok();
    assert_eq!(names(&list), ["bob Baker", "Ann Archer"]);
    assert_eq!(list["meta"]["count"], json!(2));
    let of = async |text: &str| {
        let found = admin.get(&format!("/contacts/search?sort=name&q={text}")).await.ok();
        names(&found).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(of("NAMEO").await, ["Nameonly"]);
    assert_eq!(of("0001").await, ["Ann Archer"]);
    assert_eq!(of("%25").await.len(), 3);
    assert_eq!(of("!").await.len(), 0);
    assert_eq!(of("arrows").await.len(), 0);
    let long = format!("/contacts/search?q={}", "x".repeat(1001));
    admin.get(&long).await.status(422);
}

#[tokio::test]
async fn a_search_says_whether_there_are_more() {
    let (_, admin) = App::start().await;
    for n in 0..16 {
        contact(&admin, json!({"name": format!("Row {n:02}")})).await;
    }
    let first = admin.get("/contacts/search?q=row&sort=name").await.ok();
    assert_eq!(first["meta"], json!({"count": 15, "current_page": 1, "has_more": true}));
    let second = admin.get("/contacts/search?q=row&sort=name&page=2").await.ok();
    assert_eq!(second["meta"], json!({"count": 1, "current_page": "2", "has_more": false}));
    assert_eq!(names(&second), ["Row 15"]);
    for odd in ["q=row&page=0", "q=row&page=-1", "q=row&page=abc", "q=row&page=", "q[]=row"] {
        let refused = admin.get(&format!("/contacts/search?{odd}")).await.status(422);
        let named = if odd.starts_with("q[") { "q " } else { "page " };
        assert!(refused["error"].as_str().unwrap().starts_with(named), "{refused}");
    }
    admin.get("/contacts/search?page=0").await.ok();
    admin.get("/contacts?page=0").await.ok();
}

#[tokio::test]
async fn lists_are_asked_for_as_clients_do() {
    let (_, admin) = App::start().await;
    people(&admin).await;
    for (name, label) in [("Ann", "vip"), ("bob", "no")] {
        let found = admin.get(&format!("/contacts/search?q={name}")).await.ok();
        let path = format!("/contacts/{}/labels", found["payload"][0]["id"]);
        admin.post(&path, json!({"labels": [label]})).await.ok();
    }
    let (ann, bob) = ("Ann Archer", "bob Baker");
    for (asked, expected) in [
        ("labels=", vec![ann, bob]),
        ("labels=vip,%20no", vec![ann, bob]),
        ("labels[]=none,NO", vec![bob]),
        ("labels=VIP", vec![ann]),
        ("labels[]=", vec![]),
        ("labels=,", vec![]),
    ] {
        let found = admin.get(&format!("/contacts?sort=name,email&{asked}")).await.ok();
        assert_eq!(names(&found), expected, "{asked}");
    }
    let found = admin.get("/contacts?sort=-name,email").await.ok();
    assert_eq!(names(&found), [bob, ann]);
    for (asked, shown) in [
        ("", true),
        ("?include_contact_inboxes=", true),
        ("?include_contact_inboxes=true", true),
        ("?include_contact_inboxes=1", false),
        ("?include_contact_inboxes=false", false),
    ] {
        let found = admin.get(&format!("/contacts{asked}")).await.ok();
        assert_eq!(found["payload"][0]["contact_inboxes"].is_array(), shown, "{asked}");
    }
    for page in [json!(2), json!("2")] {
        let found = admin.post("/contacts/filter", json!({"payload": [], "page": page})).await.ok();
        assert_eq!(found["meta"]["current_page"], page);
    }
}

#[tokio::test]
async fn a_contact_is_made_where_it_writes_from_or_not_at_all() {
    let (_, admin) = App::start().await;
    let desk =
        admin.post("/inboxes", json!({"name": "Desk", "channel": {"type": "api"}})).await.ok();
    for (inbox, status) in [(json!("abc"), 404), (json!(0), 404), (json!([5]), 422)] {
        let made = json!({"name": "Lost", "email": "lost@example.com", "inbox_id": inbox});
        admin.post("/contacts", made).await.status(status);
    }
    for nowhere in [
        json!({"inbox_id": ""}),
        json!({"inbox_id": null}),
        json!({"inbox_id": desk["id"], "source_id": ""}),
    ] {
        let mut body = nowhere.clone();
        body["name"] = json!("Vera");
        let made = admin.post("/contacts", body).await.ok()["payload"].clone();
        assert_eq!(made["contact_inbox"], json!({"inbox": null, "source_id": null}), "{nowhere}");
        assert_eq!(made["contact"]["contact_inboxes"], json!([]), "{nowhere}");
        let join = format!("/contacts/{}/contact_inboxes", made["contact"]["id"]);
        let blank = json!({"inbox_id": desk["id"], "source_id": " "});
        let refused = admin.post(&join, blank).await.status(422);
        assert_eq!(refused["attributes"], json!(["source_id"]));
    }
    let lost = admin.get("/contacts/search?q=lost").await.ok();
    assert_eq!(lost["meta"]["count"], json!(0));
}

#[tokio::test]
async fn filters_find_by_columns_and_attributes() {
    let (_, admin) = App::start().await;
    people(&admin).await;
    attributes(&admin).await;
    let vera = contact(&admin, json!({"name": "50%_off", "identifier": "crm-1"})).await;
    admin.post(&format!("/contacts/{vera}/labels"), json!({"labels": ["vip"]})).await.ok();
    let nobody = json!({"email": "n@example.com", "custom_attributes": {"gift": "true"}});
    contact(&admin, nobody).await;
    let found = async |conditions: Value| -> Vec<String> {
        let body = json!({"payload": conditions});
        let reply = admin.post("/contacts/filter?sort=name", body).await.ok();
        assert_eq!(reply["meta"]["count"], json!(names(&reply).len()));
        names(&reply).into_iter().map(str::to_owned).collect()
    };
    let one = |key: &str, operator: &str, values: Value| json!([{"attribute_key": key, "filter_operator": operator, "values": values}]);
    let (ann, bob, off, nobody) = ("Ann Archer", "bob Baker", "50%_off", "");
    for (conditions, expected) in [
        (json!([]), vec![nobody, off, ann, bob]),
        (one("name", "contains", json!(["ARCH"])), vec![ann]),
        (one("name", "contains", json!([" arch "])), vec![ann]),
        (one("name", "contains", json!("arch")), vec![ann]),
        (one("name", "contains", json!(["0%_O"])), vec![off]),
        (one("name", "contains", json!(["a_c"])), vec![ann]),
        (one("name", "contains", json!(["b%b"])), vec![bob]),
        (one("email", "contains", json!([""])), vec![nobody, ann, bob]),
        (one("name", "equal_to", json!(["ann archer", "bob baker"])), vec![ann]),
        (one("name", "equal_to", json!(["50__off"])), vec![]),
        (one("name", "equal_to", json!([" ann archer"])), vec![]),
        (one("name", "equal_to", json!([""])), vec![nobody]),
        (one("name", "does_not_contain", json!(["a"])), vec![nobody, off]),
        (one("email", "not_equal_to", json!(["ann@example.com"])), vec![nobody, bob]),
        (one("phone_number", "starts_with", json!(["1555"])), vec![ann]),
        (one("city", "equal_to", json!(["BERLIN"])), vec![bob]),
        (one("country_code", "equal_to", json!(["de"])), vec![bob]),
        (one("blocked", "equal_to", json!([true])), vec![bob]),
        (one("blocked", "not_equal_to", json!(["true"])), vec![nobody, off, ann]),
        (one("labels", "equal_to", json!(["vip", "later"])), vec![off]),
        (one("labels", "equal_to", json!(["VIP"])), vec![off]),
        (one("labels", "not_equal_to", json!(["Vip"])), vec![nobody, ann, bob]),
        (one("labels", "is_present", json!([])), vec![off]),
        (one("labels", "is_not_present", Value::Null), vec![nobody, ann, bob]),
        (one("created_at", "is_less_than", json!(["2026-01-05"])), vec![]),
        (one("created_at", "is_greater_than", json!(["2026-01-04"])), vec![nobody, off, ann, bob]),
        (one("created_at", "days_before", json!([1])), vec![]),
        (one("seats", "is_greater_than", json!([5])), vec![bob]),
        (one("seats", "equal_to", json!(["5"])), vec![ann]),
        (one("seats", "not_equal_to", json!([5])), vec![nobody, off, bob]),
        (one("gift", "equal_to", json!([false])), vec![bob]),
        (one("gift", "equal_to", json!([true])), vec![nobody, ann]),
        (one("gift", "not_equal_to", json!([true])), vec![off, bob]),
        (one("due", "is_greater_than", json!(["2030-06-01"])), vec![bob]),
        (one("due", "equal_to", json!(["2031-06-01"])), vec![bob]),
        (one("plan", "equal_to", json!(["gold"])), vec![ann]),
        (one("plan", "not_equal_to", json!(["gold"])), vec![nobody, off, bob]),
        (one("plan", "is_not_present", json!([])), vec![nobody, off, bob]),
    ] {
        assert_eq!(found(conditions.clone()).await, expected, "{conditions}");
    }
    // `and` binds tighter than `or`.
    let both = json!([
        {"attribute_key": "name", "filter_operator": "contains", "values": ["off"], "query_operator": "or"},
        {"attribute_key": "city", "filter_operator": "contains", "values": ["b"], "query_operator": "AND"},
        {"attribute_key": "blocked", "filter_operator": "equal_to", "values": [true]},
    ]);
    assert_eq!(found(both).await, [off, bob]);
}

#[tokio::test]
async fn conditions_that_make_no_sense_are_refused() {
    let (_, admin) = App::start().await;
    attributes(&admin).await;
    for condition in [
        json!({"attribute_key": "shoe_size", "filter_operator": "equal_to", "values": ["44"]}),
        json!({"attribute_key": "seats') or 1=1 --", "filter_operator": "equal_to", "values": ["44"]}),
        json!({"attribute_key": "name", "filter_operator": "is_present"}),
        json!({"attribute_key": "plan", "filter_operator": "shoe", "values": ["x"]}),
        json!({"attribute_key": "plan", "filter_operator": "is_greater_than", "values": ["x"]}),
        json!({"attribute_key": "seats", "filter_operator": "is_greater_than", "values": ["many"]}),
        json!({"attribute_key": "seats", "filter_operator": "equal_to", "values": ["inf"]}),
        json!({"attribute_key": "due", "filter_operator": "is_less_than", "values": ["soon"]}),
        json!({"attribute_key": "gift", "filter_operator": "equal_to", "values": ["maybe"]}),
        json!({"attribute_key": "last_activity_at", "filter_operator": "days_before", "values": ["few"]}),
        json!({"attribute_key": "name", "filter_operator": "equal_to", "values": []}),
        json!({"attribute_key": "name", "filter_operator": "equal_to", "values": " "}),
        json!({"attribute_key": "name", "filter_operator": "equal_to", "values": [5]}),
        json!({"attribute_key": "plan", "filter_operator": "contains", "values": [5]}),
        json!({"attribute_key": "seats", "filter_operator": "contains", "values": ["5"]}),
        json!({"attribute_key": "due", "filter_operator": "does_not_contain", "values": ["2030"]}),
        json!("name"),
    ] {
        let body = json!({"payload": [condition]});
        let refused = admin.post("/contacts/filter", body).await.status(422);
        assert!(refused["error"].is_string(), "{refused}");
    }
    for (key, values, status) in [
        ("status", json!("open"), 422),
        ("priority", json!("low"), 422),
        ("status", json!("all"), 200),
        ("browser_language", json!("fr"), 200),
        ("mail_subject", json!([""]), 200),
    ] {
        let one = json!({"attribute_key": key, "filter_operator": "equal_to", "values": values});
        let reply = admin.post("/conversations/filter", json!({"payload": [one]})).await;
        reply.status(status);
    }
    for (key, path) in [("name", "/contacts/filter"), ("mail_subject", "/conversations/filter")] {
        for body in [json!({}), json!({"payload": null}), json!({"payload": "x"})] {
            let refused = admin.post(path, body).await.status(422);
            assert!(refused["error"].as_str().unwrap().contains("payload"), "{refused}");
        }
        admin.post(path, json!({"payload": []})).await.ok();
        let ending = async |joint: Value| {
            let last = json!({
                "attribute_key": key, "filter_operator": "contains", "values": ["a"],
                "query_operator": joint,
            });
            admin.post(path, json!({"payload": [last]})).await
        };
        for joint in ["and", "OR"] {
            let refused = ending(json!(joint)).await.status(422);
            assert!(refused["error"].as_str().unwrap().contains("query_operator"), "{refused}");
        }
        ending(Value::Null).await.ok();
        ending(json!("")).await.ok();
    }
}

#[tokio::test]
async fn inboxes_say_what_they_would_call_a_contact() {
    let (app, admin) = App::start().await;
    let agent = app.member(admin.account.unwrap(), "Grace", "agent").await;
    let desk =
        admin.post("/inboxes", json!({"name": "Desk", "channel": {"type": "api"}})).await.ok();
    let site = json!({"name": "Site", "channel": {"type": "web_widget", "website_url": "https://example.com"}});
    let site = admin.post("/inboxes", site).await.ok();
    let members = json!({"inbox_id": desk["id"], "user_ids": [agent.id]});
    admin.post("/inbox_members", members).await.ok();
    let id = contact(&admin, json!({"name": "Vera"})).await;
    let reach = format!("/contacts/{id}/contactable_inboxes");
    let join = format!("/contacts/{id}/contact_inboxes");
    let ids = |reply: Value| -> Vec<Value> {
        let list = reply["payload"].as_array().unwrap().clone();
        list.iter().map(|of| of["inbox"]["id"].clone()).collect()
    };
    assert_eq!(ids(admin.get(&reach).await.ok()), [desk["id"].clone()]);
    agent.post(&join, json!({"inbox_id": site["id"]})).await.status(401);
    admin.post(&join, json!({"inbox_id": 999})).await.status(404);
    let joined = admin.post(&join, json!({"inbox_id": site["id"]})).await.ok();
    assert_eq!(ids(admin.get(&reach).await.ok()), [desk["id"].clone(), site["id"].clone()]);
    assert_eq!(ids(agent.get(&reach).await.ok()), [desk["id"].clone()]);
    // Once there is a conversation, the website's visitor is in it already.
    let place = json!({"inbox_id": site["id"], "contact_id": id, "source_id": joined["source_id"]});
    admin.post("/conversations", place).await.ok();
    assert_eq!(ids(admin.get(&reach).await.ok()), [desk["id"].clone()]);
    let other = contact(&admin, json!({"name": "Sam"})).await;
    let taken = json!({"inbox_id": site["id"], "source_id": joined["source_id"]});
    let refused =
        admin.post(&format!("/contacts/{other}/contact_inboxes"), taken).await.status(422);
    assert_eq!(refused["attributes"], json!(["source_id"]));
}

#[tokio::test]
async fn a_contact_goes_with_its_conversations() {
    let (app, admin) = App::start().await;
    let agent = app.member(admin.account.unwrap(), "Grace", "agent").await;
    let desk =
        admin.post("/inboxes", json!({"name": "Desk", "channel": {"type": "api"}})).await.ok();
    let id = contact(&admin, json!({"name": "Vera"})).await;
    let path = format!("/contacts/{id}");
    let place = json!({"inbox_id": desk["id"], "contact_id": id});
    let number = admin.post("/conversations", place).await.ok()["id"].clone();
    let conversation = format!("/conversations/{number}");
    admin.post(&format!("{conversation}/messages"), json!({"content": "Hello"})).await.ok();
    agent.delete(&path).await.status(401);
    admin.delete(&path).await.ok();
    admin.get(&path).await.status(404);
    admin.get(&conversation).await.status(404);
    app.settle().await;
    let counts = admin.get("/conversations/meta?status=all").await.ok();
    assert_eq!(counts["meta"]["all_count"], json!(0));
    admin.delete(&path).await.status(404);
}

#[tokio::test]
async fn what_was_too_large_before_keeps_nothing_else_from_being_changed() {
    let (app, admin) = App::start().await;
    let path = format!("/contacts/{}", contact(&admin, json!({"name": "Vera"})).await);
    chatwarden_db::statements! {
        GROW: () = "tests.grow", "update contacts set custom_attributes = $1 where name = 'Vera'";
    }
    let large = chatwarden_db::Json(json!({"said": "x".repeat(70_000)}));
    app.db().write(async move |tx| tx.run(&GROW, chatwarden_db::args![large]).await).await.unwrap();
    admin.patch(&path, json!({"name": "Vera K."})).await.ok();
    let more = json!({"custom_attributes": {"plan": "gold"}});
    let refused = admin.patch(&path, more).await.status(422);
    assert_eq!(refused["attributes"], json!(["custom_attributes"]));
}

#[tokio::test]
async fn what_is_said_of_a_muted_contact_is_how_it_is_stored() {
    let (app, admin) = App::start().await;
    let desk =
        admin.post("/inboxes", json!({"name": "Desk", "channel": {"type": "api"}})).await.ok();
    let id = contact(&admin, json!({"name": "Vera"})).await;
    let place = json!({"inbox_id": desk["id"], "contact_id": id});
    let number = admin.post("/conversations", place).await.ok()["id"].clone();
    let of = ContactId(id.as_i64().unwrap());
    let renaming =
        async move |tx: &mut WriteTx<'_>, scope: &Scope<Agent>, meanwhile: &mut Meanwhile| {
            let draft = Draft { name: Some("Vera K.".to_owned()), ..Draft::default() };
            contacts::update(tx, scope, of, draft).await?;
            meanwhile.waits(tx).await
        };
    let mute = format!("/conversations/{number}/mute");
    beside(&app, &admin, renaming, admin.post(&mute, json!({}))).await.ok();
    chatwarden_db::statements! {
        TOLD: (String,) = "tests.told", "select message from outbox where event = 'contact.updated' order by id desc limit 1";
    }
    let (told,) =
        app.db().read(async |tx| tx.one(&TOLD, chatwarden_db::args![]).await).await.unwrap();
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["data"]["name"], json!("Vera K."));
    assert_eq!(told["data"]["blocked"], json!(true));
}

#[tokio::test]
async fn nothing_stays_of_what_is_added_to_a_contact_beside_its_removal() {
    let (app, admin) = App::start().await;
    let desk =
        admin.post("/inboxes", json!({"name": "Desk", "channel": {"type": "api"}})).await.ok();
    chatwarden_db::statements! {
        LEFT: (i64, i64, i64) = "tests.left",
            "select (select count(*) from conversations), (select count(*) from messages), (select count(*) from contact_inboxes)";
    }
    let left = async || {
        app.settle().await;
        app.db().read(async |tx| tx.one(&LEFT, chatwarden_db::args![]).await).await.unwrap()
    };
    // A message in a conversation of theirs.
    let id = contact(&admin, json!({"name": "Vera"})).await;
    let place = json!({"inbox_id": desk["id"], "contact_id": id});
    let number = admin.post("/conversations", place).await.ok()["id"].as_i64().unwrap();
    let path = format!("/contacts/{id}");
    let removing = async {
        admin.delete(&path).await.ok();
        app.settle().await;
    };
    let writing =
        async move |tx: &mut WriteTx<'_>, scope: &Scope<Agent>, meanwhile: &mut Meanwhile| {
            let mut c = conversations::lock(tx, scope, DisplayId(number)).await?;
            let text = Some("One more thing".to_owned());
            let new = NewMessage::text(MessageType::Outgoing, text, Sender::Nobody);
            messages::create(tx, scope, &mut c, new, &Performer::System).await?;
            meanwhile.waits(tx).await
        };
    beside(&app, &admin, writing, removing).await;
    assert_eq!(left().await, (0, 0, 0));
    // A place from where they write.
    let id = contact(&admin, json!({"name": "Vera"})).await.as_i64().unwrap();
    let inbox = InboxId(desk["id"].as_i64().unwrap());
    let path = format!("/contacts/{id}");
    let adding =
        async move |tx: &mut WriteTx<'_>, scope: &Scope<Agent>, meanwhile: &mut Meanwhile| {
            contacts::contact_inbox(tx, scope, ContactId(id), inbox, None).await?;
            meanwhile.waits(tx).await
        };
    beside(&app, &admin, adding, admin.delete(&path)).await.ok();
    assert_eq!(left().await, (0, 0, 0));
}
