//! Who the visitor is.

use std::borrow::Cow;

use axum::Json;
use axum::extract::State;
use chatwarden_core::contacts::{self, Contact};
use chatwarden_core::visitors::Visitor;
use chatwarden_core::widget;
use chatwarden_db::Json as Stored;
use serde_json::{Value, json};

use super::{Guest, identity, proof};
use crate::app::App;
use crate::contacts::raw_contact_json;
use crate::error::Answer;
use crate::params::Params;

/// What the page learns of the visitor: which of the fields of a form are known, not what they hold.
fn contact_json(contact: &Contact) -> Value {
    json!({
        "id": contact.id,
        "has_email": contact.email.is_some(),
        "has_name": !contact.name.is_empty(),
        "has_phone_number": contact.phone_number.is_some(),
    })
}

/// A contact as far as it is the visitor's own: of another that absorbed them no more than who it is.
pub(crate) fn shown<'a>(visitor: &Visitor, contact: &'a Contact) -> Cow<'a, Contact> {
    if visitor.owns(contact) {
        return Cow::Borrowed(contact);
    }
    Cow::Owned(Contact {
        email: None,
        phone_number: None,
        identifier: None,
        middle_name: String::new(),
        last_name: String::new(),
        location: None,
        country_code: None,
        additional_attributes: Stored(json!({})),
        custom_attributes: Stored(json!({})),
        labels: Stored(Vec::new()),
        ..contact.clone()
    })
}

fn with(mut object: Value, key: &str, value: Value) -> Value {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
    object
}

/// The visitor.
pub(super) async fn show(guest: Guest, State(app): State<App>) -> Answer<Json<Value>> {
    app.read(async move |tx| {
        let visitor = guest.visitor(tx).await?;
        let identifier = json!(shown(&visitor, &visitor.contact).identifier);
        Ok(Json(with(contact_json(&visitor.contact), "identifier", identifier)))
    })
    .await
}

/// Takes over what the visitor says of themselves.
pub(super) async fn update(
    guest: Guest,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let (given, proof) = (identity(&params), proof(&params));
    app.write(async move |tx| {
        let mut visitor = guest.visitor(tx).await?;
        widget::update(tx, &mut visitor, given, &proof).await?;
        Ok(Json(contact_json(&visitor.contact)))
    })
    .await
}

/// Somebody is signed in on the customer's page.
pub(super) async fn set_user(
    guest: Guest,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let (given, proof) = (identity(&params), proof(&params));
    app.write(async move |tx| {
        let mut visitor = guest.visitor(tx).await?;
        let token = widget::set_user(tx, &mut visitor, given, &proof).await?;
        let out = contact_json(&visitor.contact);
        Ok(Json(match token {
            Some(token) => with(out, "widget_auth_token", json!(token)),
            None => out,
        }))
    })
    .await
}

/// Takes attributes away from the visitor.
pub(super) async fn destroy_custom_attributes(
    guest: Guest,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let keys = params.one_or_more("custom_attributes").unwrap_or_default();
    app.write(async move |tx| {
        let visitor = guest.visitor(tx).await?;
        let (scope, id) = (&visitor.door.scope, visitor.contact.id);
        let contact = contacts::destroy_custom_attributes(tx, scope, id, &keys).await?;
        Ok(Json(raw_contact_json(&shown(&visitor, &contact))))
    })
    .await
}
