//! Contacts (`resources.md §5`).

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chatwarden_core::Error;
use chatwarden_core::accounts::Account;
use chatwarden_core::accounts::features::Features;
use chatwarden_core::contacts::lists::{self, Page, Query};
use chatwarden_core::contacts::{self, Contact, Draft, InboxOfContact, NewContact};
use chatwarden_core::desk::desk;
use chatwarden_core::ids::{ContactId, InboxId};
use chatwarden_core::inboxes::{self, InboxWithChannel};
use chatwarden_core::scope::{self, Scope};
use chatwarden_core::storage::{self, Purpose, avatar_url};
use chatwarden_core::values;
use chatwarden_db::{Timestamp, Tx, WriteTx};
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::actors::{Admin, Agent, performer};
use crate::app::App;
use crate::avatars::Picture;
use crate::conversations::{conditions, conversation_json};
use crate::error::{Answer, ApiError, done};
use crate::inboxes::{raw_inbox_json, slim_inbox_json};
use crate::params::Params;
use crate::routes::Routes;

pub(crate) fn routes() -> Routes {
    Routes::new("/api/v1/accounts/{account_id}")
        .get("/contacts", index)
        .post("/contacts", create)
        .get("/contacts/active", active)
        .get("/contacts/search", search)
        .post("/contacts/filter", filter)
        .get("/contacts/{contact_id}", show)
        .patch("/contacts/{contact_id}", update)
        .delete("/contacts/{contact_id}", destroy)
        .delete("/contacts/{contact_id}/avatar", delete_avatar)
        .post("/contacts/{contact_id}/destroy_custom_attributes", destroy_custom_attributes)
        .get("/contacts/{contact_id}/conversations", conversations)
        .get("/contacts/{contact_id}/contactable_inboxes", contactable_inboxes)
        .post("/contacts/{contact_id}/contact_inboxes", join_inbox)
        .post("/contact_inboxes/filter", by_source_id)
        .post("/actions/contact_merge", merge)
}

/// The contact in the path.
pub(crate) fn contact_id(params: &Params) -> Answer<ContactId> {
    params.id("contact_id").map(ContactId)
}

/// The titles that narrow a list; within a text a comma separates them. The account's labels are in lower case.
fn titles(params: &Params) -> Vec<String> {
    let sent = params.one_or_more("labels").unwrap_or_default();
    // A blank text asks for nothing; a list that holds one asks for what nobody bears.
    if params.has("labels") && sent.iter().all(|text| text.trim().is_empty()) {
        return Vec::new();
    }
    let titles = sent.iter().flat_map(|text| text.split(',')).map(str::trim);
    titles.flat_map(|title| [title.to_owned(), title.to_lowercase()]).collect()
}

fn query(params: &Params, account: &Account) -> Query {
    Query {
        labels: titles(params),
        sort: params.text("sort"),
        page: params.page(),
        leads: Features::of(account).has("crm_v2"),
    }
}

/// Whether contacts are told with their inboxes: unless something else than `true` was sent, as a text.
fn wants_inboxes(params: &Params) -> bool {
    let sent = params.get("include_contact_inboxes");
    sent.is_none_or(|sent| !values::present(sent) || sent == "true")
}

async fn page_json(
    tx: &mut Tx<'_>,
    scope: &Scope,
    page: &Page,
    params: &Params,
) -> Result<Json<Value>, Error> {
    let wanted = wants_inboxes(params);
    let payload = with_inboxes(tx, scope, &page.contacts, wanted).await?;
    let meta = json!({"count": page.count, "current_page": params.page_echo()});
    Ok(Json(json!({"meta": meta, "payload": payload})))
}

/// One contact with its inboxes, unless those are not wanted.
async fn one(
    tx: &mut Tx<'_>,
    scope: &Scope,
    contact: &Contact,
    wanted: bool,
) -> Result<Value, Error> {
    let mut rows = with_inboxes(tx, scope, std::slice::from_ref(contact), wanted).await?;
    Ok(rows.pop().unwrap_or_default())
}

/// The identified contacts, a page at a time.
async fn index(
    Agent(scope, account): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let query = query(&params, &account);
    app.read(async move |tx| {
        let page = lists::list(tx, &scope, &query).await?;
        Ok(page_json(tx, &scope, &page, &params).await?)
    })
    .await
}

/// Those who are present.
async fn active(
    Agent(scope, account): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let query = query(&params, &account);
    app.read(async move |tx| {
        let page = lists::active(tx, &scope, &query).await?;
        Ok(page_json(tx, &scope, &page, &params).await?)
    })
    .await
}

/// Those whom a text finds, identified or not. How many there are is not told, but whether there are more.
async fn search(
    Agent(scope, account): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let query = Query { labels: Vec::new(), ..query(&params, &account) };
    if params.get("q").is_some_and(|sent| !values::is_scalar(sent)) {
        return Err(ApiError::unprocessable("q must be a text"));
    }
    let Some(text) = params.present("q") else {
        let meta = json!({"count": null, "current_page": params.page_echo(), "has_more": null});
        return Ok(Json(json!({"meta": meta, "payload": []})));
    };
    let numbered = params.get("page").is_some_and(|page| !page.is_null());
    if numbered && params.integer("page").is_none_or(|page| page < 1) {
        return Err(ApiError::unprocessable("page must be at least 1"));
    }
    app.read(async move |tx| {
        let (found, more) = lists::search(tx, &scope, &query, &text).await?;
        let payload = with_inboxes(tx, &scope, &found, wants_inboxes(&params)).await?;
        let meta = json!({
            "count": found.len(), "current_page": params.page_echo(), "has_more": more,
        });
        Ok(Json(json!({"meta": meta, "payload": payload})))
    })
    .await
}

/// Those whom conditions find.
async fn filter(
    Agent(scope, account): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let query = Query { labels: Vec::new(), ..query(&params, &account) };
    let conditions = conditions(&params)?;
    app.read(async move |tx| {
        let page = lists::filter(tx, &scope, &query, &conditions).await?;
        Ok(page_json(tx, &scope, &page, &params).await?)
    })
    .await
}

/// One contact.
async fn show(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = contact_id(&params)?;
    app.read(async move |tx| {
        let found = contacts::sql::get(tx, &scope, id).await?.ok_or(Error::NotFound)?;
        let wanted = wants_inboxes(&params);
        Ok(Json(json!({"payload": one(tx, &scope, &found, wanted).await?})))
    })
    .await
}

/// What was sent of a new contact.
pub(crate) fn new_contact(params: &Params) -> NewContact {
    NewContact {
        name: params.text("name").unwrap_or_default(),
        email: params.text("email"),
        phone_number: params.text("phone_number"),
        identifier: params.text("identifier"),
        additional_attributes: params.object("additional_attributes").unwrap_or_default(),
        custom_attributes: params.object("custom_attributes").unwrap_or_default(),
        ..NewContact::default()
    }
}

/// Whether a contact is to be muted, where that was sent.
fn blocked(params: &Params) -> Answer<Option<bool>> {
    match params.flag("blocked") {
        None if params.has("blocked") => Err(Error::invalid("blocked", "can't be blank").into()),
        sent => Ok(sent),
    }
}

/// The inbox that is meant, where one is: what is no number is 0, which is none.
fn inbox_id(params: &Params) -> Answer<Option<InboxId>> {
    match params.get("inbox_id") {
        Some(sent) if !values::present(sent) => Ok(None),
        Some(sent) if !values::is_scalar(sent) => {
            Err(ApiError::unprocessable("inbox_id must be an id"))
        }
        sent => Ok(sent.map(|sent| InboxId(values::integer(sent).unwrap_or(0)))),
    }
}

/// Adds a contact; with an inbox, also where it writes from, unless that is said to be nowhere.
async fn create(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let blocked = blocked(&params)?.unwrap_or(false);
    let new = NewContact { blocked, ..new_contact(&params) };
    let inbox = inbox_id(&params)?;
    let source_id = params.text("source_id");
    let reached = source_id.as_deref().is_none_or(|id| !id.trim().is_empty());
    let picture = Picture::of(&app, scope.account_id(), Purpose::ContactAvatar, &params).await?;
    let received = picture.received();
    let made = app.write(async move |tx| {
        let inbox = match inbox {
            Some(id) => Some(inboxes::sql::get(tx, &scope, id).await?.ok_or(Error::NotFound)?),
            None => None,
        };
        let mut contact = contacts::create(tx, &scope, new).await?;
        show_picture(tx, &scope, &mut contact, &picture).await?;
        let mut contact_inbox = json!({"inbox": null, "source_id": null});
        if reached && let Some(inbox) = &inbox {
            let made = contacts::join_inbox(tx, &scope, &contact, &inbox.inbox, source_id).await?;
            contact_inbox = json!({"inbox": raw_inbox_json(inbox), "source_id": made.source_id});
        }
        let contact = one(tx, &scope, &contact, true).await?;
        Ok(Json(json!({"payload": {"contact": contact, "contact_inbox": contact_inbox}})))
    });
    received.kept_if(&app, made).await
}

/// Gives a contact the picture that came with its values, and tells of it.
async fn show_picture(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    contact: &mut Contact,
    picture: &Picture,
) -> chatwarden_core::Result<()> {
    let owner = storage::Owner::Contact(scope.account_id(), contact.id);
    if picture.give(tx, owner, &mut contact.avatar).await? {
        contacts::announce(tx, scope, "contact.updated", contact);
    }
    Ok(())
}

/// Takes a contact's picture away.
async fn delete_avatar(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = contact_id(&params)?;
    app.write(async move |tx| {
        storage::set_avatar(tx, storage::Owner::Contact(scope.account_id(), id), None).await?;
        let contact = contacts::sql::get(tx, &scope, id).await?.ok_or(Error::NotFound)?;
        contacts::announce(tx, &scope, "contact.updated", &contact);
        Ok(Json(json!({"payload": contact_json(tx, &contact)})))
    })
    .await
}

/// Changes a contact: attributes are merged into those there are.
async fn update(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = contact_id(&params)?;
    let text = |key: &str| params.has(key).then(|| params.text(key));
    let draft = Draft {
        name: params.has("name").then(|| params.text("name").unwrap_or_default()),
        email: text("email"),
        phone_number: text("phone_number"),
        identifier: text("identifier"),
        blocked: blocked(&params)?,
        additional_attributes: params.object("additional_attributes").unwrap_or_default(),
        custom_attributes: params.object("custom_attributes").unwrap_or_default(),
    };
    let picture = Picture::of(&app, scope.account_id(), Purpose::ContactAvatar, &params).await?;
    let received = picture.received();
    let changed = app.write(async move |tx| {
        let mut changed = contacts::update(tx, &scope, id, draft).await?;
        show_picture(tx, &scope, &mut changed, &picture).await?;
        let wanted = wants_inboxes(&params);
        Ok(Json(json!({"payload": one(tx, &scope, &changed, wanted).await?})))
    });
    received.kept_if(&app, changed).await
}

/// Removes a contact that is not present.
async fn destroy(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Response> {
    let id = contact_id(&params)?;
    let removed = app.write(async move |tx| contacts::delete(tx, &scope, id, false).await).await;
    match removed {
        Err(Error::Invalid(fault)) => {
            let body = json!({"message": fault.to_string()});
            Err(ApiError::with_body(StatusCode::UNPROCESSABLE_ENTITY, body))
        }
        other => other.map(|()| done()).map_err(ApiError::from),
    }
}

/// Takes custom attributes off a contact.
async fn destroy_custom_attributes(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = contact_id(&params)?;
    let keys = params.one_or_more("custom_attributes").unwrap_or_default();
    app.write(async move |tx| {
        let changed = contacts::destroy_custom_attributes(tx, &scope, id, &keys).await?;
        let wanted = wants_inboxes(&params);
        Ok(Json(json!({"payload": one(tx, &scope, &changed, wanted).await?})))
    })
    .await
}

/// The newest conversations of a contact that the member may see.
async fn conversations(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = contact_id(&params)?;
    app.read(async move |tx| {
        contacts::sql::get(tx, &scope, id).await?.ok_or(Error::NotFound)?;
        let found = lists::conversations(tx, &scope, id).await?;
        let payload: Vec<Value> = found.iter().map(|page| conversation_json(tx, page)).collect();
        Ok(Json(json!({"payload": payload})))
    })
    .await
}

/// The member's inboxes through which a contact can be written to.
async fn contactable_inboxes(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = contact_id(&params)?;
    app.read(async move |tx| {
        let contact = contacts::sql::get(tx, &scope, id).await?.ok_or(Error::NotFound)?;
        let found = lists::contactable_inboxes(tx, &scope, &contact).await?;
        let row = |of: &InboxOfContact| {
            json!({"inbox": slim_inbox_json(tx, of), "source_id": of.source_id})
        };
        Ok(Json(json!({"payload": found.iter().map(row).collect::<Vec<_>>()})))
    })
    .await
}

/// An inbox that the member may see.
async fn visible_inbox(
    tx: &mut Tx<'_>,
    scope: &Scope<scope::Agent>,
    id: Option<InboxId>,
) -> Result<InboxWithChannel, Error> {
    let id = id.ok_or(Error::NotFound)?;
    let found = inboxes::sql::get(tx, scope, id).await?.ok_or(Error::NotFound)?;
    if !scope.is_admin() && !inboxes::sql::is_member(tx, scope, id, scope.user_id()).await? {
        return Err(Error::not_authorized());
    }
    Ok(found)
}

/// Makes a contact known to an inbox.
async fn join_inbox(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = contact_id(&params)?;
    let inbox = params.integer("inbox_id").map(InboxId);
    app.write(async move |tx| {
        let contact = contacts::sql::get(tx, &scope, id).await?.ok_or(Error::NotFound)?;
        let inbox = visible_inbox(tx, &scope, inbox).await?;
        let source_id = params.text("source_id");
        if source_id.as_deref().is_some_and(|id| id.trim().is_empty()) {
            return Err(Error::invalid("source_id", "can't be blank").into());
        }
        let joined = contacts::join_inbox(tx, &scope, &contact, &inbox.inbox, source_id).await?;
        let of = InboxOfContact {
            contact_id: contact.id,
            source_id: joined.source_id,
            inbox_id: inbox.inbox.id,
            channel_id: inbox.channel.id,
            name: inbox.inbox.name,
            channel_type: inbox.inbox.channel_type,
            avatar: inbox.inbox.avatar,
        };
        Ok(Json(json!({"source_id": of.source_id, "inbox": slim_inbox_json(tx, &of)})))
    })
    .await
}

/// The contact that an inbox calls by a source id.
async fn by_source_id(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let inbox = params.integer("inbox_id").map(InboxId);
    let source_id = params.text("source_id").unwrap_or_default();
    let found = app
        .read(async move |tx| {
            let inbox = visible_inbox(tx, &scope, inbox).await?.inbox.id;
            let joined =
                contacts::sql::contact_inbox_by_source(tx, &scope, inbox, &source_id).await?;
            let contact = match joined {
                Some(joined) => contacts::sql::get(tx, &scope, joined.contact_id).await?,
                None => None,
            };
            match contact {
                Some(contact) => one(tx, &scope, &contact, true).await.map(Some),
                None => Ok(None),
            }
        })
        .await?;
    found.map(Json).ok_or_else(|| ApiError::empty(StatusCode::NOT_FOUND))
}

/// Merges two contacts into one.
async fn merge(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let (base, mergee) =
        (ContactId(params.id("base_contact_id")?), ContactId(params.id("mergee_contact_id")?));
    app.write(async move |tx| {
        let by = performer(tx, &scope);
        let kept = contacts::merge(tx, &scope, base, mergee, &by).await?;
        Ok(Json(contact_json(tx, &kept)))
    })
    .await
}

/// Contacts with their inboxes, unless those are not wanted: one statement for all of them.
async fn with_inboxes(
    tx: &mut Tx<'_>,
    scope: &Scope,
    found: &[Contact],
    wanted: bool,
) -> Result<Vec<Value>, Error> {
    if !wanted {
        return Ok(found.iter().map(|contact| contact_json(tx, contact)).collect());
    }
    let ids: Vec<i64> = found.iter().map(|contact| contact.id.0).collect();
    let inboxes: Vec<InboxOfContact> = if ids.is_empty() {
        Vec::new()
    } else {
        contacts::sql::inboxes_of(tx, scope, &ids).await?
    };
    Ok(found
        .iter()
        .map(|contact| {
            let own: Vec<Value> = inboxes
                .iter()
                .filter(|of| of.contact_id == contact.id)
                .map(|of| json!({"source_id": of.source_id, "inbox": slim_inbox_json(tx, of)}))
                .collect();
            with(contact_json(tx, contact), "contact_inboxes", Value::Array(own))
        })
        .collect())
}

fn with(mut object: Value, key: &str, value: Value) -> Value {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
    object
}

/// A contact, without its inboxes.
pub(crate) fn contact_json(tx: &Tx<'_>, contact: &Contact) -> Value {
    let online = desk(tx).presence.contact_online(contact.account_id, contact.id, tx.now());
    let out = json!({
        "additional_attributes": contact.additional_attributes.0,
        "availability_status": if online { "online" } else { "offline" },
        "email": contact.email,
        "id": contact.id,
        "name": contact.name,
        "phone_number": contact.phone_number,
        "blocked": contact.blocked,
        "identifier": contact.identifier,
        "thumbnail": avatar_url(tx, contact.avatar.as_ref()),
        "custom_attributes": contact.custom_attributes.0,
        "created_at": contact.created_at.unix(),
    });
    match contact.last_activity_at {
        Some(at) => with(out, "last_activity_at", json!(at.unix())),
        None => out,
    }
}

/// The record of a contact: every column (`resources.md §0`, raw record).
pub(crate) fn raw_contact_json(contact: &Contact) -> Value {
    let kind = ["visitor", "lead", "customer"];
    let kind = usize::try_from(contact.contact_type).ok().and_then(|i| kind.get(i)).copied();
    let columns: Map<String, Value> = [
        ("id", json!(contact.id)),
        ("name", json!(contact.name)),
        ("email", json!(contact.email)),
        ("phone_number", json!(contact.phone_number)),
        ("account_id", json!(contact.account_id)),
        ("created_at", json!(contact.created_at.iso())),
        ("updated_at", json!(contact.updated_at.iso())),
        ("additional_attributes", contact.additional_attributes.0.clone()),
        ("identifier", json!(contact.identifier)),
        ("custom_attributes", contact.custom_attributes.0.clone()),
        ("last_activity_at", json!(contact.last_activity_at.map(Timestamp::iso))),
        ("contact_type", json!(kind)),
        ("middle_name", json!(contact.middle_name)),
        ("last_name", json!(contact.last_name)),
        ("location", json!(contact.location)),
        ("country_code", json!(contact.country_code)),
        ("blocked", json!(contact.blocked)),
        ("company_id", Value::Null),
        ("label_list", json!(contact.labels.0)),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect();
    Value::Object(columns)
}
